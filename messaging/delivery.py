"""Sends what is due, in batches, and writes what came of it; finds what a lost worker left behind."""

import logging
import time
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from django.db.models import Exists, OuterRef
from django.utils import timezone

from crm.connections import open_provider
from crm.logs import redact
from crm.providers import DIALECTS
from crm.providers.answers import scrub
from crm.providers.base import Capability, Provider
from crm.providers.content import Content, parse
from crm.providers.errors import BadCredential, ProviderError, RateLimited, Unavailable
from crm.providers.records import SendReceipt
from crm.queue import MAIN, is_idle, is_stopping, ring
from messaging.claims import (
    Batch,
    CalledOff,
    LeaseLost,
    claim,
    expire,
    lapsed,
    release,
    retake,
    speak,
    unanswered,
)
from messaging.models import Attempt, Delivery, Message
from messaging.outcomes import as_fields, lost, record_error, record_receipt
from messaging.states import close_ended
from messaging.verdicts import verdict

log = logging.getLogger("renmai.delivery")

TURN_S: Final = 45.0  # then other messages have their turn
# A longer wait for the pace goes back to the queue instead of using up the lease.
PACE_PATIENCE_S: Final = 5.0
# Its own workers: a provider that hangs holds up no first send.
REPEATS: Final = "poll"
LAPSED_PER_SWEEP: Final = 100
BELLS_PER_SWEEP: Final = 20
DUPLICATE_CHECK_S: Final = 1800
DUPLICATE_CHECK_SPREAD: Final = 12_000  # with the above within the four hours that WeCom takes
REPEATABLE_S: Final = DUPLICATE_CHECK_S - 300  # clocks differ, and a request takes its time
LINE_DOWN: Final = (Unavailable, RateLimited, BadCredential)


@dataclass
class _Line:
    """The line to a message's provider. The first batch opens it: a failure to open is that batch's."""

    message: Message
    trouble: ProviderError | None = None

    @cached_property
    def provider(self) -> Provider:
        return open_provider(self.message.agent, patience_s=PACE_PATIENCE_S)

    @cached_property
    def content(self) -> Content:
        return parse(self.message.content)

    @property
    def swallows_repeats(self) -> bool:
        to_employees = self.message.to_kind == Message.ToKind.EMPLOYEE
        return to_employees and Capability.DUPLICATE_CHECK in self.provider.capabilities

    @property
    def most(self) -> int:
        client = DIALECTS.get(self.message.agent.corp.dialect)
        return client.recipients_per_send[self.message.to_kind] if client else 1000


def deliver(message_id: int, *, turn_s: float = TURN_S) -> None:
    """Send what is due of a message, for about `turn_s` seconds. Two at the same time do no harm."""
    message = Message.objects.select_related("agent__corp").get(pk=message_id)
    line, began = _Line(message), time.monotonic()
    while not is_stopping() and (batch := claim(message, most=line.most)):
        _send(batch, line)
        if line.trouble is not None:
            _postpone(message, line.trouble)
            break
        if time.monotonic() - began > turn_s:
            ring("messaging.tasks.deliver", message_id)
            break
    close_ended(Message.objects.filter(pk=message_id))


def _postpone(message: Message, error: ProviderError) -> None:
    """The line is down, not a recipient wrong: the others wait as long, without a try of their own."""
    found = verdict(error, attempts=1, now=timezone.now())
    message.deliveries.due().update(next_attempt_at=found.next_attempt_at, **as_fields(error))


def _send(batch: Batch, line: _Line) -> None:
    """One batch, whatever happens: the worker's edge."""
    try:
        record_receipt(batch, _post(batch, line))
    except CalledOff:
        release(batch)
    except LeaseLost:
        log.warning("attempt %s lost its lease before it spoke", batch.attempt_id)
        record_error(batch, Unavailable("The lease ran out before anything was sent.", code="timeout"))
    except ProviderError as error:
        record_error(batch, error)
        if error.outcome == "not_done" and isinstance(error, LINE_DOWN):
            line.trouble = error
    except Exception as error:
        log.exception("attempt %s broke", batch.attempt_id)
        words = scrub(redact(f"{type(error).__name__}: {error}"))
        record_error(batch, lost(words, code="crashed", batch=batch))


def _post(batch: Batch, line: _Line) -> SendReceipt:
    body = _body(batch, line)
    # Not before token and pace are there: until then a lost worker is certain to have sent nothing.
    return line.provider.send(
        body,
        to_kind=line.message.to_kind,
        to=batch.to,
        on_speak=lambda: speak(batch, body, repeatable_s=REPEATABLE_S if line.swallows_repeats else 0),
    )


def repeat(attempt_id: int) -> None:
    """Post the bytes of an unanswered attempt again: the provider swallows what it had, and tells its result.

    Only a success settles it. A refusal now says nothing about what the first time did.
    """
    taken = retake(attempt_id)
    if taken is None:
        return
    batch, message, body = taken
    try:
        receipt = _Line(message).provider.send(
            body, to_kind=message.to_kind, to=batch.to, on_speak=lambda: speak(batch, body)
        )
    except ProviderError as error:
        error.outcome = "unknown"
        record_error(batch, error)
    except LeaseLost:
        log.warning("attempt %s was taken over", batch.attempt_id)
    except Exception as error:
        log.exception("attempt %s broke", batch.attempt_id)
        record_error(batch, lost(scrub(redact(type(error).__name__)), code="crashed", batch=batch))
    else:
        record_receipt(batch, receipt)
    close_ended(Message.objects.filter(pk=message.pk))


def _body(batch: Batch, line: _Line) -> bytes:
    to_kind = line.message.to_kind
    try:
        content = line.provider.prepare(line.content, to_kind=to_kind)
        # Another number for each attempt: the provider swallows the same request, not the same words twice.
        interval = DUPLICATE_CHECK_S + batch.attempt_id % DUPLICATE_CHECK_SPREAD
        return line.provider.body(
            content,
            to_kind=to_kind,
            to=batch.to,
            sender=batch.sender,
            duplicate_check_s=interval if line.swallows_repeats else 0,
        )
    except ProviderError as error:
        error.outcome = "not_done"  # whatever became of an upload, the send behind it was not made
        raise


def recover() -> None:
    """What a lost worker or a lost bell left behind; rows only, no network. Called every few seconds."""
    for batch in lapsed(most=LAPSED_PER_SWEEP):
        code, words = _why_lost(batch)
        record_error(batch, lost(words, code=code, batch=batch))
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
    worked_on = Attempt.objects.filter(message=OuterRef("pk"), finished_at__isnull=True)
    waiting = Message.objects.filter(Exists(due), ~Exists(worked_on), state=Message.State.OPEN)
    return list(waiting.order_by("pk").values_list("pk", flat=True)[:BELLS_PER_SWEEP])
