"""Kills at random, broken connections and bad answers under a steady stream of messages (guarantees M1, M2).

What was queued is counted against what the phones show, as Jepsen's total-queue checker counts: lost, duplicated,
unexpected, recovered.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import urlsplit

import pytest
from django.db import connection

from crm.models import Corp
from crm.providers.content import Text
from messaging import outbox
from messaging.models import Attempt, Delivery, Message
from messaging.states import OPEN
from tests import factories
from tests.conftest import ROOT, environment
from tests.messaging.house import House, house, wait_until
from tests.sizes import size

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

KILLS: Final = size("TEST_SEND_KILLS")
API: Final = "externalcontact/message/send"
LATENCY_MS: Final = 60  # most kills find a call on its way
WAITING: Final = 80  # deliveries queued at any time: no worker runs out of work, and the end is near
RECIPIENTS: Final = 5
OURS: Final = "renmai-fault-driver"
HANG_S: Final = 4.0  # beyond the read timeout
SPEEDED_UP: Final = {
    "CRM_WORKERS": "6",
    "CRM_HTTP_TIMEOUTS": "2,3,5",
    "CRM_SEND_LEASE_SECONDS": "6",
    "CRM_RECIPIENT_RATE": "1000000",
    "CRM_REMOTE_RATE": "1000000",
    "CRM_SYNC_EVERY_MINUTES": "0",
    "PGAPPNAME": OURS,
}
# What the provider does for one to three calls. After the first group nobody knows what became of the call.
SPOILT: Final = ("timeout", "reset", "after", "cut", "truncated", "html", "http_status", "empty")
SAID_NO: Final = ({"kind": "errcode", "errcode": -1}, {"kind": "errcode", "errcode": 6000})
Copy = tuple[str, str]  # (text, external_userid): no text is used twice


@dataclass
class Strikes:
    """What was done to the tree, and the attempts that were under way when it was."""

    done: Counter[str] = field(default_factory=Counter)
    under_way: set[int] = field(default_factory=set)
    lost_calls: int = 0  # at most
    spoilt_answers: int = 0

    @property
    def kills(self) -> int:
        return sum(self.done[what] for what in ("idle", "busy", "supervisor"))

    @staticmethod
    def look() -> set[int]:
        return set(Attempt.objects.filter(finished_at__isnull=True).values_list("pk", flat=True))

    def hit(self, what: str, *, processes: int, before: Collection[int] = ()) -> None:
        """Note a strike that has just ended the work of up to so many processes, each with one call at most.

        What a killed process had in hand is seen after it. One that only lost its connection may have noted the
        loss over a new one already: that is seen `before`.
        """
        now = self.look().union(before)
        self.done[what] += 1
        self.lost_calls += min(processes, len(now))
        self.under_way |= now


class Tree:
    """`manage.py supervise`, started again whenever it is gone."""

    def __init__(self, log: IO[bytes], port: int) -> None:
        self._log, self._port = log, port
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [sys.executable, "manage.py", "supervise"],
            cwd=ROOT,
            env=environment(**SPEEDED_UP),
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def workers(self) -> list[int]:
        pid = self.process.pid
        with suppress(OSError):
            return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def kill_supervisor(self) -> int:
        """SIGKILL, then a new one as a service manager starts it; how many children ended with it."""
        children = self.workers
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not any(is_alive(pid) for pid in children), seconds=10)
        self.process = self._start()
        return len(children)

    def one(self, chance: random.Random, *, busy: bool) -> int | None:
        """A process of the tree that has, or has not, a line to the provider now."""
        lines = lines_to(self._port)
        found = [pid for pid in self.workers if bool(sockets_of(pid) & lines) is busy]
        return chance.choice(found) if found else None

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def lines_to(port: int) -> set[str]:
    """The sockets of this machine that are connected to `port` of loopback."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[2].endswith(f":{port:04X}") and row[3] == "01"}


def sockets_of(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(os.readlink(each))
    return found


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
                if Delivery.objects.filter(state="queued").count() < WAITING:
                    self._compose(f"第{len(self.queued)}条 {self._chance.random()}")
        except BaseException as error:
            self._failure = error
        finally:
            connection.close()

    def _compose(self, text: str) -> None:
        to = self._chance.sample(self._house.contacts, RECIPIENTS)
        outbox.compose(
            user=self._house.user,
            actor="user:test",
            corp=self._house.corp,
            contacts=[each.pk for each in to],
            content=Text(text),
        )
        self.queued |= {(text, each.external_userid) for each in to}

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
        self._mend()

    def _strike(self) -> None:
        number = self.chance.random()
        if number < 0.08:
            self.strikes.hit("supervisor", processes=self.tree.kill_supervisor())
        elif number < 0.24:
            self._spoil_answers()
        elif number < 0.28:
            self._be_away()
        elif number < 0.34:
            self._break_connections()
        else:
            self._kill_one("idle" if number < 0.48 else "busy")

    def _kill_one(self, what: str) -> None:
        pid = self.tree.one(self.chance, busy=what == "busy")
        if pid is None:
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not is_alive(pid))
            self.strikes.hit(what, processes=1)

    def _break_connections(self) -> None:
        """Of all processes at once; SQLite has none."""
        if connection.vendor == "postgresql":
            before = self.strikes.look()
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
                    [OURS],
                )
                ended = cursor.rowcount
            time.sleep(0.1)  # they end a little later
            self.strikes.hit("connections", processes=ended, before=before)

    def _spoil_answers(self) -> None:
        sim, corpid, times = self.house.sim, self.house.corp.corpid, self.chance.randint(1, 3)
        if self.chance.random() < 0.2:
            sim.fault(api=API, corp=corpid, times=times, **self.chance.choice(SAID_NO))
            self.strikes.done["said no"] += 1
        elif self.chance.random() < 0.2:
            sim.post("/_sim/tokens/", {"corp": corpid, "op": "revoke"})
            self.strikes.done["token revoked"] += 1
        else:
            kind = self.chance.choice(SPOILT)
            sim.fault(api=API, corp=corpid, times=times, kind=kind, seconds=HANG_S)
            self.strikes.done["spoilt"] += 1
            self.strikes.spoilt_answers += times

    def _be_away(self) -> None:
        """For a moment nobody listens where the corp's provider should be."""
        Corp.objects.update(base_url=self.elsewhere)
        time.sleep(self.chance.random() * 0.5)
        Corp.objects.update(base_url=self.house.corp.base_url)
        self.strikes.done["away"] += 1

    def _mend(self) -> None:
        left = self.house.sim.get("/_sim/faults/")["faults"]
        self.strikes.spoilt_answers -= sum(each["times"] for each in left if each["kind"] in SPOILT)
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

    def _with(self, word: str) -> set[Copy]:
        return {each for each, found in self.words.items() if found == word}

    def summary(self, strikes: Strikes) -> str:
        struck = ", ".join(f"{number} {what}" for what, number in sorted(strikes.done.items()))
        words = ", ".join(f"{number} {word}" for word, number in sorted(Counter(self.words.values()).items()))
        return (
            f"{connection.vendor}: {strikes.kills} kills ({struck}); queued {len(self.queued)}: {words}; "
            f"lost {len(self.lost)}, duplicated {len(self.duplicated)}, unexpected {len(self.unexpected)}, "
            f"recovered {len(self.recovered)}; at most {strikes.lost_calls} calls were under way when their "
            f"process or its connection was ended, and {strikes.spoilt_answers} answers were spoilt"
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
    wait_until(lambda: not Delivery.objects.filter(OPEN).exists(), seconds=60)
    wait_until(lambda: not Message.objects.filter(state="open").exists())
    tree.end()

    count, strikes = counted(many, writer.queued), driver.strikes
    with capsys.disabled():
        print(f"\n{count.summary(strikes)}")
    assert (count.lost, count.duplicated, count.unexpected) == (set(), set(), set())
    assert set(count.words) == writer.queued
    assert_uncertain_for_a_reason(strikes)
    assert not Attempt.objects.filter(finished_at__isnull=True).exists()


def assert_uncertain_for_a_reason(strikes: Strikes) -> None:
    """Each uncertain copy was under way when something struck, and there are no more of them than that."""
    uncertain = Delivery.objects.filter(state="uncertain")
    abandoned = uncertain.filter(code__in=("worker_lost", "crashed"))
    unexplained = abandoned.exclude(attempt__in=strikes.under_way)
    assert list(unexplained.values_list("attempt", "code", "errmsg")) == []
    assert abandoned.count() <= strikes.lost_calls
    assert uncertain.count() - abandoned.count() <= strikes.spoilt_answers
