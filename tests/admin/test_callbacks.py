"""The page of callbacks: who sees it, what it shows as text, and working out again."""

from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from contacts.models import Contact
from crm.models import Event
from crm.queue import OrmQ
from messaging.models import Callback
from tests.admin.conftest import Browser, Cast
from tests.messaging.wire import Wire, wire, xml

LIST = "messaging/callback/"
WORDS = "The stock of A12?"


@pytest.fixture
def line(cast: Cast) -> Wire:
    return wire(cast.corp)


@pytest.fixture
def called(cast: Cast, line: Wire) -> None:
    """A contact of Lin was edited, the directory changed, and Wang wrote to the app."""
    told = {"UserID": "lin", "ExternalUserID": cast.contacts["lin"].external_userid, "State": "expo-7"}
    assert line.call(line.event(**told)).status_code == 200
    assert line.call(line.event("change_contact.update_user", UserID="qian")).status_code == 200
    write(line, WORDS)


def write(line: Wire, words: str) -> None:
    text = xml(ToUserName=line.corpid, FromUserName="wang", CreateTime=1735689600, MsgType="text",
               Content=words.replace("]]>", "]]]]><![CDATA[>"), MsgId="7", AgentID=line.agent.agentid)  # fmt: skip
    assert line.call(text).status_code == 200


def replay(browser: Browser, *rows: Callback) -> Any:
    asked = {"action": "replay", "_selected_action": [row.pk for row in rows]}
    return browser.post(LIST, asked, follow=True)


def test_an_administrator_sees_what_was_called_and_what_people_wrote(sun: Browser, called: None) -> None:
    page = sun.text(LIST)
    for words in ("contact edited", "Customer of lin", "directory changed", "qian", WORDS, "expo-7"):
        assert words in page, words


def test_an_event_is_named_in_the_readers_words(sun: Browser, line: Wire) -> None:
    for kind in (
        "click",
        "template_card_event",
        "change_external_chat.update",
        "change_external_contact.new",
    ):
        assert line.call(line.event(kind)).status_code == 200
    page = sun.text(LIST)
    for words in ("menu item pressed", "button of a card pressed", "customer group changed", "contact.new"):
        assert words in page, words


def test_which_menu_item_was_pressed_stands_with_it(sun: Browser, line: Wire) -> None:
    assert line.call(line.event("click", FromUserName="wang", EventKey="menu-stock")).status_code == 200
    assert line.call(line.event("view", FromUserName="wang", EventKey="https://a.test/p")).status_code == 200
    assert line.call(line.event("enter_agent", FromUserName="wang")).status_code == 200
    page = sun.text(LIST)
    for words in ("menu item pressed", "menu-stock", "menu link opened", "https://a.test/p", "app opened"):
        assert words in page, words


def test_an_auditor_sees_the_calls_but_not_the_words(cast: Cast, called: None) -> None:
    page = cast.browser("shen").text(LIST)
    assert "contact edited" in page
    assert "Work out again" not in page
    for words in (WORDS, "expo-7"):
        assert words not in page


@pytest.mark.parametrize("name", ["lin", "zhao", "nobody"])
def test_nobody_else_sees_the_page(cast: Cast, called: None, name: str) -> None:
    browser = cast.browser(name)
    assert browser.get(LIST).status_code == 403
    assert browser.get(f"{LIST}{Callback.objects.all()[0].pk}/change/").status_code in (403, 404)
    assert "callback/" not in browser.get("", follow=True).content.decode()


def test_whoever_is_not_logged_in_is_asked_to(called: None) -> None:
    assert Client().get(f"/admin/{LIST}").status_code == 302


def test_what_ended_is_worked_out_again(
    sun: Browser, called: None, django_capture_on_commit_callbacks: Any
) -> None:
    Callback.objects.filter(kind__startswith="change").update(
        state="failed", next_attempt_at=None, code="errcode", errcode=-1, errmsg="busy", attempts=8
    )
    page = sun.text(LIST)
    assert "failed" in page
    assert "busy" in page
    OrmQ.objects.all().delete()
    with django_capture_on_commit_callbacks(execute=True):
        page = replay(sun, *Callback.objects.all()).content.decode()
    assert "2 are worked out again." in page
    rows = Callback.objects.filter(kind__startswith="change")
    assert set(rows.values_list("state", "attempts", "errmsg")) == {("queued", 0, "")}
    assert OrmQ.objects.filter(key="inbox").count() == 1
    assert Callback.objects.get(kind="text").state == "done"  # what a person wrote is told once
    assert Event.objects.filter(verb="message.received").count() == 1


def test_an_auditor_works_out_nothing(cast: Cast, called: None) -> None:
    Callback.objects.update(state="failed", next_attempt_at=None)
    replay(cast.browser("shen"), *Callback.objects.all())
    assert set(Callback.objects.values_list("state", flat=True)) == {"failed"}


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("about=people", {"text"}),
        ("about=change_external_contact", {"contact edited"}),
        ("about=change_contact", {"directory changed"}),
        ("about=change_external_tag", set()),
        ("state=done", {"text"}),
        ("state=queued", {"contact edited", "directory changed"}),
        ("about=nonsense", {"text", "contact edited", "directory changed"}),
    ],
)
def test_the_list_is_narrowed(sun: Browser, called: None, query: str, shown: set[str]) -> None:
    kinds = {"text": WORDS, "contact edited": "edit_external_contact", "directory changed": "update_user"}
    page = sun.text(f"{LIST}?{query}")
    assert {name for name, sign in kinds.items() if sign in page} == shown


def test_before_the_first_call_the_page_says_what_to_do(sun: Browser) -> None:
    page = sun.text(LIST)
    assert "The provider has not called yet" in page
    assert "Set the callback address of an app" in page


def test_a_call_has_no_page_of_its_own(sun: Browser, called: None) -> None:
    row = Callback.objects.all()[0]
    for path in (f"{LIST}{row.pk}/change/", f"{LIST}{row.pk}/history/"):
        assert sun.get(path)["Location"].endswith(LIST)
    assert sun.get(f"{LIST}add/").status_code == 403
    assert sun.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403


@pytest.mark.parametrize(
    "words", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7|add:7 }}", "a]]><b>c</b>"]
)
def test_hostile_words_are_shown_as_text(cast: Cast, sun: Browser, line: Wire, words: str) -> None:
    write(line, words)
    told = {"UserID": words, "ExternalUserID": words[:64], "State": words}
    line.call(line.event(**{name: value.replace("]]>", "") for name, value in told.items()}))
    page = sun.get(LIST).content.decode()
    for bad in ("<script>alert(1)", "<img src=x", "<b>c</b>"):
        assert bad not in page
    assert escape(words) in page


def test_more_calls_cost_no_more_queries(cast: Cast, sun: Browser, line: Wire, called: None) -> None:
    few = sun.queries(LIST)
    for number, contact in enumerate(Contact.objects.all()):
        line.call(line.event(UserID="zhao", ExternalUserID=contact.external_userid, CreateTime=number))
    assert sun.queries(LIST) == few
