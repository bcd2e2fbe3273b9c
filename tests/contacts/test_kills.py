"""A hundred SIGKILLs at random moments of a sync (guarantees S7, S8)."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from contacts.models import Contact, FollowUser, SyncRun
from crm.models import Corp, Event
from crm.simulator.server import Simulator
from tests.conftest import database_url
from tests.contacts.house import assert_nothing_is_going, assert_true, run
from tests.contacts.processes import Crew, crew
from tests.sizes import size

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]

KILLS = -(-size("TEST_KILLS") // 3)  # of each dialect


class Reader:
    """Counts what a reader sees, all the time; `losses` are the moments when it was less than before."""

    def __init__(self) -> None:
        self.losses: list[tuple[int, ...]] = []
        self.samples = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def _read(self) -> None:
        before = (0, 0)
        while not self._done.wait(0.02):
            now = (Contact.objects.filter(state="active").count(), FollowUser.objects.current().count())
            if now[0] < before[0] or now[1] < before[1]:
                self.losses.append((*before, *now))
            before = now
            self.samples += 1
        connection.close()

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._done.set()
        self._thread.join()


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("TEST_SEED", time.time_ns() % 10**6))
    print(f"TEST_SEED={seed}")
    return random.Random(seed)


@pytest.fixture
def forge(transactional_db: None) -> Iterator[Crew]:
    """A process that makes others, which run as soon as they are made."""
    with crew(1, database_url(), CRM_SYNC_LEASE_SECONDS="1") as made:
        yield made


def kill_at_random(forge: Crew, corp: Corp, chance: random.Random) -> bool:
    """Start a sync in a process of its own and kill it somewhere; whether it was still alive."""
    newest = SyncRun.objects.order_by("pk").values_list("pk", flat=True).last() or 0
    pid = forge.one("start", "--corp", corp.corpid)
    until = time.monotonic() + 30
    while not SyncRun.objects.filter(pk__gt=newest).exists() and is_alive(pid):
        assert time.monotonic() < until
        time.sleep(0.005)
    time.sleep(chance.random() * 0.5)
    os.kill(pid, signal.SIGKILL)  # at worst an ended one that nobody has waited for
    return bool(forge.one("end", pid) == -signal.SIGKILL)


def is_alive(pid: int) -> bool:
    return " Z " not in Path(f"/proc/{pid}/stat").read_text()


def change_a_little(sim: Simulator, corp: Corp, chance: random.Random, number: int) -> None:
    """Somebody is met and somebody renamed; nobody goes, so that readers may never see less."""
    world = sim.world(corp.corpid)
    userid = chance.choice(world["employees"])["userid"]
    sim.change(corp.corpid, "add_contact", name=f"met {number}", follow_user=[userid])
    known = chance.choice(world["contacts"])["external_userid"]
    sim.change(corp.corpid, "edit_contact", external_userid=known, name=f"renamed {number}")


def test_no_kill_loses_doubles_or_blocks_anything(
    corp: Corp, sim: Simulator, forge: Crew, chance: random.Random
) -> None:
    sim.settings(page_limit=3, latency_ms=20)
    kills = 0
    with Reader() as reader:
        for number in range(6 * KILLS):
            change_a_little(sim, corp, chance, number)
            kills += kill_at_random(forge, corp, chance)
            if kills >= KILLS:
                break
    assert kills >= KILLS
    assert reader.samples > kills
    assert reader.losses == []
    time.sleep(1.1)  # the last lease
    last = run(corp)
    if last.resumes_id:
        last = run(corp)
    assert (last.state, last.errors, last.ended) == ("complete", [], 0)
    assert not SyncRun.objects.filter(state__in=SyncRun.ACTIVE).exists()
    assert_nothing_is_going()
    assert_true(corp, sim)
    assert Event.objects.filter(verb="contact.created").count() == Contact.objects.count()
    assert Event.objects.filter(verb="follow.started").count() == FollowUser.objects.count()
