"""Changes that a run half sees: before one page and after another, and taken back again (guarantees S1, S8)."""

from collections.abc import Callable
from typing import Any

import pytest

from contacts.models import Contact, FollowUser, SyncRun
from crm.models import Corp
from crm.simulator.server import Simulator
from tests.contacts.house import assert_nothing_is_going, assert_true, run
from tests.truth import differences

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def pair(corp: Corp, sim: Simulator) -> tuple[str, str, str]:
    """A new contact with two followers: (external_userid, the one listed first, the other)."""
    first, *_, last = [told["userid"] for told in sim.world(corp.corpid)["employees"]]
    made = sim.change(corp.corpid, "add_contact", name="Before", follow_user=[first, last])
    return made["external_userid"], first, last


def after_page(number: int, work: Callable[[], Any]) -> Callable[[SyncRun], None]:
    pages = 0

    def on_page(_: SyncRun) -> None:
        nonlocal pages
        pages += 1
        if pages == number:
            work()

    return on_page


def rename(sim: Simulator, corp: Corp, external_userid: str, name: str) -> None:
    sim.change(corp.corpid, "edit_contact", external_userid=external_userid, name=name)


def test_name_changed_and_taken_back_is_right_when_only_one_listing_saw_the_change(
    corp: Corp, sim: Simulator, pair: tuple[str, str, str]
) -> None:
    external_userid, _, last = pair
    run(corp)
    rename(sim, corp, external_userid, "Between")
    run(corp, userid=last)
    assert Contact.objects.get(external_userid=external_userid).name == "Between"
    rename(sim, corp, external_userid, "Before")
    sim.change(corp.corpid, "unfollow", external_userid=external_userid, userid=last)
    run(corp)
    run(corp)
    assert_true(corp, sim)


def test_name_taken_back_is_right_after_the_next_run_of_any_follower(
    corp: Corp, sim: Simulator, pair: tuple[str, str, str]
) -> None:
    external_userid, first, last = pair
    run(corp)
    rename(sim, corp, external_userid, "Between")
    run(corp, userid=last)
    rename(sim, corp, external_userid, "Before")
    run(corp, userid=first)
    assert Contact.objects.get(external_userid=external_userid).name == "Before"


def test_remark_taken_back_is_right_after_the_next_run_though_a_colleagues_page_told_it_meanwhile(
    direct_corp: Corp, sim: Simulator
) -> None:
    first, *_, last = [told["userid"] for told in sim.world(direct_corp.corpid)["employees"]]
    sim.settings(follow_user_objects=True)
    made = sim.change(direct_corp.corpid, "add_contact", name="Both", follow_user=[first, last])
    relation = {"external_userid": made["external_userid"], "userid": first}
    held = FollowUser.objects.filter(contact__external_userid=made["external_userid"], employee__userid=first)
    for remark, listed in (("one", first), ("two", last), ("one", first)):
        sim.change(direct_corp.corpid, "edit_follow", **relation, remark=remark)
        run(direct_corp, userid=listed)
        assert held.get().remark == remark


@pytest.mark.parametrize("dialect", ["direct", "official"])
def test_relation_that_begins_anew_keeps_nothing_of_the_old_one(
    dialect: str, sim: Simulator, request: pytest.FixtureRequest
) -> None:
    """A channel is told only where there is one: of a new relation its silence says that there is none."""
    corp: Corp = request.getfixturevalue(f"{dialect}_corp")
    sim.settings(follow_user_objects=True)
    userid = sim.world(corp.corpid)["employees"][0]["userid"]
    met = {"userid": userid, "state": "fair", "remark": "old"}
    one = {"external_userid": sim.change(corp.corpid, "add_contact", follow_user=[met])["external_userid"]}
    run(corp)
    sim.change(corp.corpid, "unfollow", **one, userid=userid)
    sim.advance(60)
    sim.change(corp.corpid, "follow", **one, userid=userid)
    run(corp)
    assert differences(corp, sim.world(corp.corpid), with_objects=True) == []


@pytest.mark.parametrize("forth", [True, False], ids=["to_a_later_listing", "to_an_earlier_listing"])
@pytest.mark.parametrize("limit", [1, 4])
def test_contact_handed_over_inside_a_run_is_nobodys_loss(
    corp: Corp, sim: Simulator, forth: bool, limit: int
) -> None:
    first, *_, last = [told["userid"] for told in sim.world(corp.corpid)["employees"]]
    giver, taker = (first, last) if forth else (last, first)
    sim.settings(page_limit=limit)
    run(corp)
    world = sim.world(corp.corpid)["contacts"]
    told = next(each for each in world if [f["userid"] for f in each["follow_user"]] == [giver])
    one = {"external_userid": told["external_userid"], "from": giver, "to": taker}
    done = run(corp, on_page=after_page(2, lambda: sim.change(corp.corpid, "transfer", **one)))
    assert (done.state, done.ended) == ("complete", 0)
    run(corp)
    run(corp)
    assert_true(corp, sim)
    assert Contact.objects.get(external_userid=told["external_userid"]).state == "active"


def test_contact_that_left_and_came_back_inside_a_run_is_there(corp: Corp, sim: Simulator) -> None:
    sim.settings(page_limit=3)
    run(corp)
    told = sim.world(corp.corpid)["contacts"][-1]
    one = {"external_userid": told["external_userid"], "userid": told["follow_user"][0]["userid"]}
    sim.change(corp.corpid, "unfollow", **one)
    run(corp, on_page=after_page(3, lambda: sim.change(corp.corpid, "follow", **one)))
    run(corp)
    assert_true(corp, sim)
    assert_nothing_is_going()


def test_removal_during_an_interruption_is_noticed_by_two_runs_that_start_after_it(
    corp: Corp, sim: Simulator
) -> None:
    def die() -> None:
        raise Killed

    sim.settings(page_limit=3)
    run(corp)
    world = sim.world(corp.corpid)["contacts"]
    with pytest.raises(Killed):
        run(corp, on_page=after_page(4, die))
    for told in (world[0], world[-1]):
        one = {"external_userid": told["external_userid"], "userid": told["follow_user"][0]["userid"]}
        sim.change(corp.corpid, "unfollow", **one)
    resumed = run(corp)
    assert (resumed.state, resumed.ended) == ("complete", 0)
    assert resumed.resumes is not None
    run(corp)
    run(corp)
    assert_true(corp, sim)
    assert FollowUser.objects.exclude(ended_at=None).count() == 2


def test_two_employees_pages_name_each_other_and_neither_ends_the_others_relation(
    direct_corp: Corp, sim: Simulator
) -> None:
    """Direct items name every follower: a relation seen on a colleague's page only is a relation (contract A15)."""
    first, *_, last = [told["userid"] for told in sim.world(direct_corp.corpid)["employees"]]
    made = sim.change(direct_corp.corpid, "add_contact", name="Both", follow_user=[first, last])
    run(direct_corp, userid=first)
    relations = FollowUser.objects.filter(contact__external_userid=made["external_userid"])
    assert set(relations.values_list("employee__userid", flat=True)) == {first, last}
    sim.change(direct_corp.corpid, "unfollow", external_userid=made["external_userid"], userid=last)
    run(direct_corp, userid=first)
    run(direct_corp, userid=first)
    assert relations.filter(ended_at=None, absent_since=None).count() == 2
