"""Messages from people: who reads whose, what each kind shows, the file, and the answer."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from messaging.models import Message, ReceivedFile, ReceivedMessage
from tests import factories
from tests.admin.conftest import Browser, Cast

LIST = "messaging/receivedmessage/"


@pytest.fixture
def written(cast: Cast) -> dict[str, ReceivedMessage]:
    """Lin, Wang and Qian each wrote something, and Lin sent a picture."""
    found = {
        name: factories.received(cast.corp, name, Content=f"words of {name}")
        for name in ("lin", "wang", "qian")
    }
    return found | {"picture": factories.received(cast.corp, "lin", "image")}


@pytest.mark.parametrize(
    ("name", "read"),
    [("lin", {"lin"}), ("zhao", {"lin", "wang"}), ("sun", {"lin", "wang", "qian"}), ("shen", set())],
)
def test_each_reads_what_the_people_within_reach_wrote(
    cast: Cast, written: dict[str, ReceivedMessage], name: str, read: set[str]
) -> None:
    page = cast.browser(name).text(LIST)
    assert {each for each in ("lin", "wang", "qian") if f"words of {each}" in page} == read


def test_an_auditor_sees_who_wrote_when_and_neither_words_nor_files(
    cast: Cast, written: dict[str, ReceivedMessage]
) -> None:
    shen = cast.browser("shen")
    page = shen.text(LIST)
    assert "•••" in page
    assert "qian" in page
    for what in ("content", "download"):
        assert shen.get(f"{LIST}{written['picture'].pk}/{what}/").status_code == 404


def test_without_a_role_there_is_no_page(cast: Cast, written: dict[str, ReceivedMessage]) -> None:
    assert cast.browser("nobody").get(LIST).status_code == 403


def test_the_newest_stands_first_and_the_menu_leads_there(
    sun: Browser, written: dict[str, ReceivedMessage]
) -> None:
    page = sun.text(LIST)
    assert page.index("words of qian") < page.index("words of wang") < page.index("words of lin")
    assert LIST in sun.get("", follow=True).content.decode()


def test_a_picture_is_shown_and_handed_out_so_that_no_browser_runs_it(
    lin: Browser, written: dict[str, ReceivedMessage]
) -> None:
    at = f"{LIST}{written['picture'].pk}/"
    assert f'src="/admin/{at}content/"' in lin.get(LIST).content.decode()
    shown, kept = lin.get(f"{at}content/"), lin.get(f"{at}download/")
    assert shown.content == kept.content == factories.PNG
    assert shown["Content-Disposition"].startswith("inline")
    assert kept["Content-Disposition"].startswith("attachment")
    for answer in (shown, kept):
        assert answer["X-Content-Type-Options"] == "nosniff"
        assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"


def test_what_is_no_picture_by_its_bytes_is_only_handed_out(cast: Cast, lin: Browser) -> None:
    message = factories.received(cast.corp, "lin", "image")
    ReceivedFile.objects.update(data=b"<script>alert(1)</script>", content_type="application/octet-stream")
    assert "<img class=" not in lin.get(LIST).content.decode()
    answer = lin.get(f"{LIST}{message.pk}/content/")
    assert answer["Content-Disposition"].startswith("attachment")


def test_the_file_of_another_is_not_there(
    cast: Cast, lin: Browser, written: dict[str, ReceivedMessage]
) -> None:
    theirs = factories.received(cast.corp, "qian", "image")
    assert lin.get(f"{LIST}{theirs.pk}/content/").status_code == 404
    assert lin.get(f"{LIST}{written['lin'].pk}/download/").status_code == 404


@pytest.mark.parametrize(
    ("state", "errcode", "words"),
    [
        ("queued", None, "is being fetched from the provider"),
        ("failed", 40007, "keeps a file for three days"),
        ("failed", 60020, "does not trust this server"),
    ],
)
def test_a_file_that_is_not_here_says_why(
    cast: Cast, lin: Browser, state: str, errcode: int | None, words: str
) -> None:
    factories.received(cast.corp, "lin", "voice")
    ReceivedFile.objects.update(state=state, errcode=errcode, errmsg="no")
    page = lin.text(LIST)
    assert words in page
    assert "Download" not in page


def test_a_place_and_a_link_say_what_and_where(cast: Cast, lin: Browser) -> None:
    factories.received(cast.corp, "lin", "location", Label="West Lake", Location_X=30.27, Location_Y=120.15)
    factories.received(cast.corp, "lin", "link", Title="Prices", Description="Spring", Url="https://a.test/p")
    page = lin.text(LIST)
    for words in ("West Lake", "30.27, 120.15", "Prices", "Spring", "a.test"):
        assert words in page, words
    assert 'href="https://a.test/p" target="_blank" rel="noopener' in lin.get(LIST).content.decode()


@pytest.mark.parametrize("url", ["javascript:alert(1)", "http://[", "//a.test/", "", "data:text/html,x"])
def test_a_link_that_is_no_web_address_leads_nowhere(cast: Cast, lin: Browser, url: str) -> None:
    factories.received(cast.corp, "lin", "link", Title="<b>Prices</b>", Url=url)
    page = lin.get(LIST).content.decode()
    assert f'href="{url}"' not in page
    assert "&lt;b&gt;Prices" in page


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("kind=image", {"picture"}),
        ("kind=nonsense", set()),
        ("employee={lin}", {"lin", "picture"}),
        ("employee=999", set()),
        ("agent={agent}", {"lin", "wang", "qian", "picture"}),
        ("agent=999", set()),
        ("corp=ww-south", {"lin", "wang", "qian", "picture"}),
        ("day=today", {"wang", "qian", "picture"}),
        ("day=yesterday", {"lin"}),
        ("day=week", {"lin", "wang", "qian", "picture"}),
        ("day=nonsense", set()),
    ],
)
def test_the_list_is_narrowed(
    cast: Cast, sun: Browser, written: dict[str, ReceivedMessage], query: str, shown: set[str]
) -> None:
    ids = {"lin": cast.employees["lin"].pk, "agent": cast.agent.pk}
    factories.agent(cast.corp, agentid="1000009")
    noon_before = timezone.localtime().replace(hour=12) - timedelta(days=1)
    ReceivedMessage.objects.filter(pk=written["lin"].pk).update(received_at=noon_before)
    page = sun.get(f"{LIST}?{query.format(**ids)}").content.decode()
    signs = {name: f"words of {name}" for name in ("lin", "wang", "qian")} | {"picture": "/content/"}
    assert {name for name, sign in signs.items() if sign in page} == shown


def test_an_answer_goes_to_that_employee_through_that_app(cast: Cast, sun: Browser) -> None:
    second = factories.agent(cast.corp, agentid="1000009")
    message = factories.received(cast.corp, "wang")
    ReceivedMessage.objects.filter(pk=message.pk).update(agent=second)
    answer = f"messaging/message/send/start/text/?employee={cast.employees['wang'].pk}&amp;agent=1000009"
    assert answer in sun.get(LIST).content.decode()
    write = sun.get(answer.replace("&amp;", "&"))["Location"]
    assert "through the app 1000009" in sun.text(write)
    confirm = sun.post(write, {"content": "It is on its way"})["Location"]
    sun.post(confirm, {})
    sent = Message.objects.get()
    assert (sent.agent, sent.deliveries.get().to) == (second, "wang")
    assert sun.get(answer.replace("&amp;", "&").replace("1000009", "7")).status_code == 404


def test_who_may_not_write_is_offered_no_answer(cast: Cast, written: dict[str, ReceivedMessage]) -> None:
    assert "Answer" not in cast.browser("shen").text(LIST)


def test_an_empty_page_says_how_messages_come(sun: Browser) -> None:
    assert "once the app's callback address is set" in sun.text(LIST)


def test_more_messages_cost_no_more_queries(
    cast: Cast, sun: Browser, written: dict[str, ReceivedMessage]
) -> None:
    few = sun.queries(LIST)
    for name in ("lin", "wang", "qian", "zhao") * 3:
        factories.received(cast.corp, name, "image")
    assert sun.queries(LIST) == few


def test_a_message_is_read_in_the_list(sun: Browser, written: dict[str, ReceivedMessage]) -> None:
    for path in ("change", "history"):
        assert sun.get(f"{LIST}{written['lin'].pk}/{path}/")["Location"].endswith(LIST)
    assert sun.get(f"{LIST}add/").status_code == 403


def clicked(cast: Cast, **fields: Any) -> Message:
    card = {
        "card_type": "button_interaction",
        "task_id": "t1",
        "main_title": {"title": "New lead"},
        "button_list": [{"text": "I take it", "key": "take"}],
        "replace_text": "Taken",
    }
    message = Message.objects.create(
        corp=cast.corp, agent=cast.agent, to_kind="employee", msgtype="template_card", task_id="t1",
        content={"msgtype": "template_card", "template_card": card}, created_by=cast.users["sun"],
    )  # fmt: skip
    employee = cast.employees["wang"]
    message.clicks.create(userid="wang", employee=employee, key="take", next_attempt_at=None, **fields)
    return message


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": "done"}, "The button now says “Taken”."),
        ({"state": "queued"}, "is being changed"),
        ({"state": "failed", "errcode": 60140, "errmsg": "invalid"}, "its code counts once"),
    ],
)
def test_the_page_of_a_card_says_who_pressed_what(
    cast: Cast, sun: Browser, fields: dict[str, Any], words: str
) -> None:
    page = sun.text(f"messaging/message/{clicked(cast, **fields).pk}/change/")
    for told in ("Pressed buttons", "wang", "I take it", words):
        assert told in page, told


def test_an_auditor_reads_who_pressed_and_not_what(cast: Cast) -> None:
    page = cast.browser("shen").text(f"messaging/message/{clicked(cast, state='none').pk}/change/")
    assert "Pressed buttons" in page
    assert "I take it" not in page
    assert "Taken" not in page
