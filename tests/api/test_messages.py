"""messages/: accepting, previewing, reading and taking back (contract C9, C11); sending has its own tests."""

from typing import Any
from uuid import uuid4

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from contacts.models import Contact
from messaging.models import Attempt, Delivery, Message
from tests import factories
from tests.api.conftest import Caller, Cast, pointers, text

MESSAGE = set("id corp msgtype content state counts not_before created_by created_at".split())
DELIVERY = set("id to_kind to contact state errcode errmsg attempts next_attempt_at msgid updated_at".split())
NOTICE = {
    "msgtype": "miniprogram_notice",
    "miniprogram_notice": {
        "appid": "wx123123123123123",
        "title": "Your order",
        "page": "pages/index",
        "content_item": [{"key": "No.", "value": "42"}],
    },
}


def test_a_message_is_202_with_one_queued_delivery_per_recipient(cast: Cast) -> None:
    zhao = cast.caller("zhao")
    ids = [cast.contacts["lin"].pk, cast.contacts["wang"].pk]
    answer = zhao.post("messages/", text(*ids))
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert set(told) >= MESSAGE
    assert (told["state"], told["counts"], told["created_by"]) == ("open", {"queued": 2}, "zhao")
    assert answer["Location"] == f"/api/v1/messages/{told['id']}/"
    assert zhao.get(answer["Location"]).json() == told
    deliveries = zhao.get(f"messages/{told['id']}/deliveries/").json()["results"]
    assert set(deliveries[0]) >= DELIVERY
    assert [(each["to"], each["contact"], each["state"]) for each in deliveries] == [
        ("wm-lin", ids[0], "queued"),
        ("wm-wang", ids[1], "queued"),
    ]


def test_a_notice_to_employees_is_accepted_as_it_was_written(cast: Cast, sun: Caller) -> None:
    body = {"corp": "ww-south", "to": {"employees": ["lin", "wang"]}, "content": NOTICE}
    told = sun.post("messages/", body).json()
    assert (told["msgtype"], told["content"], told["counts"]) == ("miniprogram_notice", NOTICE, {"queued": 2})


def test_not_before_and_agent_are_taken(cast: Cast, lin: Caller) -> None:
    factories.agent(cast.corp, agentid="1000009")
    at = "2030-01-01T08:00:00+08:00"
    told = lin.post("messages/", text(cast.contacts["lin"].pk, not_before=at, agent="1000009")).json()
    assert parse_datetime(told["not_before"]) == parse_datetime(at)
    assert Message.objects.get().agent.agentid == "1000009"


def test_an_unknown_agent_is_refused_by_the_preview_as_by_the_send(cast: Cast, lin: Caller) -> None:
    body = text(cast.contacts["lin"].pk, agent="1000099")
    for path in ("messages/preview/", "messages/"):
        answer = lin.post(path, body)
        assert (answer.status_code, pointers(answer)) == (400, {"/agent": "not_found"})


def test_an_id_out_of_reach_is_named_and_nothing_is_sent(cast: Cast, lin: Caller) -> None:
    answer = lin.post("messages/", text(cast.contacts["lin"].pk, cast.contacts["qian"].pk))
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert pointers(answer) == {"/to/contacts/1": "not_found"}
    assert not Message.objects.exists()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"content": {"msgtype": "text", "text": {"content": "é" * 1025}}},
            {"/content/text/content": "too_long"},
        ),
        ({"content": {"msgtype": "text", "text": {"content": ""}}}, {"/content/text/content": "empty"}),
        ({"content": {"msgtype": "text"}}, {"/content/text": "required"}),
        ({"content": {"msgtype": "fax", "fax": {}}}, {"/content/msgtype": "unknown_msgtype"}),
        ({"content": "hello"}, {"/content": "invalid"}),
        ({"content": {**NOTICE, "extra": 1}}, {"/content/extra": "unknown_field"}),
        ({"to": {}}, {"/to": "required"}),
        ({"to": {"contacts": []}}, {"/to/contacts": "min_length"}),
        ({"to": {"contacts": ["x"]}}, {"/to/contacts/0": "invalid"}),
        ({"to": {"contact": [1]}}, {"/to/contact": "unknown_field"}),
        ({"to": {"employees": ["ghost"]}}, {"/to/employees/0": "not_found"}),
        ({"corp": "ww-unknown"}, {"/corp": "not_found"}),
        ({"agent": "77"}, {"/agent": "not_found"}),
        ({"not_before": "soon"}, {"/not_before": "invalid"}),
        ({"priority": 1}, {"/priority": "unknown_field"}),
        ({"urgent": "soon"}, {"/urgent": "invalid"}),
    ],
)
def test_a_bad_message_is_400_by_field_before_acceptance(
    cast: Cast, sun: Caller, body: dict[str, Any], expected: dict[str, str]
) -> None:
    answer = sun.post("messages/", {**text(cast.contacts["lin"].pk), **body})
    assert (answer.status_code, pointers(answer)) == (400, expected)
    assert not Message.objects.exists()


def test_contacts_and_employees_together_are_refused(cast: Cast, sun: Caller) -> None:
    body = text(cast.contacts["lin"].pk)
    body["to"]["employees"] = ["lin"]
    assert list(pointers(sun.post("messages/", body))) == ["/to"]


def test_a_preview_says_who_gets_it_and_who_cannot_and_writes_nothing(cast: Cast, sun: Caller) -> None:
    Contact.objects.filter(pk=cast.contacts["wang"].pk).update(state="lost")
    body = text(cast.contacts["lin"].pk, cast.contacts["wang"].pk, 987654)
    told = sun.post("messages/preview/", body).json()
    assert [(each["to"], each["contact"]) for each in told["recipients"]] == [
        ("wm-lin", cast.contacts["lin"].pk)
    ]
    assert {each["pointer"]: each["code"] for each in told["excluded"]} == {
        "/to/contacts/1": "lost",
        "/to/contacts/2": "not_found",
    }
    assert (told["problems"], told["calls"]) == ([], 1)
    assert not Message.objects.exists()


def test_a_preview_names_the_problems_of_the_content(cast: Cast, sun: Caller) -> None:
    told = sun.post("messages/preview/", text(cast.contacts["lin"].pk, words="x" * 3000)).json()
    (problem,) = told["problems"]
    assert (problem["pointer"], problem["code"], problem["warning"]) == (
        "/content/text/content",
        "too_long",
        False,
    )


def test_cancelling_takes_back_what_is_queued_once(cast: Cast, lin: Caller) -> None:
    pk = lin.post("messages/", text(cast.contacts["lin"].pk)).json()["id"]
    told = lin.post(f"messages/{pk}/cancel/").json()
    assert (told["cancelled"], told["state"], told["counts"]) == (1, "cancelled", {"cancelled": 1})
    late = lin.post(f"messages/{pk}/cancel/")
    assert (late.status_code, late.json()["code"]) == (409, "too_late")


def test_an_auditor_sees_states_but_no_content(cast: Cast, lin: Caller) -> None:
    pk = lin.post("messages/", text(cast.contacts["lin"].pk)).json()["id"]
    shen = cast.caller("shen")
    told = shen.get(f"messages/{pk}/").json()
    assert (told["content"], told["counts"]) == (None, {"queued": 1})
    assert shen.get(f"messages/{pk}/deliveries/").status_code == 200


def test_messages_are_ones_own_and_for_a_manager_the_teams(cast: Cast) -> None:
    mine = {name: text(cast.contacts[name].pk) for name in ("lin", "qian")}
    for name, body in mine.items():
        assert cast.caller(name).post("messages/", body).status_code == 202

    def senders(who: str) -> set[str]:
        return {row["created_by"] for row in cast.caller(who).get("messages/").json()["results"]}

    assert (senders("lin"), senders("zhao"), senders("sun")) == ({"lin"}, {"lin"}, {"lin", "qian"})


def test_deliveries_are_filtered_by_state_and_final_says_what_is_over(cast: Cast, sun: Caller) -> None:
    pk = sun.post("messages/", text(*(contact.pk for contact in cast.contacts.values()))).json()["id"]
    first, second, _third = Delivery.objects.order_by("pk")
    Delivery.objects.filter(pk=first.pk).update(state="accepted", is_last_word=True)
    Delivery.objects.filter(pk=second.pk).update(state="accepted")
    told = sun.get(f"messages/{pk}/deliveries/?state=accepted").json()["results"]
    assert [(each["id"], each["final"]) for each in told] == [(first.pk, True), (second.pk, False)]
    assert sun.get("messages/?state=done").json()["results"] == []
    assert sun.get(f"messages/{pk}/").json()["counts"] == {"accepted": 2, "queued": 1}


def test_a_message_is_paused_and_goes_on(cast: Cast, lin: Caller) -> None:
    made = lin.post("messages/", text(cast.contacts["lin"].pk)).json()
    told = lin.post(f"messages/{made['id']}/pause/").json()
    assert (told["state"], told["pause_reason"]) == ("open", "person")
    assert told["paused_at"]
    told = lin.post(f"messages/{made['id']}/resume/").json()
    assert (told["paused_at"], told["pause_reason"]) == (None, "")


def test_a_manager_decides_about_an_uncertain_delivery(cast: Cast, lin: Caller) -> None:
    made = lin.post("messages/", text(cast.contacts["lin"].pk)).json()
    delivery = Delivery.objects.get(message=made["id"])
    Delivery.objects.update(state="uncertain")
    path = f"messages/{made['id']}/deliveries/{delivery.pk}/resolve/"
    zhao = cast.caller("zhao")
    assert pointers(zhao.post(path, {"as": "sent"})) == {"/as": "invalid_choice", "/reason": "required"}
    told = zhao.post(path, {"as": "failed", "reason": "asked her"}).json()
    assert (told["state"], told["code"]) == ("failed", "resolved")
    again = zhao.post(path, {"as": "resend", "reason": "sure"})
    assert (again.status_code, again.json()["code"]) == (409, "not_uncertain")


def test_a_recall_is_accepted_and_its_errand_told(cast: Cast, sun: Caller) -> None:
    made = sun.post("messages/", {**text(1), "to": {"employees": ["lin"]}}).json()
    attempt = Attempt.objects.create(
        message_id=made["id"],
        to=["lin"],
        body=b"",
        lease_token=uuid4(),
        lease_until=timezone.now(),
        finished_at=timezone.now(),
    )
    Delivery.objects.update(state="accepted", msgid="dm1", is_last_word=True, attempt=attempt)
    answer = sun.post(f"messages/{made['id']}/recall/")
    assert answer.status_code == 202, answer.content
    (errand,) = answer.json()["errands"]
    assert (errand["kind"], errand["state"]) == ("recall", "queued")
    assert sun.get(f"messages/{made['id']}/").json()["errands"] == [errand]


def test_an_expiry_in_the_past_is_refused(cast: Cast, lin: Caller) -> None:
    answer = lin.post("messages/", text(cast.contacts["lin"].pk, expires_at="2020-01-01T00:00:00Z"))
    assert pointers(answer) == {"/expires_at": "invalid"}


def to(**chosen: Any) -> dict[str, Any]:
    """A body of POST messages/ to whom `chosen` says."""
    return text() | {"to": chosen}


def test_a_department_is_one_delivery_and_its_people_are_counted(cast: Cast) -> None:
    zhao = cast.caller("zhao")
    preview = zhao.post("messages/preview/", to(departments=[2])).json()
    (recipient,) = preview["recipients"]
    assert (recipient["to_kind"], recipient["to"], recipient["name"]) == ("department", "2", "South team")
    assert (recipient["people"], preview["people"], preview["calls"]) == (3, 3, 1)
    told = zhao.post("messages/", to(departments=[2]))
    assert told.status_code == 202, told.content
    assert (told.json()["to_kind"], told.json()["counts"]) == ("department", {"queued": 1})
    (delivery,) = zhao.get(f"messages/{told.json()['id']}/deliveries/").json()["results"]
    assert (delivery["to_kind"], delivery["to"], delivery["contact"]) == ("department", "2", None)


def test_a_department_out_of_reach_is_refused_in_its_place_by_the_preview_too(cast: Cast) -> None:
    for name in ("lin", "zhao"):
        caller = cast.caller(name)
        body = to(departments=[3] if name == "zhao" else [2])
        assert pointers(caller.post("messages/", body)) == {"/to/departments/0": "not_found"}
        (excluded,) = caller.post("messages/preview/", body).json()["excluded"]
        assert (excluded["pointer"], excluded["code"]) == ("/to/departments/0", "not_found")
    assert not Message.objects.exists()


@pytest.mark.parametrize("chosen", [{"tags": [1]}, {"everybody": True}])
def test_tags_and_everybody_are_for_administrators(cast: Cast, sun: Caller, chosen: Any) -> None:
    for name in ("lin", "zhao", "shen"):
        for path in ("messages/", "messages/preview/"):
            answer = cast.caller(name).post(path, to(**chosen))
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert sun.post("messages/preview/", to(**chosen)).status_code == 200
    assert sun.post("messages/", to(**chosen)).json()["counts"] == {"queued": 1}


@pytest.mark.parametrize(
    ("chosen", "faults"),
    [
        ({}, {"/to": "required"}),
        ({"departments": [2], "tags": [1]}, {"/to": "invalid"}),
        ({"departments": [2], "everybody": True}, {"/to": "invalid"}),
        ({"everybody": False}, {"/to/everybody": "invalid_choice"}),
        ({"everybody": "yes"}, {"/to/everybody": "invalid_choice"}),
        ({"departments": []}, {"/to/departments": "min_length"}),
        ({"departments": [0]}, {"/to/departments/0": "min_value"}),
        ({"departments": ["x"]}, {"/to/departments/0": "invalid"}),
        ({"tags": [2**63]}, {"/to/tags/0": "max_value"}),
        ({"people": [1]}, {"/to/people": "unknown_field"}),
    ],
)
def test_who_gets_it_is_exactly_one_thing(sun: Caller, chosen: Any, faults: dict[str, str]) -> None:
    answer = sun.post("messages/", to(**chosen))
    assert answer.status_code == 400
    assert pointers(answer) == faults


def test_a_notice_to_everybody_is_refused_at_its_type(sun: Caller) -> None:
    answer = sun.post("messages/", to(everybody=True) | {"content": NOTICE})
    assert pointers(answer) == {"/content/msgtype": "not_to_everybody"}
