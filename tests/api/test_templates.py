"""templates/, and messages/ that are sent from one."""

from typing import Any

import pytest

from contacts.models import Contact
from crm.models import Corp
from messaging.models import Delivery, Message, Template
from tests import factories
from tests.api.conftest import Caller, Cast, pointers, text

SHAPE = set("id corp name msgtype content variables is_active created_by created_at updated_at".split())


def content(words: str) -> dict[str, Any]:
    return {"msgtype": "text", "text": {"content": words}}


def body(name: str = "greeting", words: str = "Hello {contact.name}, see you {day}") -> dict[str, Any]:
    return {"corp": "ww-south", "name": name, "content": content(words)}


def draft(template: Template, *ids: int, **more: Any) -> dict[str, Any]:
    return {"corp": "ww-south", "to": {"contacts": list(ids)}, "template": template.pk, **more}


def test_template_is_made_read_changed_and_retired(cast: Cast) -> None:
    zhao = cast.caller("zhao")
    made = zhao.post("templates/", body())
    assert made.status_code == 201, made.content
    assert set(made.json()) == SHAPE
    assert (made.json()["variables"], made.json()["created_by"]) == (["day"], "zhao")
    at = made["Location"]
    assert cast.caller("lin").get(at).json() == made.json()
    changed = zhao.patch(at, {"content": content("Bye"), "name": "farewell"}).json()
    assert (changed["name"], changed["content"], changed["variables"]) == ("farewell", content("Bye"), [])
    assert zhao.delete(at).status_code == 204
    assert zhao.get(at).json()["is_active"] is False
    assert Template.objects.exists()


def test_faults_of_a_template_are_named_where_they_stand(sun: Caller) -> None:
    sun.post("templates/", body())
    assert pointers(sun.post("templates/", body())) == {"/name": "exists"}
    wrong = sun.post("templates/", body("a", "Hello {contact.nmae}"))
    assert pointers(wrong) == {"/content/text/content": "unknown_variable"}
    assert "{contact.name}" in wrong.json()["errors"][0]["detail"]
    assert pointers(sun.post("templates/", {**body("a"), "msgtype": "text"})) == {"/msgtype": "unknown_field"}
    assert pointers(sun.post("templates/", {**body("a"), "corp": "ww-none"})) == {"/corp": "not_found"}
    picture = {"msgtype": "image", "image": {"media_id": "m"}}
    assert pointers(sun.post("templates/", {**body("a"), "content": picture})) == {
        "/content/msgtype": "unsupported_type"
    }


def test_list_holds_the_templates_of_ones_own_corps_and_filters(cast: Cast, sun: Caller, lin: Caller) -> None:
    other = Corp.objects.create(corpid="ww-north", provider="wecom", dialect="direct")
    strange = factories.template(other, name="strange")
    factories.template(cast.corp, name="mine")
    factories.template(cast.corp, name="old", is_active=False)

    def names(caller: Caller, query: str = "") -> set[str]:
        return {row["name"] for row in caller.get(f"templates/{query}").json()["results"]}

    assert names(lin) == {"mine", "old"}
    assert names(lin, "?is_active=true") == {"mine"}
    assert names(sun) == {"mine", "old", "strange"}
    assert names(sun, "?corp=ww-north") == {"strange"}
    assert lin.get(f"templates/{strange.pk}/").status_code == 404
    mine = cast.contacts["lin"].pk
    assert pointers(lin.post("messages/", draft(strange, mine))) == {"/template": "not_found"}


def test_message_from_a_template_is_one_per_different_text(cast: Cast, sun: Caller) -> None:
    template = factories.template(cast.corp, "{contact.name}: {day}")
    ids = [cast.contacts[name].pk for name in ("lin", "wang", "qian")]
    Contact.objects.filter(pk__in=ids[:2]).update(name="Same")
    answer = sun.post("messages/", draft(template, *ids, variables={"day": "Friday"}))
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert told["messages"] == list(Message.objects.order_by("pk").values_list("pk", flat=True))
    assert (told["id"], told["counts"]) == (told["messages"][0], {"queued": 2})
    texts = {row.message.content["text"]["content"] for row in Delivery.objects.select_related("message")}
    assert texts == {"Same: Friday", "Customer of qian: Friday"}


def test_template_without_a_recipients_variable_is_one_message(cast: Cast, lin: Caller) -> None:
    answer = lin.post("messages/", draft(factories.template(cast.corp, "Hi"), cast.contacts["lin"].pk))
    assert answer.json()["messages"] == [answer.json()["id"]]
    assert answer.json()["content"] == content("Hi")


def test_repetition_with_the_same_key_sends_once(cast: Cast, sun: Caller) -> None:
    template = factories.template(cast.corp, "{contact.name}")
    asked = draft(template, cast.contacts["lin"].pk, cast.contacts["wang"].pk)
    first = sun.post("messages/", asked, headers={"Idempotency-Key": "k"})
    again = sun.post("messages/", asked, headers={"Idempotency-Key": "k"})
    assert first.json() == again.json()
    assert Message.objects.count() == 2


def test_exactly_one_of_content_and_template(cast: Cast, lin: Caller) -> None:
    mine = cast.contacts["lin"].pk
    template = factories.template(cast.corp)
    both = {**text(mine), "template": template.pk}
    neither = {"corp": "ww-south", "to": {"contacts": [mine]}}
    for path in ("messages/", "messages/preview/"):
        assert pointers(lin.post(path, both)) == {"/template": "invalid"}
        assert pointers(lin.post(path, neither)) == {"/content": "required"}
        assert pointers(lin.post(path, {**text(mine), "variables": {}})) == {"/variables": "invalid"}
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, {"/variables/day": "required"}),
        ({"day": ""}, {"/variables/day": "required"}),
        ({"day": "x", "a/b": "x"}, {"/variables/a~1b": "unknown_variable"}),
        ({"day": ["x"]}, {"/variables/day": "invalid"}),
        ("day", {"/variables": "not_a_dict"}),
        ({"day": "字" * 700}, {"/template": "too_long"}),
    ],
)
def test_variables_that_do_not_fit_are_named(cast: Cast, lin: Caller, variables: Any, expected: Any) -> None:
    template = factories.template(cast.corp, "See you {day}")
    answer = lin.post("messages/", draft(template, cast.contacts["lin"].pk, variables=variables))
    assert answer.status_code == 400
    assert pointers(answer) == expected
    assert not Message.objects.exists()


def test_retired_template_cannot_be_sent(cast: Cast, lin: Caller) -> None:
    template = factories.template(cast.corp, is_active=False)
    answer = lin.post("messages/", draft(template, cast.contacts["lin"].pk))
    assert pointers(answer) == {"/template": "inactive"}


def test_preview_tells_the_first_text_how_many_and_who_cannot_get_the_own(cast: Cast, sun: Caller) -> None:
    template = factories.template(cast.corp, "字" * 650 + "{contact.name}")
    ids = [cast.contacts[name].pk for name in ("lin", "wang", "qian")]
    Contact.objects.filter(pk=ids[1]).update(name="字" * 60)
    told = sun.post("messages/preview/", draft(template, *ids)).json()
    assert told["content"] == content("字" * 650 + "Customer of lin")
    assert (told["texts"], told["calls"], len(told["recipients"])) == (2, 2, 2)
    assert [(each["pointer"], each["code"]) for each in told["excluded"]] == [("/to/contacts/1", "too_long")]
    refused = sun.post("messages/", draft(template, *ids))
    assert pointers(refused) == {"/to/contacts/1": "too_long"}
    assert not Message.objects.exists()
