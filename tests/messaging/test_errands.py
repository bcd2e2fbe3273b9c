"""Recall, remind, stop: asked by a click, done by a worker, each once."""

from datetime import time, timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm import roles
from crm.errors import Conflict, Invalid, NotFound
from crm.models import Event
from crm.providers.content import Text
from messaging import errands, outbox, tasks
from messaging.models import Delivery, Errand, Message
from tests import factories
from tests.messaging.house import House

Kind = Errand.Kind
REMIND = "externalcontact/remind_groupmsg_send"


def sent(house: House, **to: Any) -> Message:
    message = outbox.compose(user=house.user, actor="user:test", corp=house.corp, content=Text("您好"), **to)
    tasks.deliver(message.pk)
    return message


def ask(message: Message, kind: Kind, house: House) -> int:
    return errands.ask(message, kind=kind, user=house.user, actor="user:test")


def told(message: Message) -> list[tuple[str, str, str]]:
    return list(message.errands.values_list("kind", "state", "code"))


def settle(message: Message) -> None:
    """The minutes after a stop pass, and the result is asked for once more."""
    message.errands.update(ended_at=timezone.now() - timedelta(minutes=6))
    message.deliveries.filter(state="accepted").update(next_attempt_at=timezone.now())
    tasks.poll_results()


def recalled(house: House) -> list[bool]:
    return [each["recalled"] for each in house.sim.messages(corp=house.corp.corpid)]


# --- recall
def test_a_message_to_employees_is_taken_back_from_their_phones(either: House) -> None:
    message = sent(either, employees=either.userids[:2])
    assert errands.may(message, Kind.RECALL)
    assert ask(message, Kind.RECALL, either) == 1
    tasks.run_errands(message.pk)
    assert told(message) == [("recall", "done", "")]
    assert recalled(either) == [True, True]
    assert message.deliveries.filter(recalled_at__isnull=False).count() == 2
    assert Event.objects.filter(verb="message.recalled", actor="user:test").count() == 1
    assert not errands.may(message, Kind.RECALL)
    with pytest.raises(Conflict) as caught:
        ask(message, Kind.RECALL, either)
    assert caught.value.code == "too_late"


def test_two_clicks_make_one_call(either: House) -> None:
    message = sent(either, employees=either.userids[:1])
    assert ask(message, Kind.RECALL, either) == 1
    assert not errands.may(message, Kind.RECALL)
    with pytest.raises(Conflict) as caught:
        ask(message, Kind.RECALL, either)
    assert caught.value.code == "already_asked"
    tasks.run_errands(message.pk)
    tasks.run_errands(message.pk)
    assert len(either.posts("message/recall")) == 1


def test_after_24_hours_it_is_too_late_to_take_it_back(either: House) -> None:
    message = sent(either, employees=either.userids[:1])
    message.tries.update(finished_at=timezone.now() - timedelta(hours=25))
    with pytest.raises(Conflict, match="too late"):
        ask(message, Kind.RECALL, either)


def test_the_providers_refusal_is_kept_and_shown(either: House) -> None:
    message = sent(either, employees=either.userids[:1])
    either.sim.fault(api="message/recall", kind="errcode", errcode=42052)
    ask(message, Kind.RECALL, either)
    tasks.run_errands(message.pk)
    assert message.errands.values_list("state", "errcode").get() == ("failed", 42052)
    assert message.deliveries.get().recalled_at is None


def test_a_recall_whose_answer_was_lost_is_asked_again(either: House) -> None:
    message = sent(either, employees=either.userids[:1])
    either.sim.fault(api="message/recall", kind="reset", times=1)
    ask(message, Kind.RECALL, either)
    tasks.run_errands(message.pk)
    assert message.errands.get().state == "queued"
    message.errands.update(next_attempt_at=timezone.now())
    tasks.sweep()
    tasks.run_errands(message.pk)
    assert message.errands.values_list("state", "attempts").get() == ("done", 2)


def test_a_message_to_contacts_cannot_be_taken_back(direct: House) -> None:
    message = sent(direct, contacts=direct.ids[:1])
    with pytest.raises(Conflict):
        ask(message, Kind.RECALL, direct)


# --- remind
def test_employees_are_reminded_three_times_a_day_at_most(official: House) -> None:
    message = sent(official, contacts=official.ids[:1])
    for _ in range(3):
        assert ask(message, Kind.REMIND, official) == 1
        tasks.run_errands(message.pk)
    with pytest.raises(Conflict) as caught:
        ask(message, Kind.REMIND, official)
    assert caught.value.code == "too_often"
    assert len(official.posts(REMIND)) == 3
    message.errands.update(created_at=timezone.now() - timedelta(hours=25))
    assert ask(message, Kind.REMIND, official) == 1


def test_a_reminder_whose_worker_was_lost_is_not_made_again(official: House) -> None:
    message = sent(official, contacts=official.ids[:1])
    ask(message, Kind.REMIND, official)
    errand = message.errands.get()
    assert errands._claim(errand)  # and then the worker is killed
    message.errands.update(next_attempt_at=timezone.now())
    tasks.sweep()
    tasks.run_errands(message.pk)
    assert told(message) == [("remind", "failed", "worker_lost")]
    assert not official.posts(REMIND)


def test_a_reminder_whose_worker_was_lost_after_an_earlier_refusal_is_not_made_again(official: House) -> None:
    message = sent(official, contacts=official.ids[:1])
    official.sim.fault(api=REMIND, kind="errcode", errcode=45033, times=1)
    ask(message, Kind.REMIND, official)
    tasks.run_errands(message.pk)
    message.errands.update(next_attempt_at=timezone.now())
    assert errands._claim(message.errands.get())  # it rang, and then the worker was killed
    message.errands.update(next_attempt_at=timezone.now())
    posts = len(official.posts(REMIND))
    tasks.run_errands(message.pk)
    assert told(message) == [("remind", "failed", "worker_lost")]
    assert len(official.posts(REMIND)) == posts
    for _ in range(2):
        assert ask(message, Kind.REMIND, official) == 1  # the lost one counts as made
        tasks.run_errands(message.pk)
    with pytest.raises(Conflict):
        ask(message, Kind.REMIND, official)


def test_nobody_is_reminded_while_the_message_is_paused(official: House) -> None:
    message = sent(official, contacts=official.ids[:1])
    ask(message, Kind.REMIND, official)
    Message.objects.update(paused_at=timezone.now())
    tasks.run_errands(message.pk)
    assert not official.posts(REMIND)
    assert list(errands.unattended()) == []
    Message.objects.update(paused_at=None)
    tasks.run_errands(message.pk)
    assert len(official.posts(REMIND)) == 1


def test_nobody_is_reminded_in_quiet_hours(official: House, settings: Any) -> None:
    message = sent(official, contacts=official.ids[:1])
    ask(message, Kind.REMIND, official)
    settings.CRM_QUIET_HOURS = (time(0), time(23, 59, 59, 999999))
    tasks.run_errands(message.pk)
    assert not official.posts(REMIND)
    assert list(errands.unattended()) == []  # it waits for their end
    settings.CRM_QUIET_HOURS = None
    message.errands.update(next_attempt_at=timezone.now())
    tasks.run_errands(message.pk)
    assert len(official.posts(REMIND)) == 1


def test_a_refused_recall_is_no_event(either: House) -> None:
    message = sent(either, employees=either.userids[:1])
    either.sim.fault(api="message/recall", kind="errcode", errcode=42052)
    ask(message, Kind.RECALL, either)
    tasks.run_errands(message.pk)
    assert not Event.objects.filter(verb="message.recalled").exists()


def test_a_reminder_whose_answer_was_lost_is_not_made_again(official: House) -> None:
    message = sent(official, contacts=official.ids[:1])
    official.sim.fault(api=REMIND, kind="reset", times=1)
    ask(message, Kind.REMIND, official)
    tasks.run_errands(message.pk)
    assert message.errands.get().state == "failed"


def test_a_reminder_that_certainly_was_not_made_is_made_later(official: House) -> None:
    message = sent(official, contacts=official.ids[:1])
    official.sim.fault(api=REMIND, kind="errcode", errcode=45033, times=1)
    ask(message, Kind.REMIND, official)
    tasks.run_errands(message.pk)
    assert message.errands.get().state == "queued"
    message.errands.update(next_attempt_at=timezone.now())
    tasks.run_errands(message.pk)
    assert message.errands.get().state == "done"


# --- stop
def test_a_stopped_mass_send_keeps_what_was_confirmed_and_ends_the_rest(official: House) -> None:
    message = sent(official, contacts=official.ids)
    first = message.deliveries.order_by("pk")[0]
    official.sim.confirm(official.corp.corpid, first.msgid, first.sender)
    ask(message, Kind.STOP, official)
    tasks.run_errands(message.pk)
    settle(message)
    states = set(
        message.deliveries.filter(sender=first.sender, msgid=first.msgid).values_list("state", flat=True)
    )
    assert states == {"delivered"}
    others = message.deliveries.exclude(sender=first.sender)
    assert {(row.state, row.code) for row in others} <= {("refused", "stopped")}
    message.refresh_from_db()
    assert message.state == "done"
    assert not errands.may(message, Kind.STOP)


def test_stopping_where_it_was_stopped_already_is_no_fault(official: House) -> None:
    message = sent(official, contacts=official.ids[:1])
    official.sim.fault(api="externalcontact/cancel_groupmsg_send", kind="errcode", errcode=41093, times=1)
    ask(message, Kind.STOP, official)
    tasks.run_errands(message.pk)
    assert message.errands.get().state == "done"
    assert Delivery.objects.get().state == "accepted"  # somebody may have confirmed a moment before
    settle(message)
    assert Delivery.objects.get().code == "stopped"


# --- who, and where there is no such call
def test_a_dialect_without_mass_sends_says_so(direct: House) -> None:
    message = sent(direct, contacts=direct.ids[:1])
    assert not errands.may(message, Kind.REMIND)
    with pytest.raises(Invalid) as caught:
        ask(message, Kind.REMIND, direct)
    assert caught.value.code == "unsupported"


def test_a_message_of_another_is_not_found(either: House) -> None:
    message = sent(either, employees=either.userids[:1])
    with pytest.raises(NotFound):
        errands.ask(message, kind=Kind.RECALL, user=factories.user(roles.SALES), actor="user:x")
