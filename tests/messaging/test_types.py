"""Every type of message on its way from acceptance through the worker to the phone."""

from typing import Any

import pytest

from crm.connections import open_provider
from crm.errors import Invalid
from crm.models import Agent
from crm.providers.content import Content, Image, Video
from crm.providers.records import Problem
from messaging import outbox, tasks, wording
from messaging.models import Message
from tests.messaging.house import House
from tests.providers.contents import mass_text, to_employees


def media_id(house: House) -> str:
    provider = open_provider(Agent.objects.get(corp=house.corp))
    return provider.upload_media("image", "a.png", b"0123456789")


def compose(house: House, content: Content, **to: Any) -> Message:
    return outbox.compose(user=house.user, actor="user:test", corp=house.corp, content=content, **to)


def test_deliver_when_of_any_type_then_employees_have_it(either: House) -> None:
    contents = to_employees(media_id(either))
    for content in contents:
        message = compose(either, content, employees=either.userids[:1])
        message.full_clean()
        tasks.deliver(message.pk)
        assert message.deliveries.get().state == "accepted", message.deliveries.get().errmsg
    assert [msgtype for _to, msgtype, _content in either.phones()] == [each.msgtype for each in contents]


def test_deliver_when_a_mass_text_has_attachments_then_the_customer_gets_them(official: House) -> None:
    content = mass_text(media_id(official))
    message = compose(official, content, contacts=official.ids[:1])
    tasks.deliver(message.pk)
    delivery = message.deliveries.first()
    assert delivery is not None
    official.sim.confirm(official.corp.corpid, delivery.msgid, delivery.sender)
    ((to, _msgtype, shown),) = official.phones()
    assert (to, shown["text"]) == (delivery.to, content.content)
    assert shown["attachments"] == message.content["attachments"]


def test_compose_when_contacts_do_not_take_the_type_then_it_is_refused_in_words(either: House) -> None:
    with pytest.raises(Invalid) as caught:
        compose(either, Image("m1"), contacts=either.ids[:1])
    (error,) = caught.value.errors
    assert (error.pointer, error.code) == ("/content/msgtype", "unsupported_type")
    assert error.detail == "This kind of message cannot be sent to these recipients."


def test_preview_when_wecom_would_cut_then_it_warns_and_can_be_sent(either: House) -> None:
    content = Video(media_id(either), title="汉" * 43)
    to = {"employees": either.userids[:1]}
    (problem,) = outbox.preview(user=either.user, corp=either.corp, content=content, **to).problems
    assert (problem.code, problem.warning) == ("cut", True)
    assert "cut at 128 bytes: these are 129" in wording.sentence(problem)
    assert compose(either, content, employees=either.userids[:1]).msgtype == "video"


@pytest.mark.parametrize(
    "code", ["no_scheme", "bad_task_id", "unsupported_type", "unsupported_option", "long"]
)
def test_wording_when_a_code_is_known_then_it_is_a_sentence(code: str) -> None:
    assert wording.sentence(Problem("/x", code, {"limit": 36, "length": 37})).endswith(".")


def test_summary_when_of_any_type_then_it_is_its_first_words() -> None:
    told = {
        each.msgtype: Message(msgtype=each.msgtype, content=each.as_json()) for each in to_employees("m1")
    }
    assert {name: message.summary for name, message in told.items()} == {
        "text": "你好，报价单已发出 😀",
        "image": "",
        "voice": "",
        "video": "参观",
        "file": "",
        "textcard": "新线索",
        "news": "价目表",
        "mpnews": "指南",
        "markdown": '**北方工厂**\n>负责人: <font color="info">小林</font>',
        "miniprogram_notice": "合同待确认",
        "template_card": "跟进到期",
    }
