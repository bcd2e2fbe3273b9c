"""The mirror of a DingTalk organisation: one listing by offset, owners and sharers, absence believed when confirmed."""

from typing import Any

import pytest

from contacts import sync
from contacts.models import Contact, FollowUser, Quarantine, SyncRun, Tag
from contacts.reading import read_contact
from crm.models import Corp, Event
from crm.simulator.server import Simulator
from tests.truth import differences, tag_differences

pytestmark = pytest.mark.django_db(transaction=True)

API = "topapi/extcontact/list"


def run(corp: Corp, **options: Any) -> SyncRun:
    return sync.run_now(corp, trigger="command", actor="test", **options)


def contact_of(sim: Simulator, corp: Corp, followers: int) -> tuple[str, list[str]]:
    """A contact with so many followers, and who they are: the owner first."""
    told = next(c for c in sim.world(corp.corpid)["contacts"] if len(c["follow_user"]) == followers)
    return told["external_userid"], [each["userid"] for each in told["follow_user"]]


def roles(external_userid: str) -> dict[str, str]:
    current = FollowUser.objects.current().filter(contact__external_userid=external_userid)
    return dict(current.values_list("employee__userid", "role"))


def test_owner_and_sharers_become_follow_users_with_a_role(dingtalk_corp: Corp, sim: Simulator) -> None:
    run(dingtalk_corp)
    external_userid, (owner, shared) = contact_of(sim, dingtalk_corp, 2)
    assert roles(external_userid) == {owner: "owner", shared: "shared"}
    assert differences(dingtalk_corp, sim.world(dingtalk_corp.corpid)) == []


def test_labels_become_tags_of_the_contacts_relations(dingtalk_corp: Corp, sim: Simulator) -> None:
    run(dingtalk_corp)
    world = sim.world(dingtalk_corp.corpid)
    assert tag_differences(dingtalk_corp, world) == []
    told = next(c for c in world["contacts"] if len(c["labels"]) > 1)
    rows = FollowUser.objects.filter(contact__external_userid=told["external_userid"])
    assert {tuple(row.tag_ids) for row in rows} == {tuple(told["labels"])}
    assert Tag.objects.filter(tag_id__in=told["labels"]).exclude(group_name="").count() == len(told["labels"])


def test_pages_are_followed_by_offset_until_an_empty_one(dingtalk_corp: Corp, sim: Simulator) -> None:
    sim.settings(page_limit=7)
    done = run(dingtalk_corp)
    asked = [entry["body"]["offset"] for entry in sim.journal(corp=dingtalk_corp.corpid, api=API)]
    assert (done.state, done.pages, done.listings) == ("complete", 6, 1)
    assert asked == [0, 7, 14, 21, 28, 30]
    assert differences(dingtalk_corp, sim.world(dingtalk_corp.corpid)) == []


def test_more_than_a_hundred_contacts_are_all_read(dingtalk_corp: Corp, sim: Simulator) -> None:
    owner = sim.world(dingtalk_corp.corpid)["employees"][0]["userid"]
    ops = [{"op": "add_contact", "name": f"客户{n}", "follow_user": [owner]} for n in range(170)]
    sim.post("/_sim/world/", {"corp": dingtalk_corp.corpid, "ops": ops})
    done = run(dingtalk_corp)
    assert (done.seen, done.new, Contact.objects.count()) == (200, 200, 200)


def test_unchanged_run_writes_nothing_and_knows_single_followers_by_their_bytes(
    dingtalk_corp: Corp, sim: Simulator
) -> None:
    run(dingtalk_corp)
    before = [list(table.objects.order_by("pk").values_list()) for table in (Contact, FollowUser, Tag)]
    events = Event.objects.count()
    again = run(dingtalk_corp)
    assert (again.unchanged, again.new, again.changed, again.absent) == (30, 0, 0, 0)
    after = [list(table.objects.order_by("pk").values_list()) for table in (Contact, FollowUser, Tag)]
    assert (after, Event.objects.count()) == (before, events)
    assert all(row.raw for row in FollowUser.objects.all())


def test_hand_over_gives_the_new_owner_at_once_and_takes_the_old_one_when_confirmed(
    dingtalk_corp: Corp, sim: Simulator
) -> None:
    run(dingtalk_corp)
    external_userid, (old,) = contact_of(sim, dingtalk_corp, 1)
    staff = [each["userid"] for each in sim.world(dingtalk_corp.corpid)["employees"]]
    new = next(each for each in staff if each != old)
    one = {"external_userid": external_userid, "from": old, "to": new}
    sim.change(dingtalk_corp.corpid, "transfer", **one)
    first = run(dingtalk_corp)
    assert (first.absent, roles(external_userid)) == (1, {old: "owner", new: "owner"})
    assert FollowUser.objects.get(employee__userid=old, contact__external_userid=external_userid).absent_since
    second = run(dingtalk_corp)
    assert (second.ended, roles(external_userid)) == (1, {new: "owner"})


def test_sharer_who_comes_back_with_the_same_bytes_is_restored(dingtalk_corp: Corp, sim: Simulator) -> None:
    run(dingtalk_corp)
    external_userid, (owner, shared) = contact_of(sim, dingtalk_corp, 2)
    one = {"external_userid": external_userid, "userid": shared}
    sim.change(dingtalk_corp.corpid, "unfollow", **one)
    read_contact(dingtalk_corp, external_userid, actor="test")
    assert roles(external_userid) == {owner: "owner"}
    sim.change(dingtalk_corp.corpid, "follow", **one)
    run(dingtalk_corp)
    assert roles(external_userid) == {owner: "owner", shared: "shared"}


def test_employee_who_was_out_of_range_and_returns_keeps_what_they_share(
    dingtalk_corp: Corp, sim: Simulator
) -> None:
    """Their relations stand on the items all the while, so none is ever suspected."""
    external_userid, (_owner, shared) = contact_of(sim, dingtalk_corp, 2)
    sim.change(dingtalk_corp.corpid, "set_visible", userid=shared, visible=False)
    run(dingtalk_corp)
    sim.change(dingtalk_corp.corpid, "set_visible", userid=shared, visible=True)
    for _ in range(2):
        done = run(dingtalk_corp)
        assert (done.absent, done.ended) == (0, 0)
    assert roles(external_userid)[shared] == "shared"


def test_contacts_of_an_employee_who_left_stay_with_them(dingtalk_corp: Corp, sim: Simulator) -> None:
    run(dingtalk_corp)
    external_userid, (owner,) = contact_of(sim, dingtalk_corp, 1)
    sim.change(dingtalk_corp.corpid, "set_visible", userid=owner, visible=False)
    for _ in range(3):
        assert run(dingtalk_corp).ended == 0
    assert roles(external_userid) == {owner: "owner"}


def test_contact_deleted_there_is_lost_after_a_direct_read(dingtalk_corp: Corp, sim: Simulator) -> None:
    run(dingtalk_corp)
    external_userid, _people = contact_of(sim, dingtalk_corp, 2)
    sim.change(dingtalk_corp.corpid, "delete_contact", external_userid=external_userid)
    read_contact(dingtalk_corp, external_userid, actor="test")
    gone = Contact.objects.get(external_userid=external_userid)
    assert (gone.state, roles(external_userid)) == ("lost", {})
    assert set(gone.follow_users.values_list("ended_source", flat=True)) == {"read"}


def test_row_skipped_because_the_pages_moved_is_not_believed_gone(
    dingtalk_corp: Corp, sim: Simulator
) -> None:
    """Somebody is deleted between two pages: everybody behind moves up by one, and one is never shown."""
    run(dingtalk_corp)
    sim.settings(page_limit=10)
    first = sim.world(dingtalk_corp.corpid)["contacts"][0]["external_userid"]
    done_once: list[bool] = []

    def delete_the_first(run: SyncRun) -> None:
        if not done_once:
            done_once.append(True)
            sim.change(dingtalk_corp.corpid, "delete_contact", external_userid=first)

    missed = sync.run_now(dingtalk_corp, trigger="command", actor="test", on_page=delete_the_first)
    assert (missed.absent > 0, missed.ended) == (True, 0)
    assert [run(dingtalk_corp).state for _ in range(2)] == ["complete"] * 2
    assert set(Contact.objects.filter(state="lost").values_list("external_userid", flat=True)) == {first}
    assert differences(dingtalk_corp, sim.world(dingtalk_corp.corpid)) == []


def test_failed_page_ends_nothing_and_names_nobody(dingtalk_corp: Corp, sim: Simulator) -> None:
    run(dingtalk_corp)
    sim.settings(page_limit=10)
    sim.fault(api=API, kind="http_status", status=500, match={"offset": 20}, times=None)
    done = run(dingtalk_corp)
    assert (done.state, done.absent) == ("failed", 0)
    assert [(each["userid"], each["code"]) for each in done.errors] == [(None, "http_status")]


def test_page_that_comes_again_and_again_ends_the_run(dingtalk_corp: Corp, sim: Simulator) -> None:
    sim.settings(ignored_offset=True)
    done = run(dingtalk_corp)
    assert (done.state, done.errors[0]["code"], done.pages) == ("failed", "cursor_repeated", 1)


def test_run_for_one_employee_shows_and_concludes_about_that_one_only(
    dingtalk_corp: Corp, sim: Simulator
) -> None:
    world = sim.world(dingtalk_corp.corpid)
    userid = world["employees"][0]["userid"]
    theirs = {
        c["external_userid"] for c in world["contacts"] if userid in {f["userid"] for f in c["follow_user"]}
    }
    done = run(dingtalk_corp, userid=userid)
    assert (done.state, done.seen) == ("complete", len(theirs))
    assert set(Contact.objects.values_list("external_userid", flat=True)) == theirs
    run(dingtalk_corp)
    again = run(dingtalk_corp, userid=userid)
    assert (again.seen, again.absent) == (len(theirs), 0)


def test_bad_record_is_set_aside_and_its_people_are_not_suspected(
    dingtalk_corp: Corp, sim: Simulator
) -> None:
    run(dingtalk_corp)
    external_userid, people = contact_of(sim, dingtalk_corp, 2)
    item = {"userid": external_userid, "name": "a\0b", "follower_user_id": people[0]}
    sim.post(
        "/_sim/poison/", {"corp": dingtalk_corp.corpid, "external_userid": external_userid, "item": item}
    )
    for _ in range(2):
        done = run(dingtalk_corp)
        assert (done.state, done.quarantined, done.absent) == ("complete", 1, 0)
    assert Quarantine.objects.get().reason == "nul: name"
    sim.delete("/_sim/poison/")
    run(dingtalk_corp)
    assert not Quarantine.objects.filter(cleared_at=None).exists()


def test_second_of_calls_too_many_is_waited_for_and_fails_nothing(
    dingtalk_corp: Corp, sim: Simulator
) -> None:
    sim.fault(api="topapi/v2/department/listsub", kind="errcode", errcode=90018)
    sim.fault(api=API, kind="errcode", errcode=90002)
    assert run(dingtalk_corp).state == "complete"


def test_phone_held_back_from_the_app_clears_none_we_know(dingtalk_corp: Corp, sim: Simulator) -> None:
    run(dingtalk_corp)
    external_userid, (owner,) = contact_of(sim, dingtalk_corp, 1)
    row = FollowUser.objects.get(contact__external_userid=external_userid, employee__userid=owner)
    assert row.remark_mobiles[0].startswith("+86-1")
    sim.settings(tells_mobile=False)
    assert run(dingtalk_corp).state == "complete"
    kept = FollowUser.objects.get(pk=row.pk)
    assert kept.remark_mobiles == row.remark_mobiles
