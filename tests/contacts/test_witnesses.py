"""What does not count as a witness of an absence: what was read before, partly, for somebody else, or not at all."""

import time
from typing import Any

import pytest

from contacts.models import FollowUser, SyncPart, SyncRun
from crm.models import Corp
from crm.simulator.server import Simulator
from tests.contacts.house import LISTING, assert_nothing_is_going, assert_true, confirm, errors_of, run

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """The process ends here."""


def stopped_after_a_listing(corp: Corp) -> SyncRun:
    """A run that dies when its first listing was written, and the next one is being read."""
    pages = 0

    def on_page(this: SyncRun) -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            until = time.monotonic() + 20
            while not SyncPart.objects.filter(run=this, state="complete").exists():
                assert time.monotonic() < until
                time.sleep(0.01)
            raise Killed

    with pytest.raises(Killed):
        run(corp, on_page=on_page)
    return SyncRun.objects.latest("pk")


def only_theirs(sim: Simulator, corp: Corp, userid: str) -> dict[str, Any]:
    """The relation of a contact whom nobody else follows."""
    contacts = sim.world(corp.corpid)["contacts"]
    one = next(told for told in contacts if [f["userid"] for f in told["follow_user"]] == [userid])
    return {"external_userid": one["external_userid"], "userid": userid}


def first_listed(corp: Corp) -> str:
    part = SyncRun.objects.latest("pk").parts.order_by("pk").first()
    assert part is not None
    return str(part.userids[0])


def test_run_that_was_overtaken_is_not_resumed(direct_corp: Corp, sim: Simulator) -> None:
    """What it had read is older than what a later run missed, so both together prove nothing."""
    run(direct_corp)
    userid = first_listed(direct_corp)
    relation = only_theirs(sim, direct_corp, userid)
    stopped_after_a_listing(direct_corp)
    sim.change(direct_corp.corpid, "unfollow", **relation)
    assert run(direct_corp, userid=userid).absent == 1
    sim.change(direct_corp.corpid, "follow", **relation)
    after = run(direct_corp)
    assert (after.state, after.resumes, after.ended) == ("complete", None, 0)
    assert_nothing_is_going()
    assert_true(direct_corp, sim)


def test_licence_that_was_missing_before_a_crash_is_missing_after_it(
    direct_corp: Corp, sim: Simulator
) -> None:
    run(direct_corp)
    userid = first_listed(direct_corp)
    relation = only_theirs(sim, direct_corp, userid)
    sim.change(direct_corp.corpid, "unfollow", **relation)
    assert run(direct_corp).absent == 1
    sim.change(direct_corp.corpid, "follow", **relation)
    nothing = {
        "fail_info": {"unlicensed_userid_list": [userid]},
        "external_contact_list": [],
        "next_cursor": "",
    }
    sim.fault(
        corp=direct_corp.corpid,
        api=LISTING["direct"],
        kind="fields",
        fields=nothing,
        match={"userid": userid},
        times=None,
    )
    stopped = stopped_after_a_listing(direct_corp)
    resumed = run(direct_corp)
    assert (resumed.resumes, resumed.state, resumed.ended) == (stopped, "partial", 0)
    assert errors_of(resumed) == [(userid, "errcode", 701008)]
    assert not FollowUser.objects.exclude(ended_at=None).exists()


def test_resumed_run_counts_what_it_took_over(direct_corp: Corp, sim: Simulator) -> None:
    stopped_after_a_listing(direct_corp)
    resumed = run(direct_corp)
    assert resumed.resumes is not None
    for name in ("pages", "seen", "new", "unchanged"):
        assert getattr(resumed, name) == sum(resumed.parts.values_list(name, flat=True))


def test_what_a_held_run_waits_for_is_not_ended_by_runs_of_employees(
    corp: Corp, sim: Simulator, settings: Any
) -> None:
    settings.CRM_SYNC_REMOVAL_GUARD = (2, 0.01)
    run(corp)
    staff = [told["userid"] for told in sim.world(corp.corpid)["employees"]]
    for userid in staff:
        sim.change(corp.corpid, "unfollow", **only_theirs(sim, corp, userid))
    held = run(corp)
    assert (held.state, held.absent) == ("held", len(staff))
    assert [run(corp, userid=userid).ended for userid in staff] == [0] * len(staff)
    assert confirm(held).ended == len(staff)
    assert_true(corp, sim)


def test_failed_run_ends_nothing(official_corp: Corp, sim: Simulator) -> None:
    run(official_corp)
    staff = [told["userid"] for told in sim.world(official_corp.corpid)["employees"] if told["contacts"]]
    about: dict[str, Any] = {"corp": official_corp.corpid, "times": None}
    fewer = {"follow_user": staff[1:]}
    sim.fault(api="externalcontact/get_follow_user_list", kind="fields", fields=fewer, **about)
    assert run(official_corp).absent > 0
    sim.fault(api=LISTING["official"], kind="http_status", status=500, **about)
    failed = run(official_corp)
    assert (failed.state, failed.ended) == ("failed", 0)
    assert not FollowUser.objects.exclude(ended_at=None).exists()


def test_nameless_record_clouds_only_the_employee_whom_it_names(official_corp: Corp, sim: Simulator) -> None:
    run(official_corp)
    named, other, *_ = [told["userid"] for told in sim.world(official_corp.corpid)["employees"]]
    nameless = {"external_contact": {"name": "Nobody"}, "follow_info": {"userid": named}}
    sim.fault(
        corp=official_corp.corpid,
        api=LISTING["official"],
        kind="fields",
        fields={"external_contact_list": [nameless], "next_cursor": ""},
    )
    done = run(official_corp)
    assert (done.state, done.quarantined) == ("held", 1)
    assert_nothing_is_going(named)
    assert not FollowUser.objects.filter(employee__userid=other, absent_since=None).exists()
