"""A worker claims calls ahead of those it makes: what happens to the others when something happens."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from contacts.models import Contact
from crm import queue
from crm.errors import Conflict
from crm.providers.errors import Unavailable
from messaging import claims, control, outcomes, tasks, turn
from messaging.models import Attempt
from tests.messaging.house import House, claimed

API = "externalcontact/message/send"


def cancel(house: House, message: Any) -> int:
    return control.cancel(message, user=house.user, actor="user:test")


def test_a_cancel_takes_back_what_is_claimed_and_not_said(direct: House) -> None:
    message = direct.compose(contacts=direct.ids[:1])
    batch = claimed(message)
    assert cancel(direct, message) == 1
    assert claims.called_off(message, [batch]) == {batch.attempt_id}
    claims.release([batch])
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"cancelled": 1}
    assert not direct.posts(API)


def test_a_cancel_is_too_late_when_all_has_been_said(direct: House) -> None:
    message = direct.compose(contacts=direct.ids[:1])
    claims.speak([claimed(message)])
    with pytest.raises(Conflict, match="too late"):
        cancel(direct, message)


def uncertain_and_claimed(house: House) -> Any:
    """A cancelled message: one copy of it uncertain, one in a worker's hand, the others queued when it was."""
    message = house.compose()
    lost, hand = claimed(message), claimed(message)
    claims.speak([lost])
    outcomes.record([(lost, Unavailable("x", code="timeout", outcome="unknown"))])
    cancel(house, message)
    return message, lost.deliveries[0], hand


def test_a_resend_does_not_lift_the_cancel_from_others(direct: House) -> None:
    message, uncertain, hand = uncertain_and_claimed(direct)
    again = {"word": "resend", "reason": "asked", "user": direct.user, "actor": "user:test"}
    with pytest.raises(Conflict) as caught:
        control.resolve(uncertain, **again)
    assert caught.value.code == "in_flight"
    claims.release([hand])
    control.resolve(uncertain, **again)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 1, "cancelled": 4}
    assert len(direct.posts(API)) == 1


def test_one_that_cannot_be_written_fails_alone(direct: House, monkeypatch: pytest.MonkeyPatch) -> None:
    message = direct.compose()
    written = turn.Line._written
    poison = direct.contacts[2].external_userid

    def write(line: Any, batch: Any, content: Any) -> bytes:
        if poison in batch.to:
            raise KeyError("poison")
        return written(line, batch, content)

    monkeypatch.setattr(turn.Line, "_written", write)
    for _ in range(5):
        tasks.deliver(message.pk)
        message.deliveries.filter(state="queued").update(next_attempt_at=timezone.now())
    assert message.deliveries.counts() == {"accepted": 4, "failed": 1}
    assert message.deliveries.values_list("to", "code").get(state="failed") == (poison, "crashed")


@pytest.mark.django_db(transaction=True)
def test_the_sweep_rings_for_what_is_due_beside_an_attempt_that_waits_for_its_repeat(direct: House) -> None:
    message = direct.compose(contacts=direct.ids[:2])
    claims.speak([claimed(message)], repeatable_s=1500)
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    queue.OrmQ.objects.all().delete()
    tasks.sweep()
    queue.drain()
    assert message.deliveries.counts()["accepted"] >= 1


def test_a_contact_that_was_lost_since_acceptance_is_not_written_to(direct: House) -> None:
    first, second = direct.compose(contacts=direct.ids[:1]), direct.compose(contacts=direct.ids[1:2])
    batch = claimed(second)
    Contact.objects.update(state=Contact.State.LOST)
    tasks.deliver(first.pk)
    assert first.deliveries.values_list("state", "code").get() == ("cancelled", "lost")
    assert claims.called_off(second, [batch]) == {batch.attempt_id}
    assert not direct.posts(API)


def test_a_hand_keeps_its_lease_while_the_calls_before_it_take_their_time(direct: House) -> None:
    batch = claimed(direct.compose(contacts=direct.ids[:1]))
    soon = timezone.now() + timedelta(seconds=5)
    Attempt.objects.update(lease_until=soon)
    claims.hold_on([batch])
    assert Attempt.objects.get().lease_until > soon + timedelta(seconds=60)
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    claims.hold_on([batch])  # one that has lapsed may be another's by now
    assert Attempt.objects.get().lease_until < timezone.now()
