"""Limits of each content in the right unit, and the bytes of a send."""

import dataclasses
import struct
import zlib
from typing import Any

import orjson
import pytest

from crm.providers.attachments import LinkAttachment
from crm.providers.content import Content, MiniprogramNotice, Text, Voice
from crm.providers.errors import Refused
from crm.providers.records import Problem
from crm.providers.wecom import messages
from crm.providers.wecom.cover import cover_png

NOTICE = MiniprogramNotice(appid="wx00000000000000aa", title="合同待确认", page="pages/a?id=1")


def problems(content: Content, *, mass: bool = False) -> list[Problem]:
    return messages.mass_problems(content) if mass else messages.employee_problems(content)


def blocking(content: Content, *, mass: bool = False) -> list[tuple[str, str]]:
    return [(p.pointer, p.code) for p in problems(content, mass=mass) if not p.warning]


def warnings(content: Content, *, mass: bool = False) -> list[tuple[str, str]]:
    return [(p.pointer, p.code) for p in problems(content, mass=mass) if p.warning]


def notice(**fields: Any) -> MiniprogramNotice:
    return dataclasses.replace(NOTICE, **fields)


@pytest.mark.parametrize(("mass", "limit"), [(False, 2048), (True, 4000)])
def test_text_is_measured_in_utf8_bytes(mass: bool, limit: int) -> None:
    assert blocking(Text("a" * limit), mass=mass) == []
    assert blocking(Text("a" * (limit + 1)), mass=mass) == [("/text/content", "too_long")]
    assert blocking(Text("汉" * (limit // 3)), mass=mass) == []
    assert blocking(Text("汉" * (limit // 3 + 1)), mass=mass) == [("/text/content", "too_long")]
    assert blocking(Text("😀" * (limit // 4 + 1)), mass=mass) == [("/text/content", "too_long")]


def test_too_long_says_limit_length_and_unit() -> None:
    (problem,) = problems(Text("汉" * 700))
    assert problem.params == {"limit": 2048, "length": 2100, "unit": "bytes"}


@pytest.mark.parametrize("content", ["", " ", "\n\t"])
def test_empty_text_is_refused(content: str) -> None:
    assert blocking(Text(content)) == [("/text/content", "empty")]


@pytest.mark.parametrize("character", ["\0", "\ud800"])
def test_characters_nobody_can_write_are_refused(character: str) -> None:
    assert blocking(Text("a" + character)) == [("/text/content", "invalid_characters")]
    pointer = "/miniprogram_notice/title"
    assert (pointer, "invalid_characters") in blocking(notice(title="四个字的" + character))


def test_sound_notice_has_no_problem() -> None:
    assert problems(notice(content_item=(("客户", "北方工厂"),))) == []


@pytest.mark.parametrize("name", ["title", "description"])
def test_title_and_description_are_measured_in_code_points(name: str) -> None:
    assert blocking(notice(**{name: "汉" * 12})) == []
    assert blocking(notice(**{name: "汉" * 13})) == [(f"/miniprogram_notice/{name}", "too_long")]
    assert blocking(notice(**{name: "a" * 13})) == [(f"/miniprogram_notice/{name}", "too_long")]


def test_a_short_title_only_warns() -> None:
    assert blocking(notice(title="三个字")) == []
    assert warnings(notice(title="三个字")) == [("/miniprogram_notice/title", "too_short")]
    assert warnings(notice(description="")) == []


@pytest.mark.parametrize("name", ["appid", "title"])
def test_appid_and_title_are_required(name: str) -> None:
    assert blocking(notice(**{name: ""})) == [(f"/miniprogram_notice/{name}", "required")]


def test_page_is_measured_in_bytes() -> None:
    assert blocking(notice(page="a" * 1024)) == []
    assert blocking(notice(page="汉" * 342)) == [("/miniprogram_notice/page", "too_long")]


def test_items_are_counted_without_empty_pairs() -> None:
    ten = tuple((f"k{n}", "v") for n in range(10))
    assert blocking(notice(content_item=(*ten, ("", "")))) == []
    assert blocking(notice(content_item=(*ten, ("k", "v")))) == [
        ("/miniprogram_notice/content_item", "too_many")
    ]


def test_key_value_limits_and_half_empty_pairs() -> None:
    at = "/miniprogram_notice/content_item/1"
    good = ("键" * 10, "值" * 30)
    assert blocking(notice(content_item=(good,))) == []
    assert blocking(notice(content_item=(good, ("键" * 11, "值")))) == [(f"{at}/key", "too_long")]
    assert blocking(notice(content_item=(good, ("键", "值" * 31)))) == [(f"{at}/value", "too_long")]
    assert blocking(notice(content_item=(good, ("", "值")))) == [(f"{at}/key", "half_empty")]
    assert blocking(notice(content_item=(good, ("键", "")))) == [(f"{at}/value", "half_empty")]


def test_mass_notice_needs_a_page_and_a_short_title_in_bytes() -> None:
    assert blocking(notice(page=""), mass=True) == [("/miniprogram_notice/page", "required")]
    assert blocking(notice(title="汉" * 21), mass=True) == []
    assert blocking(notice(title="汉" * 22), mass=True) == [("/miniprogram_notice/title", "too_long")]


def test_mass_notice_warns_of_what_an_attachment_cannot_show() -> None:
    found = warnings(notice(description="四个字呀", content_item=(("a", "b"),)), mass=True)
    assert found == [
        ("/miniprogram_notice/description", "not_shown"),
        ("/miniprogram_notice/content_item", "not_shown"),
    ]


def test_a_text_with_attachments_may_be_empty_and_then_has_no_text() -> None:
    attached = Text(" ", attachments=(LinkAttachment("t", "https://a"),))
    assert blocking(attached, mass=True) == []
    assert blocking(Text(""), mass=True) == [("/text/content", "empty")]
    body = orjson.loads(messages.mass_body(attached, to=["wm1"], sender="lin"))
    assert "text" not in body
    assert body["attachments"] == [{"msgtype": "link", "link": {"title": "t", "url": "https://a"}}]


def test_employee_body_joins_recipients_and_writes_real_characters() -> None:
    body = messages.employee_body(Text("你好"), to=["Lin", "wang"], agentid="1000002")
    assert "你好".encode() in body
    assert orjson.loads(body) == {
        "touser": "Lin|wang",
        "msgtype": "text",
        "text": {"content": "你好"},
        "agentid": 1000002,
    }


def test_duplicate_check_is_bounded_to_four_hours() -> None:
    body = orjson.loads(messages.employee_body(Text("a"), to=["u"], agentid="", duplicate_check_s=99999))
    assert (body["enable_duplicate_check"], body["duplicate_check_interval"]) == (1, 14400)
    assert "agentid" not in body


def test_the_same_content_gives_the_same_bytes() -> None:
    made = [
        messages.employee_body(NOTICE, to=["a", "b"], agentid="7", duplicate_check_s=600) for _ in range(2)
    ]
    assert made[0] == made[1]


def test_notice_body_drops_empty_pairs() -> None:
    body = orjson.loads(messages.contact_body(notice(content_item=(("", ""), ("a", "b"))), to=["wm1"]))
    assert body["miniprogram_notice"]["content_item"] == [{"key": "a", "value": "b"}]
    body = orjson.loads(messages.contact_body(notice(content_item=(("", ""),)), to=["wm1"]))
    assert "content_item" not in body["miniprogram_notice"]
    assert body["touser"] == "wm1"


def test_mass_body_carries_sender_and_attachment() -> None:
    content = notice(pic_media_id="m1")
    body = orjson.loads(messages.mass_body(content, to=["wm1", "wm2"], sender="lin"))
    assert body == {
        "chat_type": "single",
        "external_userid": ["wm1", "wm2"],
        "sender": "lin",
        "attachments": [
            {
                "msgtype": "miniprogram",
                "miniprogram": {
                    "title": NOTICE.title,
                    "pic_media_id": "m1",
                    "appid": NOTICE.appid,
                    "page": NOTICE.page,
                },
            }
        ],
    }


@pytest.mark.parametrize(
    ("content", "sender", "code"),
    [(NOTICE, "lin", "no_cover"), (Text("a"), "", "no_sender"), (Voice("m"), "lin", "unsupported_type")],
)
def test_mass_body_refuses_what_is_not_ready(content: Content, sender: str, code: str) -> None:
    with pytest.raises(Refused) as caught:
        messages.mass_body(content, to=["wm1"], sender=sender)
    assert (caught.value.code, caught.value.outcome) == (code, "not_done")


@pytest.mark.parametrize("recipient", ["@all", "a|b", "", "  "])
def test_an_id_that_would_reach_others_is_refused(recipient: str) -> None:
    for write in (
        lambda to: messages.employee_body(Text("a"), to=to, agentid="1"),
        lambda to: messages.contact_body(Text("a"), to=to),
        lambda to: messages.mass_body(Text("a"), to=to, sender="s"),
    ):
        with pytest.raises(Refused) as caught:
            write([recipient])
        assert caught.value.code == "bad_recipient"


def test_a_direct_body_takes_one_contact_and_an_employee_body_a_thousand() -> None:
    with pytest.raises(Refused):
        messages.contact_body(Text("a"), to=["wm1", "wm2"])
    assert messages.employee_body(Text("a"), to=[f"u{n}" for n in range(1000)], agentid="1")
    with pytest.raises(Refused):
        messages.employee_body(Text("a"), to=[f"u{n}" for n in range(1001)], agentid="1")


def test_cover_is_a_png_of_the_advised_size() -> None:
    png = cover_png()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">II", png[16:24]) == (520, 416)
    start = png.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", png[start - 8 : start - 4])
    assert len(zlib.decompress(png[start : start + length])) == 521 * 416
    assert len(png) < 5000


@pytest.mark.parametrize(
    ("to_kind", "to", "told"),
    [
        ("department", ["2", "15", "2"], {"toparty": "2|15"}),
        ("tag", ["7"], {"totag": "7"}),
        ("everybody", ["@all"], {"touser": "@all"}),
    ],
)
def test_a_body_to_groups_of_members_names_them_in_their_own_field(
    to_kind: str, to: list[str], told: dict[str, str]
) -> None:
    body = orjson.loads(messages.employee_body(Text("a"), to_kind=to_kind, to=to, agentid="7"))
    assert {name: body[name] for name in ("touser", "toparty", "totag") if name in body} == told


@pytest.mark.parametrize(
    ("to_kind", "to"),
    [
        ("department", ["@all"]),
        ("department", ["1|2"]),
        ("department", ["²"]),
        ("department", []),
        ("department", [str(n) for n in range(1, 102)]),
        ("tag", ["lin"]),
        ("tag", [str(n) for n in range(1, 102)]),
        ("everybody", ["lin"]),
        ("everybody", ["@all", "lin"]),
        ("employee", ["@all"]),
    ],
)
def test_a_receiver_of_another_kind_or_one_too_many_is_refused(to_kind: str, to: list[str]) -> None:
    with pytest.raises(Refused) as caught:
        messages.employee_body(Text("a"), to_kind=to_kind, to=to, agentid="7")
    assert caught.value.code == "bad_recipient"


def test_only_everybody_at_once_gets_no_notice() -> None:
    for to_kind in messages.MEMBERS_PER_SEND:
        found = [each.code for each in messages.employee_problems(NOTICE, to_kind=to_kind)]
        assert found == (["not_to_everybody"] if to_kind == "everybody" else [])
