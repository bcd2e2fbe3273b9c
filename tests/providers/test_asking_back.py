"""What is asked about sends that went before: mass sends whose answer was lost, and the provider's own count."""

import time
from typing import Any

import pytest

from crm.providers.base import Capability
from crm.providers.content import Text
from crm.providers.errors import Malformed, Unavailable, Unsupported
from crm.providers.records import MessageCounts, SendReceipt
from tests.providers.contents import mass_text
from tests.providers.corps import Corp

LIST = "externalcontact/get_groupmsg_list_v2"
STATISTICS = "message/get_statistics"


class Made:
    """A mass send that was posted, and questions about it."""

    def __init__(self, corp: Corp, words: str = "春季报价", *, more: tuple[str, ...] = ()) -> None:
        self.corp = corp
        self.sender, external_userid = corp.listed_contact()
        self.to = [external_userid, *more]
        content = mass_text(corp.provider.upload_media("image", "a.png", b"0123456789"), words)
        self.body = corp.provider.body(content, to_kind="contact", to=self.to, sender=self.sender)
        self.msgid = self.post()

    def post(self) -> str:
        return self.corp.provider.send(self.body, to_kind="contact", to=self.to).msgid

    def found(self, **other: Any) -> list[SendReceipt]:
        now = int(time.time())
        asked: dict[str, Any] = {
            "to": self.to,
            "sender": self.sender,
            "begin": now - 600,
            "end": now + 600,
        } | other
        return self.corp.provider.find_mass_sends(asked.pop("body", self.body), **asked)


@pytest.mark.parametrize("words", ["春季报价", " 两边有空格 ", ""])
def test_a_mass_send_is_found_by_its_body_although_its_media_have_other_names(
    official: Corp, words: str
) -> None:
    made = Made(official, words)
    assert [(each.msgid, each.refused, each.final) for each in made.found()] == [(made.msgid, (), False)]


def test_who_is_not_in_the_found_one_is_refused(official: Corp) -> None:
    (found,) = Made(official, more=("wmNobody",)).found()
    assert [(each.to, each.errcode) for each in found.refused] == [("wmNobody", 81013)]


def test_each_that_it_can_be_is_told(official: Corp) -> None:
    made = Made(official)
    assert {made.msgid, made.post()} == {each.msgid for each in made.found()}


def test_another_text_sender_time_or_recipient_is_not_it(official: Corp) -> None:
    made = Made(official)
    other = made.corp.provider.body(Text("别的"), to_kind="contact", to=made.to, sender=made.sender)
    now = int(time.time())
    assert made.found(body=other) == []
    assert made.found(sender="somebody") == []
    assert made.found(begin=now - 7200, end=now - 3600) == []
    assert made.found(to=["wmNobody"]) == []


def test_a_listing_of_several_pages_is_read_to_its_end(official: Corp) -> None:
    made = Made(official)
    userid, external_userid = made.sender, made.to[0]
    for n in range(105):
        body = official.provider.body(Text(f"{n}"), to_kind="contact", to=[external_userid], sender=userid)
        official.provider.send(body, to_kind="contact", to=[external_userid])
    last = made.post()
    assert [each.msgid for each in made.found()] == [made.msgid, last]
    asked = [each["body"] for each in official.sim.journal(api=LIST)]
    assert [each["limit"] for each in asked] == [100, 100]
    assert {each["filter_type"] for each in asked} == {0}


@pytest.mark.parametrize("create_time", ["1000000000", 1000000000])
def test_an_older_one_is_not_it_although_the_provider_lists_it(official: Corp, create_time: Any) -> None:
    made = Made(official)
    entry = {"msgid": made.msgid, "create_time": create_time, "create_type": 0}
    listed = {"group_msg_list": [entry | {"text": {"content": "x"}}]}
    official.sim.fault(api=LIST, kind="fields", fields=listed)
    body = official.provider.body(Text("x"), to_kind="contact", to=made.to, sender=made.sender)
    assert made.found(body=body) == []


@pytest.mark.parametrize(
    "entries", [None, [None, 7, "x"], [{}], [{"msgid": 7, "text": "x", "attachments": {"msgtype": []}}]]
)
def test_entries_that_cannot_be_read_are_passed_over(official: Corp, entries: Any) -> None:
    made = Made(official)
    official.sim.fault(api=LIST, kind="fields", fields={"group_msg_list": entries})
    assert made.found() == []


def test_a_listing_without_its_list_says_nothing(official: Corp) -> None:
    made = Made(official)
    official.sim.fault(api=LIST, kind="no_list")
    with pytest.raises(Malformed) as caught:
        made.found()
    assert caught.value.code == "no_list"


def test_while_one_is_dispatched_nothing_is_told(official: Corp) -> None:
    made = Made(official)
    official.sim.settings(groupmsg_delay=30.0)
    with pytest.raises(Unavailable) as caught:
        made.found()
    assert caught.value.errcode == 41063


def test_the_provider_counts_persons_by_day(official: Corp) -> None:
    (first, second, *_) = official.provider.directory().listed
    for to in ([first, second], [first]):
        body = official.provider.body(Text("hi"), to_kind="employee", to=to)
        official.provider.send(body, to_kind="employee", to=to)
    assert official.provider.message_counts() == MessageCounts(today=3, yesterday=0)
    official.sim.advance(86_400)
    assert official.provider.message_counts() == MessageCounts(today=0, yesterday=3)


def test_the_count_of_another_app_is_not_ours(official: Corp) -> None:
    ours, other = official.told["agentid"], 1999999
    rows = [{"agentid": str(ours), "count": "4"}, {"agentid": other, "count": 100}, None]
    official.sim.fault(api=STATISTICS, kind="fields", fields={"statistics": rows}, times=2)
    assert official.provider.message_counts() == MessageCounts(today=4, yesterday=4)


def test_a_count_without_its_list_is_no_zero(official: Corp) -> None:
    official.sim.fault(api=STATISTICS, kind="no_list")
    with pytest.raises(Malformed):
        official.provider.message_counts()


def test_a_dialect_that_cannot_be_asked_says_so(direct: Corp) -> None:
    asked = {Capability.FIND_MASS_MESSAGE, Capability.COUNT_MESSAGES}
    assert not asked & direct.provider.capabilities
    with pytest.raises(Unsupported):
        direct.provider.find_mass_sends(b"{}", to=["wm1"], sender="x", begin=0, end=1)
    with pytest.raises(Unsupported):
        direct.provider.message_counts()
