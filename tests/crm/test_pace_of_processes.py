"""One pace for all processes, counted by the simulator (guarantees S11, T3)."""

import time
from collections.abc import Iterator

import pytest
from django.db.models import F

from crm.models import Corp, Pace
from crm.pace import BURST_S, HOLD_S, Rate
from crm.simulator.server import Simulator
from tests.conftest import database_url
from tests.contacts.processes import Crew
from tests.crm.callers import TAGS, callers

pytestmark = pytest.mark.django_db(transaction=True)

ON_THE_WAY_S = 0.3  # between our leave to call and the simulator's note of it, on a busy machine


@pytest.fixture(scope="module")
def four(django_db_setup: None) -> Iterator[Crew]:
    with callers(4, database_url()) as made:
        yield made


def instants(sim: Simulator, corp: Corp, *, errcode: int = 0) -> list[float]:
    """When TAGS was called, by the simulator's steady clock."""
    entries = sim.journal(corp=corp.corpid, api=TAGS)
    return [entry["monotonic"] for entry in entries if entry["errcode"] == errcode]


def most_in_any(seconds: float, at: list[float]) -> int:
    """The fullest of all windows of this length that begin with a call."""
    return max(sum(1 for each in at if begin <= each < begin + seconds) for begin in at)


def bound(seconds: float, *, per_minute: int) -> float:
    rate = Rate.of(per_minute)
    return rate.largest_lot + (seconds + BURST_S + HOLD_S + ON_THE_WAY_S) / rate.interval_s


@pytest.mark.parametrize(
    ("profile", "per_minute"),
    [
        ("flood", 3000),
        pytest.param("page", 1200, marks=pytest.mark.slow),
        pytest.param("send", 900, marks=pytest.mark.slow),
    ],
)
def test_calls_of_four_processes_when_counted_in_sliding_windows_then_never_exceed_the_rate(
    official_corp: Corp, sim: Simulator, four: Crew, profile: str, per_minute: int
) -> None:
    assert four.all(profile, official_corp.corpid, per_minute, 4.0, 30) == [[]] * 4
    at = instants(sim, official_corp)
    for seconds in (0.5, 1, 3):
        assert most_in_any(seconds, at) < bound(seconds, per_minute=per_minute)
    assert len(at) > 4 * per_minute / 60 / 2  # the pace is kept, not just undercut


def calls_in(sim: Simulator, corp: Corp, four: Crew, seconds: float) -> int:
    before = len(instants(sim, corp))
    four.all("page", corp.corpid, 1200, seconds, 30)
    return len(instants(sim, corp)) - before


def test_45033_when_told_to_one_process_then_all_are_slower_until_it_was_quiet(
    official_corp: Corp, sim: Simulator, four: Crew
) -> None:
    usual = calls_in(sim, official_corp, four, 3.0)
    sim.fault(corp=official_corp.corpid, api=TAGS, kind="errcode", errcode=45033)
    calls_in(sim, official_corp, four, 1.5)
    (refused_at,) = instants(sim, official_corp, errcode=45033)
    slowed = calls_in(sim, official_corp, four, 3.0)
    later = [
        at - refused_at for at in instants(sim, official_corp) if at > refused_at + HOLD_S + ON_THE_WAY_S
    ]
    assert min(later) > 0.9  # all of them paused for the second that the table of errcodes says
    assert slowed < 0.7 * usual
    assert most_in_any(3, [at for at in later if at > 1]) < bound(3, per_minute=600)
    # Ten minutes go by.
    Pace.objects.update(refused_at=F("refused_at") - 600, blocked_until=F("blocked_until") - 600)
    assert calls_in(sim, official_corp, four, 3.0) > 1.5 * slowed


def test_45009_when_told_to_one_process_then_no_process_calls_that_api_and_others_go_on(
    official_corp: Corp, sim: Simulator, four: Crew
) -> None:
    sim.fault(corp=official_corp.corpid, api=TAGS, kind="errcode", errcode=45009)
    answers = four.all("flood", official_corp.corpid, 3000, 2.5, 0.2)
    (refused_at,) = instants(sim, official_corp, errcode=45009)
    assert [at for at in instants(sim, official_corp) if at > refused_at + HOLD_S + ON_THE_WAY_S] == []
    assert all("is paused until" in answer[-1] for answer in answers)
    paused = Pace.objects.get(key=f"{official_corp.corpid}:{TAGS}")
    assert paused.blocked_until > time.time() + 50
    assert not Pace.objects.exclude(pk=paused.pk).filter(blocked_until__gt=0).exists()


@pytest.mark.parametrize("errcode", [40001, -1])
def test_gettoken_when_it_fails_for_all_processes_then_asked_five_times(
    official_corp: Corp, sim: Simulator, four: Crew, errcode: int
) -> None:
    sim.fault(corp=official_corp.corpid, api="gettoken", kind="errcode", errcode=errcode, times=None)
    answers = four.all("flood", official_corp.corpid, 3000, 4.0, 5)
    assert len(sim.journal(corp=official_corp.corpid, api="gettoken")) == 5
    assert all("next try in" in answer[-1] for answer in answers)
