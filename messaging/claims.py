"""Who may speak for which deliveries: a leased attempt, written before the POST and finished once."""

import logging
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import DateTimeField, Exists, F, Q, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from contacts.models import Contact
from crm import bulk
from crm.lookups import Told
from crm.providers.errors import ProviderError
from crm.retry import backoff_s
from messaging.models import Attempt, Delivery, Message
from messaging.quiet import SLOTS, quiet_until, releases
from messaging.quota import hold_for_the_day
from messaging.rate import hold_back
from messaging.states import State, grouped, move

log = logging.getLogger("renmai.delivery")


@dataclass(slots=True)
class Batch:
    """Deliveries in `sending` that one attempt holds: one call. `has_spoken`: from here on a byte may have left.

    `trouble` is why its `body` could not be written. `repeat_until`: so long the provider swallows the same bytes, so
    that posting them again can only help.
    """

    attempt_id: int
    lease_token: uuid.UUID
    sender: str
    deliveries: Sequence[Delivery]
    body: bytes = b""
    trouble: ProviderError | None = None
    has_spoken: bool = False
    repeat_until: datetime | None = None
    repeats: int = 0

    @property
    def to(self) -> list[str]:
        return [each.to for each in self.deliveries]

    @property
    def may_repeat(self) -> bool:
        return self.has_spoken and self.repeat_until is not None and timezone.now() < self.repeat_until


def claim(message: Message, *, most: int, write: Callable[[Batch], bytes], calls: int = 1) -> list[Batch]:
    """Take due deliveries for up to `calls` calls of up to `most` recipients; none when there are none.

    `write` makes the bytes of a batch, which are frozen with it; a ProviderError is kept as its `trouble`.

    The try is counted here, not with its result: a batch that kills its worker must not return forever.
    """
    at_most = max(most, calls)
    while True:
        with transaction.atomic():
            if _is_quiet(message, most):
                return []
            due = message.deliveries.due().select_for_update(skip_locked=True, of=("self",))
            told = due.annotate(
                called_off=F("message__cancelled_at"),
                opted_out_at=F("contact__opted_out_at"),
                contact_state=F("contact__state"),
            )
            rows = list(told.order_by("pk")[:at_most])
            if not rows:
                return []
            rows = _rows_of_calls(rows, most, calls, is_cut=len(rows) == at_most)
            willing = _without_unwilling(rows)
            if willing and (rows := hold_for_the_day(message, hold_back(message, willing))):
                return _begin(message, _calls(rows, most), write)


def _rows_of_calls(rows: Sequence[Delivery], most: int, calls: int, *, is_cut: bool) -> list[Delivery]:
    """The rows of the first `calls` calls; of several, not those of a last one whose other rows were not read."""
    found = _calls(rows, most)
    if is_cut and len(found) > 1 and len(found[-1]) < most:
        found.pop()
    return [row for call in found[:calls] for row in call]


def _calls(rows: Iterable[Delivery], most: int) -> list[list[Delivery]]:
    """Neighbours of one sender, up to `most`: composed in the order of their senders, they stand together."""
    found: list[list[Delivery]] = []
    for row in rows:
        if not found or found[-1][0].sender != row.sender or len(found[-1]) == most:
            found.append([])
        found[-1].append(row)
    return found


def _is_quiet(message: Message, most: int) -> bool:
    """In quiet hours what is due gets its minute after them: what goes out in one call the same."""
    until = quiet_until(settings.CRM_QUIET_HOURS, timezone.now(), message.agent.corp.zone)
    if until is None or message.is_urgent:
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
        # Asked again, now that they are locked: it may have been approved since `message` was read.
        held = held.filter(message__urgent_approved_at__isnull=True)
        held.update(next_attempt_at=minutes[slot], updated_at=timezone.now())
    return True


def _without_unwilling(rows: Sequence[Delivery]) -> list[Delivery]:
    """Cancel what may not be sent any more, and return the rest.

    That is what came back to the queue after a person had cancelled the message (guarantees M8), and what is for
    contacts who have asked not to be written to or were lost since it was accepted (M9).
    """
    found = grouped(rows, _why_not)
    for code, unwilling in found.items():
        if code is not None:
            move(unwilling, leaving=State.QUEUED, to=State.CANCELLED, next_attempt_at=None, code=code)
    return found.get(None, [])


def _why_not(row: Any) -> str | None:
    """The `code` of a delivery that is not to be sent; None when it is."""
    if row.called_off is not None:
        return ""
    if row.to_kind != Message.ToKind.CONTACT:
        return None
    if row.contact_id is None:
        return "erased"
    if row.opted_out_at:
        return "opted_out"
    return "lost" if row.contact_state == Contact.State.LOST else None


def expire(messages: QuerySet[Message]) -> None:
    """End what is still queued of those `messages` whose time is over, paused ones too."""
    for message in messages.filter(state=Message.State.OPEN, expires_at__lte=timezone.now()):
        with transaction.atomic():
            queued = message.deliveries.filter(state=State.QUEUED)
            rows = list(queued.select_for_update(skip_locked=True))
            move(rows, leaving=State.QUEUED, to=State.EXPIRED, next_attempt_at=None)


def _begin(message: Message, calls: Sequence[list[Delivery]], write: Callable[[Batch], bytes]) -> list[Batch]:
    """Put the rows of `calls`, which the caller has locked, into `sending`."""
    lease_token, lease_until, now = uuid.uuid4(), _lease(), timezone.now()
    ids = bulk.take_ids(Attempt, len(calls))
    batches = [Batch(pk, lease_token, rows[0].sender, rows) for pk, rows in zip(ids, calls, strict=True)]
    for batch in batches:
        try:
            batch.body = write(batch)
        except ProviderError as error:
            batch.trouble = error
    bulk.insert(
        Attempt,
        [
            {
                "id": batch.attempt_id,
                "message_id": message.pk,
                "sender": batch.sender,
                "to": batch.to,
                "body": batch.body,
                "lease_token": lease_token,
                "lease_until": lease_until,
                "started_at": now,
            }
            for batch in batches
        ],
    )
    attempts = {row.pk: batch.attempt_id for batch in batches for row in batch.deliveries}
    Delivery.objects.filter(pk__among=list(attempts)).update(
        state=State.SENDING,
        attempt=batches[0].attempt_id if len(batches) == 1 else Told("pk", attempts),
        attempts=F("attempts") + 1,
        next_attempt_at=None,
        updated_at=now,
    )
    for rows in calls:
        for row in rows:
            row.attempts += 1
    return batches


def _batch(message: Message, attempt: Attempt) -> Batch:
    mine = message.deliveries.filter(attempt=attempt, state=State.SENDING).order_by("pk")
    return Batch(
        attempt.pk,
        attempt.lease_token,
        attempt.sender,
        list(mine),
        bytes(attempt.body),
        has_spoken=attempt.spoke_at is not None,
        repeat_until=attempt.repeat_until,
        repeats=attempt.repeats,
    )


def _lease() -> datetime:
    return timezone.now() + timedelta(seconds=settings.CRM_SEND_LEASE_SECONDS)


def speak(batches: Sequence[Batch], *, repeatable_s: float = 0) -> set[int]:
    """Note that the bytes of `batches` may leave; commits. Returns the attempts that are ours no more: stay silent.

    Within `repeatable_s` seconds from the first time the provider swallows the same bytes.
    """
    now = timezone.now()
    repeat_until = now + timedelta(seconds=repeatable_s) if repeatable_s else None
    first = Coalesce("repeat_until", Value(repeat_until, output_field=DateTimeField()))
    mine = _unfinished(batches).filter(lease_until__gt=now)
    ours = {each.attempt_id for each in batches}
    if mine.update(spoke_at=now, lease_until=_lease(), repeat_until=first) < len(batches):
        ours = set(_unfinished(batches).filter(spoke_at=now).values_list("pk", flat=True))
    for batch in batches:
        if batch.attempt_id in ours:
            batch.has_spoken = True
            batch.repeat_until = batch.repeat_until or repeat_until
    return {each.attempt_id for each in batches} - ours


def hold_on(batches: Sequence[Batch]) -> None:
    """Renew the lease of those that have not spoken: the calls before them take their time."""
    waiting = _unfinished([each for each in batches if not each.has_spoken])
    waiting.filter(lease_until__gt=timezone.now()).update(lease_until=_lease())


def called_off(message: Message, batches: Sequence[Batch]) -> set[int]:
    """The attempts, of those that have not spoken, against which something speaks since they were claimed."""
    ids = [each.attempt_id for each in batches if not each.has_spoken]
    unwilling = Delivery.objects.filter(_UNWILLING, attempt__among=ids)
    looked_at = Message.objects.select_related("agent__corp").only(*_LOOKED_AT)
    now: Any = looked_at.annotate(has_unwilling=Exists(unwilling)).get(pk=message.pk)
    if _rests(now) or _is_over(now):
        return set(ids)
    return set(unwilling.values_list("attempt_id", flat=True)) if now.has_unwilling else set()


_UNWILLING: Final = Q(to_kind=Message.ToKind.CONTACT) & (
    Q(contact__isnull=True) | Q(contact__opted_out_at__isnull=False) | Q(contact__state=Contact.State.LOST)
)
_LOOKED_AT: Final = (
    "agent__corp__is_active",
    "agent__corp__is_sending_paused",
    "agent__corp__time_zone",
    "paused_at",
    "urgent_approved_at",
    "cancelled_at",
    "expires_at",
)


def release(batches: Sequence[Batch]) -> None:
    """Give back what has not spoken; no try is counted, and the next claim says what becomes of it."""
    with transaction.atomic():
        won = finish([End(batch, outcome="not_done", errmsg="called off") for batch in batches])
        move(
            [row for batch in batches if batch.attempt_id in won for row in batch.deliveries],
            leaving=State.SENDING,
            to=State.QUEUED,
            attempts=F("attempts") - 1,
            next_attempt_at=None,
        )


def repeat_later(batch: Batch) -> bool:
    """Leave the deliveries in `sending` until the same bytes are posted again; False when the batch is not ours."""
    wait = timedelta(seconds=backoff_s(batch.repeats + 1))
    return bool(_unfinished([batch]).update(lease_until=timezone.now() + wait))


def retake(attempt_id: int) -> tuple[Batch, Message] | None:
    """The batch whose bytes to post again, and its message; None when they may not be, or another does it."""
    now = timezone.now()
    open_ones = Attempt.objects.filter(pk=attempt_id, finished_at__isnull=True, repeat_until__gt=now)
    told = open_ones.select_related("message__agent__corp").first()
    if told is None or _rests(told.message) or _is_over(told.message):
        return None
    mine = open_ones.filter(lease_until__lte=now, lease_token=told.lease_token)
    told.lease_token, told.repeats = uuid.uuid4(), told.repeats + 1
    if not mine.update(lease_token=told.lease_token, lease_until=_lease(), repeats=told.repeats):
        return None
    return _batch(told.message, told), told.message


def _rests(message: Message) -> bool:
    """Whether nothing of this message may go out now."""
    corp = message.agent.corp
    is_quiet = quiet_until(settings.CRM_QUIET_HOURS, timezone.now(), corp.zone) is not None
    is_held = (is_quiet and not message.is_urgent) or message.paused_at is not None
    return is_held or corp.is_sending_paused or not corp.is_active


def _is_over(message: Message) -> bool:
    """Whether nothing of this message may go out ever more."""
    is_expired = message.expires_at is not None and message.expires_at <= timezone.now()
    return is_expired or message.cancelled_at is not None


@dataclass(frozen=True, slots=True)
class End:
    """How the attempt of `batch` ended."""

    batch: Batch
    outcome: str
    errcode: int | None = None
    errmsg: str = ""
    msgid: str = ""


def finish(ends: Sequence[End]) -> set[int]:
    """Write how attempts ended, in the caller's transaction; returns which were ours to end.

    The deliveries of one that another ended are not ours to move.
    """
    now = timezone.now()
    won: set[int] = set()
    for (outcome, errcode, errmsg, msgid, has_spoken), alike in grouped(ends, _words).items():
        batches = [end.batch for end in alike]
        mine = _unfinished(batches).filter(spoke_at__isnull=not has_spoken)
        ours = {each.attempt_id for each in batches}
        words = {"outcome": outcome, "errcode": errcode, "errmsg": errmsg, "msgid": msgid}
        if mine.update(finished_at=now, **words) < len(ours):
            written = Attempt.objects.filter(pk__among=ours, finished_at=now)
            ours = set(written.values_list("pk", flat=True))
            _tell_late(batches, ours, outcome)
        won |= ours
    return won


def _words(end: End) -> tuple[str, int | None, str, str, bool]:
    return end.outcome, end.errcode, end.errmsg, end.msgid, end.batch.has_spoken


def _tell_late(batches: Sequence[Batch], ours: set[int], outcome: str) -> None:
    for pk in {each.attempt_id for each in batches} - ours:
        log.warning("attempt %s was ended by another; its late result %s is not written", pk, outcome)


def _unfinished(batches: Sequence[Batch]) -> QuerySet[Attempt]:
    # A token is never shared by two hands: who took an attempt over has another one than all of these.
    tokens = {each.lease_token for each in batches}
    ids = [each.attempt_id for each in batches]
    return Attempt.objects.filter(pk__among=ids, lease_token__in=tokens, finished_at__isnull=True)


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
