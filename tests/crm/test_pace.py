"""The pace alone, on a clock of our own (guarantees S11, S12)."""

import random
import threading
import time
from bisect import bisect_left
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection
from django.db.models import DateTimeField, Value
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from crm.models import Pace
from crm.pace import HOLD_S, RECOVERY_S, RECOVERY_STEP, DatabasePace, Rate
from crm.providers.errors import RateLimited

pytestmark = pytest.mark.django_db


class Clock:
    """Seconds that pass when somebody sleeps; the database's clock and the process's show the same."""

    def __init__(self) -> None:
        self.s = 1_800_000_000.0

    def sleep(self, seconds: float) -> None:
        self.s += seconds

    def monotonic(self) -> float:
        return self.s

    def now(self) -> Value:
        return Value(datetime.fromtimestamp(self.s, UTC), output_field=DateTimeField())


@pytest.fixture
def clock() -> Clock:
    return Clock()


def pace(clock: Clock, per_minute: int, **options: Any) -> DatabasePace:
    seams = {"sleep": clock.sleep, "monotonic": clock.monotonic, "now": clock.now}
    return DatabasePace("ww1", per_minute=per_minute, **{**seams, **options})


def waited(clock: Clock, wait: Callable[[], object]) -> float:
    began = clock.s
    wait()
    return clock.s - began


Calls = list[Callable[[], None]]  # for each process: make one call


def flood(calls: Calls, clock: Clock, dice: random.Random) -> None:
    dice.choice(calls)()


def bursts(calls: Calls, clock: Clock, dice: random.Random) -> None:
    clock.sleep(dice.choice([0, 0.01, 1, 3]))
    call = dice.choice(calls)
    for _ in range(dice.randrange(1, 60)):
        call()


def hoard(calls: Calls, clock: Clock, dice: random.Random) -> None:
    """Everybody takes a lot for the sake of a few calls; what is left is spent by all in the same moment."""
    for call in calls:
        for _ in range(dice.randrange(20, 80)):
            call()
    clock.sleep(dice.choice([0.9 * HOLD_S, 20]))
    for _ in range(100 * len(calls)):
        dice.choice(calls)()


@pytest.mark.parametrize("per_minute", [1, 60, 700, 5000])
@pytest.mark.parametrize(
    ("profile", "processes"),
    [(flood, 3), (bursts, 3), (hoard, 20), pytest.param(hoard, 40, marks=pytest.mark.slow)],
)
def test_wait_when_any_minute_is_counted_then_no_call_exceeds_the_rate(
    clock: Clock, per_minute: int, profile: Callable[[Calls, Clock, random.Random], None], processes: int
) -> None:
    at: list[float] = []

    def caller() -> Callable[[], None]:
        mine = pace(clock, per_minute, patience_s=600)

        def call() -> None:
            if clock.s > end:
                raise StopIteration
            mine.wait("list")
            at.append(clock.s)

        return call

    calls, dice, end = [caller() for _ in range(processes)], random.Random(per_minute), clock.s + 150
    with suppress(StopIteration):
        while True:
            profile(calls, clock, dice)
    assert max(bisect_left(at, begin + 60) - place for place, begin in enumerate(at)) <= per_minute


def test_wait_when_one_process_makes_all_the_calls_then_it_gets_nearly_the_whole_rate(clock: Clock) -> None:
    assert speed(pace(clock, 5000), clock, calls=5000) > 0.97 * 5000


def test_wait_when_paging_at_a_high_rate_then_statements_are_far_fewer_than_calls(clock: Clock) -> None:
    mine = pace(clock, 100_000)
    with CaptureQueriesContext(connection) as asked:
        for _ in range(2000):
            mine.wait("list")
            clock.sleep(0.001)
    assert len(asked) < 2000 / 40


def test_wait_when_calls_are_rare_then_each_takes_one_and_none_is_wasted(clock: Clock) -> None:
    for _ in range(20):
        pace(clock, 600).wait("send")  # a provider of its own for each message
        clock.sleep(0.05)
    taken = Pace.objects.get().tat - 1_800_000_000
    assert taken < 21 * Rate.of(600).interval_s


def test_limited_when_45009_then_that_api_rests_a_minute_for_everybody(clock: Clock) -> None:
    one, other = pace(clock, 6000), pace(clock, 6000)
    one.limited("list", errcode=45009, retry_after=1)
    with pytest.raises(RateLimited) as refusal:
        pace(clock, 6000, patience_s=5).wait("list")
    assert refusal.value.retry_after == pytest.approx(60)
    assert waited(clock, lambda: other.wait("get")) == 0
    assert waited(clock, lambda: other.wait("list")) == pytest.approx(60, abs=0.1)
    assert waited(clock, lambda: one.wait("list")) < 1


def test_limited_when_429_names_a_longer_pause_then_that_is_kept_up_to_an_hour(clock: Clock) -> None:
    mine = pace(clock, 6000, patience_s=5)
    for told, kept in ((7, 60), (300, 300), (9_999_999, 3600)):
        Pace.objects.all().delete()
        mine.limited("list", errcode=429, retry_after=told)
        with pytest.raises(RateLimited) as refusal:
            mine.wait("list")
        assert refusal.value.retry_after == pytest.approx(kept)


def speed(mine: DatabasePace, clock: Clock, *, calls: int = 40) -> float:
    """Calls a minute, as fast as they may be made."""

    def make() -> None:
        for _ in range(calls):
            mine.wait("list")

    make()  # what an idle API may be asked at once is behind us
    return calls / waited(clock, make) * 60


def test_limited_when_45033_then_the_rate_is_halved_for_all_and_comes_back_stepwise(clock: Clock) -> None:
    one, other = pace(clock, 1200), pace(clock, 1200)
    one.limited("list", errcode=45033, retry_after=1)
    assert waited(clock, lambda: other.wait("list")) == pytest.approx(1, abs=0.1)
    assert speed(other, clock) == pytest.approx(600, rel=0.05)
    clock.sleep(2 * RECOVERY_S)
    assert speed(one, clock) == pytest.approx(1200 * (0.5 + 2 * RECOVERY_STEP), rel=0.05)
    clock.sleep(600)
    assert speed(one, clock, calls=400) == pytest.approx(1200, rel=0.05)


def test_limited_when_many_calls_were_in_flight_then_they_count_as_one_refusal(clock: Clock) -> None:
    for _ in range(8):
        pace(clock, 1200).limited("list", errcode=45033, retry_after=1)
        clock.sleep(0.05)
    assert Pace.objects.get().share == 0.5


def test_limited_when_refusals_do_not_end_then_one_call_a_second_is_left(clock: Clock) -> None:
    mine = pace(clock, 1200)
    for _ in range(12):
        mine.limited("list", errcode=45033, retry_after=1)
        clock.sleep(2)
    assert speed(mine, clock, calls=5) == pytest.approx(60, rel=0.05)


@pytest.mark.parametrize("field", ["tat", "blocked_until", "refused_at"])
def test_wait_when_the_clock_was_put_back_a_day_then_nobody_waits_for_it(clock: Clock, field: str) -> None:
    Pace.objects.create(key="ww1:list", **{field: clock.s + 86_400}, share=0.1)
    assert waited(clock, lambda: pace(clock, 1200).wait("list")) == 0
    assert speed(pace(clock, 1200), clock, calls=400) == pytest.approx(1200, rel=0.05)


def test_wait_when_a_process_has_the_wrong_time_then_the_databases_counts(clock: Clock) -> None:
    fast = pace(clock, 60, now=Now)  # its own seconds are those of years to come
    fast.wait("list")
    assert abs(Pace.objects.get().tat - time.time()) < 5


@pytest.mark.django_db(transaction=True)
def test_wait_when_one_api_is_paused_then_threads_of_another_go_on_at_once() -> None:
    is_waiting, may_go_on = threading.Event(), threading.Event()

    def sleep(seconds: float) -> None:
        is_waiting.set()
        assert may_go_on.wait(20)
        Pace.objects.update(blocked_until=0)

    mine = DatabasePace("ww1", per_minute=6000, sleep=sleep)
    mine.limited("list", errcode=45009, retry_after=60)
    threads = [threading.Thread(target=closing, args=[lambda: mine.wait("list")]) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert is_waiting.wait(10)
    mine.wait("get")
    mine.limited("get", errcode=45033, retry_after=0)
    assert all(thread.is_alive() for thread in threads)
    may_go_on.set()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)


def closing(work: Callable[[], None]) -> None:
    try:
        work()
    finally:
        connection.close()
