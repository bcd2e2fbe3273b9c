import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from crm.models import Event
from crm.providers.content import Content, MiniprogramNotice, Text
from messaging import control, delivery, outbox, tasks
from messaging.models import Attempt, Delivery, Message
from tests import factories
from tests.messaging.house import House, wait_until

HELLO = Text("您好")
NOTICE = MiniprogramNotice(
    appid="wx00000000000000aa",
    title="合同待确认",
    page="pages/order?id=7",
    content_item=(("客户", "北方工厂"), ("", "")),
)
TO_CONTACT = "externalcontact/message/send"
TO_EMPLOYEE = "message/send"


def compose(house: House, content: Content = HELLO, **to: Any) -> Message:
    return outbox.compose(user=house.user, actor="user:test", corp=house.corp, content=content, **to)


def send(house: House, content: Content = HELLO, **to: Any) -> Message:
    message = compose(house, content, **to)
    tasks.deliver(message.pk)
    message.refresh_from_db()
    return message


def told(message: Message, *names: str) -> list[Any]:
    return list(message.deliveries.order_by("pk").values_list(*names, flat=len(names) == 1))


def due_now(message: Message) -> None:
    """Let the wait for the next try pass."""
    message.deliveries.filter(state="queued").update(next_attempt_at=timezone.now())


@pytest.mark.parametrize("content", [HELLO, NOTICE])
def test_deliver_when_to_contacts_directly_then_it_is_on_their_phones(
    direct: House, content: Content
) -> None:
    message = send(direct, content, contacts=direct.ids)
    assert sorted((to, msgtype) for to, msgtype, _ in direct.phones()) == sorted(
        (each.external_userid, content.msgtype) for each in direct.contacts
    )
    assert message.state == "done"
    assert set(told(message, "state", "is_last_word", "attempts", "errcode")) == {("accepted", True, 1, 0)}
    events = Event.objects.filter(verb="delivery.accepted", actor="worker")
    assert {each.contact_id for each in events} == set(direct.ids)


@pytest.mark.parametrize("content", [HELLO, NOTICE])
def test_deliver_when_to_employees_then_one_call_reaches_all(either: House, content: Content) -> None:
    message = send(either, content, employees=either.userids)
    assert {(to, msgtype) for to, msgtype, _ in either.phones()} == {
        (u, content.msgtype) for u in either.userids
    }
    assert len(either.posts(TO_EMPLOYEE)) == 1
    assert set(told(message, "state", "is_last_word")) == {("accepted", True)}
    assert all(told(message, "msgid"))


def test_deliver_when_a_notice_has_empty_pairs_then_the_card_shows_the_others(direct: House) -> None:
    send(direct, NOTICE, contacts=direct.ids[:1])
    ((_, _, card),) = direct.phones()
    assert card["content_item"] == [{"key": "客户", "value": "北方工厂"}]


def test_deliver_when_some_userids_are_invalid_then_each_has_its_own_result(either: House) -> None:
    factories.employee(either.corp, "Nobody")
    licensed, unlicensed = either.userids[:2]
    either.sim.change(either.corp.corpid, "edit_employee", userid=unlicensed, licensed=False)
    message = send(either, employees=[licensed, unlicensed, "Nobody"])
    assert told(message, "to", "state", "errcode", "code", "errmsg") == [
        (licensed, "accepted", 0, "", ""),
        (unlicensed, "failed", None, "unlicensed", "named in unlicenseduser"),
        ("Nobody", "failed", 81013, "", "named in invaliduser"),
    ]
    assert message.state == "done"
    assert [to for to, _, _ in either.phones()] == [licensed]


def test_deliver_when_nobody_is_valid_then_all_failed_with_81013(either: House) -> None:
    message = send(either, employees=[factories.employee(either.corp).userid for _ in range(2)])
    assert set(told(message, "state", "errcode")) == {("failed", 81013)}
    assert message.state == "done"
    assert Event.objects.filter(verb="delivery.failed").count() == 2


def test_deliver_when_the_contact_is_refused_then_failed_with_its_errcode(direct: House) -> None:
    gone, there = direct.contacts[:2]
    direct.sim.change(direct.corp.corpid, "delete_contact", external_userid=gone.external_userid)
    message = send(direct, contacts=[gone.pk, there.pk])
    assert told(message, "state", "errcode") == [("failed", 40096), ("accepted", 0)]


def test_deliver_when_the_answer_warns_then_accepted_with_the_warning(direct: House) -> None:
    direct.sim.fault(api=TO_CONTACT, fields={"errmsg": "Warning: wrong json format."})
    message = send(direct, contacts=direct.ids[:1])
    assert told(message, "state", "warning", "errmsg") == [("accepted", True, "Warning: wrong json format.")]


def test_deliver_when_the_provider_is_down_then_queued_for_another_try(
    direct: House, closed_port: str
) -> None:
    base_url, direct.corp.base_url = direct.corp.base_url, closed_port
    direct.corp.save()
    message = send(direct, contacts=direct.ids[:1])
    assert told(message, "state", "attempts", "code") == [("queued", 0, "network")]  # no token, so no try
    assert told(message, "next_attempt_at")[0] > timezone.now()
    assert message.state == "open"
    direct.corp.base_url = base_url
    direct.corp.save()
    tasks.deliver(message.pk)
    assert not direct.phones()  # not before its time
    due_now(message)
    tasks.deliver(message.pk)
    assert told(message, "state", "attempts", "code") == [("accepted", 1, "")]


def test_deliver_when_no_token_can_be_had_then_it_waits_however_long(direct: House, closed_port: str) -> None:
    direct.corp.base_url = closed_port
    direct.corp.save()
    message = compose(direct, contacts=direct.ids[:1])
    for _ in range(7):
        tasks.deliver(message.pk)
        due_now(message)
    assert told(message, "state", "attempts") == [("queued", 0)]


def test_deliver_when_the_provider_stays_down_then_failed_after_five_tries(
    direct: House, closed_port: str
) -> None:
    send(direct, contacts=direct.ids[1:2])  # with a token in hand, the sends themselves are tried
    direct.corp.base_url = closed_port
    direct.corp.save()
    message = compose(direct, contacts=direct.ids[:1])
    for _ in range(7):
        tasks.deliver(message.pk)
        due_now(message)
    assert told(message, "state", "attempts") == [("failed", 5)]
    assert Message.objects.get(pk=message.pk).state == "done"


def test_deliver_when_busy_then_three_posts_in_all_with_the_same_bytes(direct: House) -> None:
    direct.sim.fault(api=TO_CONTACT, kind="errcode", errcode=-1, times=9)
    message = compose(direct, contacts=direct.ids[:1])
    for _ in range(5):
        tasks.deliver(message.pk)
        due_now(message)
    posts = direct.posts(TO_CONTACT)
    assert len(posts) == 3
    assert all(each["body"] == posts[0]["body"] for each in posts)
    assert len({bytes(body) for body in Attempt.objects.values_list("body", flat=True)}) == 1
    assert told(message, "state", "errcode", "attempts") == [("failed", -1, 3)]


def test_deliver_when_the_frequency_is_limited_then_all_wait_and_no_try_is_used(direct: House) -> None:
    direct.sim.fault(api=TO_CONTACT, kind="errcode", errcode=45009)
    message = send(direct, contacts=direct.ids)
    assert len(direct.posts(TO_CONTACT)) == 1
    assert set(told(message, "state", "errcode", "attempts")) == {("queued", 45009, 0)}
    assert min(told(message, "next_attempt_at")) > timezone.now() + timezone.timedelta(seconds=55)


def test_deliver_when_the_secret_is_wrong_then_queued_and_the_reason_is_shown(direct: House) -> None:
    agent = direct.corp.agents.get()
    agent.secret = "wrong"
    agent.save()
    message = send(direct, contacts=direct.ids[:1])
    assert told(message, "state", "errcode", "attempts") == [("queued", 40001, 0)]
    assert not direct.posts(TO_CONTACT)


@pytest.mark.parametrize("kind", ["reset", "after", "http_status", "truncated"])
def test_deliver_when_the_answer_is_lost_then_uncertain_and_never_posted_again(
    direct: House, kind: str
) -> None:
    direct.sim.fault(api=TO_CONTACT, kind=kind)
    message = send(direct, contacts=direct.ids[:1])
    assert told(message, "state", "attempts") == [("uncertain", 1)]
    assert message.state == "done"
    tasks.sweep()
    tasks.deliver(message.pk)
    assert len(direct.posts(TO_CONTACT)) == 1
    assert Event.objects.get(verb="delivery.uncertain").contact_id == direct.ids[0]


def test_deliver_when_one_answer_is_lost_then_the_others_go_on(direct: House) -> None:
    direct.sim.fault(api=TO_CONTACT, kind="reset", skip=1)
    message = send(direct, contacts=direct.ids)
    assert message.deliveries.counts() == {"accepted": 4, "uncertain": 1}


def test_deliver_when_our_own_code_breaks_then_set_aside_after_five_claims(direct: House) -> None:
    message = compose(direct, contacts=direct.ids[:1])
    Message.objects.update(content={"msgtype": "text", "text": {"content": 7}})
    for _ in range(7):
        tasks.deliver(message.pk)
        due_now(message)
    assert told(message, "state", "attempts", "code") == [("failed", 5, "crashed")]
    assert not direct.posts(TO_CONTACT)
    assert "content must be a string" in Attempt.objects.all()[0].errmsg


def test_deliver_when_the_line_is_down_then_the_others_wait_without_a_try(
    direct: House, closed_port: str
) -> None:
    send(direct, contacts=direct.ids[:1])  # with a token in hand
    direct.corp.base_url = closed_port
    direct.corp.save()
    message = send(direct, contacts=direct.ids)
    assert told(message, "state", "attempts", "code") == [
        ("queued", 1, "network"),
        *[("queued", 0, "network")] * 4,
    ]
    assert min(told(message, "next_attempt_at")) > timezone.now()


def test_deliver_when_the_cover_cannot_be_uploaded_then_nothing_was_sent(official: House) -> None:
    official.sim.fault(api="media/upload", kind="reset")
    message = send(official, NOTICE, contacts=official.ids[:1])
    assert told(message, "state", "code") == [("queued", "network")]
    assert not official.posts("externalcontact/add_msg_template")


def test_deliver_when_its_turn_is_over_then_it_rings_for_the_rest(direct: House) -> None:
    message = compose(direct, contacts=direct.ids)
    delivery.deliver(message.pk, turn_s=0)
    assert told(message, "state") == ["accepted", "queued", "queued", "queued", "queued"]


def test_deliver_when_the_lease_lapses_before_it_speaks_then_queued_and_nothing_is_posted(
    direct: House, settings: Any
) -> None:
    settings.CRM_SEND_LEASE_SECONDS = 0
    message = send(direct, contacts=direct.ids[:1])
    assert told(message, "state", "code") == [("queued", "timeout")]
    assert not direct.posts(TO_CONTACT)


def test_deliver_when_the_dialect_can_no_more_then_failed_with_the_reason(direct: House) -> None:
    message = compose(direct, contacts=direct.ids)
    type(direct.corp).objects.update(dialect="dingtalk")
    tasks.deliver(message.pk)
    assert set(told(message, "state", "code")) == {("failed", "unsupported_type")}


def test_deliver_when_it_is_too_early_or_the_corp_is_off_then_nothing_goes_out(direct: House) -> None:
    tomorrow = timezone.now() + timezone.timedelta(days=1)
    early = send(direct, contacts=direct.ids, not_before=tomorrow)
    assert set(told(early, "state")) == {"queued"}
    message = compose(direct, contacts=direct.ids)
    type(direct.corp).objects.update(is_active=False)
    tasks.deliver(message.pk)
    assert set(told(message, "state")) == {"queued"}
    assert not direct.posts(TO_CONTACT)


def test_deliver_when_a_failed_try_comes_back_after_cancel_then_it_is_cancelled(direct: House) -> None:
    message = compose(direct, contacts=direct.ids[:2])
    in_flight, _waiting = message.deliveries.order_by("pk")
    Delivery.objects.filter(pk=in_flight.pk).update(state="sending", attempts=1)
    control.cancel(message, user=direct.user, actor="user:test")
    Delivery.objects.filter(pk=in_flight.pk).update(state="queued")
    tasks.deliver(message.pk)
    message.refresh_from_db()
    assert told(message, "state") == ["cancelled", "cancelled"]
    assert message.state == "cancelled"
    assert not direct.posts(TO_CONTACT)


def at_once(work: Callable[[], object], *, threads: int) -> None:
    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    running = [threading.Thread(target=run) for _ in range(threads)]
    for each in running:
        each.start()
    for each in running:
        each.join()


@pytest.mark.django_db(transaction=True)
def test_deliver_when_four_workers_run_at_once_then_each_recipient_gets_it_once(direct: House) -> None:
    others = direct.sim.world(direct.corp.corpid)["contacts"][5:]
    more = [factories.contact(direct.corp, each["external_userid"]).pk for each in others]
    message = compose(direct, contacts=direct.ids + more)
    at_once(lambda: tasks.deliver(message.pk), threads=4)
    receivers = [each["body"]["touser"] for each in direct.posts(TO_CONTACT)]
    assert len(receivers) >= 30
    assert sorted(receivers) == sorted(told(message, "to"))
    assert set(told(message, "state", "attempts")) == {("accepted", 1)}
    message.refresh_from_db()
    assert message.state == "done"


@pytest.mark.django_db(transaction=True)
def test_deliver_when_the_worker_is_lost_while_it_waits_for_a_token_then_sent_by_another(
    direct: House,
) -> None:
    direct.sim.fault(corp=direct.corp.corpid, api="gettoken", kind="delay", seconds=2)
    message = compose(direct, contacts=direct.ids[:1])
    sending = threading.Thread(
        target=at_once, args=[lambda: tasks.deliver(message.pk)], kwargs={"threads": 1}
    )
    sending.start()
    wait_until(lambda: direct.posts("gettoken"))
    assert Attempt.objects.get().spoke_at is None
    Attempt.objects.update(lease_until=timezone.now())
    tasks.sweep()
    assert told(message, "state", "code") == [("queued", "worker_lost")]
    sending.join()
    due_now(message)
    tasks.deliver(message.pk)
    assert told(message, "state") == ["accepted"]
    assert len(direct.posts(TO_CONTACT)) == 1


def test_deliver_when_the_token_is_renewed_on_the_way_then_sent_once(direct: House) -> None:
    direct.sim.fault(api=TO_CONTACT, kind="errcode", errcode=42001)
    message = send(direct, contacts=direct.ids[:1])
    assert told(message, "state", "attempts") == [("accepted", 1)]
    assert len(direct.phones()) == 1


def test_deliver_when_the_errcode_is_beyond_32_bits_then_its_number_is_kept_as_text(direct: House) -> None:
    direct.sim.fault(api=TO_CONTACT, fields={"errcode": 9_000_000_000, "errmsg": "odd"})
    message = send(direct, contacts=direct.ids[:1])
    assert told(message, "state", "errcode", "errmsg") == [("failed", None, "9000000000: odd")]


def forty_texts(house: House, userid: str) -> None:
    for n in range(40):
        send(house, Text(f"no {n}"), employees=[userid])


def a_minute_passes(house: House) -> None:
    house.sim.advance(61)
    past = timezone.now() - timezone.timedelta(seconds=61)
    Attempt.objects.update(finished_at=past)
    Delivery.objects.filter(state="queued").update(next_attempt_at=timezone.now())


def test_deliver_when_one_employee_gets_40_in_a_minute_then_10_wait_and_none_is_dropped(
    direct: House,
) -> None:
    forty_texts(direct, direct.userids[0])
    assert Delivery.objects.counts() == {"accepted": 30, "queued": 10}
    assert len(direct.phones()) == 30
    waiting = Delivery.objects.filter(state="queued")
    assert set(waiting.values_list("attempts", flat=True)) == {0}
    assert min(waiting.values_list("next_attempt_at", flat=True)) > timezone.now() + timezone.timedelta(
        seconds=50
    )
    a_minute_passes(direct)
    for message in Message.objects.filter(state="open"):
        tasks.deliver(message.pk)
    assert Delivery.objects.counts() == {"accepted": 40}
    assert len(direct.phones()) == 40


def test_deliver_when_one_employee_has_the_most_of_an_hour_then_the_rest_waits(
    direct: House, settings: Any
) -> None:
    settings.CRM_RECIPIENT_HOURLY_RATE = 30
    forty_texts(direct, direct.userids[0])
    a_minute_passes(direct)
    for message in Message.objects.filter(state="open"):
        tasks.deliver(message.pk)
    assert Delivery.objects.counts() == {"accepted": 30, "queued": 10}
    Attempt.objects.update(finished_at=timezone.now() - timezone.timedelta(minutes=61))
    Delivery.objects.filter(state="queued").update(next_attempt_at=timezone.now())
    for message in Message.objects.filter(state="open"):
        tasks.deliver(message.pk)
    assert Delivery.objects.counts() == {"accepted": 40}


def test_deliver_when_one_of_many_has_had_enough_then_the_others_get_it_in_one_call(
    direct: House, settings: Any
) -> None:
    settings.CRM_RECIPIENT_RATE = 1
    send(direct, employees=direct.userids[:1])
    message = send(direct, employees=direct.userids)
    assert told(message, "state") == ["queued", *["accepted"] * (len(direct.userids) - 1)]
    assert len(direct.posts(TO_EMPLOYEE)) == 2


@pytest.mark.django_db(transaction=True)
def test_deliver_when_four_workers_write_to_one_employee_then_the_rate_holds(
    direct: House, settings: Any
) -> None:
    settings.CRM_RECIPIENT_RATE = 1
    send(direct, employees=direct.userids[1:2])  # the token is there: they start together
    waiting = iter([compose(direct, Text(f"no {n}"), employees=direct.userids[:1]).pk for n in range(12)])
    at_once(lambda: [tasks.deliver(pk) for pk in waiting], threads=4)
    assert Delivery.objects.filter(to=direct.userids[0]).counts() == {"accepted": 1, "queued": 11}


def test_deliver_when_official_then_accepted_is_an_event(official: House) -> None:
    send(official, contacts=official.ids)
    events = Event.objects.filter(verb="delivery.accepted", actor="worker")
    assert {each.contact_id for each in events} == set(official.ids)
