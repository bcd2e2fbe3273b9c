"""Welcome messages at the provider: the body, its limits, and what the codes of the race become."""

from typing import Any

import orjson
import pytest

from crm.providers.attachments import LinkAttachment
from crm.providers.base import Capability
from crm.providers.content import Image, MiniprogramNotice, Text
from crm.providers.errors import (
    AlreadyWelcomed,
    CodeExpired,
    ProviderError,
    Refused,
    Unavailable,
    Unsupported,
)
from tests.providers.conftest import Open
from tests.providers.corps import Corp
from tests.providers.hostile import Hostile

API = "externalcontact/send_welcome_msg"
LINK = LinkAttachment("目录", "https://a.example/")


def test_body_is_the_same_bytes_each_time_and_holds_real_characters(official: Corp) -> None:
    content = Text("欢迎", (LINK,))
    bodies = {official.provider.welcome_body(content, welcome_code="CODE") for _ in range(2)}
    [body] = bodies
    link = {"title": "目录", "url": "https://a.example/"}
    told = orjson.loads(body)
    assert told.pop("attachments")[0]["link"].items() >= link.items()
    assert told == {"welcome_code": "CODE", "text": {"content": "欢迎"}}
    assert "欢迎".encode() in body


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (Text("字" * 1333 + "x"), []),
        (Text("字" * 1333 + "xx"), [("/text/content", "too_long")]),
        (Text("", (LINK,) * 9), []),
        (Text("", (LINK,) * 10), [("/attachments", "too_many")]),
        (Text(" "), [("/text/content", "empty")]),
        (Image("m"), [("/msgtype", "unsupported_type")]),
        (
            MiniprogramNotice("wx1", "题" * 22, page="p"),
            [("/miniprogram_notice/title", "too_long")],
        ),
    ],
)
def test_limits_are_those_of_mass_messages_in_their_unit(official: Corp, content: Any, found: Any) -> None:
    problems = official.provider.check_welcome(content)
    assert [(each.pointer, each.code) for each in problems if not each.warning] == found


def test_a_dialect_without_welcomes_says_so(direct: Corp) -> None:
    assert Capability.WELCOME not in direct.provider.capabilities
    assert [each.code for each in direct.provider.check_welcome(Text("x"))] == ["unsupported_type"]
    with pytest.raises(Unsupported):
        direct.provider.welcome_body(Text("x"), welcome_code="CODE")
    with pytest.raises(Unsupported):
        direct.provider.send_welcome(b"{}")


@pytest.mark.parametrize(
    ("errcode", "kind"),
    [
        (41050, CodeExpired),
        (41051, AlreadyWelcomed),
        (41096, Unavailable),
        (41053, Refused),
        (41049, Refused),
    ],
)
def test_the_codes_of_the_race_are_told_apart(
    official: Corp, errcode: int, kind: type[ProviderError]
) -> None:
    official.sim.fault(api=API, kind="errcode", errcode=errcode, times=None)
    spoken: list[bool] = []
    body = official.provider.welcome_body(Text("x"), welcome_code="CODE")
    with pytest.raises(kind) as raised:
        official.provider.send_welcome(body, on_speak=lambda: spoken.append(True))
    assert (raised.value.errcode, raised.value.outcome, spoken) == (errcode, "not_done", [True])
    assert len(official.sim.journal(api=API)) == 1  # nothing below the caller posts again


def test_an_answer_that_is_lost_leaves_it_unknown(official: Corp) -> None:
    official.sim.fault(api=API, kind="after")
    body = official.provider.welcome_body(Text("x"), welcome_code="CODE")
    with pytest.raises(ProviderError) as raised:
        official.provider.send_welcome(body)
    assert raised.value.outcome == "unknown"
    assert len(official.sim.journal(api=API)) == 1


def test_what_on_speak_raises_goes_through_and_nothing_is_posted(official: Corp) -> None:
    def stop() -> None:
        raise KeyError("stop")

    body = official.provider.welcome_body(Text("x"), welcome_code="CODE")
    with pytest.raises(KeyError):
        official.provider.send_welcome(body, on_speak=stop)
    assert official.sim.journal(api=API) == []


def test_without_a_token_it_was_certainly_not_said(client: Open, hostile: Hostile) -> None:
    provider = client("official", base_url="http://127.0.0.1:1")
    with pytest.raises(ProviderError) as raised:
        provider.send_welcome(b"{}")
    assert (raised.value.outcome, raised.value.api) == ("not_done", "gettoken")
