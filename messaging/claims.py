"""Who may speak for which deliveries: a leased attempt, written before the POST and finished once."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, Q, QuerySet
from django.utils import timezone

from crm.retry import backoff_s
from messaging.models import Attempt, Delivery, Message
from messaging.quiet import SLOTS, quiet_until, releases
from messaging.rate import hold_back
from messaging.states import State, move

log = logging.getLogger("renmai.delivery")


@dataclass(slots=True)
class Batch:
    """Deliveries in `sending` that one attempt holds. `has_spoken`: from here on a byte may have left.

    `repeat_until`: so long the provider swallows the same bytes, so that posting them again can only help.
    """

    attempt_id: int
    lease_token: uuid.UUID
    sender: str
    deliveries: Sequence[Delivery]
    has_spoken: bool = False
    repeat_until: datetime | None = None
    repeats: int = 0

    @property
    def to(self) -> list[str]:
        return [each.to for each in self.deliveries]

    @property
    def may_repeat(self) -> bool:
        return self.has_spoken and self.repeat_until is not None and timezone.now() < self.repeat_until


class CalledOff(Exception):
    """Between the claim and the first word somebody paused, cancelled or opted out: `release` the batch."""


class LeaseLost(Exception):
    """The lease lapsed before a byte was sent, and the deliveries went back to the queue: stay silent."""


def claim(message: Message, *, most: int) -> Batch | None:
    """Take up to `most` due deliveries that can go out in one call; None when there are none.

    The try is counted here, not with its result: a batch that kills its worker must not return forever.
    """
    if message.expires_at is not None:
        expire(Message.objects.filter(pk=message.pk))
    while True:
        with transaction.atomic():
            if _is_quiet(message, most):
                return None
            due = (
                message.deliveries.due()
                .select_related("contact")
                .annotate(called_off=F("message__cancelled_at"))
            )
            due = due.defer("contact__external_profile").select_for_update(skip_locked=True, of=("self",))
            rows = list(due.order_by("pk")[:most])
            # Composed in the order of their senders, so that those of one call stand together.
            rows = [row for row in rows if row.sender == rows[0].sender]
            if not rows:
                return None
            willing = _without_unwilling(rows)
            if willing and (rows := hold_back(message, willing)):
                return _begin(message, rows)


def _is_quiet(message: Message, most: int) -> bool:
    """In quiet hours what is due gets its minute after them: what goes out in one call the same."""
    until = quiet_until(settings.CRM_QUIET_HOURS, timezone.now(), message.agent.corp.zone)
    if until is None:
        return False
    # In the order in which everybody locks them: another one would be a deadlock with a cancel.
    due = message.deliveries.due().select_for_update(skip_locked=True, of=("self",)).order_by("pk")
    by_slot: dict[int, list[int]] = {}
    senders: dict[str, int] = {}
    for rank, (pk, sender) in enumerate(due.values_list("pk", "sender")):
        call = senders.setdefault(sender, len(senders)) if sender else rank // most
        by_slot.setdefault((message.pk + call) % SLOTS, []).append(pk)
    minutes = releases(until)
    for slot, pks in by_slot.items():
        held = Delivery.objects.filter(pk__among=pks, state=State.QUEUED)
        held.update(next_attempt_at=minutes[slot], updated_at=timezone.now())
    return True


def _without_unwilling(rows: Sequence[Delivery]) -> list[Delivery]:
    """Cancel what may not be sent any more, and return the rest.

    That is what came back to the queue after a person had cancelled the message (guarantees M8), and what is for
    contacts who have asked not to be written to since it was accepted (M9).
    """
    refused: dict[str, list[Delivery]] = {}
    willing = []
    for row in rows:
        code = _why_not(row)
        if code is None:
            willing.append(row)
        else:
            refused.setdefault(code, []).append(row)
    for code, unwilling in refused.items():
        move(unwilling, leaving=State.QUEUED, to=State.CANCELLED, next_attempt_at=None, code=code)
    return willing


def _why_not(row: Any) -> str | None:
    """The `code` of a delivery that is not to be sent; None when it is."""
    if row.called_off is not None:
        return ""
    if row.to_kind != Message.ToKind.CONTACT:
        return None
    if row.contact is None:
        return "erased"
    return "opted_out" if row.contact.opted_out_at else None


def expire(messages: QuerySet[Message]) -> None:
    """End what is still queued of those `messages` whose time is over, paused ones too."""
    for message in messages.filter(state=Message.State.OPEN, expires_at__lte=timezone.now()):
        with transaction.atomic():
            queued = message.deliveries.filter(state=State.QUEUED)
            rows = list(queued.select_for_update(skip_locked=True))
            move(rows, leaving=State.QUEUED, to=State.EXPIRED, next_attempt_at=None)


def _begin(message: Message, rows: Sequence[Delivery]) -> Batch:
    """Put `rows`, which the caller has locked, into `sending`."""
    attempt = Attempt.objects.create(
        message=message,
        sender=rows[0].sender,
        to=[row.to for row in rows],
        body=b"",
        lease_token=uuid.uuid4(),
        lease_until=_lease(),
    )
    Delivery.objects.filter(pk__among=[row.pk for row in rows]).update(
        state=State.SENDING,
        attempt=attempt,
        attempts=F("attempts") + 1,
        next_attempt_at=None,
        updated_at=timezone.now(),
    )
    for row in rows:
        row.attempts += 1
    return Batch(attempt.pk, attempt.lease_token, attempt.sender, rows)


def _batch(message: Message, attempt: Attempt) -> Batch:
    mine = message.deliveries.filter(attempt=attempt, state=State.SENDING).order_by("pk")
    return Batch(
        attempt.pk,
        attempt.lease_token,
        attempt.sender,
        list(mine),
        attempt.spoke_at is not None,
        attempt.repeat_until,
        attempt.repeats,
    )


def _lease() -> datetime:
    return timezone.now() + timedelta(seconds=settings.CRM_SEND_LEASE_SECONDS)


def speak(batch: Batch, body: bytes, *, repeatable_s: float = 0) -> None:
    """Freeze `body` and note that it may leave; commits.

    Raises LeaseLost when the batch is not ours, CalledOff when something speaks against it since it was claimed.

    Within `repeatable_s` seconds from the first time the provider swallows the same bytes.
    """
    now = timezone.now()
    if not batch.has_spoken and _is_called_off(batch):
        raise CalledOff
    if repeatable_s and batch.repeat_until is None:
        batch.repeat_until = now + timedelta(seconds=repeatable_s)
    mine = _unfinished(batch).filter(lease_until__gt=now)
    if not mine.update(body=body, spoke_at=now, lease_until=_lease(), repeat_until=batch.repeat_until):
        raise LeaseLost
    batch.has_spoken = True


def _is_called_off(batch: Batch) -> bool:
    """Looked at again right before the first word: uploads and the pace may have taken their time."""
    unwilling = Delivery.objects.filter(attempt=batch.attempt_id, contact__opted_out_at__isnull=False)
    looked_at = Message.objects.select_related("agent__corp").only(*_LOOKED_AT)
    message: Any = looked_at.annotate(has_unwilling=Exists(unwilling)).get(tries=batch.attempt_id)
    return message.has_unwilling or _rests(message) or _is_over(message)


_LOOKED_AT: Final = (
    "agent__corp__is_active",
    "agent__corp__is_sending_paused",
    "agent__corp__time_zone",
    "paused_at",
    "cancelled_at",
    "expires_at",
)


def release(batch: Batch) -> None:
    """Give a batch back that has not spoken; no try is counted, and the next claim says what becomes of it."""
    with transaction.atomic():
        if finish(batch, outcome="not_done", errcode=None, errmsg="called off"):
            move(
                batch.deliveries,
                leaving=State.SENDING,
                to=State.QUEUED,
                attempts=F("attempts") - 1,
                next_attempt_at=None,
            )


def repeat_later(batch: Batch) -> bool:
    """Leave the deliveries in `sending` until the same bytes are posted again; False when the batch is not ours."""
    wait = timedelta(seconds=backoff_s(batch.repeats + 1))
    return bool(_unfinished(batch).update(lease_until=timezone.now() + wait))


def retake(attempt_id: int) -> tuple[Batch, Message, bytes] | None:
    """The batch, its message and the bytes to post again; None when they may not be, or another does it."""
    now = timezone.now()
    open_ones = Attempt.objects.filter(pk=attempt_id, finished_at__isnull=True, repeat_until__gt=now)
    told = open_ones.select_related("message__agent__corp").first()
    if told is None or _rests(told.message) or _is_over(told.message):
        return None
    mine = open_ones.filter(lease_until__lte=now, lease_token=told.lease_token)
    told.lease_token, told.repeats = uuid.uuid4(), told.repeats + 1
    if not mine.update(lease_token=told.lease_token, lease_until=_lease(), repeats=told.repeats):
        return None
    return _batch(told.message, told), told.message, bytes(told.body)


def _rests(message: Message) -> bool:
    """Whether nothing of this message may go out now."""
    corp = message.agent.corp
    is_quiet = quiet_until(settings.CRM_QUIET_HOURS, timezone.now(), corp.zone) is not None
    return is_quiet or message.paused_at is not None or corp.is_sending_paused or not corp.is_active


def _is_over(message: Message) -> bool:
    """Whether nothing of this message may go out ever more."""
    is_expired = message.expires_at is not None and message.expires_at <= timezone.now()
    return is_expired or message.cancelled_at is not None


def finish(batch: Batch, *, outcome: str, errcode: int | None, errmsg: str, msgid: str = "") -> bool:
    """Write how the attempt ended. False when another ended it: then its deliveries are not ours to move."""
    mine = _unfinished(batch).filter(spoke_at__isnull=not batch.has_spoken)
    won = mine.update(
        finished_at=timezone.now(), outcome=outcome, errcode=errcode, errmsg=errmsg, msgid=msgid
    )
    if not won:
        log.warning(
            "attempt %s was ended by another; its late result %s is not written", batch.attempt_id, outcome
        )
    return bool(won)


def _unfinished(batch: Batch) -> QuerySet[Attempt]:
    return Attempt.objects.filter(
        pk=batch.attempt_id, lease_token=batch.lease_token, finished_at__isnull=True
    )


def lapsed(*, most: int) -> list[Batch]:
    """Batches whose worker was lost, or that nobody may ask about any more: they are to be ended."""
    rows = _lapsed().filter(~_repeatable() | _over()).select_related("message")
    found = [_batch(each.message, each) for each in rows.order_by("lease_until")[:most]]
    for batch in found:
        batch.repeat_until = None
    return found


def unanswered(*, most: int) -> list[int]:
    """Attempts whose bytes may be posted again now, to learn what became of them."""
    resting = Q(message__paused_at__isnull=False) | Q(message__corp__is_sending_paused=True)
    rows = _lapsed().filter(_repeatable(), ~_over(), ~resting, message__corp__is_active=True)
    return list(rows.order_by("lease_until").values_list("pk", flat=True)[:most])


def _lapsed() -> QuerySet[Attempt]:
    return Attempt.objects.filter(finished_at__isnull=True, lease_until__lte=timezone.now())


def _repeatable() -> Q:
    return Q(spoke_at__isnull=False, repeat_until__gt=timezone.now())


def _over() -> Q:
    return Q(message__cancelled_at__isnull=False) | Q(message__expires_at__lte=timezone.now())
