"""The welcome message: once, within twenty seconds, and seen on the customer's phone."""

import urllib.request
from typing import Any

import pytest

TEXT = {"content": "欢迎，林梅"}


@pytest.fixture
def code(official: Any, app: Any, sim: Any) -> str:
    """The code of a customer who has just become one of the first member."""
    userid = official.employees()[0]
    sim.change(official.corp, "add_contact", external_userid="wmW", follow_user=[userid])
    return str(sim.wait_for_callbacks()[0]["fields"]["WelcomeCode"])


def welcome(official: Any, code: str, **told: Any) -> int:
    body = {"welcome_code": code} | (told or {"text": TEXT})
    return int(official.post("externalcontact/send_welcome_msg", **body)["errcode"])


def test_welcome_when_in_time_then_on_the_phone_once(official: Any, sim: Any, code: str) -> None:
    sim.advance(15)
    assert welcome(official, code) == 0
    assert welcome(official, code) == 41051
    [message] = sim.messages(to="wmW")
    assert (message["from"], message["msgtype"]) == (official.employees()[0], "welcome")
    assert message["content"]["text"] == TEXT["content"]
    with urllib.request.urlopen(f"{sim.url}/_sim/?corp={official.corp}") as answer:
        assert TEXT["content"] in answer.read().decode()


def test_welcome_when_twenty_seconds_have_passed_then_41050(official: Any, sim: Any, code: str) -> None:
    sim.advance(22)
    assert welcome(official, code) == 41050
    assert sim.messages(to="wmW") == []


def test_welcome_when_the_code_is_unknown_or_missing_then_refused(official: Any) -> None:
    assert welcome(official, "nothing") == 41050
    assert welcome(official, "") == 41049


def test_welcome_when_they_talk_already_then_41051(official: Any, sim: Any, code: str) -> None:
    sim.change(official.corp, "chat", external_userid="wmW", userid=official.employees()[0])
    assert welcome(official, code) == 41051


def test_welcome_when_two_codes_for_one_pair_then_only_one_opens(official: Any, sim: Any, code: str) -> None:
    who = {"external_userid": "wmW", "userid": official.employees()[0]}
    sim.change(official.corp, "add_back", **who)
    second = sim.wait_for_callbacks()[-1]["fields"]["WelcomeCode"]
    assert [welcome(official, second), welcome(official, code)] == [0, 41051]


def test_welcome_when_they_part_and_meet_again_then_a_new_code_opens(
    official: Any, sim: Any, code: str
) -> None:
    who = {"external_userid": "wmW", "userid": official.employees()[0]}
    assert welcome(official, code) == 0
    sim.change(official.corp, "unfollow", **who)
    sim.change(official.corp, "follow", **who)
    assert welcome(official, sim.wait_for_callbacks()[-1]["fields"]["WelcomeCode"]) == 0


def test_welcome_when_another_app_is_sending_then_41096_on_order(official: Any, sim: Any, code: str) -> None:
    sim.fault(kind="errcode", api="externalcontact/send_welcome_msg", errcode=41096)
    assert [welcome(official, code), welcome(official, code)] == [41096, 0]


LINK = {"msgtype": "link", "link": {"title": "目录", "url": "http://a.example/"}}


@pytest.mark.parametrize(
    ("told", "errcode"),
    [
        ({"text": {"content": ""}}, 40063),
        ({"text": {"content": "长" * 1334}}, 45002),
        ({"attachments": [LINK] * 10}, 41064),
        ({"attachments": [{"msgtype": "voice", "voice": {}}]}, 41065),
        ({"attachments": [{"msgtype": "image", "image": {"media_id": "none"}}]}, 40007),
    ],
)
def test_welcome_when_beyond_a_limit_then_refused_and_the_code_still_opens(
    official: Any, code: str, told: Any, errcode: int
) -> None:
    assert welcome(official, code, **told) == errcode
    assert welcome(official, code, text={"content": "长" * 1333}, attachments=[LINK] * 9) == 0


def test_event_when_the_customer_is_of_another_corp_of_wecom_then_without_a_code(
    official: Any, app: Any, sim: Any
) -> None:
    sim.change(official.corp, "add_contact", type=2, follow_user=[official.employees()[0]])
    [told] = sim.wait_for_callbacks()
    assert "WelcomeCode" not in told["fields"]
