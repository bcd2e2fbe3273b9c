"""What every dialect promises about creating and sending, against the simulator."""

from typing import Any

import orjson
import pytest

from crm.providers.base import Capability
from crm.providers.content import Content, Image, Text
from crm.providers.errors import BadCredential, ProviderError, RateLimited, Refused, Unavailable, Unsupported
from crm.providers.records import NewContact, SendReceipt
from tests.providers.contents import NOTICE, mass_text, to_employees
from tests.providers.corps import Corp

TEXT = Text("你好，报价单已发出 😀")
CONTACT_SEND = {"direct": "externalcontact/message/send", "official": "externalcontact/add_msg_template"}


def send(corp: Corp, content: Content, to_kind: str, to: list[str], **options: Any) -> SendReceipt:
    body = corp.provider.body(
        corp.provider.prepare(content, to_kind=to_kind), to_kind=to_kind, to=to, **options
    )
    return corp.provider.send(body, to_kind=to_kind, to=to)


@pytest.mark.parametrize("content", [TEXT, NOTICE])
def test_employees_receive_it(corp: Corp, content: Content) -> None:
    listed = list(corp.provider.directory().listed)
    receipt = send(corp, content, "employee", listed)
    assert receipt.msgid
    assert receipt.final
    assert (receipt.refused, receipt.warning) == ((), "")
    got = corp.sim.messages(corp=corp.corp)
    assert sorted(message["to"] for message in got) == sorted(listed)
    assert {message["msgtype"] for message in got} == {content.msgtype}


def test_employees_receive_every_type(corp: Corp) -> None:
    (to, *_) = corp.provider.directory().listed
    media_id = corp.provider.upload_media("image", "a.png", b"0123456789")
    contents = to_employees(media_id)
    for content in contents:
        assert corp.provider.check(content, to_kind="employee") == []
        assert send(corp, content, "employee", [to]).msgid
    asked = [each["body"] for each in corp.sim.journal(api="message/send")]
    got = corp.sim.messages(corp=corp.corp)
    assert [message["msgtype"] for message in got] == [content.msgtype for content in contents]
    assert all(
        is_shown(told[told["msgtype"]], each["content"]) for told, each in zip(asked, got, strict=True)
    )
    for option in ("safe", "enable_id_trans"):
        assert [told.get(option, 0) for told in asked] == [getattr(each, option, 0) for each in contents]


def is_shown(told: Any, shown: Any) -> bool:
    """Whether all that was told is in what the phone shows."""
    if isinstance(told, dict):
        return all(is_shown(value, shown[name]) for name, value in told.items())
    if isinstance(told, list):
        return len(told) == len(shown) and all(map(is_shown, told, shown))
    return bool(told == shown)


def test_employees_named_in_vain_are_refused_under_our_spelling(corp: Corp) -> None:
    good, unlicensed = corp.provider.directory().listed[:2]
    corp.sim.change(corp.corp, "edit_employee", userid=unlicensed, licensed=False)
    receipt = send(corp, TEXT, "employee", [good, "NoBody", unlicensed])
    assert {(one.to, one.errcode, one.code) for one in receipt.refused} == {
        ("NoBody", 81013, ""),
        (unlicensed, None, "unlicensed"),
    }
    assert [message["to"] for message in corp.sim.messages(corp=corp.corp)] == [good]


def test_nobody_valid_refuses_everybody(corp: Corp) -> None:
    receipt = send(corp, TEXT, "employee", ["NoBody", "NoOne"])
    assert [(one.to, one.errcode) for one in receipt.refused] == [("NoBody", 81013), ("NoOne", 81013)]
    assert corp.sim.messages(corp=corp.corp) == []


def test_identical_bytes_inside_the_duplicate_check_arrive_once(corp: Corp) -> None:
    (to, *_) = corp.provider.directory().listed
    body = corp.provider.body(TEXT, to_kind="employee", to=[to], duplicate_check_s=600)
    for _ in range(2):
        corp.provider.send(body, to_kind="employee", to=[to])
    assert len(corp.sim.messages(corp=corp.corp)) == 1


@pytest.mark.parametrize("content", [TEXT, NOTICE])
def test_direct_contact_receives_it(direct: Corp, content: Content) -> None:
    _, external_userid = direct.listed_contact()
    receipt = send(direct, content, "contact", [external_userid])
    assert receipt == SendReceipt()
    (message,) = direct.sim.messages(corp=direct.corp)
    assert (message["to"], message["msgtype"]) == (external_userid, content.msgtype)


@pytest.mark.parametrize("content", [TEXT, NOTICE])
def test_mass_send_waits_for_the_employee_and_then_arrives(official: Corp, content: Content) -> None:
    userid, external_userid = official.listed_contact()
    receipt = send(official, content, "contact", [external_userid, "wmNobody"], sender=userid)
    assert receipt.msgid
    assert not receipt.final
    assert [one.to for one in receipt.refused] == ["wmNobody"]
    (waiting,) = official.provider.result(receipt.msgid, sender=userid)
    assert (waiting.to, waiting.state, waiting.sent_at) == (external_userid, "waiting", None)
    official.sim.confirm(official.corp, receipt.msgid, userid)
    (done,) = official.provider.result(receipt.msgid, sender="")
    assert (done.to, done.state, done.reason) == (external_userid, "delivered", "")
    assert done.sent_at


def test_the_cover_is_uploaded_once(official: Corp) -> None:
    userid, external_userid = official.listed_contact()
    for _ in range(2):
        send(official, NOTICE, "contact", [external_userid], sender=userid)
    assert len(official.sim.journal(api="media/upload")) == 1


@pytest.mark.parametrize("words", ["春季价目表已出", ""])
def test_a_mass_text_arrives_with_its_attachments(official: Corp, words: str) -> None:
    userid, external_userid = official.listed_contact()
    content = mass_text(official.provider.upload_media("image", "a.png", b"0123456789"), words)
    assert official.provider.check(content, to_kind="contact") == []
    receipt = send(official, content, "contact", [external_userid], sender=userid)
    official.sim.confirm(official.corp, receipt.msgid, userid)
    (message,) = official.sim.messages(corp=official.corp)
    assert (message["to"], message["content"]["text"]) == (external_userid, words)
    assert message["content"]["attachments"] == [each.as_json() for each in content.attachments]


def test_contacts_cannot_be_sent_the_other_types(corp: Corp) -> None:
    for content in to_employees("m1"):
        found = [(each.pointer, each.code) for each in corp.provider.check(content, to_kind="contact")]
        is_theirs = content.msgtype in ("text", "miniprogram_notice")
        assert (("/msgtype", "unsupported_type") in found) is not is_theirs


def test_a_media_that_nobody_uploaded_is_refused(corp: Corp) -> None:
    (to, *_) = corp.provider.directory().listed
    with pytest.raises(Refused) as caught:
        send(corp, Image("m-unknown"), "employee", [to])
    assert (caught.value.errcode, caught.value.outcome) == (40007, "not_done")


def test_mass_send_results_say_why_not(official: Corp) -> None:
    official.sim.settings(mass_cap_day=1)
    userid, external_userid = official.listed_contact()
    states = []
    for n in range(2):
        receipt = send(official, Text(f"no. {n}"), "contact", [external_userid], sender=userid)
        official.sim.confirm(official.corp, receipt.msgid, userid)
        states += [(one.state, one.reason) for one in official.provider.result(receipt.msgid, sender=userid)]
    assert states == [("delivered", ""), ("refused", "over_cap")]
    official.sim.settings(mass_cap_day=0)
    receipt = send(official, TEXT, "contact", [external_userid], sender=userid)
    official.sim.change(official.corp, "customer_leaves", external_userid=external_userid, userid=userid)
    official.sim.confirm(official.corp, receipt.msgid, userid)
    (left,) = official.provider.result(receipt.msgid, sender=userid)
    assert (left.state, left.reason) == ("refused", "not_friend")


def test_mass_send_to_nobody_refuses_everybody(official: Corp) -> None:
    userid, _ = official.listed_contact()
    receipt = send(official, TEXT, "contact", ["wmNobody"], sender=userid)
    assert [(one.to, one.errcode) for one in receipt.refused] == [("wmNobody", 41048)]


def test_results_are_unavailable_while_dispatching(official: Corp) -> None:
    official.sim.settings(groupmsg_delay=30.0)
    userid, external_userid = official.listed_contact()
    receipt = send(official, TEXT, "contact", [external_userid], sender=userid)
    with pytest.raises(Unavailable) as caught:
        list(official.provider.result(receipt.msgid, sender=userid))
    assert (caught.value.errcode, caught.value.retry_after) == (41063, 5)


def test_created_contact_is_in_the_world_and_in_the_listing(direct: Corp) -> None:
    (userid, *_) = direct.provider.directory().listed
    contact = NewContact(
        "wmNew1", "新客户 A", (userid,), nickname="阿新", gender=2, position="CEO", corp_name="甲"
    )
    assert direct.provider.create_contact(contact) == "wmNew1"
    (truth,) = [c for c in direct.world()["contacts"] if c["external_userid"] == "wmNew1"]
    assert (truth["name"], truth["nickname"], truth["gender"]) == ("新客户 A", "阿新", 2)
    assert "wmNew1" in {item.external_userid for item in direct.provider.contact_page([userid]).items}


def test_official_creates_nothing(official: Corp) -> None:
    assert Capability.CREATE_CONTACT not in official.provider.capabilities
    with pytest.raises(Unsupported):
        official.provider.create_contact(NewContact("wm", "n", ("u",)))
    assert official.provider.tally.calls == 0


def test_media_with_a_chinese_name_is_stored(corp: Corp) -> None:
    media_id = corp.provider.upload_media("file", '报价 "1".txt', b"hello world")
    assert media_id
    for kind, data in (("file", b"tiny"), ("film", b"123456")):
        with pytest.raises(Refused):
            corp.provider.upload_media(kind, "a.txt", data)


@pytest.mark.parametrize(
    ("fault", "error", "outcome", "retryable"),
    [
        ({"kind": "errcode", "errcode": -1}, Unavailable, "not_done", True),
        ({"kind": "errcode", "errcode": 45033}, RateLimited, "not_done", True),
        ({"kind": "errcode", "errcode": 45009}, RateLimited, "not_done", True),
        ({"kind": "errcode", "errcode": 40058}, Refused, "not_done", False),
        ({"kind": "errcode", "errcode": 60020}, BadCredential, "not_done", False),
        ({"kind": "timeout"}, Unavailable, "unknown", True),
        ({"kind": "reset"}, Unavailable, "unknown", True),
        ({"kind": "after"}, Unavailable, "unknown", True),
        ({"kind": "html"}, Unavailable, "unknown", True),
        ({"kind": "empty"}, Unavailable, "unknown", True),
        ({"kind": "truncated"}, Unavailable, "unknown", True),
        ({"kind": "cut"}, Unavailable, "unknown", True),
    ],
)
@pytest.mark.parametrize("to_kind", ["contact", "employee"])
def test_a_send_is_made_once_and_says_what_can_have_happened(
    corp: Corp, to_kind: str, fault: dict[str, Any], error: type[ProviderError], outcome: str, retryable: bool
) -> None:
    userid, external_userid = corp.listed_contact()
    to = [external_userid if to_kind == "contact" else userid]
    provider = corp.reopen()
    api = CONTACT_SEND[corp.dialect] if to_kind == "contact" else "message/send"
    body = provider.body(TEXT, to_kind=to_kind, to=to, sender=userid)
    corp.sim.fault(api=api, **fault)
    with pytest.raises(error) as caught:
        provider.send(body, to_kind=to_kind, to=to)
    assert (caught.value.outcome, caught.value.retryable) == (outcome, retryable)
    assert len(corp.sim.journal(api=api)) == 1


def test_a_refused_token_does_not_lose_a_send(corp: Corp) -> None:
    (to, *_) = corp.provider.directory().listed
    corp.sim.post("/_sim/tokens/", {"corp": corp.corp, "op": "revoke"})
    assert send(corp, TEXT, "employee", [to]).msgid
    assert len(corp.sim.messages(corp=corp.corp)) == 1


def test_a_send_without_a_token_was_certainly_not_made(corp: Corp) -> None:
    provider = corp.reopen()
    body = provider.body(TEXT, to_kind="employee", to=["lin"])
    corp.sim.fault(api="gettoken", kind="timeout")
    with pytest.raises(Unavailable) as caught:
        provider.send(body, to_kind="employee", to=["lin"])
    assert caught.value.outcome == "not_done"


def test_an_unusual_errmsg_is_a_warning(corp: Corp) -> None:
    (to, *_) = corp.provider.directory().listed
    corp.sim.fault(api="message/send", fields={"errmsg": "Warning: wrong json format."})
    assert send(corp, TEXT, "employee", [to]).warning == "Warning: wrong json format."


def test_a_misspelt_kind_of_recipient_reaches_nobody(corp: Corp) -> None:
    with pytest.raises(ValueError, match="to_kind"):
        corp.provider.body(TEXT, to_kind="contacts", to=["lin"])
    with pytest.raises(ValueError, match="to_kind"):
        corp.provider.send(b"{}", to_kind="", to=["lin"])
    with pytest.raises(ValueError, match="to_kind"):
        corp.provider.check(TEXT, to_kind="user")


def test_body_is_sent_as_it_was_frozen(corp: Corp) -> None:
    (to, *_) = corp.provider.directory().listed
    body = corp.provider.body(NOTICE, to_kind="employee", to=[to])
    corp.provider.send(body, to_kind="employee", to=[to])
    assert orjson.loads(body)["touser"] == to
    assert "北方工厂".encode() in body
    (asked,) = corp.sim.journal(api="message/send")
    assert asked["body"] in (body.decode(), orjson.loads(body))


@pytest.mark.parametrize("to_kind", ["department", "tag"])
def test_groups_named_in_vain_are_refused_and_the_others_get_it(corp: Corp, to_kind: str) -> None:
    receipt = send(corp, TEXT, to_kind, ["2", "999"])
    key = {"department": "invalidparty", "tag": "invalidtag"}[to_kind]
    assert [(one.to, one.errcode, one.errmsg) for one in receipt.refused] == [
        ("999", 81013, f"named in {key}")
    ]
    assert receipt.msgid
    assert corp.sim.messages(corp=corp.corp)


@pytest.mark.parametrize(("to_kind", "to"), [("department", "1"), ("tag", "2"), ("everybody", "@all")])
def test_people_of_a_group_who_do_not_get_it_are_a_warning(corp: Corp, to_kind: str, to: str) -> None:
    (tag,) = [each for each in corp.sim.world(corp.corp)["member_tags"] if each["tagid"] == 2]
    corp.sim.change(corp.corp, "edit_employee", userid=tag["userids"][0], licensed=False)
    receipt = send(corp, TEXT, to_kind, [to])
    assert (receipt.refused, receipt.warning) == ((), f"unlicenseduser: {tag['userids'][0]}")


def test_a_warning_that_names_many_is_cut_to_what_a_column_holds(corp: Corp) -> None:
    many = "|".join(f"member{n}" for n in range(200))
    corp.sim.fault(kind="fields", api="message/send", corp=corp.corp, fields={"invaliduser": many})
    receipt = send(corp, TEXT, "everybody", ["@all"])
    assert receipt.refused == ()
    assert receipt.warning.startswith("invaliduser: member0, member1, ")
    assert len(receipt.warning) == 500
