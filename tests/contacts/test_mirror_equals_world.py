"""The mirror ends equal to the provider, whatever changed there (guarantees S1, S3, S13, S14)."""

from typing import Any

import pytest

from contacts import sync
from contacts.models import Contact, Employee, FollowUser, SyncRun, Tag, Team
from crm.models import Corp, Event
from crm.simulator.server import Simulator
from tests.truth import differences

pytestmark = pytest.mark.django_db(transaction=True)


def run(corp: Corp, **options: Any) -> SyncRun:
    return sync.run_now(corp, trigger="command", actor="test", **options)


def a_relation(world: dict[str, Any]) -> tuple[str, str]:
    """A contact with one follower: (external_userid, userid)."""
    told = next(told for told in world["contacts"] if len(told["follow_user"]) == 1)
    return told["external_userid"], told["follow_user"][0]["userid"]


def test_first_sync_makes_the_mirror_equal_to_the_world(corp: Corp, sim: Simulator) -> None:
    world = sim.world(corp.corpid)
    done = run(corp)
    assert done.state == "complete"
    assert done.seen == done.new + done.changed + done.unchanged
    assert differences(corp, world) == []


def test_first_sync_mirrors_directory_and_tags(official_corp: Corp, sim: Simulator) -> None:
    world = sim.world(official_corp.corpid)
    run(official_corp)
    names = {told["userid"]: told["name"] for told in world["employees"]}
    assert dict(Employee.objects.values_list("userid", "name")) == names
    assert Team.objects.count() == len(world["departments"])
    leaders = {(d["id"], userid) for d in world["departments"] for userid in d["department_leader"]}
    held = Team.objects.filter(memberships__is_leader=True)
    assert leaders <= set(held.values_list("department_id", "memberships__employee__userid"))
    assert Tag.objects.count() == sum(len(group["tag"]) for group in world["tags"])


def test_second_sync_writes_no_contact_follow_tag_or_event(corp: Corp) -> None:
    run(corp)
    tables = (Contact, FollowUser, Employee, Tag, Team)
    before = [list(table.objects.order_by("pk").values_list()) for table in tables]
    events = Event.objects.count()
    again = run(corp)
    assert (again.new, again.changed, again.absent, again.ended) == (0, 0, 0, 0)
    assert [list(table.objects.order_by("pk").values_list()) for table in tables] == before
    assert Event.objects.count() == events


def test_edits_at_the_provider_reach_the_rows_with_events(official_corp: Corp, sim: Simulator) -> None:
    run(official_corp)
    external_userid, userid = a_relation(sim.world(official_corp.corpid))
    one = {"external_userid": external_userid}
    sim.change(official_corp.corpid, "edit_contact", **one, name="陈改名")
    sim.change(
        official_corp.corpid, "edit_follow", **one, userid=userid, remark="改过的备注", remark_mobiles=[]
    )
    done = run(official_corp)
    assert (done.new, done.changed) == (0, 1)
    assert differences(official_corp, sim.world(official_corp.corpid)) == []
    newest = Event.objects.filter(contact_id__isnull=False).order_by("-seq")[:2]
    assert {event.verb for event in newest} == {"contact.updated", "follow.updated"}


def test_absent_relation_ends_only_after_a_second_complete_run(corp: Corp, sim: Simulator) -> None:
    run(corp)
    external_userid, userid = a_relation(sim.world(corp.corpid))
    sim.change(corp.corpid, "unfollow", external_userid=external_userid, userid=userid)
    first = run(corp)
    relation = FollowUser.objects.get(contact__external_userid=external_userid)
    assert (first.absent, first.ended, relation.ended_at) == (1, 0, None)
    assert relation.absent_since is not None
    second = run(corp)
    relation.refresh_from_db()
    assert (second.ended, relation.ended_source) == (1, "sync")
    assert Contact.objects.get(external_userid=external_userid).state == "lost"
    assert differences(corp, sim.world(corp.corpid)) == []


def test_lost_contact_returns_by_itself_with_its_local_fields(corp: Corp, sim: Simulator) -> None:
    run(corp)
    external_userid, userid = a_relation(sim.world(corp.corpid))
    FollowUser.objects.filter(contact__external_userid=external_userid).update(stage="won")
    one = {"external_userid": external_userid, "userid": userid}
    sim.change(corp.corpid, "unfollow", **one)
    run(corp)
    run(corp)
    sim.change(corp.corpid, "follow", **one)
    run(corp)
    relation = FollowUser.objects.get(contact__external_userid=external_userid)
    assert (relation.ended_at, relation.absent_since, relation.stage) == (None, None, "won")
    assert relation.contact.state == "active"
    verbs = set(Event.objects.filter(contact_id=relation.contact_id).values_list("verb", flat=True))
    assert {"follow.ended", "contact.lost", "follow.restored", "contact.restored"} <= verbs


def test_transfer_moves_the_relation_to_the_other_employee(corp: Corp, sim: Simulator) -> None:
    run(corp)
    world = sim.world(corp.corpid)
    external_userid, userid = a_relation(world)
    other = next(told["userid"] for told in world["employees"] if told["userid"] != userid)
    sim.change(corp.corpid, "transfer", external_userid=external_userid, **{"from": userid, "to": other})
    run(corp)
    run(corp)
    assert differences(corp, sim.world(corp.corpid)) == []


def test_employee_out_of_range_ends_with_that_source(
    official_corp: Corp, sim: Simulator, settings: Any
) -> None:
    settings.CRM_SYNC_REMOVAL_GUARD = (1000, 1.0)
    run(official_corp)
    userid = min(sim.world(official_corp.corpid)["employees"], key=lambda told: told["contacts"])["userid"]
    sim.change(official_corp.corpid, "set_visible", userid=userid, visible=False)
    first = run(official_corp)
    assert (first.state, first.ended) == ("complete", 0)
    second = run(official_corp)
    sources = set(FollowUser.objects.filter(employee__userid=userid).values_list("ended_source", flat=True))
    assert second.ended == first.absent > 0
    assert sources == {"employee_out_of_range"}


def test_run_for_one_employee_concludes_about_that_one_only(corp: Corp, sim: Simulator) -> None:
    run(corp)
    world = sim.world(corp.corpid)
    external_userid, userid = a_relation(world)
    sim.change(corp.corpid, "unfollow", external_userid=external_userid, userid=userid)
    other = next(told["userid"] for told in world["employees"] if told["userid"] != userid)
    assert run(corp, userid=other).absent == 0
    assert run(corp, userid=userid).absent == 1
    assert run(corp, userid=userid).ended == 1


def test_direct_pages_with_objects_are_mirrored_in_full(direct_corp: Corp, sim: Simulator) -> None:
    sim.settings(follow_user_objects=True)
    run(direct_corp)
    world = sim.world(direct_corp.corpid)
    told = next(t for t in world["contacts"] if any(r["remark_mobiles"] for r in t["follow_user"]))
    relation = next(r for r in told["follow_user"] if r["remark_mobiles"])
    held = FollowUser.objects.get(
        contact__external_userid=told["external_userid"], employee__userid=relation["userid"]
    )
    assert (held.remark, held.remark_mobiles) == (relation["remark"], relation["remark_mobiles"])
    assert differences(direct_corp, world) == []
