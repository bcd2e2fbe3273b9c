"""Kills at random, broken connections and bad answers under a steady stream of messages (guarantees M1, M2).

What was queued is counted against what the phones show, as Jepsen's total-queue checker counts: lost, duplicated,
unexpected, recovered.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from contacts.models import Contact
from crm.models import Corp
from crm.providers.content import Text
from messaging import outbox
from messaging.models import Attempt, Delivery, Message
from messaging.states import OPEN
from tests import factories
from tests.messaging.house import House, house, wait_until
from tests.messaging.tree import OURS, Tree, is_alive
from tests.sizes import size

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

KILLS: Final = size("TEST_SEND_KILLS")
API: Final = "externalcontact/message/send"
LATENCY_MS: Final = 60  # most kills find a call on its way
WAITING: Final = 240  # deliveries queued at any time: no worker runs out of work, and the end is near
RECIPIENTS: Final = 20  # so many that a worker makes as many calls at a time as it may
SETTLE_S: Final = 0.3  # by then all calls have ended but those of a dead process, and those that hang
HANG_S: Final = 4.0  # beyond the read timeout
Fault = dict[str, Any]
# What the provider does for one to three calls. After these nobody knows what became of the call:
SPOILT: Final[tuple[Fault, ...]] = (
    {"kind": "timeout", "seconds": HANG_S},  # it hangs, before the call is performed
    {"kind": "after", "seconds": HANG_S},  # and behind it
    {"kind": "reset"},
    {"kind": "cut"},  # half an answer
    {"kind": "truncated"},
    {"kind": "html"},
    {"kind": "html", "status": 200},
    {"kind": "http_status"},
    {"kind": "empty"},
    {"kind": "fields", "fields": {"errcode": "ok"}},  # performed, and the answer is garbage
    {"kind": "fields", "fields": {"errcode": None}},
)
# These are plain, though what goes with the errcode is garbage or of others. (An errcode 0 over a send that was not
# made, as after a revoked token, is a lie that nobody could see through.)
LIES: Final[tuple[Fault, ...]] = (
    {"kind": "fields", "fields": {"errmsg": ["?"], "fail_list": 7, "msgid": {}}},
    {"kind": "fields", "fields": {"invaliduser": "SomebodyElse", "fail_list": ["wmElse"]}},
)
SAID_NO: Final[tuple[Fault, ...]] = (
    {"kind": "errcode", "errcode": -1},
    {"kind": "errcode", "errcode": 6000},
)
T = TypeVar("T")
Copy = tuple[str, str]  # (text, external_userid): no text is used twice


@dataclass
class Strikes:
    """What was done to the tree, and the attempts that the killed processes had under way."""

    done: Counter[str] = field(default_factory=Counter)
    under_way: set[int] = field(default_factory=set)
    most_lost: int = 0  # calls, at most
    spoilt_answers: int = 0
    hangs: int = 0  # of them: a call of a living process that looks like one of a dead one

    @property
    def kills(self) -> int:
        return sum(self.done[what] for what in ("idle", "busy", "supervisor"))

    def killed(self, what: str, *, processes: int, held: set[int]) -> None:
        """Note that so many processes were killed while `held` was under way, in them or in others."""
        self.done[what] += 1
        self.most_lost += min(processes * settings.CRM_SEND_CALLS, len(held))
        self.under_way |= held


def under_way() -> set[int]:
    """The attempts of which a byte may have left, and no end is written."""
    speaking = Attempt.objects.filter(spoke_at__isnull=False, finished_at__isnull=True)
    return set(speaking.values_list("pk", flat=True))


def through_a_restart(work: Callable[[], T]) -> T:
    """`work`, again until the database is there."""
    for _ in range(50):
        with suppress(OperationalError, InterfaceError):
            return work()
        connection.close()
        time.sleep(0.2)
    return work()


class Writer:
    """Queues messages all the time, never more than the workers will soon have sent; `queued` is what it got back."""

    def __init__(self, house: House, chance: random.Random) -> None:
        self.queued: set[Copy] = set()
        self._house, self._chance = house, chance
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._failure: BaseException | None = None

    def _write(self) -> None:
        try:
            while not self._done.wait(0.1):
                if through_a_restart(Delivery.objects.filter(state="queued").count) < WAITING:
                    self._compose(f"第{len(self.queued)}条 {self._chance.random()}")
        except BaseException as error:
            self._failure = error
        finally:
            connection.close()

    def _compose(self, text: str) -> None:
        to = self._chance.sample(self._house.contacts, RECIPIENTS)
        through_a_restart(lambda: self._compose_once(text, to))
        self.queued |= {(text, each.external_userid) for each in to}

    def _compose_once(self, text: str, to: Sequence[Contact]) -> None:
        """A commit whose word was lost with the connection may have been made."""
        if Message.objects.filter(content__text__content=text).exists():
            return
        outbox.compose(
            user=self._house.user,
            actor="user:test",
            corp=self._house.corp,
            contacts=[each.pk for each in to],
            content=Text(text),
        )

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._done.set()
        self._thread.join()
        if self._failure:
            raise self._failure


class Driver:
    """Strikes at random moments until there were enough kills."""

    def __init__(self, house: House, tree: Tree, chance: random.Random, elsewhere: str) -> None:
        self.house, self.tree, self.chance, self.elsewhere = house, tree, chance, elsewhere
        self.strikes = Strikes()

    def run(self, kills: int) -> None:
        while self.strikes.kills < kills:
            time.sleep(self.chance.random() * 0.4)
            self._strike()

    def _strike(self) -> None:
        number = self.chance.random()
        if number < 0.08:
            self._kill_supervisor()
        elif number < 0.24:
            self._spoil_answers()
        elif number < 0.28:
            self._be_away()
        elif number < 0.34:
            self._break_connections()
        else:
            self._kill_one("idle" if number < 0.48 else "busy")

    def _kill_supervisor(self) -> None:
        processes = self.tree.kill_supervisor()
        time.sleep(SETTLE_S)  # a commit that was on its way may still be made
        self.strikes.killed("supervisor", processes=processes, held=under_way())
        self.tree.start()

    def _kill_one(self, what: str) -> None:
        pid = self._one(what)
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not is_alive(pid))
            time.sleep(0.05)  # as above
            seen = under_way()
            time.sleep(SETTLE_S)
            self.strikes.killed(what, processes=1, held=seen & under_way())

    def _one(self, what: str) -> int | None:
        """A new supervisor takes a moment until it has any, a worker until it is busy."""
        until = time.monotonic() + 5
        while (pid := self.tree.one(self.chance, busy=what == "busy")) is None and time.monotonic() < until:
            time.sleep(0.05)
        return pid

    def _break_connections(self) -> None:
        """Of all processes at once; SQLite has none. They lose no answer by it."""
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                    [OURS],
                )
            self.strikes.done["connections"] += 1

    def _spoil_answers(self) -> None:
        sim, corpid, times = self.house.sim, self.house.corp.corpid, self.chance.randint(1, 3)
        number = self.chance.random()
        if number < 0.15:
            sim.fault(api=API, corp=corpid, times=times, **self.chance.choice(SAID_NO))
            self.strikes.done["said no"] += 1
        elif number < 0.3:
            sim.fault(api=API, corp=corpid, times=times, **self.chance.choice(LIES))
            self.strikes.done["lies"] += 1
        elif number < 0.45:
            sim.post("/_sim/tokens/", {"corp": corpid, "op": "revoke"})
            self.strikes.done["token revoked"] += 1
        else:
            fault = self.chance.choice(SPOILT)
            sim.fault(api=API, corp=corpid, times=times, **fault)
            self.strikes.done["spoilt"] += 1
            self.strikes.spoilt_answers += times
            self.strikes.hangs += times if "seconds" in fault else 0

    def _be_away(self) -> None:
        """For a moment nobody listens where the corp's provider should be."""
        Corp.objects.update(base_url=self.elsewhere)
        time.sleep(self.chance.random() * 0.5)
        Corp.objects.update(base_url=self.house.corp.base_url)
        self.strikes.done["away"] += 1

    def mend(self) -> None:
        """The provider is well again; what was ordered and did not come to pass spoilt nothing."""
        left = self.house.sim.get("/_sim/faults/")["faults"]
        spoilt = [each for each in left if any(fault.items() <= each.items() for fault in SPOILT)]
        self.strikes.spoilt_answers -= sum(each["times"] for each in spoilt)
        self.house.sim.clear_faults()


@dataclass(frozen=True)
class Count:
    """What became of every copy: its last word in our rows, and how often it is on the phone."""

    words: dict[Copy, str]
    phones: Counter[Copy]
    queued: set[Copy]

    @property
    def lost(self) -> set[Copy]:
        """Without a last word, or said to have arrived and not there."""
        return {each for each in self.queued if self.words.get(each, "") in ("", "open")} | {
            each for each in self._with("accepted") if not self.phones[each]
        }

    @property
    def duplicated(self) -> set[Copy]:
        return {each for each, times in self.phones.items() if times > 1}

    @property
    def unexpected(self) -> set[Copy]:
        """On a phone and never queued, or on a phone though it was called failed."""
        return (set(self.phones) - self.queued) | {each for each in self._with("failed") if self.phones[each]}

    @property
    def recovered(self) -> set[Copy]:
        """Arrived though its answer was lost."""
        return {each for each in self._with("uncertain") if self.phones[each]}

    @property
    def uncertain(self) -> int:
        return len(self._with("uncertain"))

    def _with(self, word: str) -> set[Copy]:
        return {each for each, found in self.words.items() if found == word}

    def summary(self, strikes: Strikes) -> str:
        struck = ", ".join(f"{number} {what}" for what, number in sorted(strikes.done.items()))
        words = ", ".join(f"{number} {word}" for word, number in sorted(Counter(self.words.values()).items()))
        return (
            f"{connection.vendor}: {strikes.kills} kills ({struck}); queued {len(self.queued)}: {words}; "
            f"lost {len(self.lost)}, duplicated {len(self.duplicated)}, unexpected {len(self.unexpected)}, "
            f"recovered {len(self.recovered)}; uncertain {self.uncertain}: at most {strikes.most_lost} calls were "
            f"under way when their process was killed, and {strikes.spoilt_answers} answers were spoilt"
        )


def counted(house: House, queued: set[Copy]) -> Count:
    rows = Delivery.objects.values_list("message__content__text__content", "to", "state", "is_last_word")
    words = {
        (text, to): "open" if state in ("queued", "sending") or (state == "accepted" and not last) else state
        for text, to, state, last in rows
    }
    return Count(words, Counter((content["content"], to) for to, _, content in house.phones()), queued)


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("TEST_SEED", time.time_ns() % 10**6))
    print(f"TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def many(sim: Any, transactional_db: None) -> House:
    """A house that writes to everybody, as often as it likes."""
    sim.settings(latency_ms=LATENCY_MS, rate_limit_minute=0, member_per_minute=0, member_per_hour=0)
    made = house(sim, "direct")
    others = sim.world(made.corp.corpid)["contacts"][len(made.contacts) :]
    made.contacts += [factories.contact(made.corp, each["external_userid"]) for each in others]
    return made


@pytest.fixture
def tree(many: House, tmp_path: Path) -> Iterator[Tree]:
    log = tmp_path / "supervise.log"
    with log.open("wb") as file:
        made = Tree(file, urlsplit(many.sim.url).port or 0)
        yield made
        made.process.kill()
        made.process.wait()
    print(log.read_text()[-4000:])


def test_no_fault_loses_doubles_or_invents_a_message(
    many: House,
    tree: Tree,
    chance: random.Random,
    closed_port: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    driver = Driver(many, tree, chance, closed_port)
    with Writer(many, random.Random(chance.random())) as writer:
        driver.run(KILLS)
    with capsys.disabled():
        assert_all_counted(driver, writer.queued)


def assert_all_counted(driver: Driver, queued: set[Copy]) -> None:
    driver.mend()
    wait_until(lambda: not Delivery.objects.filter(OPEN).exists(), seconds=60)
    wait_until(lambda: not Message.objects.filter(state="open").exists())
    driver.tree.end()
    count, strikes = counted(driver.house, queued), driver.strikes
    strikes.done["of them clock"] = driver.tree.killed("clock")
    print(f"\n{count.summary(strikes)}")
    assert (count.lost, count.duplicated, count.unexpected) == (set(), set(), set())
    assert set(count.words) == queued
    assert_uncertain_for_a_reason(strikes)
    assert not Attempt.objects.filter(finished_at__isnull=True).exists()


def assert_uncertain_for_a_reason(strikes: Strikes) -> None:
    """Each uncertain copy was under way in a process that was killed, or its answer was spoilt; and no more."""
    uncertain = Delivery.objects.filter(state="uncertain")
    abandoned = uncertain.filter(code__in=("worker_lost", "crashed"))
    unexplained = abandoned.exclude(attempt__in=strikes.under_way)
    assert list(unexplained.values_list("attempt", "code", "errmsg")) == []
    assert abandoned.count() <= strikes.most_lost + strikes.hangs
    assert uncertain.count() - abandoned.count() <= strikes.spoilt_answers
    assert abandoned.filter(attempt__spoke_at__isnull=True).count() == 0
