"""The end of an attempt: what the provider's answer, or its lack, makes of each delivery."""

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from crm.providers.errors import ProviderError, Unavailable
from crm.providers.records import LIMITS, Refusal, SendReceipt
from messaging.claims import Batch, finish, repeat_later
from messaging.models import Delivery
from messaging.states import State, move
from messaging.verdicts import verdict

Key = TypeVar("Key", bound=Hashable)


def record_receipt(batch: Batch, receipt: SendReceipt) -> None:
    """The provider answered: everybody it did not name is accepted."""
    refusals = {each.to: each for each in receipt.refused}
    accepted = [row for row in batch.deliveries if row.to not in refusals]
    errcode = 0 if accepted or not receipt.refused else receipt.refused[0].errcode
    with transaction.atomic():
        if not finish(
            batch, outcome="answered", errcode=errcode, errmsg=receipt.warning, msgid=receipt.msgid
        ):
            return
        move(
            accepted,
            leaving=State.SENDING,
            to=State.ACCEPTED,
            is_last_word=receipt.final,
            msgid=receipt.msgid,
            errcode=0,
            code="",
            errmsg=receipt.warning,
            warning=bool(receipt.warning),
            # Of an accepted delivery: when to ask for its result.
            next_attempt_at=None if receipt.final else timezone.now(),
        )
        refused = [row for row in batch.deliveries if row.to in refusals]
        for why, rows in _grouped(refused, lambda row: _why(refusals[row.to])):
            code, named_errcode, errmsg = why
            move(
                rows, leaving=State.SENDING, to=State.FAILED, code=code, errcode=named_errcode, errmsg=errmsg
            )


def _why(refusal: Refusal) -> tuple[str, int | None, str]:
    return refusal.code, refusal.errcode, refusal.errmsg


def record_error(batch: Batch, error: ProviderError) -> None:
    """The provider did not answer, or said no to all: each delivery goes where `verdict` says.

    Where the same bytes may be posted again to learn what became of them, they stay in `sending`.
    """
    fields = as_fields(error)
    if error.outcome == "unknown" and batch.may_repeat and repeat_later(batch):
        Delivery.objects.filter(attempt=batch.attempt_id, state=State.SENDING).update(**fields)
        return
    now = timezone.now()
    with transaction.atomic():
        if not finish(batch, outcome=error.outcome, errcode=error.errcode, errmsg=fields["errmsg"]):
            return
        for found, rows in _grouped(
            batch.deliveries, lambda row: verdict(error, attempts=row.attempts, now=now)
        ):
            move(
                rows,
                leaving=State.SENDING,
                to=found.state,
                next_attempt_at=found.next_attempt_at,
                attempts=F("attempts") - (0 if found.is_counted else 1),
                **fields,
            )


def _grouped(
    rows: Iterable[Delivery], key: Callable[[Delivery], Key]
) -> Iterable[tuple[Key, list[Delivery]]]:
    groups: dict[Key, list[Delivery]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups.items()


def as_fields(error: ProviderError) -> dict[str, Any]:
    code = "" if error.code == "errcode" else error.code
    return {"code": code, "errcode": error.errcode, "errmsg": error.errmsg[: LIMITS["errmsg"]]}


def lost(words: str, *, code: str, batch: Batch) -> ProviderError:
    """The try ended without an answer, by no fault of the provider."""
    return Unavailable(words, code=code, outcome="unknown" if batch.has_spoken else "not_done")
