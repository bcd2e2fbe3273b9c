"""App messages to members, and the direct dialect's message to a contact."""

import json
import urllib.request
from typing import Any

import pytest

NOTICE = {
    "appid": "wx00000000000000aa",
    "title": "合同待确认",
    "content_item": [{"key": "客户", "value": "北方工厂"}],
}


def test_send_when_partly_invalid_then_sent_to_the_rest_and_listed_lower_case(
    official: Any, sim: Any
) -> None:
    first, second, *_ = official.employees()
    answer = official.send(f"{first}|NoBody|{second.upper()}", toparty="99")
    assert (answer["invaliduser"], answer["invalidparty"]) == ("nobody", "99")
    assert [(m["kind"], m["to"]) for m in sim.messages()] == [("employee", first), ("employee", second)]
    assert sim.messages(to=first)[0]["msgid"] == answer["msgid"]


def test_send_when_direct_then_empty_lists_are_told_as_empty_strings(direct: Any) -> None:
    answer = direct.send(direct.employees()[0])
    assert [answer[name] for name in ("invaliduser", "invalidparty", "invalidtag")] == ["", "", ""]


def test_send_when_nobody_is_valid_then_81013_and_nothing_sent(official: Any, sim: Any) -> None:
    assert official.send("nobody")["errcode"] == 81013
    assert sim.messages() == []


def test_send_when_unlicensed_then_listed_apart(official: Any, sim: Any) -> None:
    first, second, *_ = official.employees()
    sim.change(official.corp, "edit_employee", userid=first, licensed=False)
    assert official.send(f"{first}|{second}")["unlicenseduser"] == first
    assert [each["to"] for each in sim.messages()] == [second]


def test_send_when_to_all_or_a_department_then_everybody_below_gets_it(official: Any, sim: Any) -> None:
    everybody = {each["userid"] for each in official.truth()["employees"]}
    official.send("@all")
    assert {each["to"] for each in sim.messages()} == everybody
    official.send("", toparty="1")
    assert len(sim.messages()) == 2 * len(everybody)


@pytest.mark.parametrize(
    ("fields", "errcode"),
    [
        ({"touser": "|".join(["a"] * 1001)}, 40032),
        ({"touser": "", "toparty": "|".join(["1"] * 101)}, 82002),
        ({"touser": "", "totag": "|".join(["1"] * 101)}, 82003),
        ({"touser": ""}, 82001),
        ({"msgtype": "dance"}, 40008),
        ({"agentid": 1000009}, 301002),
        ({"agentid": "x"}, 40056),
        ({"agentid": None}, 41011),
        ({"text": {"content": ""}}, 44004),
        ({"msgtype": "image", "image": {"media_id": "none"}}, 40007),
        ({"msgtype": "image", "image": {}}, 41006),
        ({"msgtype": "textcard", "textcard": {"title": "t", "description": "d", "url": "x"}}, 45034),
        ({"msgtype": "news", "news": {"articles": []}}, 45008),
        ({"msgtype": "markdown", "markdown": {"content": "字" * 683}}, 45002),
        ({"touser": "@all", "msgtype": "miniprogram_notice", "miniprogram_notice": NOTICE}, 40031),
    ],
)
def test_send_when_a_rule_is_broken_then_its_errcode(official: Any, fields: Any, errcode: int) -> None:
    body = {
        "touser": official.employees()[0],
        "msgtype": "text",
        "agentid": official.agentid,
        "text": {"content": "x"},
    }
    assert official.post("message/send", **(body | fields))["errcode"] == errcode


@pytest.mark.parametrize(
    ("changed", "errcode"),
    [
        ({"appid": ""}, 90200),
        ({"appid": "wx12"}, 90207),
        ({"page": "p" * 1025}, 90204),
        ({"title": ""}, 41016),
        ({"title": "字" * 13}, 40058),
        ({"content_item": [{"key": "k", "value": "v"}] * 11}, 90201),
        ({"content_item": [{"key": "字" * 11, "value": "v"}]}, 90202),
        ({"content_item": [{"key": "", "value": "v"}]}, 90202),
        ({"content_item": [{"key": "k", "value": "字" * 31}]}, 90203),
        ({"content_item": [{"key": "k", "value": ""}]}, 90203),
        ({"content_item": [{"key": "", "value": ""}]}, 0),
        ({}, 0),
    ],
)
def test_notice_when_checked_then_the_documented_errcode(official: Any, changed: Any, errcode: int) -> None:
    answer = official.send(official.employees()[0], "miniprogram_notice", NOTICE | changed)
    assert answer["errcode"] == errcode


def test_notice_when_mini_program_is_not_linked_then_90206(official: Any, sim: Any) -> None:
    sim.settings(linked_appids=["wx00000000000000bb"])
    assert official.send(official.employees()[0], "miniprogram_notice", NOTICE)["errcode"] == 90206


def test_text_when_too_long_then_cut_between_characters(official: Any, sim: Any) -> None:
    official.send(official.employees()[0], content={"content": "字" * 1000})
    content = sim.messages()[0]["content"]["content"]
    assert content == "字" * 682


def test_send_when_repeated_under_duplicate_check_then_delivered_once(official: Any, sim: Any) -> None:
    userid = official.employees()[0]
    answers = [
        official.send(userid, enable_duplicate_check=1, duplicate_check_interval=600) for _ in range(2)
    ]
    assert [each["errcode"] for each in answers] == [0, 0]
    assert len(sim.messages()) == 1
    sim.advance(601)
    official.send(userid, enable_duplicate_check=1, duplicate_check_interval=600)
    assert len(sim.messages()) == 2


def test_send_when_too_many_to_one_member_then_the_excess_is_silently_dropped(
    official: Any, sim: Any
) -> None:
    sim.post("/_sim/clock/", {"set": 1_800_000_000})
    official.token = official.fetch_token()
    answers = [official.send(official.employees()[0], content={"content": str(n)}) for n in range(33)]
    assert {each["errcode"] for each in answers} == {0}
    assert len(sim.messages()) == 30


def test_recall_when_in_time_then_marked_and_later_refused(official: Any, sim: Any) -> None:
    msgid = official.send(official.employees()[0])["msgid"]
    assert official.post("message/recall", msgid=msgid)["errcode"] == 0
    assert sim.messages()[0]["recalled"] is True
    assert official.post("message/recall", msgid="dm0")["errcode"] == 40058
    sim.settings(recall_seconds=1)
    sim.advance(100)
    assert official.post("message/recall", msgid=msgid)["errcode"] == 42052


def test_contact_message_when_direct_then_arrives_without_msgid(direct: Any, sim: Any) -> None:
    external_userid = direct.truth()["contacts"][0]["external_userid"]
    body = {"touser": external_userid, "msgtype": "text", "text": {"content": "Hi"}}
    assert direct.post("externalcontact/message/send", **body) == {"errcode": 0, "errmsg": "ok"}
    assert [(m["kind"], m["to"], m["content"]) for m in sim.messages()] == [
        ("contact", external_userid, {"content": "Hi"})
    ]


def test_contact_message_when_notice_then_arrives(direct: Any, sim: Any) -> None:
    external_userid = direct.truth()["contacts"][0]["external_userid"]
    body = {"touser": external_userid, "msgtype": "miniprogram_notice", "miniprogram_notice": NOTICE}
    assert direct.post("externalcontact/message/send", **body)["errcode"] == 0
    assert sim.messages()[0]["content"]["title"] == NOTICE["title"]


@pytest.mark.parametrize(
    ("fields", "errcode"),
    [
        ({"touser": "wmNobody"}, 40096),
        ({"touser": ""}, 82001),
        ({"msgtype": "image"}, 40008),
        ({"text": {}}, 44004),
    ],
)
def test_contact_message_when_bad_then_refused(direct: Any, sim: Any, fields: Any, errcode: int) -> None:
    touser = direct.truth()["contacts"][0]["external_userid"]
    body = {"touser": touser, "msgtype": "text", "text": {"content": "Hi"}} | fields
    assert direct.post("externalcontact/message/send", **body)["errcode"] == errcode
    assert sim.messages() == []


def test_contact_message_when_official_then_it_is_another_api(official: Any) -> None:
    body = {"touser": "wm", "msgtype": "text", "text": {"content": "Hi"}}
    assert official.post("externalcontact/message/send", **body)["errcode"] == 40058


def test_media_when_three_days_old_then_40007(official: Any, sim: Any) -> None:
    sim.settings(token_ttl=10**6)
    sim.post("/_sim/tokens/", {"corp": official.corp, "op": "expire"})
    official.token = official.fetch_token()
    media_id = official.upload()
    userid = official.employees()[0]
    assert official.send(userid, "image", {"media_id": media_id})["errcode"] == 0
    sim.advance(3 * 86_400 + 1)
    assert official.send(userid, "image", {"media_id": media_id})["errcode"] == 40007
    assert official.get("media/get", media_id=media_id)["errcode"] == 40007


def test_media_when_read_back_then_the_same_bytes(official: Any, sim: Any) -> None:
    media_id = official.upload(b"\x00\r\n--binary\xff")
    url = f"{sim.url}/cgi-bin/media/get?access_token={official.token}&media_id={media_id}"
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"\x00\r\n--binary\xff"
        assert answer.headers["Content-Type"] == "image/png"


def test_picture_when_uploaded_then_served_for_good(official: Any, sim: Any) -> None:
    body = b'--B\r\nContent-Disposition: form-data; name="media"; filename="a.png"\r\n\r\n0123456789\r\n--B--\r\n'
    head = {"Content-Type": "multipart/form-data; boundary=B"}
    url = f"{sim.url}/cgi-bin/media/uploadimg?access_token={official.token}"
    with urllib.request.urlopen(urllib.request.Request(url, body, head)) as answer:
        picture = json.loads(answer.read())["url"]
    sim.advance(30 * 86_400)
    with urllib.request.urlopen(picture) as answer:
        assert answer.read() == b"0123456789"


def test_send_when_to_a_member_tag_then_who_has_it_gets_it(official: Any, sim: Any) -> None:
    tags = {each["tagid"]: each["userids"] for each in official.truth()["member_tags"]}
    answer = official.send("", totag="2|77")
    assert answer["invalidtag"] == "77"
    assert [each["to"] for each in sim.messages()] == tags[2]
    sim.change(official.corp, "remove_employee", userid=tags[2][0])
    official.send("", totag="2")
    assert [each["to"] for each in sim.messages()] == tags[2] + tags[2][1:]


def test_send_when_nobody_has_the_tag_then_81013(official: Any) -> None:
    assert official.send("", totag="3")["errcode"] == 81013
