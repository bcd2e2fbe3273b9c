"""What the tests of the mirror share: runs, the busiest employee, and runs that go on until nothing moves."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from contacts import sync
from contacts.models import FollowUser, SyncRun
from crm.models import Corp
from crm.simulator.server import Simulator
from tests.truth import differences

LISTING = {"direct": "externalcontact/list", "official": "externalcontact/batch/get_by_user"}
ANY_LISTING = {**LISTING, "dingtalk": "topapi/extcontact/list"}
WECOM = pytest.mark.parametrize("corp", list(LISTING), indirect=True)  # listings by employee, with a cursor
PAGES = 3  # of the busiest employee, after `three_pages`
POSITIONS = {"first": 1, "middle": 2, "last": PAGES}


def run(corp: Corp, **options: Any) -> SyncRun:
    done = sync.run_now(corp, trigger="command", actor="test", **options)
    assert done.seen == done.new + done.changed + done.unchanged + done.quarantined
    return done


def confirm(held: SyncRun) -> SyncRun:
    return sync.run_now(held.corp, trigger="confirm", actor="test", userid=held.userid, confirms=held)


def busiest(sim: Simulator, corp: Corp) -> str:
    staff = sim.world(corp.corpid)["employees"]
    return str(max(staff, key=lambda told: told["contacts"])["userid"])


def three_pages(sim: Simulator, corp: Corp) -> str:
    """Let the busiest employee's listing take three pages; who that is."""
    most = max(told["contacts"] for told in sim.world(corp.corpid)["employees"])
    sim.settings(page_limit=-(-most // PAGES))
    return busiest(sim, corp)


def change_something_of_everybody(sim: Simulator, corp: Corp) -> None:
    """Each employee meets somebody, and a contact of each is renamed; nobody goes."""
    world = sim.world(corp.corpid)
    for told in world["employees"]:
        userid = told["userid"]
        sim.change(corp.corpid, "add_contact", name=f"met by {userid}", follow_user=[userid])
        theirs = next(c for c in world["contacts"] if [f["userid"] for f in c["follow_user"]] == [userid])
        one = {"external_userid": theirs["external_userid"]}
        sim.change(corp.corpid, "edit_contact", **one, name=f"renamed for {userid}")
        sim.change(corp.corpid, "edit_follow", **one, userid=userid, remark=f"remark of {userid}")


def errors_of(done: SyncRun) -> list[tuple[str | None, str, int | None]]:
    return [(line["userid"], line["code"], line["errcode"]) for line in done.errors]


def listing_calls(sim: Simulator, corp: Corp) -> dict[tuple[str, ...], int]:
    """How often each listing (a set of employees) was asked for a page."""
    counts: dict[tuple[str, ...], int] = {}
    for entry in sim.journal(corp=corp.corpid, api=LISTING[corp.dialect]):
        body = entry["body"]
        key = tuple(body.get("userid_list") or [body["userid"]])
        counts[key] = counts.get(key, 0) + 1
    return counts


def pages_of(sim: Simulator, corp: Corp) -> Callable[[Iterable[str]], int]:
    """How many pages a listing of some employees takes now."""
    limit = sim.settings()["page_limit"]
    counts = {told["userid"]: told["contacts"] for told in sim.world(corp.corpid)["employees"]}
    return lambda userids: max(1, -(-sum(counts[userid] for userid in userids) // limit))


def assert_nothing_is_going(*userids: str) -> None:
    """No relation of these employees (none: of anybody) is ended or suspected."""
    rows = FollowUser.objects.filter(employee__userid__in=userids) if userids else FollowUser.objects.all()
    assert not rows.exclude(ended_at=None, absent_since=None).exists()


def assert_true(corp: Corp, sim: Simulator, *, aside: tuple[str, ...] = ()) -> None:
    assert differences(corp, sim.world(corp.corpid), aside=aside) == []
