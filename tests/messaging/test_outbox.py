from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone, translation

from contacts.models import Contact, Employee
from crm import roles
from crm.errors import Conflict, Invalid, NotAllowed, NotFound
from crm.models import Event
from crm.providers.content import Content, MiniprogramNotice, Text
from messaging import control, outbox, tasks, wording
from messaging.models import Delivery, Message
from tests import factories
from tests.messaging.house import House

HELLO = Text("您好")


def compose(house: House, content: Content = HELLO, user: Any = None, **to: Any) -> Message:
    return outbox.compose(user=user or house.user, actor="user:test", corp=house.corp, content=content, **to)


def refused(house: House, content: Content = HELLO, user: Any = None, **to: Any) -> list[tuple[str, str]]:
    """(pointer, code) of each fault; nothing may be written."""
    with pytest.raises(Invalid) as caught:
        compose(house, content, user, **to)
    assert not Message.objects.exists()
    assert not Delivery.objects.exists()
    assert not Event.objects.exists()
    return [(each.pointer, each.code) for each in caught.value.errors]


def sales(house: House, userid: str) -> Any:
    """A salesperson linked to that employee."""
    user = factories.user(roles.SALES)
    house.corp.employees.filter(userid=userid).update(user=user)
    return user


def follower(contact: Contact) -> str:
    return contact.follow_users.order_by("createtime", "pk")[0].employee.userid


def test_compose_when_contacts_repeat_then_one_delivery_each_and_one_event(direct: House) -> None:
    message = compose(direct, contacts=[*direct.ids, direct.ids[0]])
    assert list(message.deliveries.values_list("to", "state")) == [
        (each.external_userid, "queued") for each in direct.contacts
    ]
    assert message.content == {"msgtype": "text", "text": {"content": "您好"}}
    assert list(Event.objects.values_list("verb", "actor", "subject_id")) == [
        ("message.created", "user:test", str(message.pk))
    ]


def test_compose_when_the_person_may_not_send_then_not_allowed(direct: House) -> None:
    with pytest.raises(NotAllowed):
        compose(direct, user=factories.user(roles.AUDITOR), contacts=direct.ids)


def test_compose_when_an_id_is_out_of_reach_then_as_if_it_did_not_exist(direct: House) -> None:
    own, other = direct.contacts[:2]
    other.follow_users.all().delete()
    user = sales(direct, follower(own))
    assert refused(direct, user=user, contacts=[own.pk, other.pk, 2**70, -1]) == [
        ("/to/contacts/1", "not_found"),
        ("/to/contacts/2", "not_found"),
        ("/to/contacts/3", "not_found"),
    ]
    assert compose(direct, user=user, contacts=[own.pk]).deliveries.count() == 1


def test_compose_when_the_contact_is_of_another_corp_then_not_found(direct: House, sim: Any) -> None:
    stranger = factories.contact(factories.corp_of(sim.corp("official")))
    assert refused(direct, contacts=[direct.ids[0], stranger.pk]) == [("/to/contacts/1", "not_found")]


@pytest.mark.parametrize("state", ["pending", "failed", "lost"])
def test_compose_when_a_contact_is_not_active_then_its_state_is_the_code(direct: House, state: str) -> None:
    Contact.objects.filter(pk=direct.ids[2]).update(state=state)
    assert refused(direct, contacts=direct.ids) == [("/to/contacts/2", state)]


def test_compose_when_no_or_both_kinds_then_refused(direct: House) -> None:
    assert refused(direct) == [("/to", "required")]
    assert refused(direct, contacts=direct.ids, employees=direct.userids) == [("/to", "invalid")]


def test_compose_when_sales_writes_to_employees_then_only_within_reach(direct: House) -> None:
    me, colleague = direct.userids[:2]
    user = sales(direct, me)
    assert refused(direct, user=user, employees=[me, colleague]) == [("/to/employees/1", "not_found")]
    assert compose(direct, user=user, employees=[me]).to_kind == "employee"


def test_compose_when_employees_cannot_be_reached_then_each_says_why(direct: House) -> None:
    factories.employee(direct.corp, "gone", status=Employee.Status.LEFT)
    factories.employee(direct.corp, "off", status=Employee.Status.DISABLED)
    factories.employee(direct.corp, "@all")
    assert refused(direct, employees=["gone", "off", "@all", "no\0body"]) == [
        ("/to/employees/0", "employee_left"),
        ("/to/employees/1", "employee_disabled"),
        ("/to/employees/2", "bad_recipient"),
        ("/to/employees/3", "not_found"),
    ]


def test_compose_when_the_corp_is_off_or_has_no_such_agent_then_refused(direct: House) -> None:
    assert refused(direct, contacts=direct.ids, agent="nope") == [("/agent", "not_found")]
    direct.corp.is_active = False
    assert refused(direct, contacts=direct.ids) == [("/corp", "inactive")]


def test_compose_when_an_agent_is_named_then_it_sends(direct: House) -> None:
    other = factories.agent(direct.corp, agentid="1000009")
    assert compose(direct, contacts=direct.ids, agent="1000009").agent == other


def test_compose_when_there_are_too_many_then_refused_at_once(direct: House) -> None:
    assert refused(direct, contacts=range(1, 10_002)) == [("/to/contacts", "too_many")]
    assert refused(direct, employees=[str(n) for n in range(10_001)]) == [("/to/employees", "too_many")]


def test_compose_when_a_contacts_id_names_several_then_refused(direct: House) -> None:
    odd = factories.contact(direct.corp, "wm1|wm2")
    assert refused(direct, contacts=[odd.pk]) == [("/to/contacts/0", "bad_recipient")]


def test_compose_when_the_corp_has_no_agent_then_says_so(direct: House) -> None:
    direct.corp.agents.all().delete()
    assert refused(direct, contacts=direct.ids) == [("/corp", "no_agent")]


def test_compose_when_the_dialect_cannot_then_unsupported(direct: House) -> None:
    direct.corp.dialect = "dingtalk"
    direct.corp.save()
    with pytest.raises(Invalid) as caught:
        compose(direct, contacts=direct.ids)
    assert caught.value.code == "unsupported"


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        (Text(""), [("/content/text/content", "empty")]),
        (Text("汉" * 683), [("/content/text/content", "too_long")]),
        (Text("a\0b"), [("/content/text/content", "invalid_characters")]),
        (
            MiniprogramNotice(appid="", title="合同待确认"),
            [("/content/miniprogram_notice/appid", "required")],
        ),
        (
            MiniprogramNotice(appid="wx1", title="汉" * 13, content_item=(("键", ""), ("长" * 11, "值"))),
            [
                ("/content/miniprogram_notice/title", "too_long"),
                ("/content/miniprogram_notice/content_item/0/value", "half_empty"),
                ("/content/miniprogram_notice/content_item/1/key", "too_long"),
            ],
        ),
    ],
)
def test_compose_when_a_limit_is_passed_then_the_field_is_named(
    direct: House, content: Content, faults: list[tuple[str, str]]
) -> None:
    assert refused(direct, content, contacts=direct.ids) == faults


def test_compose_when_the_title_is_short_then_only_a_warning(direct: House) -> None:
    notice = MiniprogramNotice(appid="wx00000000000000aa", title="短")
    seen = outbox.preview(user=direct.user, corp=direct.corp, contacts=direct.ids, content=notice)
    assert [(each.code, each.warning) for each in seen.problems] == [("too_short", True)]
    assert compose(direct, notice, contacts=direct.ids).msgtype == "miniprogram_notice"


def test_sentence_when_bytes_count_then_says_how_many_and_why(direct: House) -> None:
    seen = outbox.preview(user=direct.user, corp=direct.corp, contacts=direct.ids, content=Text("汉" * 683))
    with translation.override("en"):
        assert "2049 bytes, at most 2048" in wording.sentence(seen.problems[0])


@pytest.mark.parametrize(
    ("notice", "words"),
    [
        (MiniprogramNotice(appid="wx1", title="短"), "Shorter than 4 characters"),
        (MiniprogramNotice(appid="wx1", title="汉" * 13), "Too long: 13 characters, at most 12"),
        (
            MiniprogramNotice(appid="wx1", title="合同待确认", content_item=(("k", "v"),) * 11),
            "At most 10 entries",
        ),
    ],
)
def test_sentence_when_a_notice_breaks_a_limit_then_the_limit_is_named(
    direct: House, notice: MiniprogramNotice, words: str
) -> None:
    seen = outbox.preview(user=direct.user, corp=direct.corp, contacts=direct.ids, content=notice)
    with translation.override("en"):
        assert words in wording.sentence(seen.problems[0])


def test_preview_when_some_cannot_then_says_who_and_why_and_writes_nothing(direct: House) -> None:
    Contact.objects.filter(pk=direct.ids[1]).update(state="pending")
    seen = outbox.preview(user=direct.user, corp=direct.corp, contacts=[*direct.ids, 10**9], content=HELLO)
    assert [each.contact_id for each in seen.recipients] == [direct.ids[0], *direct.ids[2:]]
    assert [(each.to, each.code) for each in seen.excluded] == [
        (direct.contacts[1].external_userid, "pending"),
        ("1000000000", "not_found"),
    ]
    assert (seen.calls, seen.problems) == (4, [])
    assert not Message.objects.exists()


def test_preview_when_official_then_each_contact_has_one_sender(official: House) -> None:
    seen = outbox.preview(user=official.user, corp=official.corp, contacts=official.ids, content=HELLO)
    assert [each.sender for each in seen.recipients] == [follower(each) for each in official.contacts]
    assert seen.calls == len({each.sender for each in seen.recipients})
    assert all(each.sender_name for each in seen.recipients)


def test_preview_when_official_and_the_person_follows_too_then_own_name(official: House) -> None:
    contact = official.contacts[0]
    mine = factories.employee(official.corp, "mine", user=official.user)
    factories.follow(contact, mine, createtime=None)
    seen = outbox.preview(user=official.user, corp=official.corp, contacts=[contact.pk], content=HELLO)
    assert [each.sender for each in seen.recipients] == ["mine"]


def test_preview_when_official_and_every_follower_left_then_no_relation(official: House) -> None:
    official.corp.employees.update(status=Employee.Status.LEFT)
    seen = outbox.preview(user=official.user, corp=official.corp, contacts=official.ids, content=HELLO)
    assert not seen.recipients
    assert {each.code for each in seen.excluded} == {"no_relation"}


def test_cancel_when_queued_then_nothing_is_sent_later(direct: House) -> None:
    message = compose(direct, contacts=direct.ids)
    assert control.cancel(message, user=direct.user, actor="user:test") == 5
    message.refresh_from_db()
    assert message.state == "cancelled"
    assert message.deliveries.counts() == {"cancelled": 5}
    cancelled = Event.objects.filter(verb="delivery.cancelled", actor="user:test")
    assert {each.contact_id for each in cancelled} == set(direct.ids)
    assert Event.objects.filter(verb="message.cancelled").count() == 1


def test_cancel_when_nothing_is_queued_then_too_late(direct: House) -> None:
    message = compose(direct, contacts=direct.ids)
    message.deliveries.update(state=Delivery.State.SENDING)
    with pytest.raises(Conflict) as caught:
        control.cancel(message, user=direct.user, actor="user:test")
    assert caught.value.code == "too_late"


def test_cancel_when_the_message_is_not_ones_own_then_not_found(direct: House) -> None:
    message = compose(direct, contacts=direct.ids)
    with pytest.raises(NotFound):
        control.cancel(message, user=sales(direct, direct.userids[0]), actor="user:test")


@pytest.mark.parametrize("many", [1, 40, 500])
def test_compose_when_recipients_grow_then_the_statements_do_not(
    official: House, many: int, django_assert_max_num_queries: Any
) -> None:
    employee = official.corp.employees.first()
    rows = [Contact(corp=official.corp, external_userid=f"wm{n}") for n in range(many)]
    contacts = Contact.objects.bulk_create(rows)
    for each in contacts:
        factories.follow(each, employee)
    inserts = (
        1 + many // 45
    )  # Django cuts an INSERT for SQLite, by 999 parameters; PostgreSQL takes all in one
    with django_assert_max_num_queries(12 + inserts):
        compose(official, contacts=[each.pk for each in contacts])


@pytest.mark.parametrize(("role", "most"), [(roles.SALES, 50), (roles.MANAGER, 500)])
def test_compose_when_more_than_the_role_may_reach_at_once_then_too_many(
    direct: House, role: str, most: int
) -> None:
    user = factories.user(role)
    contacts = list(range(1, most + 2))
    assert refused(direct, user=user, contacts=contacts) == [("/to/contacts", "too_many")]
    assert refused(direct, user=user, employees=[str(n) for n in contacts]) == [("/to/employees", "too_many")]
    assert refused(direct, user=user, contacts=contacts[:-1])[0] == ("/to/contacts/0", "not_found")


def test_preview_when_a_salesperson_chose_51_then_the_sentence_names_the_limit(direct: House) -> None:
    with pytest.raises(Invalid, match="At most 50 recipients"):
        outbox.preview(
            user=factories.user(roles.SALES), corp=direct.corp, contacts=range(1, 52), content=HELLO
        )


def test_compose_when_userids_are_written_in_another_case_then_the_corps_spelling_is_sent(
    direct: House,
) -> None:
    (userid,) = direct.userids[:1]
    message = compose(direct, employees=[userid.swapcase(), userid.upper(), userid])
    assert list(message.deliveries.values_list("to", flat=True)) == [userid]


def test_preview_tells_of_a_colleague_who_wrote_to_the_same_contact_lately(direct: House) -> None:
    message = direct.compose(contacts=direct.ids[:2])
    tasks.deliver(message.pk)
    other = factories.user()
    seen = outbox.preview(user=other, corp=direct.corp, contacts=direct.ids, content=Text("您好"))
    assert {each.contact_id for each in seen.recent} == set(direct.ids[:2])
    assert {each.by for each in seen.recent} == {direct.user.get_username()}
    mine = outbox.preview(user=direct.user, corp=direct.corp, contacts=direct.ids, content=Text("您好"))
    assert mine.recent == []
    Delivery.objects.update(updated_at=timezone.now() - timedelta(days=4))
    seen = outbox.preview(user=other, corp=direct.corp, contacts=direct.ids, content=Text("您好"))
    assert seen.recent == []
