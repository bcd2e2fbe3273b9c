"""One contact read again by itself: what its answer tells holds at once, nothing else changes (guarantees S3, S9)."""

from typing import Any

import pytest

from contacts.models import Contact, Employee, FollowUser
from contacts.reading import read_contact
from crm.models import Corp, Event
from crm.providers.errors import Absent, Malformed, ProviderError, Unsupported
from crm.simulator.server import Simulator
from tests.contacts.house import assert_true, run
from tests.contacts.single_reads import (
    ACTOR,
    asked,
    current,
    followers_of,
    last_event,
    rows,
    state_of,
    the_relation,
    verbs,
    with_followers,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(official_corp: Corp) -> Corp:
    """The dialect that has such a read, synced once."""
    assert run(official_corp).state == "complete"
    return official_corp


# --- what it writes


def test_read_brings_every_edit_with_its_events_and_keeps_what_is_ours(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    (userid,) = followers_of(sim, corp, one)
    FollowUser.objects.filter(contact__external_userid=one).update(stage=FollowUser.Stage.WON)
    tags = [tag["id"] for group in sim.world(corp.corpid)["tags"] for tag in group["tag"]]
    told = {"remark": "改过", "remark_mobiles": ["13900000042"], "tags": [*tags[:2], {"tag_name": "own"}]}
    sim.change(corp.corpid, "edit_contact", external_userid=one, name="陈改名")
    sim.change(corp.corpid, "edit_follow", external_userid=one, userid=userid, **told)
    before = last_event()
    read_contact(corp, one, actor=ACTOR)
    follow = the_relation(one, userid)
    assert follow.contact.name == "陈改名"
    assert (follow.remark, follow.remark_mobiles, follow.stage) == ("改过", ["13900000042"], "won")
    assert (follow.tag_ids, follow.personal_tags) == (tags[:2], ["own"])
    assert verbs(since=before) == ["contact.updated", "follow.updated"]
    assert_true(corp, sim)


def test_read_that_finds_nothing_new_writes_no_event_and_no_mirrored_field(
    corp: Corp, sim: Simulator
) -> None:
    one = with_followers(sim, corp, 2)
    read_contact(corp, one, actor=ACTOR)  # the listing tells no personal tags, this does
    before, events = rows(), Event.objects.count()
    read_contact(corp, one, actor=ACTOR)
    assert (rows(), Event.objects.count()) == (before, events)


def test_read_adds_a_new_follower_also_one_whom_no_listing_has_named(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    known = next(e for e in Employee.objects.all() if e.userid not in followers_of(sim, corp, one))
    sim.change(corp.corpid, "add_employee", userid="newcomer")
    for userid in (known.userid, "newcomer"):
        sim.change(corp.corpid, "follow", external_userid=one, userid=userid)
    before = last_event()
    read_contact(corp, one, actor=ACTOR)
    assert verbs(since=before) == ["employee.created", "follow.started", "follow.started"]
    assert current(one) == followers_of(sim, corp, one)
    assert_true(corp, sim)


def test_follower_whom_the_read_does_not_show_ends_at_once(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 2)
    gone, stays = sorted(followers_of(sim, corp, one))
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=gone)
    before = last_event()
    read_contact(corp, one, actor=ACTOR)
    ended = the_relation(one, gone)
    assert (ended.ended_source, ended.is_current) == ("read", False)
    assert (current(one), state_of(one)) == ({stays}, "active")
    assert verbs(since=before) == ["follow.ended"]


def test_contact_whom_nobody_follows_is_lost_and_comes_back_on_a_read(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    (userid,) = followers_of(sim, corp, one)
    FollowUser.objects.filter(contact__external_userid=one).update(stage=FollowUser.Stage.WON)
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=userid)
    before = last_event()
    read_contact(corp, one, actor=ACTOR)  # 84061
    assert (state_of(one), current(one)) == ("lost", set())
    assert verbs(since=before) == ["contact.lost", "follow.ended"]
    sim.change(corp.corpid, "follow", external_userid=one, userid=userid)
    before = last_event()
    read_contact(corp, one, actor=ACTOR)
    follow = the_relation(one, userid)
    assert (state_of(one), follow.is_current, follow.ended_source, follow.stage) == (
        "active",
        True,
        "",
        "won",
    )
    assert {"contact.restored", "follow.restored"} <= set(verbs(since=before))


def test_contact_lost_by_a_read_comes_back_on_the_next_listing(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    (userid,) = followers_of(sim, corp, one)
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=userid)
    read_contact(corp, one, actor=ACTOR)
    sim.change(corp.corpid, "follow", external_userid=one, userid=userid)
    run(corp)
    assert (state_of(one), current(one)) == ("active", {userid})


def test_relation_suspected_by_a_run_is_cleared_by_a_read_that_shows_it(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    (userid,) = followers_of(sim, corp, one)
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=userid)
    assert run(corp).absent == 1
    sim.change(corp.corpid, "follow", external_userid=one, userid=userid)
    read_contact(corp, one, actor=ACTOR)
    assert the_relation(one, userid).absent_since is None


def test_relations_of_employees_out_of_range_are_left(corp: Corp, sim: Simulator) -> None:
    """The answer leaves them out whether they follow or not."""
    one = with_followers(sim, corp, 2)
    hidden, shown = sorted(followers_of(sim, corp, one))
    sim.change(corp.corpid, "set_visible", userid=hidden, visible=False)
    run(corp)
    read_contact(corp, one, actor=ACTOR)
    assert current(one) == {hidden, shown}
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=shown)
    read_contact(corp, one, actor=ACTOR)  # 84061: nobody whom the app can see
    assert (current(one), state_of(one)) == ({hidden}, "active")


def test_unknown_contact_is_created_with_all_its_followers(corp: Corp, sim: Simulator) -> None:
    staff = [told["userid"] for told in sim.world(corp.corpid)["employees"]][:3]
    made = sim.change(corp.corpid, "add_contact", name="新来的", follow_user=staff)
    before = last_event()
    read_contact(corp, made["external_userid"], actor=ACTOR)
    assert current(made["external_userid"]) == set(staff)
    assert verbs(since=before) == ["contact.created", *["follow.started"] * 3]
    assert_true(corp, sim)


def test_unknown_contact_whom_nobody_follows_leaves_no_row(corp: Corp, sim: Simulator) -> None:
    made = sim.change(corp.corpid, "add_contact", name="Nobody's")
    read_contact(corp, made["external_userid"], actor=ACTOR)
    assert not Contact.objects.filter(external_userid=made["external_userid"]).exists()


def test_followers_over_many_pages_are_one_answer(corp: Corp, sim: Simulator) -> None:
    """More than 500 followers are paged (wecom.md 3.3); here more than one."""
    sim.settings(follower_page=1)
    staff = [told["userid"] for told in sim.world(corp.corpid)["employees"]]
    one = sim.change(corp.corpid, "add_contact", name="Known to many", follow_user=staff)["external_userid"]
    read_contact(corp, one, actor=ACTOR)
    assert current(one) == set(staff)
    assert asked(sim, corp) == len(staff) > 2
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=staff[-1])
    read_contact(corp, one, actor=ACTOR)
    assert current(one) == set(staff[:-1])


# --- what changes nothing


TROUBLES = [
    pytest.param({"kind": "errcode", "errcode": 40096}, Absent, id="40096"),
    pytest.param({"kind": "errcode", "errcode": 48002}, ProviderError, id="48002"),
    pytest.param({"kind": "reset", "times": None}, ProviderError, id="reset"),
    pytest.param({"kind": "http_status", "status": 500, "times": None}, ProviderError, id="500"),
    pytest.param({"kind": "truncated", "times": None}, ProviderError, id="truncated"),
    pytest.param({"kind": "no_list"}, Malformed, id="no list"),
    pytest.param({"fields": {"follow_user": None}}, Malformed, id="list null"),
    pytest.param({"fields": {"follow_user": {}}}, Malformed, id="list object"),
    pytest.param({"fields": {"external_contact": []}}, Malformed, id="no contact"),
    pytest.param(
        {"fields": {"external_contact": {"external_userid": "wmOther"}}}, Malformed, id="somebody else"
    ),
    pytest.param({"fields": {"follow_user": [{"remark": "x"}]}}, Malformed, id="nameless follower"),
    pytest.param({"fields": {"next_cursor": 7}}, Malformed, id="bad cursor"),
    pytest.param({"kind": "errcode", "errcode": 84061, "skip": 1}, Malformed, id="84061 on page 2"),
    pytest.param({"kind": "no_list", "skip": 1}, Malformed, id="no list on page 2"),
    pytest.param({"kind": "errcode", "errcode": 50100, "skip": 1}, ProviderError, id="cursor stale"),
]


@pytest.mark.parametrize(("fault", "error"), TROUBLES)
def test_answer_that_cannot_be_believed_changes_nothing_and_says_so(
    corp: Corp, sim: Simulator, fault: dict[str, Any], error: type[ProviderError]
) -> None:
    one = with_followers(sim, corp, 2)
    sim.settings(follower_page=1)
    sim.change(corp.corpid, "edit_contact", external_userid=one, name="never read")
    before, events = rows(), Event.objects.count()
    sim.fault(corp=corp.corpid, api="externalcontact/get", **fault)
    with pytest.raises(error):
        read_contact(corp, one, actor=ACTOR)
    assert (rows(), Event.objects.count()) == (before, events)


def test_contact_deleted_at_the_provider_changes_nothing_and_says_so(corp: Corp, sim: Simulator) -> None:
    """40096 may also mean that the app no longer sees it: the next runs decide."""
    one = with_followers(sim, corp, 1)
    sim.change(corp.corpid, "delete_contact", external_userid=one)
    before = rows()
    with pytest.raises(Absent) as told:
        read_contact(corp, one, actor=ACTOR)
    assert (told.value.errcode, rows()) == (40096, before)


def test_dialect_without_such_a_call_says_so_and_asks_nothing(direct_corp: Corp, sim: Simulator) -> None:
    one = sim.world(direct_corp.corpid)["contacts"][0]["external_userid"]
    with pytest.raises(Unsupported):
        read_contact(direct_corp, one, actor=ACTOR)
    assert sim.journal(corp=direct_corp.corpid) == []
