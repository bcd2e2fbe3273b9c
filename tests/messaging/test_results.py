from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm.models import Event
from crm.providers.content import Content, MiniprogramNotice, Text
from messaging import outbox, results, tasks
from messaging.models import Message
from tests.messaging.house import House

NOTICE = MiniprogramNotice(appid="wx00000000000000aa", title="合同待确认", page="pages/order?id=7")


def send(house: House, content: Content, ids: list[int]) -> Message:
    message = outbox.compose(
        user=house.user, actor="user:test", corp=house.corp, contacts=ids, content=content
    )
    tasks.deliver(message.pk)
    return message


def told(message: Message, *names: str) -> list[Any]:
    return list(message.deliveries.order_by("pk").values_list(*names, flat=len(names) == 1))


def confirm(house: House, message: Message) -> None:
    """Every employee presses send."""
    for msgid, sender in set(told(message, "msgid", "sender")):
        house.sim.confirm(house.corp.corpid, msgid, sender)


@pytest.mark.parametrize("content", [Text("新品清单"), NOTICE])
def test_poll_when_the_employees_confirm_then_delivered(official: House, content: Content) -> None:
    message = send(official, content, official.ids)
    assert set(told(message, "state", "is_last_word")) == {("accepted", False)}
    assert not official.phones()
    tasks.poll_results()
    assert set(told(message, "state")) == {"accepted"}
    confirm(official, message)
    tasks.poll_results()
    message.refresh_from_db()
    assert set(told(message, "state")) == {"delivered"}
    assert message.state == "done"
    assert sorted(to for to, _, _ in official.phones()) == sorted(
        each.external_userid for each in official.contacts
    )
    assert Event.objects.filter(verb="delivery.delivered", contact_id__in=official.ids).count() == 5


def test_deliver_when_official_then_one_task_per_sender(official: House) -> None:
    message = send(official, Text("新品清单"), official.ids)
    posts = official.posts("externalcontact/add_msg_template")
    assert sorted(each["body"]["sender"] for each in posts) == sorted(set(told(message, "sender")))
    asked = [to for each in posts for to in each["body"]["external_userid"]]
    assert sorted(asked) == sorted(each.external_userid for each in official.contacts)


def test_deliver_when_official_and_a_contact_is_gone_then_it_alone_failed(official: House) -> None:
    gone = official.contacts[0]
    official.sim.change(official.corp.corpid, "delete_contact", external_userid=gone.external_userid)
    message = send(official, Text("新品清单"), official.ids)
    assert dict(told(message, "to", "state")) == {
        each.external_userid: "failed" if each == gone else "accepted" for each in official.contacts
    }


def test_poll_when_over_the_cap_or_no_friend_then_refused_with_the_reason(official: House) -> None:
    official.sim.settings(mass_cap_day=1)
    contact = official.contacts[:1]
    first = send(official, Text("一"), [each.pk for each in contact])
    second = send(official, Text("二"), [each.pk for each in contact])
    confirm(official, first)
    confirm(official, second)
    tasks.poll_results()
    assert told(first, "state") == ["delivered"]
    assert told(second, "state", "code") == [("refused", "over_cap")]
    assert "as many mass messages" in told(second, "errmsg")[0]


def test_poll_when_one_task_cannot_be_read_then_the_others_are(official: House) -> None:
    messages = [send(official, Text(f"第{n}"), official.ids[:1]) for n in (1, 2)]
    for each in messages:
        confirm(official, each)
    official.sim.fault(api="externalcontact/get_groupmsg_send_result", kind="errcode", errcode=41063)
    assert tasks.poll_results() is None
    assert sorted(told(messages[0], "state") + told(messages[1], "state")) == ["accepted", "delivered"]
    tasks.poll_results()
    assert told(messages[0], "state") + told(messages[1], "state") == ["delivered", "delivered"]


def test_poll_when_a_task_waits_for_days_then_it_is_asked_seldom(official: House) -> None:
    message = send(official, Text("新品清单"), official.ids[:1])
    message.tries.update(finished_at=timezone.now() - timedelta(days=2))
    tasks.poll_results()
    confirm(official, message)
    assert results.poll_results() == 0
    message.deliveries.update(next_attempt_at=timezone.now())
    assert results.poll_results() == 1


def test_poll_when_two_read_the_same_result_then_one_event(official: House) -> None:
    message = send(official, Text("新品清单"), official.ids[:1])
    confirm(official, message)
    (task,) = results._due_tasks()
    told_results = list(
        results.open_provider(official.corp.agents.get()).result(task.msgid, sender=task.sender)
    )
    assert [results._record(task, told_results), results._record(task, told_results)] == [1, 0]
    assert Event.objects.filter(verb="delivery.delivered").count() == 1


def test_poll_when_a_corp_cannot_be_opened_then_it_stops_nobody(official: House) -> None:
    message = send(official, Text("新品清单"), official.ids)
    type(official.corp).objects.update(dialect="dingtalk")
    assert results.poll_results() == 0
    assert set(told(message, "state")) == {"accepted"}


def test_poll_when_the_line_is_down_then_one_task_is_asked_and_all_wait_a_minute(official: House) -> None:
    messages = [send(official, Text(f"第{n}"), official.ids[:1]) for n in range(3)]
    api = "externalcontact/get_groupmsg_send_result"
    official.sim.fault(api=api, kind="http_status", status=502, times=None)
    assert results.poll_results() == 0
    assert results.poll_results() == 0
    assert len(official.posts(api)) == 1
    waits = [each for message in messages for each in told(message, "next_attempt_at")]
    assert min(waits) > timezone.now() + timedelta(seconds=50)


def test_poll_when_its_turn_is_over_then_the_rest_waits_for_the_next(official: House) -> None:
    for n in range(3):
        confirm(official, send(official, Text(f"第{n}"), official.ids[:1]))
    assert [results.poll_results(turn_s=0) for _ in range(4)] == [1, 1, 1, 0]


def test_poll_when_nobody_confirmed_for_30_days_then_refused_and_asked_no_more(official: House) -> None:
    message = send(official, Text("新品清单"), official.ids[:1])
    message.tries.update(finished_at=timezone.now() - timedelta(days=31))
    assert results.poll_results() == 1
    assert told(message, "state", "code", "next_attempt_at") == [("refused", "never_confirmed", None)]
    message.refresh_from_db()
    assert message.state == "done"
    assert results.poll_results() == 0
    assert len(official.posts("externalcontact/get_groupmsg_send_result")) == 1


def test_poll_when_confirmed_just_before_it_was_given_up_then_delivered(official: House) -> None:
    message = send(official, Text("新品清单"), official.ids[:1])
    confirm(official, message)
    message.tries.update(finished_at=timezone.now() - timedelta(days=31))
    tasks.poll_results()
    assert told(message, "state") == ["delivered"]
