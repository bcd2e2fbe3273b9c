"""Urgent messages by REST: who asks, who approves, and what the answers say (contract C11)."""

from datetime import time
from typing import Any

import pytest

from messaging import tasks
from messaging.models import Message
from tests.api.conftest import Caller, Cast, pointers, text

ALWAYS = (time(0), time(23, 59, 59, 999999))


@pytest.fixture
def zhao(cast: Cast) -> Caller:
    return cast.caller("zhao")


@pytest.fixture
def message(cast: Cast, zhao: Caller) -> dict[str, Any]:
    return dict(zhao.post("messages/", text(cast.contacts["lin"].pk, urgent=True)).json())


def test_urgent_is_told_and_nobody_has_approved_it_yet(message: dict[str, Any]) -> None:
    told = message["urgent"], message["urgent_approved_at"], message["urgent_approved_by"]
    assert told == (True, None, None)


def test_another_one_approves_and_a_second_time_changes_nothing(sun: Caller, message: dict[str, Any]) -> None:
    first = sun.post(f"messages/{message['id']}/approve/")
    again = sun.post(f"messages/{message['id']}/approve/")
    assert first.status_code == again.status_code == 200
    assert first.json()["urgent_approved_by"] == "sun"
    assert first.json() == again.json()


def test_ones_own_is_403_with_its_code(cast: Cast, zhao: Caller, message: dict[str, Any]) -> None:
    for key in (zhao, cast.caller("zhao")):  # another key of the same person is the same person
        answer = key.post(f"messages/{message['id']}/approve/")
        assert (answer.status_code, answer.json()["code"]) == (403, "own_message")
    assert not Message.objects.get().is_urgent


def test_a_salesperson_who_marks_it_is_403_and_without_the_mark_202(cast: Cast, lin: Caller) -> None:
    body = text(cast.contacts["lin"].pk)
    answer = lin.post("messages/", {**body, "urgent": True})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert not Message.objects.exists()
    assert lin.post("messages/", {**body, "urgent": False}).status_code == 202


def test_a_key_without_the_scope_to_send_does_not_approve(cast: Cast, message: dict[str, Any]) -> None:
    answer = cast.caller("sun", "messages:read").post(f"messages/{message['id']}/approve/")
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")


def test_a_body_that_says_anything_is_refused(sun: Caller, message: dict[str, Any]) -> None:
    answer = sun.post(f"messages/{message['id']}/approve/", {"by": "zhao"})
    assert (answer.status_code, pointers(answer)) == (400, {"/by": "unknown_field"})


def test_a_delivery_tells_when_it_goes_out(sun: Caller, message: dict[str, Any], settings: Any) -> None:
    settings.CRM_QUIET_HOURS = ALWAYS
    deliveries = f"messages/{message['id']}/deliveries/"
    assert sun.get(deliveries).json()["results"][0]["next_attempt_at"] is None
    tasks.deliver(message["id"])
    assert sun.get(deliveries).json()["results"][0]["next_attempt_at"] is not None
    sun.post(f"messages/{message['id']}/approve/")
    assert sun.get(deliveries).json()["results"][0]["next_attempt_at"] is None


def test_each_text_of_a_template_asks_for_itself(cast: Cast, zhao: Caller) -> None:
    template = zhao.post(
        "templates/",
        {
            "corp": "ww-south",
            "name": "greeting",
            "content": {"msgtype": "text", "text": {"content": "Hello {contact.name}"}},
        },
    ).json()["id"]
    to = {"contacts": [cast.contacts["lin"].pk, cast.contacts["wang"].pk]}
    answer = zhao.post("messages/", {"corp": "ww-south", "to": to, "template": template, "urgent": True})
    assert answer.status_code == 202
    asked = Message.objects.filter(pk__in=answer.json()["messages"], urgent_requested=True)
    assert asked.count() == 2
