"""Pause, resume, a word on the uncertain, and "do not write" at the browser."""

from uuid import uuid4

import pytest
from django.utils import timezone

from crm.models import Event
from crm.providers.content import Text
from messaging import outbox
from messaging.models import Attempt, Delivery, Message
from tests.admin.conftest import Browser, Cast


@pytest.fixture
def message(cast: Cast) -> Message:
    return outbox.compose(
        user=cast.users["lin"],
        actor="user:lin",
        corp=cast.corp,
        contacts=[cast.contacts["lin"].pk],
        content=Text("Hello"),
    )


def test_pause_and_resume_on_the_page_of_the_message(lin: Browser, message: Message) -> None:
    at = f"messaging/message/{message.pk}"
    assert "Pause" in lin.text(f"{at}/change/")
    assert lin.get(f"{at}/pause/").status_code == 405
    lin.post(f"{at}/pause/")
    page = lin.text(f"{at}/change/")
    assert "a person paused it" in page
    assert "paused" in lin.text("messaging/message/")
    lin.post(f"{at}/resume/")
    message.refresh_from_db()
    assert message.paused_at is None


def test_an_auditor_or_a_stranger_cannot_pause(cast: Cast, message: Message) -> None:
    at = f"messaging/message/{message.pk}/pause/"
    assert cast.browser("qian").post(at).status_code == 404
    cast.browser("shen").post(at)
    message.refresh_from_db()
    assert message.paused_at is None


def test_a_manager_decides_about_an_uncertain_delivery(cast: Cast, message: Message) -> None:
    message.deliveries.update(state="uncertain")
    Message.objects.update(state="done")
    delivery = message.deliveries.get()
    at = f"messaging/message/{message.pk}/resolve/{delivery.pk}/"
    zhao = cast.browser("zhao")
    assert "Decide" in zhao.text(f"messaging/message/{message.pk}/change/")
    assert "may have arrived" in zhao.text(at)
    assert zhao.post(at, {"word": "failed", "reason": ""}).status_code == 200
    assert zhao.post(at, {"word": "failed", "reason": "I called her"}).status_code == 302
    delivery.refresh_from_db()
    assert delivery.state == "failed"
    assert Event.objects.get(verb="delivery.failed").changes["reason"] == [None, "I called her"]
    assert zhao.get(at).status_code == 302  # no longer uncertain


def test_a_salesperson_sees_the_uncertain_and_does_not_decide(
    cast: Cast, lin: Browser, message: Message
) -> None:
    message.deliveries.update(state="uncertain")
    delivery = message.deliveries.get()
    assert "Decide" not in lin.text(f"messaging/message/{message.pk}/change/")
    at = f"messaging/message/{message.pk}/resolve/{delivery.pk}/"
    assert lin.post(at, {"word": "failed", "reason": "x"}).status_code == 403
    assert Delivery.objects.get().state == "uncertain"


def test_do_not_write_is_asked_told_and_taken_back(cast: Cast, lin: Browser) -> None:
    contact = cast.contacts["lin"]
    page, at = f"contacts/contact/{contact.pk}/change/", f"contacts/contact/{contact.pk}/opt-out/"
    assert "Send text" in lin.text(page)
    assert "Do not write to" in lin.text(at)
    lin.post(at, {"opted_out": "1"})
    lin.post(at, {"opted_out": "1"})  # a second click changes nothing
    told = lin.text(page)
    assert "asked not to be written to" in told
    assert "Send text" not in told
    lin.post(at, {"opted_out": "0"})
    assert "Send text" in lin.text(page)
    assert Event.objects.filter(verb="contact.updated").count() == 2


def test_a_colleague_who_wrote_lately_is_named_before_sending(cast: Cast, message: Message) -> None:
    message.deliveries.update(state="accepted")
    zhao = cast.browser("zhao")
    start = zhao.get(f"messaging/message/send/start/text/?contact={cast.contacts['lin'].pk}")["Location"]
    confirm = zhao.post(start, {"content": "Hello again"})["Location"]
    assert "lin wrote to Customer of lin" in zhao.text(confirm)


def test_a_message_to_employees_is_taken_back_after_a_question(cast: Cast) -> None:
    sun = cast.browser("sun")
    message = outbox.compose(
        user=cast.users["sun"], actor="user:sun", corp=cast.corp, employees=["lin"], content=Text("Hello")
    )
    assert "Take it back" not in sun.text(f"messaging/message/{message.pk}/change/")
    attempt = Attempt.objects.create(
        message=message,
        to=["lin"],
        body=b"",
        lease_token=uuid4(),
        lease_until=timezone.now(),
        finished_at=timezone.now(),
    )
    message.deliveries.update(state="accepted", msgid="dm1", is_last_word=True, attempt=attempt)
    assert "Take it back" in sun.text(f"messaging/message/{message.pk}/change/")
    assert "disappears" in sun.text(f"messaging/message/{message.pk}/recall/")
    assert sun.post(f"messaging/message/{message.pk}/recall/").status_code == 302
    assert message.errands.get().created_by == cast.users["sun"]
    assert "Take it back" not in cast.browser("shen").text(f"messaging/message/{message.pk}/change/")
