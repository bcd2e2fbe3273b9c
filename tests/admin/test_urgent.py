"""Urgent messages, and what queued deliveries wait for, at the browser."""

from datetime import time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm.providers.content import Text
from messaging import control, outbox, tasks
from messaging.models import Message
from tests.admin.conftest import Browser, Cast

ALWAYS = (time(0), time(23, 59, 59, 999999))


@pytest.fixture
def zhao(cast: Cast, settings: Any) -> Browser:
    settings.CRM_QUIET_HOURS = ALWAYS
    return cast.browser("zhao")


@pytest.fixture
def message(cast: Cast, zhao: Browser) -> Message:
    return outbox.compose(
        user=cast.users["zhao"],
        actor="user:zhao",
        corp=cast.corp,
        contacts=[cast.contacts["lin"].pk],
        content=Text("The goods are wrong"),
        urgent=True,
    )


def confirmation(cast: Cast, browser: Browser) -> str:
    """The address of the page that shows who will get it."""
    contact = cast.contacts["lin"].pk
    start = browser.get(f"messaging/message/send/start/text/?contact={contact}")["Location"]
    return str(browser.post(start, {"content": "Hello"})["Location"])


def test_urgent_is_offered_to_who_may_and_only_where_there_are_quiet_hours(
    cast: Cast, zhao: Browser, settings: Any
) -> None:
    confirm = confirmation(cast, zhao)
    assert "Urgent" in zhao.text(confirm)
    settings.CRM_QUIET_HOURS = None
    assert "Urgent" not in zhao.text(confirm)


def test_a_salesperson_is_not_offered_it_and_does_not_get_it_by_a_forged_field(
    cast: Cast, zhao: Browser, lin: Browser
) -> None:
    confirm = confirmation(cast, lin)
    assert "Urgent" not in lin.text(confirm)
    answer = lin.post(confirm, {"urgent": "1"})
    assert "Only managers and administrators" in answer.content.decode()
    assert not Message.objects.exists()


def test_a_checked_box_asks_and_an_unchecked_one_does_not(cast: Cast, zhao: Browser) -> None:
    zhao.post(confirmation(cast, zhao), {"urgent": "1"})
    zhao.post(confirmation(cast, zhao))
    asked = list(Message.objects.order_by("pk").values_list("urgent_requested", flat=True))
    assert asked == [True, False]


def test_the_second_person_finds_reads_and_approves_it(
    cast: Cast, zhao: Browser, sun: Browser, message: Message
) -> None:
    at = f"messaging/message/{message.pk}"
    assert "waits for approval" in sun.text("messaging/message/?approval=waiting")
    assert "Ask for approval" in sun.text("")
    assert "zhao asks to send this in quiet hours" in sun.text(f"{at}/change/")
    page = sun.text(f"{at}/approve/")
    assert "The goods are wrong" in page
    assert "Sent by zhao" in page
    message.refresh_from_db()
    assert not message.is_urgent  # reading is not approving
    assert sun.post(f"{at}/approve/").status_code == 302
    message.refresh_from_db()
    assert message.urgent_approved_by == cast.users["sun"]
    assert "approved by sun" in zhao.text(f"{at}/change/")
    assert not sun.text("messaging/message/?approval=waiting").count(f"#{message.pk} ")
    assert "Ask for approval" not in sun.text("")


def test_who_sent_it_sees_that_it_waits_and_cannot_approve_it(
    cast: Cast, zhao: Browser, message: Message
) -> None:
    at = f"messaging/message/{message.pk}"
    page = zhao.text(f"{at}/change/")
    assert "until another manager or administrator approves it" in page
    assert "asks to send this" not in page
    assert "sent it yourself" in zhao.post(f"{at}/approve/", follow=True).content.decode()
    message.refresh_from_db()
    assert not message.is_urgent


@pytest.mark.parametrize(("name", "status"), [("lin", 404), ("qian", 404), ("shen", 403)])
def test_who_may_not_approve_is_refused(cast: Cast, message: Message, name: str, status: int) -> None:
    browser = cast.browser(name)
    at = f"messaging/message/{message.pk}/approve/"
    assert browser.get(at).status_code == browser.post(at).status_code == status
    message.refresh_from_db()
    assert not message.is_urgent


def test_a_salesperson_cannot_approve_what_is_within_reach(cast: Cast, message: Message) -> None:
    Message.objects.update(created_by=cast.users["lin"])
    assert cast.browser("lin").post(f"messaging/message/{message.pk}/approve/").status_code == 403


def test_when_what_waits_goes_out_and_why_stands_on_its_page_and_in_the_list(
    zhao: Browser, message: Message
) -> None:
    tasks.deliver(message.pk)
    page = " ".join(zhao.text(f"messaging/message/{message.pk}/change/").split())
    at = timezone.localtime(message.deliveries.get().next_attempt_at)
    told = f"{at:%H:%M}: quiet hours"
    assert "1 waits until" in page
    assert page.count(told) == 2  # for all, and for the one
    assert told in zhao.text("messaging/delivery/")


def test_what_holds_the_whole_message_is_said_once(cast: Cast, zhao: Browser, message: Message) -> None:
    Message.objects.update(not_before=timezone.now() + timedelta(days=1))
    page = zhao.text(f"messaging/message/{message.pk}/change/")
    assert page.count("so it was asked for") == 1
    control.pause(message, user=cast.users["zhao"], actor="user:zhao")
    assert "so it was asked for" not in zhao.text(f"messaging/message/{message.pk}/change/")


def test_what_a_restore_held_says_so_and_who_decides(cast: Cast, zhao: Browser, message: Message) -> None:
    Message.objects.update(created_by=cast.users["lin"])
    control.hold_after_restore(actor="command")
    at = f"messaging/message/{message.pk}/change/"
    assert "it may have been sent since" in zhao.text(at)
    assert "A manager or an administrator decides it" not in zhao.text(at)
    assert "A manager or an administrator decides it" in cast.browser("lin").text(at)
