"""Pause, resume and expiry of accepted messages; what was called off is not sent, whatever was under way."""

from datetime import timedelta

import pytest
from django.utils import timezone

from crm import roles
from crm.errors import Conflict, Invalid, NotFound
from crm.models import Event
from crm.providers.errors import RateLimited
from messaging import claims, control, outcomes, tasks
from messaging.models import Message
from tests import factories
from tests.messaging.house import House, claimed

API = "externalcontact/message/send"


# --- pause and resume
def test_a_paused_message_sends_nothing_until_it_is_resumed(direct: House) -> None:
    message = direct.compose()
    assert control.pause(message, user=direct.user, actor="user:test")
    assert not control.pause(message, user=direct.user, actor="user:test")
    tasks.deliver(message.pk)
    tasks.sweep()
    assert not direct.posts(API)
    assert control.resume(message, user=direct.user, actor="user:test")
    assert not control.resume(message, user=direct.user, actor="user:test")
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 5}
    verbs = Event.objects.filter(subject_type="message").order_by("seq").values_list("verb", flat=True)
    assert list(verbs) == ["message.created", "message.paused", "message.resumed"]


def test_a_message_that_is_out_cannot_be_paused(direct: House) -> None:
    message = direct.compose()
    tasks.deliver(message.pk)
    with pytest.raises(Conflict) as caught:
        control.pause(message, user=direct.user, actor="user:test")
    assert caught.value.code == "too_late"


def test_a_paused_corp_sends_nothing(direct: House) -> None:
    message = direct.compose()
    direct.corp.is_sending_paused = True
    direct.corp.save()
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"queued": 5}
    direct.corp.is_sending_paused = False
    direct.corp.save()
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 5}


def test_a_paused_message_can_still_be_cancelled(direct: House) -> None:
    message = direct.compose()
    control.pause(message, user=direct.user, actor="user:test")
    assert control.cancel(message, user=direct.user, actor="user:test") == 5
    message.refresh_from_db()
    assert message.state == "cancelled"


def test_a_message_of_another_cannot_be_paused_or_resumed(direct: House) -> None:
    message = direct.compose()
    for act in (control.pause, control.resume):
        with pytest.raises(NotFound):
            act(message, user=factories.user(roles.SALES), actor="user:x")


# --- expiry
def test_what_is_not_sent_in_time_expires_and_is_never_sent(direct: House) -> None:
    message = direct.compose(expires_at=timezone.now() + timedelta(hours=1))
    control.pause(message, user=direct.user, actor="user:test")
    Message.objects.update(expires_at=timezone.now())
    tasks.sweep()
    message.refresh_from_db()
    assert (message.state, message.deliveries.counts()) == ("done", {"expired": 5})
    control.resume(message, user=direct.user, actor="user:test")
    tasks.deliver(message.pk)
    assert not direct.posts(API)
    assert Event.objects.filter(verb="delivery.expired").count() == 5


def test_deliver_after_the_time_is_over_sends_nothing_though_no_sweep_came_by(direct: House) -> None:
    message = direct.compose()
    Message.objects.update(expires_at=timezone.now())
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"expired": 5}
    assert not direct.posts(API)


@pytest.mark.parametrize("before", [None, timedelta(hours=2)])
def test_an_expiry_before_it_may_be_sent_is_refused(direct: House, before: timedelta | None) -> None:
    now = timezone.now()
    times = {"expires_at": now + timedelta(hours=1) if before else now, "not_before": before and now + before}
    with pytest.raises(Invalid) as caught:
        direct.compose(**times)
    assert [(each.pointer, each.code) for each in caught.value.errors] == [("/expires_at", "invalid")]


def test_what_returns_uncounted_after_a_cancel_is_not_sent(direct: House) -> None:
    message = direct.compose()
    batch = claimed(message)
    control.cancel(message, user=direct.user, actor="user:test")
    outcomes.record([(batch, RateLimited("told so", errcode=45009, outcome="not_done"))])
    assert message.deliveries.counts() == {"queued": 1, "cancelled": 4}
    message.deliveries.update(next_attempt_at=None)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"cancelled": 5}
    assert not direct.posts(API)


@pytest.mark.parametrize("what", ["pause", "cancel", "opt_out"])
def test_what_is_called_off_between_the_claim_and_the_first_word_is_not_sent(
    direct: House, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    message = direct.compose(contacts=direct.ids[:1])
    batch = claimed(message)
    if what == "pause":
        control.pause(message, user=direct.user, actor="user:test")
    elif what == "opt_out":
        direct.opt(direct.contacts[0], out=True)
    else:
        Message.objects.update(cancelled_at=timezone.now())
    assert claims.called_off(message, [batch]) == {batch.attempt_id}
    claims.release([batch])
    assert message.deliveries.values_list("state", "attempts").get() == ("queued", 0)
    tasks.deliver(message.pk)
    assert not direct.posts(API)
