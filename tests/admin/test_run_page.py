"""The report of a run: what each employee's listing told, what it cost, and how the runs before it went."""

import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from contacts import sync
from contacts.models import Employee, SyncPart, SyncRun
from crm.models import Corp
from crm.simulator.server import Simulator
from tests import factories
from tests.admin.conftest import Browser, Cast

REFUSED = {"code": "errcode", "errcode": 60011, "errmsg": "no privilege", "pages": 0}


def run_of(corp: Corp, **fields: Any) -> SyncRun:
    now = timezone.now()
    told = {
        "trigger": "schedule",
        "state": "complete",
        "started_at": now - timedelta(seconds=4),
        "finished_at": now,
    }
    return SyncRun.objects.create(corp=corp, **{**told, **fields})


def page(run: SyncRun, query: str = "") -> str:
    return f"contacts/syncrun/{run.pk}/change/{query}"


def lines(browser: Browser, run: SyncRun, query: str = "") -> dict[str, list[str]]:
    """{employee: the cells after the name} of the table of employees, in its order."""
    table = (
        browser.get(page(run, query))
        .content.decode()
        .partition("rm-table--employees")[2]
        .partition("</table>")[0]
    )
    rows = [re.findall(r"<td.*?>(.*?)</td>", row, re.S) for row in table.split("<tr")[2:]]
    told = [[" ".join(unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for cell in row] for row in rows]
    return {row[0]: row[1:] for row in told if len(row) > 1}


def test_employee_listed_alone_has_the_counts_of_the_listing(cast: Cast, sun: Browser) -> None:
    run = run_of(cast.corp, seen=9, changed=1, ended=2, ended_by_employee={"lin": 2})
    SyncPart.objects.create(
        run=run, userids=["lin"], state="complete", pages=3, seen=9, new=1, changed=1, unchanged=7, absent=4
    )
    assert lines(sun, run) == {"lin": ["complete", "3", "9", "1", "1", "7", "4", "2", "0"]}


def test_employees_listed_together_have_their_own_counts_and_share_the_pages(
    cast: Cast, sun: Browser
) -> None:
    run = run_of(cast.corp, seen=5, new=2)
    by_employee = {"lin": {"seen": 3, "new": 2, "unchanged": 1}, "wang": {"seen": 2, "unchanged": 2}}
    SyncPart.objects.create(
        run=run, userids=["lin", "wang", "qian"], state="complete", pages=2, seen=5, by_employee=by_employee
    )
    assert lines(sun, run) == {
        "lin": ["complete", "2 shared", "3", "2", "0", "1", "0", "0", "0"],
        "qian": ["complete", "2 shared", "0", "0", "0", "0", "0", "0", "0"],
        "wang": ["complete", "2 shared", "2", "0", "0", "2", "0", "0", "0"],
    }
    assert "lin, wang, qian" in sun.text(page(run)).partition("Shared listings")[2]


def test_split_listing_counts_with_its_halves_and_the_halves_tell_the_state(cast: Cast, sun: Browser) -> None:
    run = run_of(cast.corp, state="partial", seen=4, errors=[{"userid": "wang", **REFUSED}])
    by_employee = {"lin": {"seen": 1, "new": 1}}
    SyncPart.objects.create(
        run=run, userids=["lin", "wang"], state="split", pages=1, seen=1, by_employee=by_employee
    )
    SyncPart.objects.create(run=run, userids=["lin"], state="complete", pages=1, seen=3, unchanged=3)
    SyncPart.objects.create(run=run, userids=["wang"], state="failed")
    told = lines(sun, run)
    assert told["lin"] == ["complete", "2 shared", "4", "1", "0", "3", "0", "0", "0"]
    assert told["wang"][0] == "failed"


def test_listing_of_an_older_release_claims_no_zeros_for_its_employees(cast: Cast, sun: Browser) -> None:
    run = run_of(cast.corp, seen=5)
    SyncPart.objects.create(run=run, userids=["lin", "wang"], state="complete", pages=1, seen=5)
    assert lines(sun, run)["lin"] == ["complete", "1 shared", *["–"] * 7]


def test_employee_who_could_not_be_read_comes_first_with_both_voices(cast: Cast, sun: Browser) -> None:
    run = run_of(cast.corp, state="partial", seen=7, errors=[{"userid": "wang", **REFUSED}])
    SyncPart.objects.create(run=run, userids=["lin"], state="complete", pages=1, seen=7, new=7)
    SyncPart.objects.create(run=run, userids=["wang"], state="failed")
    told = lines(sun, run)
    assert next(iter(told)) == "wang"
    assert told["wang"] == ["failed", *["–"] * 8]
    row = " ".join(sun.text(page(run)).split()).partition("failed –")[2]
    assert "no right on this employee" in row
    assert "The provider said: 60011 no privilege" in row


def test_userid_in_another_case_is_the_same_employee(cast: Cast, sun: Browser) -> None:
    run = run_of(
        cast.corp, state="partial", errors=[{"userid": "LIN", **REFUSED}], ended_by_employee={"Lin": 1}
    )
    SyncPart.objects.create(run=run, userids=["lin"], state="failed")
    assert list(lines(sun, run)) == ["lin"]


def test_employee_no_longer_listed_shows_what_is_missing_of_theirs(cast: Cast, sun: Browser) -> None:
    run = run_of(cast.corp, absent=1, ended=2, ended_by_employee={"wang": 2})
    SyncPart.objects.create(run=run, userids=["lin"], state="complete", pages=1, seen=1, unchanged=1)
    cast.follows["qian"].absent_run = run
    cast.follows["qian"].save()
    Employee.objects.filter(userid="qian").update(is_listed=False)
    told = lines(sun, run)
    assert (told["qian"][0], told["qian"][6]) == ("not listed", "1")
    assert (told["wang"][0], told["wang"][7]) == ("not listed", "2")


def many(corp: Corp, number: int) -> SyncRun:
    """A run of `number` employees: one was refused, one met somebody."""
    userids = [f"staff{n:04d}" for n in range(number)]
    Employee.objects.bulk_create([Employee(corp=corp, userid=userid, name=userid) for userid in userids])
    refused = {"userid": userids[-1], **REFUSED}
    run = run_of(corp, state="partial", seen=number, new=1, errors=[refused], listings=number)
    parts = [SyncPart(run=run, userids=[userid], state="complete", pages=1, seen=1) for userid in userids]
    parts[-1].state, parts[-2].new = "failed", 1
    SyncPart.objects.bulk_create(parts)
    return run


def test_thousand_employees_are_capped_with_the_eventful_first_and_can_all_be_shown(
    cast: Cast, sun: Browser
) -> None:
    run = many(cast.corp, 1000)
    told = list(lines(sun, run))
    assert (len(told), told[:2]) == (50, ["staff0999", "staff0998"])
    assert "The first 50 of 1000 are shown" in sun.text(page(run))
    assert len(lines(sun, run, "?all=1")) == 1000


def test_thousand_employees_are_searched_and_narrowed(cast: Cast, sun: Browser) -> None:
    run = many(cast.corp, 1000)
    assert list(lines(sun, run, "?q=STAFF0123")) == ["staff0123"]
    assert list(lines(sun, run, "?show=trouble")) == ["staff0999"]
    assert list(lines(sun, run, "?show=changes")) == ["staff0998"]
    assert len(lines(sun, run, "?show=nonsense")) == 50
    assert "No employee matches" in sun.text(page(run, "?show=trouble&q=staff0001"))


def test_run_page_asks_as_many_queries_for_a_thousand_employees_as_for_ten(cast: Cast, sun: Browser) -> None:
    few, most = many(cast.corp, 10), None
    sun.get(page(few))
    budget = sun.queries(page(few))
    Employee.objects.filter(userid__startswith="staff").delete()
    most = many(cast.corp, 1000)
    assert sun.queries(page(most, "?all=1")) == budget
    assert budget <= 20


def test_refusals_of_one_kind_are_one_sentence(cast: Cast, sun: Browser) -> None:
    errors = [{"userid": f"staff{n}", **REFUSED} for n in range(40)]
    verdict = sun.text(page(run_of(cast.corp, state="partial", seen=1, errors=errors))).partition(
        "unchanged"
    )[0]
    assert verdict.count("no right on this employee") == 1
    assert "staff0, staff1, staff2 +37" in verdict


def test_cost_is_told_for_ten_thousand_contacts(cast: Cast, sun: Browser) -> None:
    run = run_of(cast.corp, seen=2000, unchanged=2000, calls=100)
    assert "per 10000 contacts: 20.0 s, 500 calls" in sun.text(page(run))
    assert "per 10000" not in sun.text(page(run_of(cast.corp, calls=3)))


# --- The trend ----------------------------------------------------------------------------------------------------


def charts(browser: Browser, run: SyncRun) -> list[dict[str, Any]]:
    html = browser.get(page(run)).content.decode()
    return [json.loads(unescape(data)) for data in re.findall(r'<canvas[^>]*data-value="([^"]*)"', html)]


def test_trend_of_a_first_run_says_when_it_begins(cast: Cast, sun: Browser) -> None:
    run = run_of(cast.corp, seen=1)
    assert charts(sun, run) == []
    assert "With the second run a trend appears here" in sun.text(page(run))


def test_trend_shows_the_last_thirty_runs_of_the_scope_up_to_this_one(cast: Cast, sun: Browser) -> None:
    runs = [run_of(cast.corp, seen=n, new=2, changed=3, absent=1) for n in range(32)]
    run_of(cast.corp, userid="lin", seen=999)
    run_of(cast.corp, state="running", seen=999)
    seconds, seen, changes = (chart["datasets"] for chart in charts(sun, runs[30]))
    assert seen[0]["data"] == list(range(1, 31))
    assert set(seconds[0]["data"]) == {4.0}
    assert [set(series["data"]) for series in changes] == [{5}, {1}]


def test_trend_colours_the_runs_by_state_and_stands_in_a_table_too(cast: Cast, sun: Browser) -> None:
    before, run = run_of(cast.corp, state="failed"), run_of(cast.corp, seen=7)
    assert charts(sun, run)[0]["datasets"][0]["backgroundColor"] == ["var(--rm-bad)", "var(--rm-good)"]
    text = " ".join(sun.text(page(run)).partition("As a table")[2].split())
    assert text.index(f"#{run.pk} complete") < text.index(f"#{before.pk} failed")
    assert 'aria-label="Seconds: seconds from 4 to 4"' in sun.get(page(run)).content.decode()


def test_one_huge_run_does_not_flatten_the_trend_of_the_others(cast: Cast, sun: Browser) -> None:
    run_of(cast.corp, seen=100_000, new=100_000)
    run = [run_of(cast.corp, seen=100_000, changed=9) for _ in range(2)][-1]
    assert "cut at 20" in sun.text(page(run))


def test_list_shows_the_last_runs_of_each_corp_at_a_glance(cast: Cast, sun: Browser) -> None:
    for state in ("complete", "failed", "complete"):
        run_of(cast.corp, state=state)
    html = sun.get("contacts/syncrun/").content.decode()
    assert 'aria-label="The last 3 runs: complete 2, failed 1"' in html
    assert re.findall(r'class="rm-strip--(\w+)"', html) == ["good", "bad", "good"]


@pytest.mark.parametrize("name", ["zhao", "shen", "sun"])
def test_report_is_read_by_managers_auditors_and_administrators(cast: Cast, name: str) -> None:
    run = run_of(cast.corp, seen=1, new=1)
    assert "See what it found" in cast.browser(name).text(page(run))


@pytest.mark.django_db(transaction=True)
def test_counts_of_the_employees_of_a_real_run_add_up_to_those_of_the_run(corp: Corp, sim: Simulator) -> None:
    sync.run_now(corp, trigger="command", actor="test")
    for contact in sim.world(corp.corpid)["contacts"][:3]:
        who = {
            "external_userid": contact["external_userid"],
            "userid": contact["follow_user"][0]["userid"],
        }
        sim.change(corp.corpid, "unfollow", **who)
    runs = [sync.run_now(corp, trigger="command", actor="test") for _ in range(2)]
    user = factories.user(username="sun")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    browser = Browser()
    browser.force_login(user)
    assert (runs[0].absent, runs[1].ended) == (3, 3)
    for run in runs:
        told = lines(browser, run).values()
        sums = [sum(int(row[column]) for row in told) for column in range(2, 9)]
        assert sums == [
            run.seen,
            run.new,
            run.changed,
            run.unchanged,
            run.absent,
            run.ended,
            run.quarantined,
        ]
