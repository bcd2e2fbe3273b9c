"""Changes, calls and runs in any order: once the last call is worked out, the mirror is the world (guarantees S9)."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import strategies as st

from crm.simulator.server import Simulator, running
from tests.contacts.schedules import one_of, play
from tests.messaging.told import ToldSchedule
from tests.sizes import size

pytestmark = pytest.mark.django_db(transaction=True)

SHARDS = 4  # each draws its own orders, and as many as there are cores run at once


someone, somewhere = st.sampled_from((0, 0, 0, 1, 2)), st.integers(0, 3)
CHANGES = "note note note unfollow unfollow meet".split()  # a new name of a customer is told by no call
changes = st.tuples(
    st.just("change"), st.tuples(st.sampled_from(CHANGES), someone, someone, st.integers(0, 1))
)
tells = st.tuples(st.just("tell"), st.tuples(somewhere, st.booleans()))
handles = st.tuples(st.just("handle"), st.tuples())
moves = one_of(*[changes] * 4, *[tells] * 4, *[handles] * 2)
insides = st.lists(st.tuples(st.integers(1, 3), moves), min_size=2, max_size=8)
runs = st.tuples(st.just("run"), st.tuples(st.sampled_from((None, None, 0, 1)), st.just(0), insides))
orders = st.lists(one_of(*[moves] * 9, runs), min_size=6, max_size=20)


@pytest.fixture(scope="module")
def small() -> Iterator[Simulator]:
    """A world of few people, so that everything happens to the same ones."""
    with running(contacts=4, employees=13, seed=1) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def hurry(settings: Any) -> None:
    settings.CRM_REMOTE_RATE = 1_000_000
    settings.CRM_SYNC_LISTINGS = 1  # pages are fetched when they are needed: things happen between them


def test_a_few_orders_of_calls_end_equal_to_the_world(small: Simulator) -> None:
    play(ToldSchedule, orders, small, max_examples=10, derandomize=True)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_many_orders_of_calls_end_equal_to_the_world(small: Simulator, shard: int) -> None:
    play(ToldSchedule, orders, small, max_examples=-(-size("TEST_EVENT_ORDERS") // SHARDS))
