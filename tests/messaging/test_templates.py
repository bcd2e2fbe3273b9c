"""Templates: exactly their variables are replaced, and each recipient gets the own text or nobody gets any."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contacts.models import Contact
from crm import roles
from crm.errors import Invalid, NotAllowed
from crm.models import Corp, Event
from crm.providers.content import MiniprogramNotice, Text
from messaging import letters, outbox, templates
from messaging.models import Delivery, Message, Template
from tests import factories
from tests.messaging.house import House

NAMES = st.sampled_from(["contact.name", "contact.company", "employee.name", "date", "订单号"])
BRACES = st.text(alphabet="{}. :!%$\\[]0__aé人contactnamemployee", max_size=40)


def text(words: str, **values: str) -> str:
    rendered = templates.render(
        Text(words), {name.replace("_", "."): value for name, value in values.items()}
    )
    assert isinstance(rendered, Text)
    return rendered.content


# --- Rendering


@pytest.mark.parametrize(
    ("words", "rendered"),
    [
        ("Hello {contact.name}!", "Hello Wang!"),
        ("{contact.name}{contact.name}", "WangWang"),
        ("{{contact.name}}", "{Wang}"),
        ("{contact.name!r}", "{contact.name!r}"),
        ("{contact.name:>9}", "{contact.name:>9}"),
        ("{contact.__class__}", "{contact.__class__}"),
        ("{0} {} { } {contact}", "{0} {} { } {contact}"),
        ('{"a": 1} %(x)s $y {', '{"a": 1} %(x)s $y {'),
        ("{CONTACT.NAME}", "{CONTACT.NAME}"),
    ],
)
def test_exactly_the_variables_are_replaced(words: str, rendered: str) -> None:
    assert text(words, contact_name="Wang") == rendered


@given(st.lists(st.one_of(BRACES, NAMES.map(lambda name: f"{{{name}}}")), max_size=8), BRACES)
def test_hostile_braces_in_text_and_values_are_only_text(parts: list[str], value: str) -> None:
    words = "".join(parts)
    names = templates.variables_of(Text(words))
    made = templates.render(Text(words), dict.fromkeys(names, value))
    expected, rest = "", words
    while rest:
        name = next((name for name in names if rest.startswith(f"{{{name}}}")), None)
        expected += rest[0] if name is None else value
        rest = rest[1:] if name is None else rest[len(name) + 2 :]
    assert made == Text(expected)


@given(BRACES)
def test_text_without_a_variable_stays_as_it_is(words: str) -> None:
    if not templates.variables_of(Text(words)):
        assert templates.render(Text(words), {"contact.name": "x", "a": "x"}) == Text(words)


def test_variables_stand_in_every_text_of_a_notice() -> None:
    notice = MiniprogramNotice(
        appid="wx1",
        title="{a}",
        page="p?id={b}",
        description="{c}",
        content_item=(("{d}", "{contact.name}"),),
    )
    names = ["a", "b", "c", "d", "contact.name"]
    assert sorted(templates.variables_of(notice)) == sorted(names)
    assert templates.render(notice, {name: name[-1] for name in names}) == MiniprogramNotice(
        appid="wx1", title="a", page="p?id=b", description="c", content_item=(("d", "e"),)
    )


# --- Keeping


def keep(house: House, words: str, name: str = "greeting", user: Any = None) -> Template:
    return templates.create(
        user=user or house.user, actor="user:test", corp=house.corp, name=name, content=Text(words)
    )


def faults(caught: Any) -> list[tuple[str, str]]:
    return [(each.pointer, each.code) for each in caught.value.errors]


@pytest.mark.parametrize(
    "written", ["{contact.nmae}", "{contact.phone}", "{ contact.name }", "{Contact.Name}", "｛contact.name｝"]
)
def test_variable_that_does_not_exist_is_refused_with_those_that_are_near(
    direct: House, written: str
) -> None:
    with pytest.raises(Invalid) as caught:
        keep(direct, f"Hello {written}")
    assert faults(caught) == [("/content/text/content", "unknown_variable")]
    assert "{contact.name}" in caught.value.errors[0].detail
    assert not Template.objects.exists()


def test_template_over_the_limit_is_refused_and_its_variables_count_as_one_character(direct: House) -> None:
    with pytest.raises(Invalid) as caught:
        keep(direct, "字" * 1400)
    assert faults(caught) == [("/content/text/content", "too_long")]
    keep(direct, "字" * 682 + "{a}{b}")


def test_other_types_name_twice_and_no_permission_are_refused(direct: House) -> None:
    keep(direct, "a")
    with pytest.raises(Invalid) as caught:
        keep(direct, "b")
    assert faults(caught) == [("/name", "exists")]
    with pytest.raises(NotAllowed):
        keep(direct, "b", "other", factories.user(roles.SALES))
    assert Template.objects.count() == 1


def test_change_writes_history_and_leaves_what_was_sent(direct: House) -> None:
    template = keep(direct, "old {contact.name}")
    message = send(direct, "old", contacts=direct.ids[:1])[0]
    changed = templates.change(template, user=direct.user, actor="user:test", content=Text("new"))
    templates.change(changed, user=direct.user, actor="user:test", content=Text("new"))
    message.refresh_from_db()
    assert message.content["text"]["content"] == "old"
    verbs = Event.objects.filter(subject_type="template").order_by("seq").values_list("verb", flat=True)
    assert list(verbs) == ["template.created", "template.updated"]


# --- Sending


def send(house: House, words: str, variables: dict[str, str] | None = None, **to: Any) -> list[Message]:
    return outbox.compose_from_template(
        user=house.user,
        actor="user:test",
        corp=house.corp,
        content=Text(words),
        variables=variables or {},
        **to,
    )


def refused(house: House, words: str, variables: dict[str, str] | None = None, **to: Any) -> Any:
    with pytest.raises(Invalid) as caught:
        send(house, words, variables, **to)
    assert not Message.objects.exists()
    assert not Delivery.objects.exists()
    return faults(caught)


def got() -> dict[str, str]:
    """{to: the text}."""
    rows = Delivery.objects.select_related("message")
    return {row.to: row.message.content["text"]["content"] for row in rows}


def test_template_that_names_no_recipient_is_one_message(direct: House) -> None:
    made = send(direct, "See you {day}", {"day": "Friday"}, contacts=direct.ids)
    assert [each.content["text"]["content"] for each in made] == ["See you Friday"]
    assert made[0].deliveries.count() == 5


def test_each_recipient_gets_the_own_text_and_equal_texts_share_a_message(direct: House) -> None:
    for contact, name in zip(direct.contacts, ["A", "B", "A", "", "C"], strict=True):
        Contact.objects.filter(pk=contact.pk).update(name=name, corp_name="Mill" if name == "C" else "")
    made = send(direct, "Dear {contact.name} of {contact.company}.", contacts=direct.ids)
    assert len(made) == 4
    texts = ["Dear A of .", "Dear B of .", "Dear A of .", "Dear  of .", "Dear C of Mill."]
    assert got() == dict(zip([each.external_userid for each in direct.contacts], texts, strict=True))
    assert Event.objects.filter(verb="message.created").count() == 4


def test_braces_in_a_name_or_a_given_value_are_text(direct: House) -> None:
    Contact.objects.filter(pk=direct.ids[0]).update(name="{employee.name}{x}")
    send(direct, "{contact.name} {x}", {"x": "{contact.name}"}, contacts=direct.ids[:1])
    assert list(got().values()) == ["{employee.name}{x} {contact.name}"]


def test_variable_without_a_value_and_value_without_a_variable_are_refused(direct: House) -> None:
    found = refused(direct, "{day} {contact.name}", {"dya": "x"}, contacts=direct.ids)
    assert found == [("/variables/day", "required"), ("/variables/dya", "unknown_variable")]
    assert refused(direct, "{day}", {"day": " "}, contacts=direct.ids) == [("/variables/day", "required")]


def test_one_text_over_the_limit_refuses_all_and_points_at_its_recipient(direct: House) -> None:
    Contact.objects.filter(pk=direct.ids[3]).update(name="字" * 60)
    words = "字" * 650 + "{contact.name}"
    assert refused(direct, words, contacts=direct.ids) == [("/to/contacts/3", "too_long")]
    assert refused(direct, "字" * 682 + "{x}", {"x": "字" * 9}, contacts=direct.ids) == [
        ("/template", "too_long")
    ]


def test_preview_shows_the_first_text_and_excludes_who_cannot_get_the_own(direct: House) -> None:
    Contact.objects.filter(pk=direct.ids[0]).update(name="字" * 60)
    found = outbox.preview_from_template(
        user=direct.user,
        corp=direct.corp,
        contacts=direct.ids,
        content=Text("字" * 650 + "{contact.name}"),
        variables={},
    )
    assert [(each.position, each.code) for each in found.excluded] == [(0, "too_long")]
    assert found.texts == len(found.recipients) == 4
    assert found.content == Text("字" * 650 + direct.contacts[1].name)


def test_more_than_500_different_texts_are_refused(direct: House) -> None:
    made = [factories.contact(direct.corp, name=f"N{n}") for n in range(letters.MAX_TEXTS + 1)]
    for each in made:
        factories.follow(each, direct.corp.employees.all()[0])
    ids = [each.pk for each in made]
    assert refused(direct, "{contact.name}", contacts=ids) == [("/to/contacts", "too_many_texts")]
    assert len(send(direct, "{contact.name}", contacts=ids[1:])) == letters.MAX_TEXTS


def test_contact_cannot_be_named_to_employees(direct: House) -> None:
    userids = direct.userids[:1]
    assert refused(direct, "{contact.name}", employees=userids) == [("/template", "no_contact")]


def test_employee_is_the_senders_own_or_is_missing_in_words(direct: House) -> None:
    words = "It is {employee.name}."
    assert refused(direct, words, contacts=direct.ids) == [("/template", "no_employee")]
    direct.corp.employees.filter(userid=direct.userids[0]).update(user=direct.user, name="Lin")
    assert len(send(direct, words, contacts=direct.ids)) == 1
    assert set(got().values()) == {"It is Lin."}


def test_employee_of_a_mass_send_is_the_one_in_whose_name_it_goes(official: House) -> None:
    Corp.objects.get(pk=official.corp.pk).employees.filter(userid=official.userids[0]).update(
        user=official.user
    )
    send(official, "It is {employee.name}.", contacts=official.ids)
    for row in Delivery.objects.select_related("message"):
        name = official.corp.employees.get(userid=row.sender).name
        assert row.message.content["text"]["content"] == f"It is {name}."
