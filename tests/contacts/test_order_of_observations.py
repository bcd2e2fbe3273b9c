"""Reads and runs in any order: the mirror shows what was observed last, and nothing older again (guarantees S9)."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from random import Random
from typing import Any

import pytest
from django.db import connections
from hypothesis import strategies as st

from contacts.follow_up import plan_follow_up
from contacts.models import Contact, FollowUser
from contacts.reading import read_contact
from crm import roles
from crm.errors import Conflict
from crm.simulator.server import Simulator, running
from tests import factories
from tests.contacts.house import run
from tests.contacts.schedules import ACTOR, Schedule, one_of, play
from tests.sizes import size

pytestmark = pytest.mark.django_db(transaction=True)


SHARDS = 4  # each draws its own schedules, and as many as there are cores run at once
SECONDS = 5  # of everything at once


someone, somewhere = st.sampled_from((0, 0, 0, 1, 2)), st.integers(0, 3)
CHANGES = "rename rename note note note unfollow unfollow unfollow meet".split()
asks = st.tuples(st.just("ask"), st.tuples(someone))
applies = st.tuples(st.just("apply"), st.tuples(somewhere))
reads = st.tuples(st.just("read"), st.tuples(someone))
takes_back = st.tuples(st.just("read_and_take_back"), st.tuples(someone, someone))
changes = st.tuples(
    st.just("change"), st.tuples(st.sampled_from(CHANGES), someone, someone, st.integers(0, 1))
)
moves = one_of(*[changes] * 6, *[asks] * 2, *[applies] * 2, *[reads] * 2, takes_back)
insides = st.lists(st.tuples(st.integers(1, 3), moves), min_size=2, max_size=10)
whose = st.sampled_from((None, None, 0, 1))
runs = st.tuples(st.just("run"), st.tuples(whose, somewhere, insides))
schedules = st.lists(one_of(*[moves] * 9, runs), min_size=12, max_size=30)


@pytest.fixture(scope="module")
def small() -> Iterator[Simulator]:
    """A world of few people, so that everything happens to the same ones."""
    with running(contacts=4, employees=13, seed=1) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def hurry(settings: Any) -> None:
    settings.CRM_REMOTE_RATE = 1_000_000
    settings.CRM_SYNC_LISTINGS = (
        1  # pages are fetched when they are needed: between them is where things happen
    )


def test_a_few_schedules_never_show_anything_older_again(small: Simulator) -> None:
    play(Schedule, schedules, small, max_examples=15, derandomize=True)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_many_schedules_never_show_anything_older_again(small: Simulator, shard: int) -> None:
    play(Schedule, schedules, small, max_examples=-(-size("TEST_SCHEDULES") // SHARDS))


# --- all at once


class Crowd:
    """Threads that go on until the block ends, each with a connection of its own; what they raise is raised there."""

    def __init__(self, *work: Callable[[], None]) -> None:
        self.is_over = threading.Event()
        self._pool = ThreadPoolExecutor(len(work))
        self._threads = [self._pool.submit(self._go_on, each) for each in work]

    def _go_on(self, work: Callable[[], None]) -> None:
        try:
            while not self.is_over.is_set():
                work()
        finally:
            connections.close_all()

    def __enter__(self) -> "Crowd":
        return self

    def __exit__(self, *problem: object) -> None:
        self.is_over.set()
        for thread in self._threads:
            thread.result(timeout=60)
        self._pool.shutdown()


def test_reads_runs_and_people_at_the_same_time_end_in_a_true_mirror(small: Simulator) -> None:
    """Names are numbers that rise, so whoever looks must never see one fall."""
    schedule = Schedule(small, takes_back=False)
    for _ in range(3):
        schedule.meet(schedule.staff)
    run(schedule.corp)
    contacts = list(schedule.past)
    dice = Random(1)
    told: Counter[str] = Counter()

    def change() -> None:
        words = ("rename", "note", "note", "unfollow")
        schedule.change(dice.choice(words), dice.randrange(1, 6), dice.randrange(1, 5), 0)
        time.sleep(0.005)

    def read(number: int) -> Callable[[], None]:
        turn = count(number)

        def work() -> None:
            with suppress(Conflict):  # outrun five times
                read_contact(schedule.corp, contacts[next(turn) % len(contacts)], actor=ACTOR)
                told["reads"] += 1

        return work

    def plan() -> None:
        follow = FollowUser.objects.order_by("?").select_related("employee").first()
        assert follow is not None
        with suppress(Conflict):  # it has ended
            plan_follow_up(follow, user=boss, actor="user:boss", stage=dice.choice(FollowUser.Stage.values))
            told["plans"] += 1
        time.sleep(0.005)

    shown: dict[str, int] = {}

    def look() -> None:
        for one, name in Contact.objects.filter(external_userid__in=contacts).values_list(
            "external_userid", "name"
        ):
            assert int(name) >= shown.get(one, 0)
            shown[one] = int(name)
        time.sleep(0.005)

    boss = factories.user(roles.ADMINISTRATOR)
    with Crowd(change, read(0), read(1), read(2), plan, look):
        ends = time.monotonic() + SECONDS
        while time.monotonic() < ends:
            told["runs"] += run(schedule.corp).state == "complete"
    assert min(told["reads"], told["plans"], told["runs"]) > 0
    schedule.end()
