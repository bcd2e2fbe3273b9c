"""Recall, remind, stop: what can still be asked about a message that the provider took.

A click writes rows; a worker makes the call. Recalling and stopping may be repeated without harm and are, until the
provider answered; a reminder is made once at most, because each one rings at an employee.
"""

import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts.access import get_visible, require
from contacts.querysets import User
from crm.connections import can, open_provider
from crm.errors import Conflict, Invalid
from crm.events import event, record
from crm.logs import redact
from crm.providers.base import Capability, Provider
from crm.providers.errors import BadCredential, ProviderError, RateLimited, Unavailable
from crm.queue import is_stopping, ring
from crm.retry import backoff_s
from messaging import results
from messaging.models import Delivery, Errand, Message
from messaging.outcomes import as_fields
from messaging.quiet import quiet_until
from messaging.states import State, update_locked

log = logging.getLogger("renmai.delivery")

Kind = Errand.Kind

LANE: Final = results.LANE  # a provider that hangs holds up no send
RECALL_WITHIN: Final = timedelta(hours=24)  # the provider's limit (wecom.md 3.9)
REMINDERS: Final = 3  # in 24 hours (wecom.md 3.7)
MOST_TRIES: Final = 10
PER_TURN: Final = 100
VERBS: Final = {Kind.RECALL: "recalled", Kind.REMIND: "reminded", Kind.STOP: "stopped"}


def may(message: Message, kind: Kind) -> bool:
    """Whether there is anything of `message` to do this with; a face asks before it offers."""
    able = Capability.RECALL if kind == Kind.RECALL else Capability.REMIND
    if not can(message.corp, able) or not _calls(message, kind).exists():
        return False
    asked = message.errands.filter(kind=kind).exclude(state=Errand.State.FAILED)
    return not (asked.exists() if kind != Kind.REMIND else asked.filter(state=Errand.State.QUEUED).exists())


def ask(message: Message, *, kind: Kind, user: User, actor: str) -> int:
    """Write an errand for each call the message went out in; returns how many.

    Raises Conflict `too_late` when there is nothing to do it with (any more), `already_asked` for a second recall or
    stop, `too_often` for a fourth reminder in 24 hours, and Invalid `unsupported` where the provider has no such call.
    """
    require(user, "messaging.add_message")
    message = get_visible(user, Message.objects.select_related("corp"), message.pk)
    if not can(message.corp, Capability.RECALL if kind == Kind.RECALL else Capability.REMIND):
        raise Invalid(_("This provider cannot do that."), code="unsupported")
    with transaction.atomic():
        # Of two clicks the second sees the errands of the first.
        Message.objects.select_for_update().get(pk=message.pk)
        msgids = _msgids(message, kind)
        Errand.objects.bulk_create(
            [
                Errand(message=message, kind=kind, msgid=msgid, created_by_id=user.pk, actor=actor)
                for msgid in msgids
            ]
        )
        ring("messaging.tasks.run_errands", message.pk, lane=LANE)
    return len(msgids)


def _msgids(message: Message, kind: Kind) -> list[str]:
    msgids = set(_calls(message, kind).order_by().values_list("msgid", flat=True).distinct())
    if not msgids:
        raise Conflict(_("It is too late for that."), code="too_late")
    # What the provider refused did not happen; what failed otherwise may have.
    asked = message.errands.filter(kind=kind, msgid__among=msgids).exclude(
        state=Errand.State.FAILED, errcode__isnull=False
    )
    if kind != Kind.REMIND:
        left = sorted(msgids - set(asked.exclude(state=Errand.State.FAILED).values_list("msgid", flat=True)))
        if not left:
            raise Conflict(_("It has been asked for already."), code="already_asked")
        return left
    lately = asked.filter(created_at__gt=timezone.now() - timedelta(hours=24))
    told = list(lately.values_list("msgid", flat=True))
    left = sorted(msgid for msgid in msgids if told.count(msgid) < REMINDERS)
    if not left:
        raise Conflict(_("At most 3 reminders in 24 hours."), code="too_often")
    return left


def _calls(message: Message, kind: Kind) -> QuerySet[Delivery]:
    """The deliveries whose calls `kind` can be asked of now."""
    accepted = message.deliveries.filter(state=State.ACCEPTED).exclude(msgid="")
    if kind == Kind.RECALL:
        since = timezone.now() - RECALL_WITHIN
        to_employees = accepted.exclude(to_kind=Message.ToKind.CONTACT).filter(recalled_at__isnull=True)
        return to_employees.filter(attempt__finished_at__gt=since)
    return accepted.filter(is_last_word=False)


def run(message_id: int, *, turn_s: float = results.TURN_S) -> None:
    """Do what is due of a message's errands. Two at the same time do no harm: each errand is claimed."""
    began = time.monotonic()
    due = _due().filter(message=message_id).select_related("message__agent__corp")
    for errand in due.order_by("pk")[:PER_TURN]:
        if is_stopping() or time.monotonic() - began > turn_s:
            return
        if not _is_quiet(errand) and _claim(errand) and not _do(errand):
            return  # the line is down: the sweep comes again


def _due() -> QuerySet[Errand]:
    """What may be done now: to recall and to stop is always urgent, a reminder waits while sending is paused."""
    due = Errand.objects.filter(state=Errand.State.QUEUED, next_attempt_at__lte=timezone.now())
    paused = Q(message__paused_at__isnull=False) | Q(message__corp__is_sending_paused=True)
    return due.filter(message__corp__is_active=True).exclude(paused, kind=Kind.REMIND)


def _is_quiet(errand: Errand) -> bool:
    """Whether it is a reminder in quiet hours; then it waits for their end."""
    if errand.kind != Kind.REMIND:
        return False
    until = quiet_until(settings.CRM_QUIET_HOURS, timezone.now(), errand.message.agent.corp.zone)
    if until is not None:
        Errand.objects.filter(pk=errand.pk, state=Errand.State.QUEUED).update(next_attempt_at=until)
    return until is not None


def _claim(errand: Errand) -> bool:
    """Take the errand; `errand.code` says how the try before ended, "" when nobody knows."""
    lease = timedelta(seconds=settings.CRM_SEND_LEASE_SECONDS)
    with transaction.atomic():
        held = _due().filter(pk=errand.pk).select_for_update(skip_locked=True, of=("self",)).first()
        if held is None:
            return False
        errand.code, errand.attempts = held.code, held.attempts + 1
        until = timezone.now() + lease
        Errand.objects.filter(pk=errand.pk).update(
            attempts=errand.attempts, code="", errcode=None, next_attempt_at=until
        )
    return True


def _do(errand: Errand) -> bool:
    """Make the call; False when the line is down, so that the others may as well wait."""
    if errand.kind == Kind.REMIND and errand.attempts > 1 and not errand.code:
        # The worker before us was lost and may have rung already.
        _end(errand, Errand.State.FAILED, code="worker_lost")
        return True
    try:
        provider = open_provider(errand.message.agent, patience_s=results.PACE_PATIENCE_S)
        _CALLS[Kind(errand.kind)](provider, errand)
    except ProviderError as error:
        _failed(errand, error)
        return not isinstance(error, Unavailable | RateLimited | BadCredential)
    except Exception as error:
        log.exception("errand %s broke", errand.pk)
        _end(errand, Errand.State.FAILED, code="crashed", errmsg=redact(type(error).__name__))
    else:
        _end(errand, Errand.State.DONE, code="", errcode=0, errmsg="")
        _note(errand)
    return True


def _note(errand: Errand) -> None:
    line = event(
        f"message.{VERBS[Kind(errand.kind)]}",
        "message",
        errand.message_id,
        actor=errand.actor,
        corp_id=errand.message.corp_id,
        changes={"msgid": [None, errand.msgid]},
    )
    record([line])


def _recall(provider: Provider, errand: Errand) -> None:
    provider.recall(errand.msgid)
    update_locked(_deliveries(errand), recalled_at=timezone.now(), updated_at=timezone.now())


def _remind(provider: Provider, errand: Errand) -> None:
    provider.remind(errand.msgid)


def _stop(provider: Provider, errand: Errand) -> None:
    provider.stop(errand.msgid)
    soon = timezone.now() + results.STOP_SETTLES
    waiting = _deliveries(errand).filter(state=State.ACCEPTED, is_last_word=False)
    update_locked(waiting, next_attempt_at=soon)


_CALLS: Final[dict[Kind, Callable[[Provider, Errand], None]]] = {
    Kind.RECALL: _recall,
    Kind.REMIND: _remind,
    Kind.STOP: _stop,
}


def _deliveries(errand: Errand) -> QuerySet[Delivery]:
    return errand.message.deliveries.filter(msgid=errand.msgid)


def _failed(errand: Errand, error: ProviderError) -> None:
    is_worth_a_try = errand.kind != Kind.REMIND if error.outcome == "unknown" else error.retryable
    if not is_worth_a_try or errand.attempts >= MOST_TRIES:
        _end(errand, Errand.State.FAILED, **as_fields(error))
        return
    wait = max(backoff_s(errand.attempts), error.retry_after or 0)
    _mine(errand).update(next_attempt_at=_in(wait), **(as_fields(error) | {"code": error.code}))


def _in(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)


def _end(errand: Errand, state: str, **fields: object) -> None:
    _mine(errand).update(state=state, ended_at=timezone.now(), **fields)


def _mine(errand: Errand) -> QuerySet[Errand]:
    """The errand, unless its lease has lapsed and another claimed it."""
    return Errand.objects.filter(pk=errand.pk, state=Errand.State.QUEUED, attempts=errand.attempts)


def unattended() -> Iterable[int]:
    """Messages with errands that are due: their bell was lost, or their worker."""
    return _due().order_by("message").values_list("message", flat=True).distinct()[:PER_TURN]
