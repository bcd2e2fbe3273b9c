"""Every fault of a listing, on its first, a middle and its last page (guarantees S2, S5, S6; contract A12, A14)."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from contacts.models import FollowUser
from crm.models import Corp, Pace
from crm.simulator.server import Simulator
from tests.contacts.house import (
    LISTING,
    POSITIONS,
    assert_nothing_is_going,
    assert_true,
    change_something_of_everybody,
    errors_of,
    listing_calls,
    pages_of,
    run,
    three_pages,
)

pytestmark = pytest.mark.django_db(transaction=True)


def errcode(number: int) -> dict[str, Any]:
    return {"kind": "errcode", "errcode": number}


# name: (the fault, `code` and `errcode` of the line in errors[])
LASTING: dict[str, tuple[dict[str, Any], str, int | None]] = {
    "http_500": ({"kind": "http_status", "status": 500}, "http_status", None),
    "redirect": ({"kind": "redirect"}, "http_status", None),
    "html_502": ({"kind": "html"}, "http_status", None),
    "html_200": ({"kind": "html", "status": 200}, "not_json", None),
    "empty_body": ({"kind": "empty"}, "not_json", None),
    "truncated_json": ({"kind": "truncated"}, "truncated", None),
    "cut_off": ({"kind": "cut"}, "truncated", None),
    "no_list": ({"kind": "no_list"}, "no_list", None),
    "list_of_wrong_type": ({"fields": {"external_contact_list": "none"}}, "no_list", None),
    "cursor_number": ({"fields": {"next_cursor": 7}}, "bad_cursor", None),
    "cursor_object": ({"fields": {"next_cursor": {}}}, "bad_cursor", None),
    "cursor_false": ({"fields": {"next_cursor": False}}, "bad_cursor", None),
    "cursor_nul": ({"fields": {"next_cursor": "a\0b"}}, "bad_cursor", None),
    "reset": ({"kind": "reset"}, "network", None),
    "timeout": ({"kind": "timeout", "seconds": 3}, "timeout", None),
    "slow_drip": ({"kind": "slow_drip", "seconds": 0.2}, "timeout", None),
    "system_busy": (errcode(-1), "errcode", -1),
    "no_right_60011": (errcode(60011), "errcode", 60011),
    "no_member_60111": (errcode(60111), "errcode", 60111),
    "no_licence_701008": (errcode(701008), "errcode", 701008),
    "unknown_errcode": (errcode(987654), "errcode", 987654),
}


def everywhere(*names: Any, quick: tuple[Any, ...], here: tuple[str, str], but: str = "") -> list[Any]:
    """(name, dialect, position): the `quick` names at one place in every run of the suite, the rest with time.

    `but` is a position that makes no sense for these names.
    """
    return [
        pytest.param(
            name,
            dialect,
            at,
            id=f"{name}-{dialect}-{at}",
            marks=[] if name in quick and (dialect, at) == here else [pytest.mark.slow],
        )
        for name in names
        for dialect in LISTING
        for at in POSITIONS
        if at != but
    ]


@pytest.fixture
def corp(dialect: str, request: pytest.FixtureRequest) -> Corp:
    made: Corp = request.getfixturevalue(f"{dialect}_corp")
    return made


@pytest.fixture
def impatient(name: str, settings: Any) -> None:
    if name in ("timeout", "slow_drip"):
        settings.CRM_HTTP_TIMEOUTS = (1, 0.8, 1.0)


def order(sim: Simulator, corp: Corp, guilty: str, at: str, **fault: Any) -> None:
    """The fault on that page of every listing that names the guilty employee, until it is withdrawn."""
    match = {"userid": guilty, "cursor_page": POSITIONS[at]}
    sim.fault(**{"corp": corp.corpid, "api": LISTING[corp.dialect], "times": None, "match": match, **fault})


def assert_it_costs_nobody_else(corp: Corp, sim: Simulator, guilty: str) -> None:
    """The state after a run with trouble: the others fresh, the guilty one as far as it could be read."""
    assert_nothing_is_going()
    assert_true(corp, sim, aside=(guilty,))


def assert_requests_are_bounded(corp: Corp, sim: Simulator) -> None:
    """Guarantees S5: no listing is asked for more than twice its pages and two."""
    pages = pages_of(sim, corp)
    for userids, calls in listing_calls(sim, corp).items():
        assert calls <= 2 * pages(userids) + 2, userids


def assert_one_run_mends_it(corp: Corp, sim: Simulator) -> None:
    sim.clear_faults()
    done = run(corp)
    assert (done.state, done.errors, done.absent, done.ended) == ("complete", [], 0, 0)
    assert_true(corp, sim)


@pytest.mark.parametrize(
    ("name", "dialect", "at"),
    everywhere(
        *LASTING,
        quick=("http_500", "truncated_json", "no_list", "cursor_number", "no_right_60011"),
        here=("official", "middle"),
    ),
)
def test_fault_of_one_employee_is_named_and_costs_nobody_anything(
    corp: Corp, sim: Simulator, at: str, name: str, impatient: None
) -> None:
    fault, code, number = LASTING[name]
    guilty = three_pages(sim, corp)
    run(corp)
    held = FollowUser.objects.count()
    change_something_of_everybody(sim, corp)
    order(sim, corp, guilty, at, **fault)
    done = run(corp)
    assert (done.state, done.absent, done.ended) == ("partial", 0, 0)
    assert errors_of(done) == [(guilty, code, number)]
    assert done.errors[0]["errmsg"]
    assert FollowUser.objects.count() > held
    assert_it_costs_nobody_else(corp, sim, guilty)
    assert_one_run_mends_it(corp, sim)


@pytest.mark.parametrize(
    ("kind", "dialect", "at"),
    everywhere("reset", "system_busy", quick=("reset",), here=("direct", "last")),
)
def test_passing_fault_is_asked_again_and_fails_nothing(
    corp: Corp, sim: Simulator, at: str, kind: str
) -> None:
    guilty = three_pages(sim, corp)
    order(sim, corp, guilty, at, **LASTING[kind][0], times=2)
    done = run(corp)
    assert (done.state, done.errors) == ("complete", [])
    assert_true(corp, sim)


CURSORS: dict[str, tuple[dict[str, Any], str, int | None]] = {
    "repeated": ({"kind": "repeat_cursor"}, "cursor_repeated", None),
    "looping": ({"kind": "loop_cursor"}, "cursor_repeated", None),
    "stale_50100": (errcode(50100), "errcode", 50100),
    "stale_40035": (errcode(40035), "errcode", 40035),
    "of_nothing": ({"kind": "bad_cursor"}, "errcode", 50100),
}


@pytest.mark.parametrize(
    ("name", "dialect", "at"),
    [
        *everywhere("repeated", "looping", quick=("repeated",), here=("direct", "middle"), but="first"),
        *everywhere(
            "stale_50100", "stale_40035", "of_nothing", quick=("of_nothing",), here=("direct", "middle")
        ),
    ],
)
def test_cursor_that_leads_nowhere_ends_that_listing_in_bounded_requests(
    corp: Corp, sim: Simulator, at: str, name: str
) -> None:
    fault, code, number = CURSORS[name]
    guilty = three_pages(sim, corp)
    run(corp)
    change_something_of_everybody(sim, corp)
    sim.delete("/_sim/journal/")
    # A loop closes over the pages from here on, so it is not tied to one of them.
    order(sim, corp, guilty, at, **fault, **({"match": {"userid": guilty}} if name == "looping" else {}))
    done = run(corp)
    assert done.state == "partial"
    (error,) = errors_of(done)
    # The simulator's loop leads to a cursor of the first listing that it hit: stale in any other.
    assert error in [(guilty, code, number), *([(guilty, "errcode", 50100)] if name == "looping" else [])]
    assert_requests_are_bounded(corp, sim)
    assert_it_costs_nobody_else(corp, sim, guilty)
    assert_one_run_mends_it(corp, sim)


@pytest.mark.parametrize(
    ("number", "dialect", "at"),
    everywhere(50100, 40035, quick=(50100,), here=("official", "last"), but="first"),
)
def test_cursor_gone_stale_once_costs_one_restart(corp: Corp, sim: Simulator, at: str, number: int) -> None:
    guilty = three_pages(sim, corp)
    order(sim, corp, guilty, at, **errcode(number), times=1)
    done = run(corp)
    assert (done.state, done.errors) == ("complete", [])
    assert_true(corp, sim)
    assert_requests_are_bounded(corp, sim)


@pytest.mark.parametrize(
    ("kind", "dialect", "at"), everywhere("empty_page", quick=("empty_page",), here=("direct", "middle"))
)
def test_empty_page_with_a_cursor_is_no_end(corp: Corp, sim: Simulator, at: str, kind: str) -> None:
    guilty = three_pages(sim, corp)
    run(corp)
    change_something_of_everybody(sim, corp)
    order(sim, corp, guilty, at, kind=kind, times=1)
    done = run(corp)
    assert (done.state, done.absent) == ("complete", 0)
    assert_true(corp, sim)


@pytest.mark.parametrize(("kind", "dialect", "at"), everywhere("empty_page", quick=(), here=("", "")))
def test_endless_pages_stop_at_the_cap(corp: Corp, sim: Simulator, settings: Any, at: str, kind: str) -> None:
    guilty = three_pages(sim, corp)
    run(corp)
    change_something_of_everybody(sim, corp)
    settings.CRM_SYNC_MAX_PAGES = 15
    first = POSITIONS[at] - 1
    fault = {"corp": corp.corpid, "api": LISTING[corp.dialect], "kind": kind, "times": None}
    sim.fault(**fault, match={"userid": guilty}, skip=first)
    done = run(corp)
    assert done.state == "partial"
    assert errors_of(done) == [(guilty, "page_cap", None)]
    assert max(listing_calls(sim, corp).values()) <= 15 * 3
    assert_it_costs_nobody_else(corp, sim, guilty)
    assert_one_run_mends_it(corp, sim)


@pytest.mark.parametrize(
    ("number", "dialect", "at"),
    everywhere(40014, 42001, 40001, quick=(40014,), here=("official", "middle")),
)
def test_rejected_token_costs_one_refresh_and_nothing_else(
    corp: Corp, sim: Simulator, at: str, number: int
) -> None:
    guilty = three_pages(sim, corp)
    order(sim, corp, guilty, at, **errcode(number), times=1)
    done = run(corp)
    assert (done.state, done.errors) == ("complete", [])
    assert len(sim.journal(corp=corp.corpid, api="gettoken")) == 2
    assert_true(corp, sim)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", ["direct"])
@pytest.mark.parametrize("again", range(20))
def test_token_rejected_while_listings_are_read_at_once_costs_one_refresh(
    corp: Corp, sim: Simulator, again: int
) -> None:
    sim.settings(latency_ms=25)  # slow enough for listings at once: their threads share the token
    guilty = three_pages(sim, corp)
    order(sim, corp, guilty, "middle", **errcode(40014), times=1)
    assert run(corp).state == "complete"
    assert len(sim.journal(corp=corp.corpid, api="gettoken")) == 2


@pytest.mark.parametrize(
    ("number", "dialect", "at"),
    everywhere(40014, 42001, 40001, quick=(42001,), here=("direct", "middle")),
)
def test_token_rejected_for_good_names_whoever_was_not_read_and_ends_nothing(
    corp: Corp, sim: Simulator, at: str, number: int
) -> None:
    guilty = three_pages(sim, corp)
    run(corp)
    change_something_of_everybody(sim, corp)
    order(sim, corp, guilty, at, **errcode(number))
    done = run(corp)
    assert done.state in ("partial", "failed")
    unread = {userid for userid, *_ in errors_of(done)}
    assert guilty in unread
    assert {line[1:] for line in errors_of(done)} == {("errcode", number)}
    assert_nothing_is_going()
    assert_true(corp, sim, aside=tuple(unread))
    assert_one_run_mends_it(corp, sim)


@pytest.fixture
def pauses(transactional_db: None) -> Iterator[list[float]]:
    """Lets every pause that the pace keeps lapse at once; their lengths in seconds."""
    lengths: list[float] = []
    done = threading.Event()

    def lapse() -> None:
        while not done.wait(0.05):
            for row in Pace.objects.filter(blocked_until__gt=time.time() + 0.5):
                lengths.append(row.blocked_until - time.time())
                Pace.objects.filter(pk=row.pk).update(blocked_until=0)
        connection.close()

    thread = threading.Thread(target=lapse)
    thread.start()
    yield lengths
    done.set()
    thread.join()


@pytest.mark.parametrize(
    ("number", "dialect", "at"), everywhere(45009, 45033, quick=(45009,), here=("direct", "last"))
)
def test_frequency_limit_is_waited_for_and_fails_nothing(
    corp: Corp, sim: Simulator, at: str, number: int, pauses: list[float]
) -> None:
    guilty = three_pages(sim, corp)
    order(sim, corp, guilty, at, **errcode(number), times=1)
    done = run(corp)
    assert (done.state, done.errors) == ("complete", [])
    assert_true(corp, sim)
    if number == 45009:
        assert min(pauses) > 55


@pytest.mark.slow
@pytest.mark.parametrize("dialect", LISTING)
@pytest.mark.parametrize("number", [45009, 45033])
def test_frequency_limit_without_end_fails_that_employee_only(
    corp: Corp, sim: Simulator, number: int, pauses: list[float], settings: Any
) -> None:
    settings.CRM_REMOTE_RATE = 1_000_000  # each refusal halves it
    guilty = three_pages(sim, corp)
    run(corp)
    change_something_of_everybody(sim, corp)
    order(sim, corp, guilty, "middle", **errcode(number))
    done = run(corp)
    assert (done.state, errors_of(done)) == ("partial", [(guilty, "errcode", number)])
    assert_it_costs_nobody_else(corp, sim, guilty)
    assert_one_run_mends_it(corp, sim)


@pytest.mark.parametrize(
    ("number", "dialect", "at"), everywhere(84061, quick=(84061,), here=("official", "first"))
)
def test_no_relation_says_something_about_that_employee_only(
    corp: Corp, sim: Simulator, at: str, number: int
) -> None:
    guilty = three_pages(sim, corp)
    run(corp)
    change_something_of_everybody(sim, corp)
    order(sim, corp, guilty, at, **errcode(number))
    done = run(corp)
    others = FollowUser.objects.exclude(employee__userid=guilty)
    assert not others.exclude(absent_since=None).exists()
    assert_true(corp, sim, aside=(guilty,))
    if at == "first":
        # No customers: a first observation, so many that the guard asks; a second one would end them.
        assert done.state in {"complete", "held"}
    else:
        assert_nothing_is_going()  # after a page that showed relations it says nothing
    sim.clear_faults()
    assert (run(corp).state, run(corp).ended) == ("complete", 0)
    assert_nothing_is_going()
    assert_true(corp, sim)


@pytest.mark.slow
@pytest.mark.parametrize("dialect", LISTING)
def test_employee_without_licence_is_named_and_loses_nothing(corp: Corp, sim: Simulator) -> None:
    guilty = three_pages(sim, corp)
    run(corp)
    change_something_of_everybody(sim, corp)
    sim.change(corp.corpid, "edit_employee", userid=guilty, licensed=False)
    for _ in range(2):
        done = run(corp)
        assert (done.state, done.absent, done.ended) == ("partial", 0, 0)
        assert errors_of(done) == [(guilty, "errcode", 701008)]
    assert_it_costs_nobody_else(corp, sim, guilty)
    sim.change(corp.corpid, "edit_employee", userid=guilty, licensed=True)
    assert_one_run_mends_it(corp, sim)


@pytest.mark.parametrize(("dialect", "at"), [("official", at) for at in POSITIONS])
def test_fail_info_on_any_page_proves_nothing_absent_of_whom_it_names(
    corp: Corp, sim: Simulator, at: str
) -> None:
    guilty = three_pages(sim, corp)
    run(corp)
    world = sim.world(corp.corpid)["contacts"]
    gone = next(told for told in world if guilty in [f["userid"] for f in told["follow_user"]])
    sim.change(corp.corpid, "unfollow", external_userid=gone["external_userid"], userid=guilty)
    order(sim, corp, guilty, at, fields={"fail_info": {"unlicensed_userid_list": [guilty]}})
    done = run(corp)
    assert (done.state, done.absent) == ("partial", 0)
    assert errors_of(done) == [(guilty, "errcode", 701008)]
    assert_nothing_is_going()
    sim.clear_faults()
    assert (run(corp).absent, run(corp).ended) == (1, 1)
    assert_true(corp, sim)
