"""Contact ways: made once whatever is lost, changed, deleted, ended in time."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from contacts import tasks, way_work, ways
from contacts.models import ContactWay, Tag, Team
from crm import roles
from crm.errors import Conflict, Invalid, NotAllowed
from crm.models import Corp, Event
from crm.simulator.server import Simulator
from tests import factories
from tests.contacts.waysides import ask, at_provider, calls, made, staff, work

pytestmark = pytest.mark.django_db(transaction=True)
ADD = "externalcontact/add_contact_way"


def refused(corp: Corp, *userids: str, **fields: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        ask(corp, *userids, **fields)
    assert not ContactWay.objects.exists()
    return [(each.pointer, each.code) for each in caught.value.errors]


def verbs() -> list[str]:
    return list(
        Event.objects.filter(subject_type="contact_way").order_by("seq").values_list("verb", flat=True)
    )


def test_way_when_made_then_the_provider_has_it_as_asked_and_its_picture_is_here(
    official_corp: Corp, sim: Simulator
) -> None:
    first, second, *_ = staff(official_corp, sim)
    one = made(official_corp, first.userid, remark="展会", skip_verify=False)
    several = made(official_corp, first.userid, second.userid)
    told = at_provider(official_corp)
    assert told[one.token].users == (first.userid,)
    assert (told[one.token].remark, told[one.token].skip_verify) == ("展会", False)
    assert set(told[several.token].users) == {first.userid, second.userid}
    assert (one.type, several.type) == (1, 2)
    assert bytes(one.picture or b"").startswith(b"\x89PNG")
    assert one.due_at is None
    assert verbs() == ["contact_way.created", "contact_way.made"] * 2


def test_way_when_of_a_team_then_the_provider_gets_the_department(
    official_corp: Corp, sim: Simulator
) -> None:
    number = next(each for each in sim.world(official_corp.corpid)["departments"])["id"]
    Team.objects.create(corp=official_corp, department_id=number)
    way = made(official_corp, teams=[number])
    assert at_provider(official_corp)[way.token].departments == (number,)


def test_way_when_its_answer_was_lost_then_it_is_found_and_not_made_twice(
    official_corp: Corp, sim: Simulator
) -> None:
    sim.fault(api=ADD, kind="after")
    way = ask(official_corp, staff(official_corp, sim)[0].userid)
    tasks.work_on_way(way.pk)
    way.refresh_from_db()
    assert (way.state, way.config_id) == ("pending", "")
    work()
    way.refresh_from_db()
    assert way.state == "active"
    assert [each.config_id for each in at_provider(official_corp).values()] == [way.config_id]
    assert calls(sim, official_corp, "add_contact_way") == 1


def test_way_when_it_was_made_twice_then_the_double_is_removed(official_corp: Corp, sim: Simulator) -> None:
    way = ask(official_corp, staff(official_corp, sim)[0].userid)
    sim.fault(api=ADD, kind="after", times=2)
    tasks.work_on_way(way.pk)
    ContactWay.objects.update(asked_at=None, due_at=timezone.now())  # as a restored backup would
    tasks.work_on_way(way.pk)
    work()
    assert len(at_provider(official_corp)) == 1
    assert calls(sim, official_corp, "add_contact_way") == 2


def test_way_when_another_worker_kept_one_meanwhile_then_ours_is_removed(
    official_corp: Corp, sim: Simulator
) -> None:
    way = made(official_corp, staff(official_corp, sim)[0].userid)
    late = ContactWay.objects.select_related("corp").get(pk=way.pk)
    late.config_id, late.asked_at, late.state = "", None, "pending"
    way_work._make(late, way_work.open_provider(way_work.first_agent(official_corp)))
    assert at_provider(official_corp)[way.token].config_id == way.config_id


def test_way_when_several_workers_hear_of_it_then_one_makes_it(official_corp: Corp, sim: Simulator) -> None:
    way = ask(official_corp, staff(official_corp, sim)[0].userid)
    sim.fault(api=ADD, kind="delay", seconds=0.3)

    def worker() -> None:
        try:
            tasks.work_on_way(way.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=worker) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    way.refresh_from_db()
    assert (way.state, way.due_at) == ("active", None)
    assert calls(sim, official_corp, "add_contact_way") == 1


def test_way_when_the_provider_refuses_then_failed_with_the_reason_until_tried_again(
    official_corp: Corp, sim: Simulator
) -> None:
    sim.fault(api=ADD, kind="errcode", errcode=41054)
    way = ask(official_corp, staff(official_corp, sim)[0].userid)
    work()
    way.refresh_from_db()
    assert (way.state, way.error.startswith("errcode 41054")) == ("failed", True)
    ways.retry(way, user=factories.user(), actor="user:test")
    work()
    way.refresh_from_db()
    assert (way.state, way.error) == ("active", "")
    with pytest.raises(Conflict):
        ways.retry(way, user=factories.user(), actor="user:test")


def test_change_when_the_provider_had_refused_then_kept_and_made_so_at_the_next_try(
    official_corp: Corp, sim: Simulator
) -> None:
    sim.fault(api=ADD, kind="errcode", errcode=41054)
    way = ask(official_corp, staff(official_corp, sim)[0].userid)
    work()
    way.refresh_from_db()
    ways.change(way, user=factories.user(), actor="user:test", remark="North hall")
    work()
    way.refresh_from_db()
    assert (way.state, way.error.startswith("errcode 41054"), way.due_at) == ("failed", True, None)
    ways.retry(way, user=factories.user(), actor="user:test")
    work()
    way.refresh_from_db()
    assert (way.state, way.error, way.due_at) == ("active", "", None)
    assert at_provider(official_corp)[way.token].remark == "North hall"


def test_way_when_the_provider_is_away_then_it_waits_and_is_made_later(
    official_corp: Corp, sim: Simulator
) -> None:
    sim.fault(api=ADD, kind="reset", times=3)
    way = ask(official_corp, staff(official_corp, sim)[0].userid)
    tasks.work_on_way(way.pk)
    way.refresh_from_db()
    assert way.state == "pending"
    assert way.error
    work()
    way.refresh_from_db()
    assert (way.state, len(at_provider(official_corp))) == ("active", 1)


def test_way_when_its_picture_is_no_picture_then_said_and_fetched_again(
    official_corp: Corp, sim: Simulator
) -> None:
    sim.fault(api=ADD, fields={"qr_code": f"{sim.url}/_sim/"})
    way = ask(official_corp, staff(official_corp, sim)[0].userid)
    tasks.work_on_way(way.pk)
    way.refresh_from_db()
    assert (way.state, way.picture, way.error.startswith("bad_media")) == ("active", None, True)
    ContactWay.objects.update(qr_code=f"{sim.url}/_sim/qr/{way.config_id}.png")
    ways.retry(way, user=factories.user(), actor="user:test")
    work()
    way.refresh_from_db()
    assert (way.error, way.picture is not None) == ("", True)


def test_change_when_several_then_the_provider_is_told_once_and_only_what_concerns_it(
    official_corp: Corp, sim: Simulator
) -> None:
    first, second, *_ = staff(official_corp, sim)
    way, who = made(official_corp, first.userid, second.userid), factories.user()
    ways.change(way, user=who, actor="user:test", campaign="Winter fair")
    work()
    assert calls(sim, official_corp, "update_contact_way") == 0
    ways.change(way, user=who, actor="user:test", employees=[second.userid], remark="冬")
    work()
    told = at_provider(official_corp)[way.token]
    assert (told.users, told.remark) == ((second.userid,), "冬")
    assert calls(sim, official_corp, "update_contact_way") == 1
    ways.change(way, user=who, actor="user:test", remark="冬")
    assert verbs().count("contact_way.updated") == 2


def test_change_when_of_one_employee_then_it_leads_to_one_only(official_corp: Corp, sim: Simulator) -> None:
    first, second, *_ = staff(official_corp, sim)
    way, who = made(official_corp, first.userid), factories.user()
    with pytest.raises(Invalid) as caught:
        ways.change(way, user=who, actor="user:test", employees=[first.userid, second.userid])
    assert caught.value.errors[0].code == "one_only"
    ways.change(way, user=who, actor="user:test", employees=[second.userid])
    work()
    assert at_provider(official_corp)[way.token].users == (second.userid,)


def test_change_when_it_comes_while_the_code_is_being_made_then_it_is_told_after(
    official_corp: Corp, sim: Simulator
) -> None:
    way = ask(official_corp, staff(official_corp, sim)[0].userid)
    sim.fault(api=ADD, kind="after")
    tasks.work_on_way(way.pk)
    ways.change(way, user=factories.user(), actor="user:test", remark="later")
    work()
    told = at_provider(official_corp)
    assert [each.remark for each in told.values()] == ["later"]


def test_change_when_the_code_is_gone_at_the_provider_then_deleted_here(
    official_corp: Corp, sim: Simulator
) -> None:
    way = made(official_corp, staff(official_corp, sim)[0].userid)
    way_work.open_provider(way_work.first_agent(official_corp)).delete_contact_way(way.config_id)
    ways.change(way, user=factories.user(), actor="user:test", remark="x")
    work()
    way.refresh_from_db()
    assert (way.state, way.config_id, way.due_at) == ("deleted", "", None)


def test_delete_when_asked_then_the_code_opens_nothing_and_twice_is_refused(
    official_corp: Corp, sim: Simulator
) -> None:
    way, who = made(official_corp, staff(official_corp, sim)[0].userid), factories.user()
    ways.delete(way, user=who, actor="user:test")
    with pytest.raises(Conflict):
        ways.delete(way, user=who, actor="user:test")
    sim.fault(api="externalcontact/del_contact_way", kind="after")
    work()
    way.refresh_from_db()
    assert (way.state, way.config_id, way.due_at, way.picture) == ("deleted", "", None, None)
    assert at_provider(official_corp) == {}


def test_delete_when_the_code_was_being_made_then_what_was_made_is_removed(
    official_corp: Corp, sim: Simulator
) -> None:
    way = ask(official_corp, staff(official_corp, sim)[0].userid)
    sim.fault(api=ADD, kind="after")
    tasks.work_on_way(way.pk)
    ways.delete(way, user=factories.user(), actor="user:test")
    work()
    assert at_provider(official_corp) == {}
    way.refresh_from_db()
    assert (way.state, way.due_at, way.asked_at) == ("deleted", None, None)


def test_way_when_its_time_has_come_then_expired_and_the_code_opens_nothing(
    official_corp: Corp, sim: Simulator
) -> None:
    way = made(
        official_corp, staff(official_corp, sim)[0].userid, expires_at=timezone.now() + timedelta(hours=1)
    )
    work()
    assert len(at_provider(official_corp)) == 1
    ContactWay.objects.update(expires_at=timezone.now())
    work()
    way.refresh_from_db()
    assert (way.state, at_provider(official_corp)) == ("expired", {})
    with pytest.raises(RuntimeError, match="404"):
        sim.scan(way.config_id or "gone")
    assert verbs()[-1] == "contact_way.expired"


def test_way_when_its_end_was_put_off_as_the_sweep_came_then_it_works_on(
    official_corp: Corp, sim: Simulator
) -> None:
    now = timezone.now()
    way = made(official_corp, staff(official_corp, sim)[0].userid, expires_at=now + timedelta(hours=1))
    ContactWay.objects.filter(pk=way.pk).update(expires_at=now - timedelta(minutes=1))
    seen = ContactWay.objects.get(pk=way.pk)
    ways.change(way, user=factories.user(), actor="user:test", expires_at=now + timedelta(days=7))
    assert not ways.end(seen, "expired", actor="schedule")
    way.refresh_from_db()
    assert way.state == "active"
    assert way.token in at_provider(official_corp)


def test_sweep_when_the_bell_was_lost_then_the_way_is_made(official_corp: Corp, sim: Simulator) -> None:
    way = ContactWay.objects.create(corp=official_corp, campaign="Fair", due_at=timezone.now())
    way.employees.add(staff(official_corp, sim)[0])
    work()
    assert list(at_provider(official_corp)) == [way.token]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"campaign": " "}, ("/campaign", "required")),
        ({"campaign": "x" * 65}, ("/campaign", "too_long")),
        ({"remark": "长" * 31}, ("/remark", "too_long")),
        ({"remark": "a\0"}, ("/remark", "invalid")),
        ({"teams": [12345]}, ("/teams/0", "not_found")),
        ({"tags": ["nope"]}, ("/tags/0", "not_found")),
        ({"expires_at": timezone.now()}, ("/expires_at", "past")),
    ],
)
def test_way_when_something_is_wrong_then_the_field_is_named(
    official_corp: Corp, sim: Simulator, fields: dict[str, Any], fault: tuple[str, str]
) -> None:
    assert refused(official_corp, staff(official_corp, sim)[0].userid, **fields) == [fault]


def test_way_when_it_leads_to_nobody_or_to_too_many_then_refused(official_corp: Corp, sim: Simulator) -> None:
    assert refused(official_corp) == [("/employees", "required")]
    assert refused(official_corp, "nobody") == [("/employees/0", "not_found")]
    many = [factories.employee(official_corp).userid for _ in range(101)]
    assert refused(official_corp, *many) == [("/employees", "too_many")]


def test_way_when_the_corp_has_none_or_is_off_then_refused(direct_corp: Corp) -> None:
    userid = factories.employee(direct_corp).userid
    assert refused(direct_corp, userid) == [("/corp", "unsupported")]


def test_way_when_a_salesperson_asks_then_it_leads_to_nobody_but_them(
    official_corp: Corp, sim: Simulator
) -> None:
    lin, wang, *_ = staff(official_corp, sim)
    user = factories.user(roles.SALES)
    lin.user = user
    lin.save()
    asked: dict[str, Any] = {"user": user, "actor": "user:lin", "corp": official_corp, "campaign": "Mine"}
    with pytest.raises(Invalid) as caught:
        ways.create(**asked, employees=[lin.userid, wang.userid])
    assert [each.pointer for each in caught.value.errors] == ["/employees/1"]
    own = ways.create(**asked, employees=[lin.userid])
    campaign = ask(official_corp, lin.userid, wang.userid)
    assert set(ContactWay.objects.visible_to(user)) == {own, campaign}
    with pytest.raises(NotAllowed):
        ways.delete(campaign, user=user, actor="user:lin")
    ways.delete(own, user=user, actor="user:lin")


def test_tags_of_a_way_are_those_of_the_corp(official_corp: Corp, sim: Simulator) -> None:
    Tag.objects.create(corp=official_corp, tag_id="et1", name="Fair")
    Tag.objects.create(corp=official_corp, tag_id="gone", name="Old", deleted_at=timezone.now())
    userid = staff(official_corp, sim)[0].userid
    assert refused(official_corp, userid, tags=["gone"]) == [("/tags/0", "not_found")]
    assert [tag.tag_id for tag in ask(official_corp, userid, tags=["et1"]).tags.all()] == ["et1"]
