"""What people do with messages that were accepted: cancel, pause, resume, and say what became of the uncertain."""

from collections.abc import Mapping
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts.access import get_visible, require
from contacts.querysets import User
from crm.errors import Conflict, FieldError, Invalid
from crm.events import event, record
from crm.providers.records import LIMITS
from crm.queue import ring
from messaging.models import Delivery, Errand, Message
from messaging.states import State, close_ended, move

SEND: Final = "messaging.add_message"
RESOLVE: Final = "messaging.resolve_delivery"

# What a person may say of an uncertain delivery, and the columns that go with it.
WORDS: Final[Mapping[str, tuple[State, dict[str, Any]]]] = {
    "accepted": (State.ACCEPTED, {"is_last_word": True, "code": "resolved", "errcode": None}),
    "failed": (State.FAILED, {"code": "resolved", "errcode": None}),
    "resend": (
        State.QUEUED,
        {"code": "", "errcode": None, "errmsg": "", "attempts": 0, "next_attempt_at": None},
    ),
}


def cancel(message: Message, *, user: User, actor: str) -> int:
    """Take back what is still queued; returns how many deliveries. Conflict `too_late` when none is."""
    message = _own(message, user)
    with transaction.atomic():
        rows = list(message.deliveries.filter(state=State.QUEUED).select_for_update())
        if not rows:
            raise Conflict(_("It is too late: nothing is waiting to be sent."), code="too_late")
        move(rows, leaving=State.QUEUED, to=State.CANCELLED, actor=actor, next_attempt_at=None)
        Message.objects.filter(pk=message.pk).update(cancelled_at=timezone.now())
        _note("message.cancelled", message, actor, {"deliveries": [None, len(rows)]})
    close_ended(Message.objects.filter(pk=message.pk))
    return len(rows)


def pause(message: Message, *, user: User, actor: str) -> bool:
    """Let what is queued wait until `resume`; False when it waits already. Conflict `too_late` when all is out."""
    message = _own(message, user)
    if not message.deliveries.filter(state__in=(State.QUEUED, State.SENDING)).exists():
        raise Conflict(_("It is too late: nothing is waiting to be sent."), code="too_late")
    running = Message.objects.filter(pk=message.pk, paused_at__isnull=True, state=Message.State.OPEN)
    return bool(_pause(running, message, Message.PauseReason.PERSON, actor))


def _pause(rows: QuerySet[Message], message: Message, reason: str, actor: str) -> int:
    with transaction.atomic():
        paused = rows.update(paused_at=Coalesce("paused_at", timezone.now()), pause_reason=reason)
        if paused:
            _note("message.paused", message, actor, {"reason": [None, str(reason)]})
    return paused


def resume(message: Message, *, user: User, actor: str) -> bool:
    """Send what waits; False when nothing held it back.

    What a restore held may have been sent after the backup: only who may judge uncertain deliveries releases it.
    """
    message = _own(message, user)
    if message.pause_reason == Message.PauseReason.RESTORE:
        require(user, RESOLVE)
    with transaction.atomic():
        paused = Message.objects.filter(pk=message.pk, paused_at__isnull=False)
        # For the reason that was looked at above: a restore may have held it since.
        resumed = paused.filter(pause_reason=message.pause_reason).update(paused_at=None, pause_reason="")
        if resumed:
            _note("message.resumed", message, actor, {})
            ring("messaging.tasks.deliver", message.pk)
    return bool(resumed)


def hold_after_restore(*, actor: str) -> int:
    """Pause every open message: the database is older than the world, where it may have been sent long since.

    Paused ones as well: somebody may have resumed them after the backup. What was asked of the provider is dropped.
    """
    restore = Message.PauseReason.RESTORE
    Errand.objects.filter(state=Errand.State.QUEUED).update(
        state=Errand.State.FAILED, code="restored", ended_at=timezone.now()
    )
    held = 0
    for message in Message.objects.filter(state=Message.State.OPEN).exclude(pause_reason=restore).iterator():
        still = Message.objects.filter(pk=message.pk, state=Message.State.OPEN)
        held += _pause(still, message, restore, actor)
    return held


def resolve(delivery: Delivery, *, word: str, reason: str, user: User, actor: str) -> Delivery:
    """What a person found out about an uncertain delivery: `accepted`, `failed`, or to `resend` it.

    Raises Invalid, and Conflict `not_uncertain` when it is not, or no longer.
    """
    require(user, RESOLVE)
    delivery = get_visible(user, Delivery.objects.select_related("message"), delivery.pk)
    _check(word, reason)
    state, fields = WORDS[word]
    with transaction.atomic():
        rows = list(
            Delivery.objects.filter(pk=delivery.pk, state=State.UNCERTAIN)
            .select_related("message")
            .select_for_update(of=("self",))
        )
        if not rows:
            raise Conflict(_("This delivery is not uncertain."), code="not_uncertain")
        told = {"errmsg": reason.strip()[: LIMITS["errmsg"]], **fields}
        move(rows, leaving=State.UNCERTAIN, to=state, actor=actor, reason=reason.strip(), **told)
        if state == State.QUEUED:
            again = Message.objects.filter(pk=delivery.message_id)
            again.update(state=Message.State.OPEN, cancelled_at=None)
            ring("messaging.tasks.deliver", delivery.message_id)
    delivery.refresh_from_db()
    return delivery


def _check(word: str, reason: str) -> None:
    errors = []
    if word not in WORDS:
        errors.append(FieldError("/as", "invalid", _("Choose accepted, failed or resend.")))
    if not reason.strip():
        errors.append(FieldError("/reason", "required", _("Say why: it is kept in the history.")))
    if errors:
        raise Invalid(_("It cannot be decided like this."), errors=errors)


def _own(message: Message, user: User) -> Message:
    require(user, SEND)
    return get_visible(user, Message.objects.all(), message.pk)


def _note(verb: str, message: Message, actor: str, changes: Mapping[str, Any]) -> None:
    line = event(verb, "message", message.pk, actor=actor, corp_id=message.corp_id, changes=changes)
    record([line])
