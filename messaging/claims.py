"""Who may speak for which deliveries: a leased attempt, written before the POST and finished once."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, QuerySet
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
            if _is_quiet(message):
                return None
            due = message.deliveries.due().select_related("contact")
            due = due.defer("contact__external_profile").select_for_update(skip_locked=True, of=("self",))
            rows = list(due.order_by("pk")[:most])
            # Composed in the order of their senders, so that those of one call stand together.
            rows = [row for row in rows if row.sender == rows[0].sender]
            if not rows or _is_called_off(message, rows):
                return None
            willing = _without_unwilling(rows)
            if willing and (rows := hold_back(message, willing)):
                return _begin(message, rows)


def _is_quiet(message: Message) -> bool:
    """In quiet hours what is due gets its minute after them, spread out."""
    until = quiet_until(settings.CRM_QUIET_HOURS, timezone.now(), message.agent.corp.zone)
    if until is None:
        return False
    for slot, minute in enumerate(releases(until)):
        due = message.deliveries.due().annotate(slot=F("pk") % SLOTS).filter(slot=slot)
        due.update(next_attempt_at=minute, updated_at=timezone.now())
    return True


def _without_unwilling(rows: Sequence[Delivery]) -> list[Delivery]:
    """Cancel what is for contacts who have asked not to be written to since it was accepted (guarantees M9)."""
    to_contacts = [row for row in rows if row.to_kind == Message.ToKind.CONTACT]
    erased = [row for row in to_contacts if row.contact is None]
    opted_out = [row for row in to_contacts if row.contact and row.contact.opted_out_at]
    for code, refused in (("erased", erased), ("opted_out", opted_out)):
        move(refused, leaving=State.QUEUED, to=State.CANCELLED, next_attempt_at=None, code=code)
    return [row for row in rows if row not in erased and row not in opted_out]


def expire(messages: QuerySet[Message]) -> None:
    """End what is still queued of those `messages` whose time is over, paused ones too."""
    for message in messages.filter(state=Message.State.OPEN, expires_at__lte=timezone.now()):
        with transaction.atomic():
            queued = message.deliveries.filter(state=State.QUEUED)
            rows = list(queued.select_for_update(skip_locked=True))
            move(rows, leaving=State.QUEUED, to=State.EXPIRED, next_attempt_at=None)


def _begin(message: Message, rows: Sequence[Delivery]) -> Batch:
    attempt = Attempt.objects.create(
        message=message,
        sender=rows[0].sender,
        to=[row.to for row in rows],
        body=b"",
        lease_token=uuid.uuid4(),
        lease_until=_lease(),
    )
    Delivery.objects.filter(pk__in=[row.pk for row in rows], state=State.QUEUED).update(
        state=State.SENDING,
        attempt=attempt,
        attempts=F("attempts") + 1,
        next_attempt_at=None,
        updated_at=timezone.now(),
    )
    return _batch(message, attempt)


def _is_called_off(message: Message, rows: Sequence[Delivery]) -> bool:
    """Cancel what came back to the queue after a person had cancelled the message (guarantees M8)."""
    returned = any(row.attempts for row in rows)
    if not returned or not message.deliveries.filter(state=State.CANCELLED).exists():
        return False
    move(rows, leaving=State.QUEUED, to=State.CANCELLED)
    return True


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
    """Freeze `body` and note that it may leave; commits. Raises LeaseLost when the batch is not ours.

    Within `repeatable_s` seconds from the first time the provider swallows the same bytes.
    """
    now = timezone.now()
    if repeatable_s and batch.repeat_until is None:
        batch.repeat_until = now + timedelta(seconds=repeatable_s)
    mine = _unfinished(batch).filter(lease_until__gt=now)
    if not mine.update(body=body, spoke_at=now, lease_until=_lease(), repeat_until=batch.repeat_until):
        raise LeaseLost
    batch.has_spoken = True


def repeat_later(batch: Batch) -> bool:
    """Leave the deliveries in `sending` until the same bytes are posted again; False when the batch is not ours."""
    wait = timedelta(seconds=backoff_s(batch.repeats + 1))
    return bool(_unfinished(batch).update(lease_until=timezone.now() + wait))


def retake(attempt_id: int) -> tuple[Batch, Message, bytes] | None:
    """The batch, its message and the bytes to post again; None when they may not be, or another does it."""
    now = timezone.now()
    open_ones = Attempt.objects.filter(pk=attempt_id, finished_at__isnull=True, repeat_until__gt=now)
    told = open_ones.select_related("message__agent__corp").first()
    if told is None or _rests(told.message):
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
    """Batches whose worker was lost: their lease is over and nobody wrote a result."""
    rows = Attempt.objects.filter(finished_at__isnull=True, lease_until__lte=timezone.now())
    return [
        _batch(each.message, each) for each in rows.select_related("message").order_by("lease_until")[:most]
    ]
