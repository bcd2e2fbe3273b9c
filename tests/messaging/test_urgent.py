"""Urgent messages (guarantees M6): in quiet hours they go out once a second permitted person has approved them."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm import roles
from crm.errors import Conflict, NotAllowed, NotFound
from crm.models import Event
from messaging import claims, control, tasks
from messaging.models import Delivery, Message
from tests import factories
from tests.messaging.house import House, claimed

API = "externalcontact/message/send"
NIGHT = (time(21), time(8))
NOON = (time(12), time(14))
ALWAYS = (time(0), time(23, 59, 59, 999999))


def zone_where_it_is(hour: int) -> str:
    """A zone on whose clocks this hour has the number `hour`."""
    ahead = (hour - datetime.now(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}"  # POSIX counts them the other way round


def approve(message: Message) -> bool:
    return control.approve(message, user=factories.user(roles.ADMINISTRATOR), actor="user:second")


@pytest.mark.parametrize(
    ("hours", "local_hour", "is_quiet"),
    [
        (NIGHT, 20, False),
        (NIGHT, 21, True),
        (NIGHT, 23, True),
        (NIGHT, 0, True),
        (NIGHT, 7, True),
        (NIGHT, 8, False),
        (NOON, 11, False),
        (NOON, 12, True),
        (NOON, 13, True),
        (NOON, 14, False),
    ],
)
def test_an_urgent_message_waits_like_any_other_until_it_is_approved_and_only_in_quiet_hours(
    direct: House, settings: Any, hours: tuple[time, time], local_hour: int, is_quiet: bool
) -> None:
    settings.CRM_QUIET_HOURS = hours
    direct.corp.time_zone = zone_where_it_is(local_hour)
    direct.corp.save()
    message = direct.compose(urgent=True)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"queued" if is_quiet else "accepted": 5}
    if is_quiet:
        assert approve(message)
        tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 5}


def test_what_is_approved_in_time_goes_out_when_the_quiet_hours_have_begun(
    direct: House, settings: Any
) -> None:
    message = direct.compose(urgent=True)
    approve(message)
    settings.CRM_QUIET_HOURS = ALWAYS
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 5}


def test_an_approval_releases_what_quiet_hours_held_and_nothing_else(direct: House, settings: Any) -> None:
    settings.CRM_QUIET_HOURS = ALWAYS
    message = direct.compose(urgent=True)
    tasks.deliver(message.pk)
    assert not direct.posts(API)
    retried = message.deliveries.order_by("pk")[0]
    at = timezone.now() + timedelta(minutes=10)
    Delivery.objects.filter(pk=retried.pk).update(next_attempt_at=at, code="timeout", attempts=1)
    approve(message)
    waiting = dict(message.deliveries.values_list("pk", "next_attempt_at"))
    assert waiting.pop(retried.pk) == at
    assert set(waiting.values()) == {None}


def test_an_approval_that_came_while_a_worker_had_the_old_message_is_not_undone_by_it(
    direct: House, settings: Any
) -> None:
    settings.CRM_QUIET_HOURS = ALWAYS
    message = direct.compose(urgent=True)
    stale = Message.objects.select_related("agent__corp").get(pk=message.pk)
    approve(message)
    assert not claims.claim(stale, most=5, write=lambda _batch: b"{}")
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 5}


def test_what_is_claimed_when_approved_is_spoken_in_quiet_hours_and_what_is_not_is_not(
    direct: House, settings: Any
) -> None:
    approved, other = direct.compose(urgent=True), direct.compose(urgent=True)
    approve(approved)
    mine, theirs = claimed(approved), claimed(other)
    settings.CRM_QUIET_HOURS = ALWAYS
    assert claims.called_off(approved, [mine]) == set()
    assert claims.called_off(other, [theirs]) == {theirs.attempt_id}


def test_nobody_approves_an_own_message(direct: House) -> None:
    message = direct.compose(urgent=True)
    with pytest.raises(NotAllowed) as caught:
        control.approve(message, user=direct.user, actor="user:test")
    assert caught.value.code == "own_message"
    message.refresh_from_db()
    assert not message.is_urgent


def test_salespeople_neither_mark_urgent_nor_approve(direct: House) -> None:
    with pytest.raises(NotAllowed):
        House(direct.corp, direct.contacts, factories.user(roles.SALES), direct.sim).compose(urgent=True)
    message = direct.compose(urgent=True)
    with pytest.raises(NotAllowed):
        control.approve(message, user=factories.user(roles.SALES), actor="user:x")


def test_a_manager_who_does_not_reach_the_message_cannot_approve_it(direct: House) -> None:
    message = direct.compose(urgent=True)
    with pytest.raises(NotFound):
        control.approve(message, user=factories.user(roles.MANAGER), actor="user:x")


def test_what_nobody_asked_for_or_is_out_cannot_be_approved(direct: House) -> None:
    with pytest.raises(Conflict) as caught:
        approve(direct.compose())
    assert caught.value.code == "not_urgent"
    message = direct.compose(urgent=True)
    tasks.deliver(message.pk)
    with pytest.raises(Conflict) as caught:
        approve(message)
    assert caught.value.code == "too_late"


def test_an_approval_is_kept_with_its_person_and_told_once(direct: House) -> None:
    message = direct.compose(urgent=True)
    assert approve(message)
    assert not approve(message)
    told = Event.objects.filter(subject_type="message").order_by("seq")
    assert list(told.values_list("verb", "actor")) == [
        ("message.created", "user:test"),
        ("message.approved", "user:second"),
    ]
    created = told[0].changes
    assert created["urgent"] == [None, True]
    message.refresh_from_db()
    assert message.urgent_approved_by is not None
    assert message.urgent_approved_by != direct.user


def test_an_approved_message_is_held_by_a_pause_all_the_same(direct: House, settings: Any) -> None:
    settings.CRM_QUIET_HOURS = ALWAYS
    message = direct.compose(urgent=True)
    control.pause(message, user=direct.user, actor="user:test")
    approve(message)
    tasks.deliver(message.pk)
    assert not direct.posts(API)
