"""What people do with accepted messages: pause, resume, expiry, opt-out, a restore, and a word on the uncertain."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from contacts.consent import set_opted_out
from contacts.models import Contact
from crm import roles
from crm.errors import Conflict, Invalid, NotAllowed, NotFound
from crm.models import Event
from crm.providers.content import Text
from crm.providers.errors import RateLimited
from messaging import claims, control, outbox, outcomes, tasks
from messaging.models import Delivery, Errand, Message
from tests import factories
from tests.messaging.house import House

API = "externalcontact/message/send"


def compose(house: House, **more: Any) -> Message:
    to = more or {"contacts": house.ids}
    return outbox.compose(
        user=house.user,
        actor="user:test",
        corp=house.corp,
        content=Text("您好"),
        **{"contacts": house.ids, **to},
    )


def opt(contact: Contact, house: House, *, out: bool) -> bool:
    return set_opted_out(contact, opted_out=out, user=house.user, actor="user:test")


# --- pause and resume
def test_a_paused_message_sends_nothing_until_it_is_resumed(direct: House) -> None:
    message = compose(direct)
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
    message = compose(direct)
    tasks.deliver(message.pk)
    with pytest.raises(Conflict) as caught:
        control.pause(message, user=direct.user, actor="user:test")
    assert caught.value.code == "too_late"


def test_a_paused_corp_sends_nothing(direct: House) -> None:
    message = compose(direct)
    direct.corp.is_sending_paused = True
    direct.corp.save()
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"queued": 5}
    direct.corp.is_sending_paused = False
    direct.corp.save()
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 5}


def test_a_paused_message_can_still_be_cancelled(direct: House) -> None:
    message = compose(direct)
    control.pause(message, user=direct.user, actor="user:test")
    assert control.cancel(message, user=direct.user, actor="user:test") == 5
    message.refresh_from_db()
    assert message.state == "cancelled"


def test_a_message_of_another_cannot_be_paused_or_resumed(direct: House) -> None:
    message = compose(direct)
    for act in (control.pause, control.resume):
        with pytest.raises(NotFound):
            act(message, user=factories.user(roles.SALES), actor="user:x")


# --- expiry
def test_what_is_not_sent_in_time_expires_and_is_never_sent(direct: House) -> None:
    message = compose(direct, expires_at=timezone.now() + timedelta(hours=1))
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
    message = compose(direct)
    Message.objects.update(expires_at=timezone.now())
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"expired": 5}
    assert not direct.posts(API)


@pytest.mark.parametrize("before", [None, timedelta(hours=2)])
def test_an_expiry_before_it_may_be_sent_is_refused(direct: House, before: timedelta | None) -> None:
    now = timezone.now()
    times = {"expires_at": now + timedelta(hours=1) if before else now, "not_before": before and now + before}
    with pytest.raises(Invalid) as caught:
        compose(direct, **times)
    assert [(each.pointer, each.code) for each in caught.value.errors] == [("/expires_at", "invalid")]


# --- opt-out (guarantees M9): in whatever order, no post after it
def test_a_contact_who_opted_out_is_excluded_before_acceptance(direct: House) -> None:
    opt(direct.contacts[0], direct, out=True)
    seen = outbox.preview(user=direct.user, corp=direct.corp, contacts=direct.ids, content=Text("您好"))
    assert [(each.code, each.position) for each in seen.excluded] == [("opted_out", 0)]
    with pytest.raises(Invalid):
        compose(direct)


def _accepted(house: House, message: Message) -> None:
    return None


def _paused(house: House, message: Message) -> None:
    control.pause(message, user=house.user, actor="user:test")


def _returned(house: House, message: Message) -> None:
    batch = claims.claim(message, most=1)
    assert batch is not None
    message.tries.update(lease_until=timezone.now() - timedelta(seconds=1))
    tasks.sweep()


@pytest.mark.parametrize("before", [_accepted, _paused, _returned])
def test_an_opt_out_after_acceptance_cancels_at_the_claim(
    direct: House, before: Callable[[House, Message], None]
) -> None:
    message = compose(direct, contacts=direct.ids[:1])
    before(direct, message)
    assert opt(direct.contacts[0], direct, out=True)
    assert not opt(direct.contacts[0], direct, out=True)
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
    message = compose(direct, contacts=direct.ids[:1])
    message.deliveries.update(contact=None)
    tasks.deliver(message.pk)
    assert Delivery.objects.values_list("state", "code").get() == ("cancelled", "erased")


def test_an_opt_out_that_is_taken_back_lets_messages_through(direct: House) -> None:
    opt(direct.contacts[0], direct, out=True)
    opt(direct.contacts[0], direct, out=False)
    message = compose(direct)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 5}
    changed = Event.objects.filter(verb="contact.updated", contact_id=direct.ids[0])
    assert [list(event.changes) for event in changed] == [["opted_out_at"], ["opted_out_at"]]


def test_an_opt_out_of_one_leaves_the_others(direct: House) -> None:
    message = compose(direct)
    opt(direct.contacts[2], direct, out=True)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 4, "cancelled": 1}
    assert direct.contacts[2].external_userid not in {to for to, *_ in direct.phones()}


# --- a restore (guarantees M10)
def test_after_a_restore_nothing_is_sent_until_it_is_released(direct: House, manage: Any) -> None:
    message = compose(direct)
    assert claims.claim(message, most=1)  # somebody was about to speak when the backup was made
    message.tries.update(lease_until=timezone.now() - timedelta(seconds=1))
    manage("doctor", "--post-restore", "--json")
    tasks.sweep()
    Delivery.objects.update(next_attempt_at=None)
    tasks.deliver(message.pk)
    message.refresh_from_db()
    assert (message.pause_reason, direct.posts(API)) == ("restore", [])
    with pytest.raises((NotAllowed, NotFound)):
        control.resume(message, user=factories.user(roles.SALES), actor="user:x")
    control.resume(message, user=direct.user, actor="user:test")
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 5}


def test_what_a_restore_held_is_not_released_by_the_salesperson_who_wrote_it(direct: House) -> None:
    lin = factories.user(roles.SALES)
    message = compose(direct)
    Message.objects.update(created_by=lin)
    control.hold_after_restore(actor="command")
    message.refresh_from_db()
    with pytest.raises(NotAllowed):
        control.resume(message, user=lin, actor="user:lin")


# --- a person's word on the uncertain
@pytest.fixture
def uncertain(direct: House) -> Delivery:
    message = compose(direct, contacts=direct.ids[:1])
    batch = claims.claim(message, most=1)
    assert batch is not None
    claims.speak(batch, b"{}")
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
    message = compose(direct, contacts=direct.ids[:1])
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


# --- colleagues
def test_preview_tells_of_a_colleague_who_wrote_to_the_same_contact_lately(direct: House) -> None:
    message = compose(direct, contacts=direct.ids[:2])
    tasks.deliver(message.pk)
    other = factories.user()
    seen = outbox.preview(user=other, corp=direct.corp, contacts=direct.ids, content=Text("您好"))
    assert {each.contact_id for each in seen.recent} == set(direct.ids[:2])
    assert {each.by for each in seen.recent} == {direct.user.get_username()}
    mine = outbox.preview(user=direct.user, corp=direct.corp, contacts=direct.ids, content=Text("您好"))
    assert mine.recent == []
    Delivery.objects.update(updated_at=timezone.now() - timedelta(days=4))
    seen = outbox.preview(user=other, corp=direct.corp, contacts=direct.ids, content=Text("您好"))
    assert seen.recent == []


# --- what was called off stays so, and calls off nothing else
def test_an_opt_out_of_one_does_not_cancel_the_retry_of_the_others(direct: House, closed_port: str) -> None:
    message = compose(direct)
    opt(direct.contacts[0], direct, out=True)
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


def test_what_returns_uncounted_after_a_cancel_is_not_sent(direct: House) -> None:
    message = compose(direct)
    batch = claims.claim(message, most=1)
    assert batch is not None
    control.cancel(message, user=direct.user, actor="user:test")
    outcomes.record_error(batch, RateLimited("told so", errcode=45009, outcome="not_done"))
    assert message.deliveries.counts() == {"queued": 1, "cancelled": 4}
    message.deliveries.update(next_attempt_at=None)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"cancelled": 5}
    assert not direct.posts(API)


@pytest.mark.parametrize("what", ["pause", "cancel", "opt_out"])
def test_what_is_called_off_between_the_claim_and_the_first_word_is_not_sent(
    direct: House, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    message = compose(direct, contacts=direct.ids[:1])
    claimed = claims.claim(message, most=1)
    assert claimed is not None
    if what == "pause":
        control.pause(message, user=direct.user, actor="user:test")
    elif what == "opt_out":
        opt(direct.contacts[0], direct, out=True)
    else:
        Message.objects.update(cancelled_at=timezone.now())
    with pytest.raises(claims.CalledOff):
        claims.speak(claimed, b"{}")
    claims.release(claimed)
    assert message.deliveries.values_list("state", "attempts").get() == ("queued", 0)
    tasks.deliver(message.pk)
    assert not direct.posts(API)


def test_a_message_that_was_paused_when_the_backup_was_made_is_held_too(direct: House) -> None:
    message = compose(direct)
    control.pause(message, user=direct.user, actor="user:test")
    assert control.hold_after_restore(actor="command") == 1
    assert control.hold_after_restore(actor="command") == 0
    message.refresh_from_db()
    assert message.pause_reason == "restore"


def test_a_reminder_that_waited_in_a_backup_is_not_made_after_the_restore(official: House) -> None:
    message = compose(official)
    errand = Errand.objects.create(message=message, kind="remind", msgid="m", actor="user:test")
    control.hold_after_restore(actor="command")
    tasks.run_errands(message.pk)
    errand.refresh_from_db()
    assert (errand.state, errand.code) == ("failed", "restored")
