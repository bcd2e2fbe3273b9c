"""welcomes/ and greetings/: what is said to new contacts, and what became of it."""

from typing import Any

import pytest

from contacts.models import ContactWay
from crm.models import Corp, Event
from messaging.models import Template, Welcome
from tests import factories
from tests.api.conftest import Caller, Cast, pointers

SHAPE = set(
    "id corp name template scope employees way instead_of_name is_active created_by created_at updated_at".split()
)


@pytest.fixture(autouse=True)
def official(cast: Cast) -> None:
    Corp.objects.filter(pk=cast.corp.pk).update(dialect="official")
    cast.corp.dialect = "official"


def body(cast: Cast, words: str = "欢迎", **more: Any) -> dict[str, Any]:
    template = factories.template(cast.corp, words).pk
    return {"corp": "ww-south", "name": "hello", "template": template, **more}


def test_welcome_is_made_read_changed_and_retired(cast: Cast) -> None:
    zhao, lin = cast.caller("zhao"), cast.caller("lin")
    made = zhao.post("welcomes/", body(cast, scope="employees", employees=["lin", "wang"]))
    assert made.status_code == 201, made.content
    assert set(made.json()) == SHAPE
    assert (made.json()["employees"], made.json()["created_by"]) == (["lin", "wang"], "zhao")
    at = made["Location"]
    assert lin.get(at).json() == made.json()
    assert zhao.patch(at, {"employees": ["lin"], "name": "hi"}).json()["employees"] == ["lin"]
    way = ContactWay.objects.create(corp=cast.corp, campaign="fair", created_by=cast.users["zhao"])
    changed = zhao.patch(at, {"scope": "way", "way": way.pk}).json()
    assert (changed["scope"], changed["way"], changed["employees"]) == ("way", way.pk, [])
    sun = cast.caller("sun")
    assert pointers(zhao.patch(at, {"scope": "corp"})) == {"/scope": "not_allowed"}
    assert sun.patch(at, {"scope": "corp"}).json()["way"] is None
    assert zhao.delete(at).status_code == 403
    assert sun.delete(at).status_code == 204
    assert zhao.get(at).json()["is_active"] is False
    verbs = list(Event.objects.filter(subject_type="welcome").order_by("seq").values_list("verb", flat=True))
    assert verbs == ["welcome.created"] + ["welcome.updated"] * 4


@pytest.mark.parametrize(
    ("words", "told", "expected"),
    [
        ("字" * 1334, {}, {"/template": "too_long"}),
        ("字" * 1333, {}, None),
        ("Hello {contact.name}", {}, {"/instead_of_name": "required"}),
        ("字" * 1330 + "{contact.name}", {"instead_of_name": "朋友们好"}, {"/template": "too_long"}),
        ("Hello {contact.name}", {"instead_of_name": "字" * 33}, {"/instead_of_name": "max_length"}),
        ("See you {day}", {}, {"/template": "custom_variable"}),
        ("x", {"scope": "employees"}, {"/employees": "required"}),
        ("x", {"scope": "employees", "employees": ["lin", "none"]}, {"/employees/1": "not_found"}),
        ("x", {"employees": ["lin"]}, {"/employees": "invalid"}),
        ("x", {"scope": "way"}, {"/way": "required"}),
        ("x", {"scope": "way", "way": 987}, {"/way": "not_found"}),
        ("x", {"scope": "team"}, {"/scope": "invalid_choice"}),
        ("x", {"name": " "}, {"/name": "blank"}),
        ("x", {"template": 987}, {"/template": "not_found"}),
        ("x", {"corp": "ww-none"}, {"/corp": "not_found"}),
        ("x", {"text": "x"}, {"/text": "unknown_field"}),
    ],
)
def test_faults_are_named_where_they_stand(
    cast: Cast, sun: Caller, words: str, told: dict[str, Any], expected: Any
) -> None:
    answer = sun.post("welcomes/", body(cast, words) | told)
    if expected is None:
        assert answer.status_code == 201, answer.content
    else:
        assert pointers(answer) == expected


def attached(cast: Cast, number: int) -> int:
    link = {"msgtype": "link", "link": {"title": "目录", "url": "https://a.example/"}}
    content = {"msgtype": "text", "text": {"content": "欢迎"}, "attachments": [link] * number}
    return factories.template(cast.corp, content=content).pk


def test_nine_attachments_are_taken_and_ten_are_not(cast: Cast, sun: Caller) -> None:
    assert pointers(sun.post("welcomes/", body(cast) | {"template": attached(cast, 10)})) == {
        "/template": "too_many"
    }
    assert sun.post("welcomes/", body(cast) | {"template": attached(cast, 9)}).status_code == 201


def test_nobody_has_two_welcomes_of_one_kind(cast: Cast, sun: Caller) -> None:
    way = ContactWay.objects.create(corp=cast.corp, campaign="fair")
    first = [
        {},
        {"scope": "employees", "employees": ["lin", "wang"]},
        {"scope": "way", "way": way.pk},
    ]
    for n, told in enumerate(first):
        assert sun.post("welcomes/", body(cast, name=f"first {n}", **told)).status_code == 201
    second = [{}, {"scope": "employees", "employees": ["qian", "wang"]}, {"scope": "way", "way": way.pk}]
    found = [pointers(sun.post("welcomes/", body(cast, **told))) for told in second]
    assert found == [{"/scope": "exists"}, {"/employees": "exists"}, {"/way": "exists"}]
    assert pointers(sun.post("welcomes/", body(cast, name="first 0", is_active=False))) == {"/name": "exists"}
    resting = sun.post("welcomes/", body(cast, is_active=False))
    assert pointers(sun.patch(resting["Location"], {"is_active": True})) == {"/scope": "exists"}


def test_manager_speaks_for_the_led_people_alone(cast: Cast) -> None:
    zhao = cast.caller("zhao")
    asked = body(cast, scope="employees", employees=["lin", "qian"])
    assert pointers(zhao.post("welcomes/", asked)) == {"/employees": "not_found"}
    kept = factories.welcome(
        cast.corp, scope="employees", employees=[cast.employees["qian"], cast.employees["lin"]]
    )
    assert zhao.patch(f"welcomes/{kept.pk}/", {"name": "theirs, too"}).status_code == 403
    way = factories.contact_way(cast.corp, cast.employees["qian"])
    assert pointers(zhao.post("welcomes/", body(cast, scope="way", way=way.pk))).keys() == {"/way"}
    assert pointers(zhao.post("welcomes/", body(cast))) == {"/scope": "not_allowed"}


def test_corp_whose_provider_has_none_is_told_so(cast: Cast, sun: Caller) -> None:
    Corp.objects.update(dialect="direct")
    assert pointers(sun.post("welcomes/", body(cast))) == {"/corp": "unsupported"}


def test_template_that_a_welcome_says_stays_sayable(cast: Cast, sun: Caller) -> None:
    made = sun.post("welcomes/", body(cast)).json()
    at = f"templates/{made['template']}/"
    custom = {"content": {"msgtype": "text", "text": {"content": "See you {day}"}}}
    assert pointers(sun.patch(at, custom)) == {"/content": "custom_variable"}
    named = {"content": {"msgtype": "text", "text": {"content": "Hello {contact.name}"}}}
    assert pointers(sun.patch(at, named)) == {"/content": "required"}
    Welcome.objects.update(is_active=False)
    assert sun.patch(at, custom).status_code == 200
    assert Template.objects.get(pk=made["template"]).content == custom["content"]


def test_greetings_are_those_of_people_within_reach(cast: Cast, sun: Caller, lin: Caller) -> None:
    for name in ("lin", "wang", "qian"):
        state = "failed" if name == "qian" else "accepted"
        factories.greeting(cast.employees[name], cast.contacts[name], state=state)

    def told(caller: Caller, query: str = "") -> set[str]:
        return {row["userid"] for row in caller.get(f"greetings/{query}").json()["results"]}

    assert told(lin) == {"lin"}
    assert told(cast.caller("zhao")) == {"lin", "wang"}
    assert told(sun) == {"lin", "wang", "qian"}
    assert told(sun, "?state=failed") == {"qian"}
    assert told(sun, f"?contact={cast.contacts['wang'].pk}") == {"wang"}
    [row] = lin.get("greetings/").json()["results"]
    assert (row["content"]["text"]["content"], row["contact"]) == ("hello", cast.contacts["lin"].pk)
    assert "welcome_code" not in row
    audited = cast.caller("shen").get("greetings/").json()["results"]
    assert {each["content"] for each in audited} == {None}
