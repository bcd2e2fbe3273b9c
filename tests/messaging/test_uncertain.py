"""A person's word on a delivery whose answer was lost."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from crm import roles
from crm.errors import Conflict, Invalid, NotAllowed
from crm.models import Event
from messaging import claims, control, tasks
from messaging.models import Delivery, Message
from tests import factories
from tests.messaging.house import House, claimed

API = "externalcontact/message/send"


@pytest.fixture
def uncertain(direct: House) -> Delivery:
    message = direct.compose(contacts=direct.ids[:1])
    assert not claims.speak([claimed(message)])
    message.tries.update(lease_until=timezone.now() - timedelta(seconds=1))
    tasks.sweep()
    return message.deliveries.get(state="uncertain")


@pytest.mark.parametrize(
    ("word", "state", "posts"),
    [("accepted", "accepted", 0), ("failed", "failed", 0), ("resend", "accepted", 1)],
)
def test_resolve_does_what_the_person_says_and_keeps_why(
    direct: House, uncertain: Delivery, word: str, state: str, posts: int
) -> None:
    control.resolve(uncertain, word=word, reason="asked her", user=direct.user, actor="user:test")
    tasks.deliver(uncertain.message_id)
    uncertain.refresh_from_db()
    uncertain.message.refresh_from_db()
    assert (uncertain.state, uncertain.message.state, len(direct.posts(API))) == (state, "done", posts)
    said = Event.objects.get(subject_type="delivery", actor="user:test")
    assert said.verb == f"delivery.{'queued' if word == 'resend' else word}"
    assert said.changes["reason"] == [None, "asked her"]


def test_resolve_twice_then_the_second_is_refused(direct: House, uncertain: Delivery) -> None:
    control.resolve(uncertain, word="failed", reason="no", user=direct.user, actor="user:test")
    with pytest.raises(Conflict) as caught:
        control.resolve(uncertain, word="resend", reason="yes", user=direct.user, actor="user:test")
    assert caught.value.code == "not_uncertain"


def test_resolve_without_a_reason_or_with_another_word_is_refused(direct: House, uncertain: Delivery) -> None:
    with pytest.raises(Invalid) as caught:
        control.resolve(uncertain, word="delivered", reason=" ", user=direct.user, actor="user:test")
    assert [(e.pointer, e.code) for e in caught.value.errors] == [("/as", "invalid"), ("/reason", "required")]


def test_resolve_by_a_salesperson_is_not_allowed(direct: House, uncertain: Delivery) -> None:
    with pytest.raises(NotAllowed):
        control.resolve(
            uncertain, word="failed", reason="x", user=factories.user(roles.SALES), actor="user:x"
        )


@pytest.mark.django_db(transaction=True)
def test_of_two_who_resolve_at_once_one_is_refused(direct: House) -> None:
    message = direct.compose(contacts=direct.ids[:1])
    message.deliveries.update(state="uncertain", attempts=1)
    Message.objects.update(state="done")
    delivery = message.deliveries.get()
    barrier, told = threading.Barrier(2), []

    def one() -> None:
        barrier.wait()
        try:
            control.resolve(delivery, word="resend", reason="x", user=direct.user, actor="user:test")
            told.append("done")
        except Conflict as error:
            told.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == ["done", "not_uncertain"]
