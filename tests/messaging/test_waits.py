"""What queued deliveries wait for, and until when (messaging/waits.py), as the worker left them."""

from datetime import time, timedelta
from typing import Any

from django.utils import timezone

from crm.models import Corp
from messaging import control, tasks
from messaging.models import Delivery, Message
from messaging.waits import Wait, Waits, Why
from tests.messaging.house import House

ALWAYS = (time(0), time(23, 59, 59, 999999))


def waits(message: Message) -> Waits:
    return Waits(Message.objects.select_related("corp").get(pk=message.pk), timezone.now())


def only(message: Message) -> Wait:
    (found,) = waits(message).counted()
    return found


def test_what_waits_for_nothing_has_no_reason(direct: House) -> None:
    message = direct.compose()
    assert waits(message).counted() == []
    tasks.deliver(message.pk)
    assert waits(message).counted() == []
    assert all(waits(message).of(each) is None for each in message.deliveries.all())


def test_quiet_hours_are_the_reason_before_a_worker_came_and_after(direct: House, settings: Any) -> None:
    message = direct.compose()
    settings.CRM_QUIET_HOURS = ALWAYS
    assert only(message).why == Why.QUIET_HOURS
    tasks.deliver(message.pk)
    held = only(message)
    at = sorted(message.deliveries.values_list("next_attempt_at", flat=True))
    assert (held.why, held.count, held.first, held.last) == (Why.QUIET_HOURS, 5, at[0], at[-1])


def test_after_the_quiet_hours_the_reason_of_what_has_its_minute_stays(direct: House, settings: Any) -> None:
    message = direct.compose()
    now = timezone.now().astimezone(direct.corp.zone)
    settings.CRM_QUIET_HOURS = (now - timedelta(hours=2)).time(), (now + timedelta(minutes=1)).time()
    tasks.deliver(message.pk)
    later = Waits(Message.objects.select_related("corp").get(), timezone.now() + timedelta(minutes=1.5))
    assert {each.why for each in later.counted()} <= {Why.QUIET_HOURS}
    assert Delivery.objects.filter(next_attempt_at__gt=later.now).exists() == bool(later.counted())


def test_a_pause_a_paused_corp_and_a_corp_switched_off_hide_what_lies_behind(direct: House) -> None:
    message = direct.compose(not_before=timezone.now() + timedelta(hours=1))
    assert only(message).why == Why.NOT_BEFORE
    assert only(message).first == message.not_before
    Corp.objects.update(is_sending_paused=True)
    assert only(message) == Wait(Why.CORP_PAUSED, count=5)
    Corp.objects.update(is_active=False)
    assert only(message) == Wait(Why.CORP_OFF, count=5)
    control.pause(message, user=direct.user, actor="user:test")
    assert only(message) == Wait(Why.PAUSED, count=5)


def test_a_failed_try_is_a_retry_and_what_it_kept_back_a_line_that_is_down(direct: House) -> None:
    message = direct.compose()
    soon = timezone.now() + timedelta(seconds=30)
    tried, *kept_back = message.deliveries.order_by("pk")
    message.deliveries.update(errcode=-1, next_attempt_at=soon)
    Delivery.objects.filter(pk=tried.pk).update(attempts=1)
    assert waits(message).counted() == [Wait(Why.RETRY, soon, soon), Wait(Why.LINE_DOWN, soon, soon, count=4)]
    tried.refresh_from_db()
    kept_back[0].refresh_from_db()
    assert waits(message).of(tried) == Wait(Why.RETRY, soon, soon)
    assert waits(message).of(kept_back[0]) == Wait(Why.LINE_DOWN, soon, soon)


def test_a_provider_that_does_not_answer_is_the_reason(direct: House, closed_port: str) -> None:
    Corp.objects.update(base_url=closed_port)
    message = direct.compose()
    tasks.deliver(message.pk)
    found = waits(message).counted()
    assert {each.why for each in found} <= {Why.RETRY, Why.LINE_DOWN}
    assert sum(each.count for each in found) == 5


def test_a_recipient_who_has_just_got_others_is_the_reason(direct: House, settings: Any) -> None:
    settings.CRM_RECIPIENT_RATE = 1
    tasks.deliver(direct.compose().pk)
    second = direct.compose()
    tasks.deliver(second.pk)
    assert (only(second).why, only(second).count) == (Why.RATE, 5)
