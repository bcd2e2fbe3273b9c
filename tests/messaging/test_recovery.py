from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm import queue
from crm.providers.content import Text
from crm.providers.errors import Refused
from crm.providers.records import SendReceipt
from messaging import claims, outbox, outcomes, states, tasks
from messaging.models import Attempt, Delivery, Message
from tests.messaging.house import House, claimed

API = "externalcontact/message/send"


@pytest.fixture
def message(direct: House) -> Message:
    return outbox.compose(
        user=direct.user, actor="user:test", corp=direct.corp, contacts=direct.ids[:1], content=Text("您好")
    )


def lapse() -> None:
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))


def told() -> Any:
    return Delivery.objects.values_list("state", "attempts", "code").get()


def test_sweep_when_a_worker_died_silent_then_the_delivery_is_sent_by_another(
    direct: House, message: Message
) -> None:
    claimed(message)
    lapse()
    tasks.sweep()
    assert told() == ("queued", 1, "worker_lost")
    Delivery.objects.update(next_attempt_at=timezone.now())
    tasks.deliver(message.pk)
    assert told() == ("accepted", 2, "")
    assert len(direct.posts(API)) == 1


def test_sweep_when_a_worker_died_after_it_spoke_then_uncertain_and_not_sent_again(
    direct: House, message: Message
) -> None:
    claims.speak([claimed(message)])
    lapse()
    tasks.sweep()
    tasks.deliver(message.pk)
    message.refresh_from_db()
    assert told() == ("uncertain", 1, "worker_lost")
    assert message.state == "done"
    assert not direct.posts(API)


def test_sweep_when_the_lease_still_holds_then_nothing_moves(message: Message) -> None:
    claimed(message)
    tasks.sweep()
    assert told()[0] == "sending"


def test_sweep_when_a_delivery_kills_every_worker_then_set_aside_after_five_claims(message: Message) -> None:
    for _ in range(5):
        claimed(message)
        lapse()
        tasks.sweep()
        Delivery.objects.update(next_attempt_at=timezone.now())
    assert told() == ("failed", 5, "worker_lost")
    assert not claims.claim(message, most=1, write=lambda _batch: b"{}")


def test_speak_when_the_lease_has_lapsed_then_the_worker_stays_silent(message: Message) -> None:
    batch = claimed(message)
    lapse()
    assert claims.speak([batch]) == {batch.attempt_id}


def test_record_when_another_ended_the_attempt_then_its_result_stands(message: Message) -> None:
    batch = claimed(message)
    claims.speak([batch])
    lapse()
    tasks.sweep()
    outcomes.record([(batch, SendReceipt(msgid="late"))])
    outcomes.record([(batch, Refused("late"))])
    assert Attempt.objects.get().outcome == "unknown"
    assert told()[0] == "uncertain"


def test_finish_when_the_worker_spoke_meanwhile_then_the_sweep_does_not_take_it_back(
    message: Message,
) -> None:
    batch = claimed(message)
    Attempt.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    (seen_silent,) = claims.lapsed(most=1)
    Attempt.objects.update(lease_until=timezone.now() + timedelta(seconds=60))
    claims.speak([batch])
    assert not claims.finish([claims.End(seen_silent, "not_done")])


@pytest.mark.django_db(transaction=True)
def test_sweep_when_the_bell_was_lost_then_it_rings_again(direct: House, message: Message) -> None:
    queue.OrmQ.objects.all().delete()
    tasks.sweep()
    assert queue.drain() == 1
    assert told()[0] == "accepted"
    assert len(direct.posts(API)) == 1


@pytest.mark.django_db(transaction=True)
def test_sweep_when_a_worker_is_at_it_then_it_does_not_ring(direct: House, message: Message) -> None:
    queue.OrmQ.objects.all().delete()
    Attempt.objects.create(
        message=message,
        to=[],
        body=b"",
        lease_token=direct.corp.agents.get().uuid,
        lease_until=timezone.now() + timedelta(minutes=1),
    )
    tasks.sweep()
    assert queue.drain() == 0


@pytest.mark.django_db(transaction=True)
def test_sweep_when_the_workers_are_slow_then_bells_do_not_pile_up(direct: House) -> None:
    for _ in range(20):
        outbox.compose(
            user=direct.user,
            actor="user:test",
            corp=direct.corp,
            contacts=direct.ids[:1],
            content=Text("您好"),
        )
    queue.OrmQ.objects.all().delete()
    for _ in range(10):
        tasks.sweep()
    assert queue.OrmQ.objects.count() == 20


@pytest.mark.django_db(transaction=True)
def test_compose_when_it_committed_then_the_bell_alone_delivers(direct: House, message: Message) -> None:
    assert queue.drain() == 1
    assert told()[0] == "accepted"
    assert [to for to, _, _ in direct.phones()] == [direct.contacts[0].external_userid]


def test_move_when_the_edge_does_not_exist_then_refused(message: Message) -> None:
    with pytest.raises(ValueError, match="cannot go"):
        states.move(list(message.deliveries.all()), leaving=states.State.QUEUED, to=states.State.DELIVERED)
