"""Sends what is due, in batches, and writes what came of it; finds what a lost worker left behind."""

import logging
from functools import partial
from typing import Final

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from crm.providers.errors import ProviderError
from crm.queue import MAIN, is_idle, ring
from messaging.claims import Batch, expire, lapsed, retake, speak, unanswered
from messaging.models import Attempt, Delivery, Message
from messaging.outcomes import Result, as_fields, lost, record
from messaging.states import State, close_ended
from messaging.turn import LeaseLost, Line, Turn, crashed
from messaging.verdicts import verdict

log = logging.getLogger("renmai.delivery")

TURN_S: Final = 45.0  # then other messages have their turn
# Its own workers: a provider that hangs holds up no first send.
REPEATS: Final = "poll"
LAPSED_PER_SWEEP: Final = 100
BELLS_PER_SWEEP: Final = 20


def deliver(message_id: int, *, turn_s: float = TURN_S) -> None:
    """Send what is due of a message, for about `turn_s` seconds. Two at the same time do no harm."""
    message = Message.objects.select_related("agent__corp").get(pk=message_id)
    expire(Message.objects.filter(pk=message_id))
    if message.deliveries.due().exists():
        turn = Turn(message)
        may_be_more = turn.run(turn_s)
        if turn.trouble is not None:
            _postpone(message, turn.trouble)
        elif may_be_more:
            ring("messaging.tasks.deliver", message_id)
    close_ended(Message.objects.filter(pk=message_id))


def _postpone(message: Message, error: ProviderError) -> None:
    """The line is down, not a recipient wrong: the others wait as long, without a try of their own."""
    found = verdict(error, attempts=1, now=timezone.now())
    with transaction.atomic():
        # In the order in which everybody locks them, and passing over what somebody is working on.
        due = message.deliveries.due().select_for_update(skip_locked=True, of=("self",)).order_by("pk")
        waiting = Delivery.objects.filter(
            pk__among=list(due.values_list("pk", flat=True)), state=State.QUEUED
        )
        waiting.update(next_attempt_at=found.next_attempt_at, **as_fields(error))


def repeat(attempt_id: int) -> None:
    """Post the bytes of an unanswered attempt again: the provider swallows what it had, and tells its result.

    Only a success settles it. A refusal now says nothing about what the first time did.
    """
    taken = retake(attempt_id)
    if taken is None:
        return
    batch, message = taken
    if (result := _said_again(batch, message)) is not None:
        record([(batch, result)])
    close_ended(Message.objects.filter(pk=message.pk))


def _said_again(batch: Batch, message: Message) -> Result | None:
    try:
        return Line(message).post(batch, partial(_speak_alone, batch))
    except ProviderError as error:
        error.outcome = "unknown"
        return error
    except LeaseLost:
        log.warning("attempt %s was taken over", batch.attempt_id)
        return None
    except Exception as error:
        log.exception("attempt %s broke", batch.attempt_id)
        return crashed(error, batch)


def _speak_alone(batch: Batch) -> None:
    if speak([batch]):
        raise LeaseLost


def recover() -> None:
    """What a lost worker or a lost bell left behind; rows only, no network. Called every few seconds."""
    for batch in lapsed(most=LAPSED_PER_SWEEP):
        code, words = _why_lost(batch)
        record([(batch, lost(words, code=code, batch=batch))])
    expire(Message.objects.all())
    close_ended(Message.objects.all())
    if is_idle(MAIN):
        for message_id in _unattended():
            ring("messaging.tasks.deliver", message_id)
    if is_idle(REPEATS):
        for attempt_id in unanswered(most=BELLS_PER_SWEEP):
            ring("messaging.tasks.repeat", attempt_id, lane=REPEATS)


def _why_lost(batch: Batch) -> tuple[str, str]:
    if batch.repeats:
        return "unanswered", "The provider never said what became of it."
    return "worker_lost", "The worker was lost."


def _unattended() -> list[int]:
    """Messages, oldest first, with due deliveries on which nobody works now."""
    due = Delivery.objects.due().filter(message=OuterRef("pk"))
    held = Attempt.objects.filter(message=OuterRef("pk"), finished_at__isnull=True)
    worked_on = held.filter(lease_until__gt=timezone.now(), repeat_until__isnull=True)
    waiting = Message.objects.filter(Exists(due), ~Exists(worked_on), state=Message.State.OPEN)
    return list(waiting.order_by("pk").values_list("pk", flat=True)[:BELLS_PER_SWEEP])
