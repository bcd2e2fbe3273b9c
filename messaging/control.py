"""What people do with messages that were accepted: cancel, pause, resume, approve, judge the uncertain."""

from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts.access import get_visible, require
from contacts.querysets import User
from crm.errors import Conflict, FieldError, Invalid, NotAllowed
from crm.events import event, record
from crm.providers.records import LIMITS
from crm.queue import ring
from messaging.models import Delivery, Errand, Message
from messaging.quiet import all_releases
from messaging.states import State, close_ended, move

SEND: Final = "messaging.add_message"
APPROVE: Final = "messaging.approve_urgent"
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
    """Take back what has not been said yet; returns how many deliveries. Conflict `too_late` when there is nothing.

    What a worker has claimed comes back, and is cancelled then, unless it speaks within the second in which the
    worker looks.
    """
    message = _own(message, user)
    with transaction.atomic():
        rows = list(message.deliveries.filter(state=State.QUEUED).select_for_update().order_by("pk"))
        sending = message.deliveries.filter(state=State.SENDING, attempt__isnull=False)
        claimed = sending.filter(attempt__spoke_at__isnull=True).count()
        if not rows and not claimed:
            raise Conflict(_("It is too late: nothing is waiting to be sent."), code="too_late")
        move(rows, leaving=State.QUEUED, to=State.CANCELLED, actor=actor, next_attempt_at=None)
        Message.objects.filter(pk=message.pk).update(cancelled_at=timezone.now())
        _note("message.cancelled", message, actor, {"deliveries": [None, len(rows) + claimed]})
    close_ended(Message.objects.filter(pk=message.pk))
    return len(rows) + claimed


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


def approve(message: Message, *, user: User, actor: str) -> bool:
    """Let an urgent message go out in quiet hours; False when somebody has approved it already.

    Raises NotAllowed `own_message`, Conflict `not_urgent` when nobody asked for it, `too_late` when all is out.
    """
    require(user, APPROVE)
    message = _own(message, user)
    if not message.urgent_requested:
        raise Conflict(_("This message was not marked urgent."), code="not_urgent")
    if message.created_by_id == user.pk:
        told = _("You have sent it yourself: another manager or administrator approves it.")
        raise NotAllowed(told, code="own_message")
    if message.is_urgent:
        return False
    with transaction.atomic():
        waiting = message.deliveries.filter(state=State.QUEUED).order_by("pk").select_for_update()
        # All that are queued: a worker may be giving some of them their minute after the quiet hours just now.
        queued = list(waiting.values_list("pk", "next_attempt_at"))
        if not queued:
            raise Conflict(_("It is too late: nothing is waiting to be sent."), code="too_late")
        now = timezone.now()
        asking = Message.objects.filter(pk=message.pk, urgent_approved_at__isnull=True)
        if not asking.update(urgent_approved_at=now, urgent_approved_by=user.pk):
            return False
        minutes = all_releases(settings.CRM_QUIET_HOURS, now, message.agent.corp.zone)
        held = [pk for pk, at in queued if at in minutes]
        Delivery.objects.filter(pk__among=held).update(next_attempt_at=None, updated_at=now)
        _note("message.approved", message, actor, {"deliveries": [None, len(queued)]})
        ring("messaging.tasks.deliver", message.pk)
    return True


def is_unapproved(message: Message) -> bool:
    """Whether it asks to go out in quiet hours, and waits for somebody's word."""
    return message.urgent_requested and not message.is_urgent and message.state == Message.State.OPEN


def may_approve(message: Message, *, user: User) -> bool:
    """Whether `user` may `approve` this message, which is within reach."""
    is_own = message.created_by_id == user.pk
    return is_unapproved(message) and not is_own and user.has_perm(APPROVE)  # type: ignore[union-attr]


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

    Raises Invalid, and Conflict `not_uncertain` when it is not, or no longer; `in_flight` for `resend` while others of
    a cancelled message are on their way back.
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
            _reopen(delivery, actor)
    delivery.refresh_from_db()
    return delivery


def _reopen(resent: Delivery, actor: str) -> None:
    """Let the message go out for `resent` alone: what a person has cancelled of it stays cancelled."""
    message = resent.message
    if message.cancelled_at is not None:
        others = message.deliveries.exclude(pk=resent.pk)
        if others.filter(state=State.SENDING).exists():
            raise Conflict(
                _("Others of this cancelled message are still on their way back. Try again in a moment."),
                code="in_flight",
            )
        waiting = list(others.filter(state=State.QUEUED).select_for_update().order_by("pk"))
        move(waiting, leaving=State.QUEUED, to=State.CANCELLED, actor=actor, next_attempt_at=None)
    Message.objects.filter(pk=message.pk).update(state=Message.State.OPEN, cancelled_at=None)
    ring("messaging.tasks.deliver", message.pk)


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
