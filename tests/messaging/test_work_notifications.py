"""Messages to employees through DingTalk: accepted is not delivered, and what it drops in silence is told."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm.connections import first_agent, open_provider
from crm.errors import Invalid
from crm.providers.content import Content, Image, Markdown, MiniprogramNotice, News, Text, Textcard, parse
from crm.simulator.server import Simulator
from messaging import outbox, results, tasks
from messaging.models import Attempt, Message
from tests.messaging.house import House, house

API = "topapi/message/corpconversation/"
NOTICE = MiniprogramNotice(
    appid="wx00000000000000aa",
    title="合同待确认",
    page="pages/order?id=7",
    content_item=(("客户", "林微"), ("到期", "周五")),
)


@pytest.fixture
def ding(sim: Simulator, db: None, settings: Any) -> House:
    settings.CRM_DINGTALK_RATE = settings.CRM_REMOTE_RATE
    return house(sim, "dingtalk")


def send(house: House, content: Content, **to: Any) -> Message:
    to = to or {"employees": house.userids}
    message = outbox.compose(user=house.user, actor="user:test", corp=house.corp, content=content, **to)
    tasks.deliver(message.pk)
    return message


def told(message: Message, *names: str) -> list[Any]:
    return list(message.deliveries.order_by("pk").values_list(*names, flat=len(names) == 1))


def test_accepted_first_and_delivered_when_the_result_says_so(ding: House) -> None:
    message = send(ding, Text("你好"))
    assert set(told(message, "state", "is_last_word")) == {("accepted", False)}
    tasks.poll_results()
    assert set(told(message, "state")) == {"accepted"}
    ding.sim.advance(3)
    tasks.poll_results()
    message.refresh_from_db()
    assert (set(told(message, "state")), message.state) == ({"delivered"}, "done")
    assert [to for to, _, _ in ding.phones()] == ding.userids


def test_one_call_takes_a_hundred(ding: House) -> None:
    ops = [{"op": "add_employee", "userid": f"new{n}", "department": [2]} for n in range(105)]
    ding.sim.post("/_sim/world/", {"corp": ding.corp.corpid, "ops": ops})
    for op in ops:
        ding.corp.employees.create(userid=op["userid"])
    send(ding, Text("你好"))
    calls = [len(each["body"]["userid_list"].split(",")) for each in ding.posts(API + "asyncsend_v2")]
    assert sorted(calls) == [len(ding.userids) - 100, 100]


def test_who_is_left_out_is_refused_with_the_reason(ding: House) -> None:
    (first, second, *_) = ding.userids
    send(ding, Text("你好"), employees=[first])
    ding.corp.employees.create(userid="ghost")
    message = send(ding, Text("你好"), employees=[first, second, "ghost"])
    ding.sim.advance(3)
    tasks.poll_results()
    assert dict(told(message, "to", "state")) == {first: "refused", second: "delivered", "ghost": "refused"}
    assert dict(told(message, "to", "code")) == {first: "same_today", second: "", "ghost": "invalid_user"}


def test_result_that_is_told_no_more_leaves_accepted_as_the_last_word(ding: House) -> None:
    message = send(ding, Text("你好"))
    ding.sim.advance(90_000)
    Attempt.objects.update(finished_at=timezone.now() - timedelta(hours=25))
    message.deliveries.update(next_attempt_at=timezone.now())
    results.poll_results()
    message.refresh_from_db()
    assert set(told(message, "state", "is_last_word", "code")) == {("accepted", True, "never_told")}
    assert message.state == "done"


def test_notice_becomes_a_card_that_opens_the_page(ding: House) -> None:
    send(ding, NOTICE, employees=ding.userids[:1])
    ((_, msgtype, card),) = ding.phones()
    assert (msgtype, card["single_url"], card["title"]) == (
        "action_card",
        "eapp://pages/order?id=7",
        "合同待确认",
    )
    assert card["markdown"] == "### 合同待确认  \n**客户** 林微  \n**到期** 周五"


@pytest.mark.parametrize(
    ("content", "msgtype"),
    [
        (Markdown("# 周报\n内容"), "markdown"),
        (Textcard("标题", "说明", "https://a.example/"), "action_card"),
        (
            parse(
                {
                    "msgtype": "news",
                    "news": {
                        "articles": [
                            {
                                "title": "新品",
                                "description": "说明",
                                "url": "https://a.example/",
                                "picurl": "https://a.example/p.png",
                            }
                        ]
                    },
                }
            ),
            "link",
        ),
    ],
)
def test_each_kind_arrives_as_its_equivalent(ding: House, content: Content, msgtype: str) -> None:
    send(ding, content, employees=ding.userids[:1])
    assert [arrived for _, arrived, _ in ding.phones()] == [msgtype]


@pytest.mark.parametrize(
    ("content", "pointer", "code"),
    [
        (Image("@1"), "/content/msgtype", "unsupported_type"),
        (Text("长" * 683), "/content/text/content", "too_long"),
        (Text("x", safe=1), "/content/safe", "unsupported_option"),
        (Markdown("x" * 5001), "/content/markdown/content", "too_long"),
        (MiniprogramNotice(appid="wx1", title="标题四字"), "/content/miniprogram_notice/page", "required"),
        (News(()), "/content/news/articles", "required"),
        (Textcard("t", "d", "https://a/" + "x" * 500), "/content/textcard/url", "too_long"),
    ],
)
def test_what_dingtalk_cannot_take_is_said_before_accepting(
    ding: House, content: Content, pointer: str, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        send(ding, content)
    assert (pointer, code) in [(each.pointer, each.code) for each in refused.value.errors]
    assert not Message.objects.exists()


def test_contacts_cannot_be_written_to_and_it_is_said_before_accepting(ding: House) -> None:
    with pytest.raises(Invalid, match="cannot write to contacts"):
        ding.compose()
    assert not Message.objects.exists()


def test_recalled_message_is_taken_back(ding: House) -> None:
    message = send(ding, Text("你好"), employees=ding.userids[:1])
    open_provider(first_agent(ding.corp)).recall(told(message, "msgid")[0])
    assert [each["recalled"] for each in ding.sim.messages(corp=ding.corp.corpid)] == [True]
