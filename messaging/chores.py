"""What a call of the provider makes a worker ask of it: claimed, asked, written down.

Asking again does no harm: a file is only read, and a code that changes a card counts once.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone

from crm.connections import open_provider
from crm.logs import redact
from crm.models import Agent
from crm.providers.base import Provider
from crm.providers.errors import BadCredential, ProviderError, RateLimited, Unavailable
from crm.queue import is_stopping
from crm.retry import backoff_s
from messaging import clicks, received, results
from messaging.models import CardClick, Chore, ReceivedFile
from messaging.outcomes import as_fields

log = logging.getLogger("renmai.callbacks")

LANE: Final = results.LANE  # a file that comes slowly holds up neither events nor sends
PER_TURN: Final = 100
BELLS_PER_SWEEP: Final = 20
QUICK_TRIES: Final = 10
SLOW_S: Final = 600.0  # between the later ones

State = Chore.State


@dataclass(frozen=True, slots=True)
class Kind:
    """`through` is the relation to the row that has corp and agent; `given_up_after` counts from the callback.

    After a try whose answer was lost, `was_done` as errcode says that it had happened.
    """

    model: type[Chore]
    through: str
    ask: Callable[[Provider, Any], dict[str, Any]]
    given_up_after: timedelta
    was_done: int | None = None

    def due(self) -> QuerySet[Any]:
        due = self.model._default_manager.filter(state=State.QUEUED, next_attempt_at__lte=timezone.now())
        return due.filter(**{f"{self.through}__corp__is_active": True})

    def agent(self, row: Chore) -> Agent:
        found: Agent = getattr(row, self.through).agent
        return found


KINDS: Final = (
    Kind(CardClick, "message", clicks.answer, clicks.ANSWERED_WITHIN, was_done=clicks.USED_UP),
    Kind(ReceivedFile, "callback", received.fetch, received.FORGOTTEN_AFTER),
)


def do(corp_id: int, *, turn_s: float = results.TURN_S) -> None:
    """Ask what is due of a corp. Two at the same time do no harm: each row is claimed."""
    until = time.monotonic() + turn_s
    for kind in KINDS:
        due = kind.due().filter(**{f"{kind.through}__corp": corp_id})
        rows = due.select_related(f"{kind.through}__agent__corp").order_by("next_attempt_at", "pk")
        for row in rows[:PER_TURN]:
            if is_stopping() or time.monotonic() > until:
                return
            if claim(row) and not _ask(kind, row):
                return  # the line is down: the sweep comes again


def claim(row: Chore) -> bool:
    """Take the row; unless something else is written, nobody knows what became of this try."""
    now = timezone.now()
    free = _mine(row).filter(next_attempt_at__lte=now)
    lease = timedelta(seconds=settings.CRM_SEND_LEASE_SECONDS)
    took = free.update(attempts=row.attempts + 1, next_attempt_at=now + lease, is_unsure=True)
    row.attempts += 1
    return bool(took)


def _ask(kind: Kind, row: Chore) -> bool:
    """Make the call; False when the line is down, so that the others may as well wait."""
    try:
        provider = open_provider(kind.agent(row), patience_s=results.PACE_PATIENCE_S)
        fields = kind.ask(provider, row)
    except ProviderError as error:
        _failed(kind, row, error)
        return not isinstance(error, Unavailable | RateLimited | BadCredential)
    except Exception as error:
        log.exception("%s %s broke", row._meta.verbose_name, row.pk)
        _end(row, State.FAILED, code="crashed", errmsg=redact(type(error).__name__))
    else:
        _end(row, State.DONE, code="", errcode=0, errmsg="", **fields)
    return True


def _failed(kind: Kind, row: Chore, error: ProviderError) -> None:
    if row.is_unsure and error.errcode is not None and error.errcode == kind.was_done:
        _end(row, State.DONE, code="", errcode=0, errmsg="")
        return
    log.warning("%s %s of %s: %s", row._meta.verbose_name, row.pk, kind.agent(row).corp.corpid, error)
    quick = row.attempts <= QUICK_TRIES
    wait_s = max(backoff_s(row.attempts) if quick else SLOW_S, error.retry_after or 0)
    again_at = timezone.now() + timedelta(seconds=wait_s)
    is_passing = error.retryable or isinstance(error, BadCredential)
    is_worth_a_try = is_passing or (error.outcome == "unknown" and quick)
    if not is_worth_a_try or again_at > row.created_at + kind.given_up_after:
        _end(row, State.FAILED, **as_fields(error))
        return
    is_unsure = row.is_unsure or error.outcome == "unknown"
    fields = as_fields(error) | {"code": error.code}
    _mine(row).update(next_attempt_at=again_at, is_unsure=is_unsure, **fields)


def _end(row: Chore, state: Chore.State, **fields: Any) -> None:
    _mine(row).update(state=state, next_attempt_at=None, **fields)


def _mine(row: Chore) -> QuerySet[Chore]:
    """The row, unless its lease has lapsed and another claimed it."""
    return type(row)._default_manager.filter(pk=row.pk, state=State.QUEUED, attempts=row.attempts)


def unattended() -> list[int]:
    """Corps with something due: its bell was lost, or its worker."""
    found: set[int] = set()
    for kind in KINDS:
        corps = kind.due().order_by().values_list(f"{kind.through}__corp", flat=True).distinct()
        found.update(corps[:BELLS_PER_SWEEP])
    return sorted(found)
