"""Who asked not to be written to is not (guarantees M9): in whatever order, no post after it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from crm.errors import Invalid
from crm.models import Event
from crm.providers.content import Text
from messaging import control, outbox, tasks
from messaging.models import Delivery, Message
from tests.messaging.house import House, claimed

API = "externalcontact/message/send"


def test_a_contact_who_opted_out_is_excluded_before_acceptance(direct: House) -> None:
    direct.opt(direct.contacts[0], out=True)
    seen = outbox.preview(user=direct.user, corp=direct.corp, contacts=direct.ids, content=Text("您好"))
    assert [(each.code, each.position) for each in seen.excluded] == [("opted_out", 0)]
    with pytest.raises(Invalid):
        direct.compose()


def _accepted(house: House, message: Message) -> None:
    return None


def _paused(house: House, message: Message) -> None:
    control.pause(message, user=house.user, actor="user:test")


def _returned(house: House, message: Message) -> None:
    claimed(message)
    message.tries.update(lease_until=timezone.now() - timedelta(seconds=1))
    tasks.sweep()


@pytest.mark.parametrize("before", [_accepted, _paused, _returned])
def test_an_opt_out_after_acceptance_cancels_at_the_claim(
    direct: House, before: Callable[[House, Message], None]
) -> None:
    message = direct.compose(contacts=direct.ids[:1])
    before(direct, message)
    assert direct.opt(direct.contacts[0], out=True)
    assert not direct.opt(direct.contacts[0], out=True)
    control.resume(message, user=direct.user, actor="user:test")
    Delivery.objects.update(next_attempt_at=None)
    tasks.deliver(message.pk)
    message.refresh_from_db()
    assert (message.state, Delivery.objects.values_list("state", "code").get()) == (
        "cancelled",
        ("cancelled", "opted_out"),
    )
    assert not direct.posts(API)


def test_an_erased_contact_is_not_written_to(direct: House) -> None:
    message = direct.compose(contacts=direct.ids[:1])
    message.deliveries.update(contact=None)
    tasks.deliver(message.pk)
    assert Delivery.objects.values_list("state", "code").get() == ("cancelled", "erased")


def test_an_opt_out_that_is_taken_back_lets_messages_through(direct: House) -> None:
    direct.opt(direct.contacts[0], out=True)
    direct.opt(direct.contacts[0], out=False)
    message = direct.compose()
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 5}
    changed = Event.objects.filter(verb="contact.updated", contact_id=direct.ids[0])
    assert [list(event.changes) for event in changed] == [["opted_out_at"], ["opted_out_at"]]


def test_an_opt_out_of_one_leaves_the_others(direct: House) -> None:
    message = direct.compose()
    direct.opt(direct.contacts[2], out=True)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 4, "cancelled": 1}
    assert direct.contacts[2].external_userid not in {to for to, *_ in direct.phones()}


def test_an_opt_out_of_one_does_not_cancel_the_retry_of_the_others(direct: House, closed_port: str) -> None:
    message = direct.compose()
    direct.opt(direct.contacts[0], out=True)
    url = direct.corp.base_url
    direct.corp.base_url = closed_port
    direct.corp.save()
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"queued": 4, "cancelled": 1}
    direct.corp.base_url = url
    direct.corp.save()
    message.deliveries.update(next_attempt_at=None)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 4, "cancelled": 1}
