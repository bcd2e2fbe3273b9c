"""Messages to departments, member tags and everybody: who may, who is counted, what becomes of each target."""

from typing import Any

import pytest

from contacts.models import Employee, Team, TeamMembership
from crm import roles
from crm.errors import Invalid, NotAllowed
from crm.providers.content import Content, MiniprogramNotice, Text
from messaging import errands, outbox, tasks
from messaging.models import Errand, Message
from tests import factories
from tests.messaging.house import House

HELLO = Text("您好")
NOTICE = MiniprogramNotice(appid="wx00000000000000aa", title="合同待确认")


@pytest.fixture
def either(either: House) -> House:
    """A corp whose departments are mirrored too."""
    truth = either.sim.world(either.corp.corpid)
    teams = {
        told["id"]: Team.objects.create(corp=either.corp, department_id=told["id"], name=told["name"])
        for told in truth["departments"]
    }
    for told in truth["departments"]:
        Team.objects.filter(pk=teams[told["id"]].pk).update(parent=teams.get(told["parentid"]))
    for told in truth["employees"]:
        employee = either.corp.employees.get(userid=told["userid"])
        for number in told["department"]:
            TeamMembership.objects.create(team=teams[number], employee=employee)
    return either


def compose(house: House, content: Content = HELLO, user: Any = None, **to: Any) -> Message:
    return outbox.compose(user=user or house.user, actor="user:test", corp=house.corp, content=content, **to)


def sent(house: House, content: Content = HELLO, **to: Any) -> Message:
    message = compose(house, content, **to)
    tasks.deliver(message.pk)
    return message


def refused(house: House, content: Content = HELLO, user: Any = None, **to: Any) -> list[tuple[str, str]]:
    """(pointer, code) of each fault; nothing may be written."""
    with pytest.raises(Invalid) as caught:
        compose(house, content, user, **to)
    assert not Message.objects.exists()
    return [(each.pointer, each.code) for each in caught.value.errors]


def told(message: Message) -> list[tuple[str, str, int | None]]:
    return list(message.deliveries.order_by("pk").values_list("to", "state", "errcode"))


def below(house: House, number: int) -> set[str]:
    """The userids of a department and its sub-departments, as the provider has them."""
    world = house.sim.world(house.corp.corpid)
    numbers = [number]
    for each in numbers:
        numbers += [one["id"] for one in world["departments"] if one["parentid"] == each]
    return {each["userid"] for each in world["employees"] if set(each["department"]) & set(numbers)}


def who_has_it(house: House) -> list[str]:
    return sorted(to for to, _msgtype, _content in house.phones())


def leader(house: House, *numbers: int) -> Any:
    """A manager who leads those departments."""
    user = factories.user(roles.MANAGER)
    user.managed_teams.set(Team.objects.filter(corp=house.corp, department_id__in=numbers))
    return user


# --- what arrives
def test_a_department_gets_it_with_its_sub_departments(either: House) -> None:
    message = sent(either, departments=[2])
    assert who_has_it(either) == sorted(below(either, 2))
    assert message.to_kind == "department"
    assert told(message) == [("2", "accepted", 0)]
    assert either.posts("message/send")[0]["body"]["toparty"] == "2"


def test_who_is_in_two_departments_of_a_message_gets_it_once(either: House) -> None:
    sent(either, departments=[1, 2, 5, 2])
    assert who_has_it(either) == sorted(below(either, 1))
    assert [each["body"]["toparty"] for each in either.posts("message/send")] == ["1|2|5"]


def test_a_member_tag_gets_it(either: House) -> None:
    message = sent(either, tags=[2])
    (tag,) = [each for each in either.sim.world(either.corp.corpid)["member_tags"] if each["tagid"] == 2]
    assert who_has_it(either) == sorted(tag["userids"])
    assert (message.to_kind, told(message)) == ("tag", [("2", "accepted", 0)])


def test_everybody_gets_it(either: House) -> None:
    message = sent(either, everybody=True)
    assert who_has_it(either) == sorted(either.userids)
    assert (message.to_kind, told(message)) == ("everybody", [("@all", "accepted", 0)])


@pytest.mark.parametrize(("key", "field"), [("departments", "toparty"), ("tags", "totag")])
def test_more_than_a_call_takes_goes_out_in_several(either: House, key: str, field: str) -> None:
    for number in range(100, 201):
        Team.objects.create(corp=either.corp, department_id=number)
    to: Any = {key: list(range(100, 201))}
    message = compose(either, **to)
    preview = outbox.preview(user=either.user, corp=either.corp, content=HELLO, **to)
    tasks.deliver(message.pk)
    posted = [each["body"][field].split("|") for each in either.posts("message/send")]
    assert sorted(map(len, posted)) == [1, 100]
    assert preview.calls == 2


# --- what the provider did not take
def test_departments_the_provider_does_not_know_fail_and_the_others_get_it(either: House) -> None:
    Team.objects.create(corp=either.corp, department_id=99, name="Ghosts")
    message = sent(either, departments=[99, 2])
    assert told(message) == [("99", "failed", 81013), ("2", "accepted", 0)]
    assert message.deliveries.get(to="99").errmsg == "named in invalidparty"
    assert who_has_it(either) == sorted(below(either, 2))


def test_tags_the_provider_does_not_know_fail_and_the_others_get_it(either: House) -> None:
    message = sent(either, tags=[1, 77])
    assert told(message) == [("1", "accepted", 0), ("77", "failed", 81013)]
    assert message.deliveries.get(to="77").errmsg == "named in invalidtag"


def test_a_tag_that_nobody_has_fails(either: House) -> None:
    assert told(sent(either, tags=[3])) == [("3", "failed", 81013)]


def test_people_of_a_department_who_could_not_get_it_are_told_beside_it(either: House) -> None:
    userid = either.userids[0]
    either.sim.change(either.corp.corpid, "edit_employee", userid=userid, licensed=False)
    message = sent(either, departments=[1])
    delivery = message.deliveries.get()
    assert (delivery.state, delivery.warning) == ("accepted", True)
    assert delivery.errmsg == f"unlicenseduser: {userid}"


def test_an_answer_that_is_lost_is_asked_about_with_the_same_bytes(either: House) -> None:
    either.sim.fault(kind="after", api="message/send", corp=either.corp.corpid)
    message = sent(either, departments=[2])
    assert told(message)[0][1] == "sending"
    message.tries.update(lease_until=message.created_at)
    tasks.repeat(message.tries.get().pk)
    assert told(message) == [("2", "accepted", 0)]
    assert who_has_it(either) == sorted(below(either, 2))


@pytest.mark.parametrize("to", [{"departments": [1]}, {"tags": [2]}, {"everybody": True}])
def test_it_is_taken_back_from_everybodys_phone(either: House, to: Any) -> None:
    message = sent(either, **to)
    assert errands.may(message, Errand.Kind.RECALL)
    errands.ask(message, kind=Errand.Kind.RECALL, user=either.user, actor="user:test")
    tasks.run_errands(message.pk)
    assert {each["recalled"] for each in either.sim.messages(corp=either.corp.corpid)} == {True}
    assert message.deliveries.get().recalled_at


# --- who may
def test_a_department_that_is_not_there_or_gone_is_refused_in_its_place(either: House) -> None:
    Team.objects.filter(department_id=3).update(absent_since=either.user.date_joined)
    assert refused(either, departments=[2, 98, 3, -1, 2**70]) == [
        ("/to/departments/1", "not_found"),
        ("/to/departments/2", "department_gone"),
        ("/to/departments/3", "not_found"),
        ("/to/departments/4", "not_found"),
    ]


def test_a_department_of_another_corp_is_not_found(either: House) -> None:
    other = factories.corp_of(either.sim.corp("official" if either.corp.dialect == "direct" else "direct"))
    Team.objects.create(corp=other, department_id=55)
    assert refused(either, departments=[55]) == [("/to/departments/0", "not_found")]


def test_a_manager_reaches_the_led_departments_with_all_below(either: House) -> None:
    user = leader(either, 2)
    assert refused(either, user=user, departments=[2, 3, 1]) == [
        ("/to/departments/1", "not_found"),
        ("/to/departments/2", "not_found"),
    ]
    assert compose(either, user=user, departments=[2, 5, 8]).deliveries.count() == 3


def test_sales_reach_no_department_even_one_they_lead(either: House) -> None:
    user = factories.user(roles.SALES)
    user.managed_teams.set(Team.objects.filter(corp=either.corp))
    assert refused(either, user=user, departments=[2]) == [("/to/departments/0", "not_found")]


@pytest.mark.parametrize("role", [roles.SALES, roles.MANAGER, roles.AUDITOR])
@pytest.mark.parametrize("to", [{"tags": [2]}, {"everybody": True}])
def test_only_administrators_write_to_tags_and_everybody(either: House, role: str, to: Any) -> None:
    user = factories.user(role)
    for ask in (outbox.compose, outbox.preview):
        more = {"actor": "user:test"} if ask is outbox.compose else {}
        with pytest.raises(NotAllowed):
            ask(user=user, corp=either.corp, content=HELLO, **more, **to)
    assert not Message.objects.exists()


def test_exactly_one_kind_is_chosen(either: House) -> None:
    assert refused(either, everybody=False) == [("/to", "required")]
    assert refused(either, departments=[2], everybody=True) == [("/to", "invalid")]
    assert refused(either, departments=[2], employees=either.userids) == [("/to", "invalid")]


def test_departments_are_no_way_around_the_limit_of_a_role(either: House) -> None:
    """501 people in two sub-departments of the led one, half of them in both."""
    user = leader(either, 2)
    teams = list(Team.objects.filter(corp=either.corp, department_id__in=[5, 6]))
    TeamMembership.objects.filter(team__corp=either.corp).delete()
    staff = [factories.employee(either.corp, f"many{n}") for n in range(501)]
    rows = [TeamMembership(team=teams[n % 2], employee=each) for n, each in enumerate(staff)]
    rows += [TeamMembership(team=teams[1], employee=each) for each in staff[::2]]
    TeamMembership.objects.bulk_create(rows)
    for numbers in ([2], [5, 6], [2, 5]):
        assert refused(either, user=user, departments=numbers) == [("/to/departments", "too_many")]
    with pytest.raises(Invalid, match="501 people"):
        compose(either, user=user, departments=[2])
    assert compose(either, departments=[2]).deliveries.count() == 1  # an administrator may
    Employee.objects.filter(pk=staff[0].pk).update(status=Employee.Status.LEFT)
    assert compose(either, user=user, departments=[5, 6]).deliveries.count() == 2


# --- what is said before
def test_the_preview_counts_the_people_of_each_department_and_of_all_once(either: House) -> None:
    preview = outbox.preview(user=either.user, corp=either.corp, content=HELLO, departments=[1, 2])
    assert [(each.to, each.people) for each in preview.recipients] == [
        ("1", len(below(either, 1))),
        ("2", len(below(either, 2))),
    ]
    assert preview.people == len(below(either, 1))


def test_the_preview_counts_active_employees_for_everybody_and_nobody_for_tags(either: House) -> None:
    factories.employee(either.corp, "gone", status=Employee.Status.LEFT)
    ask = {"user": either.user, "corp": either.corp, "content": HELLO}
    everybody = outbox.preview(**ask, everybody=True)
    assert (everybody.people, everybody.calls) == (either.corp.employees.count() - 1, 1)
    assert outbox.preview(**ask, tags=[1]).people is None


def test_a_notice_to_everybody_is_refused_and_to_departments_sent(either: House) -> None:
    assert refused(either, NOTICE, everybody=True) == [("/content/msgtype", "not_to_everybody")]
    assert told(sent(either, NOTICE, departments=[1])) == [("1", "accepted", 0)]


def test_a_template_that_names_contacts_is_not_for_departments(either: House) -> None:
    with pytest.raises(Invalid) as caught:
        outbox.compose_from_template(
            user=either.user,
            actor="user:test",
            corp=either.corp,
            content=Text("{contact.name}, hello"),
            variables={},
            departments=[1],
        )
    assert [(each.pointer, each.code) for each in caught.value.errors] == [("/template", "no_contact")]
