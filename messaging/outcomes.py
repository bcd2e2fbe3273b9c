"""The end of attempts: what the provider's answer, or its lack, makes of each delivery."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from crm.providers.errors import ProviderError, Unavailable
from crm.providers.records import LIMITS, Refusal, SendReceipt
from messaging.claims import Batch, End, finish, repeat_later
from messaging.models import Delivery
from messaging.states import State, grouped, move
from messaging.verdicts import verdict

Result = SendReceipt | ProviderError
Fields = dict[str, Any]
Step = tuple[Delivery, Fields]  # a delivery in `sending`, and what `move` is told of it


def record(results: Sequence[tuple[Batch, Result]]) -> None:
    """Write what became of batches that the caller holds, in one transaction.

    Where the same bytes may be posted again to learn what became of them, the deliveries stay in `sending`.
    """
    ended = [(batch, result) for batch, result in results if not _is_left_open(batch, result)]
    if not ended:
        return
    with transaction.atomic():
        won = finish([_end(batch, result) for batch, result in ended])
        now = timezone.now()
        moves = [
            step for batch, result in ended if batch.attempt_id in won for step in _steps(batch, result, now)
        ]
        for fields, alike in grouped(moves, lambda step: tuple(step[1].items())).items():
            move([row for row, _ in alike], leaving=State.SENDING, **dict(fields))


def _steps(batch: Batch, result: Result, now: datetime) -> Iterator[Step]:
    if isinstance(result, ProviderError):
        return _after_error(batch, result, now)
    return _after_receipt(batch, result, now)


def _is_left_open(batch: Batch, result: Result) -> bool:
    if not isinstance(result, ProviderError) or result.outcome != "unknown" or not batch.may_repeat:
        return False
    if not repeat_later(batch):
        return False
    Delivery.objects.filter(attempt=batch.attempt_id, state=State.SENDING).update(**as_fields(result))
    return True


def _end(batch: Batch, result: Result) -> End:
    if isinstance(result, ProviderError):
        return End(batch, result.outcome, result.errcode, as_fields(result)["errmsg"])
    refused = {each.to: each for each in result.refused}
    is_for_all = bool(refused) and all(row.to in refused for row in batch.deliveries)
    errcode = result.refused[0].errcode if is_for_all else 0
    return End(batch, "answered", errcode, result.warning, result.msgid)


def _after_receipt(batch: Batch, receipt: SendReceipt, now: datetime) -> Iterator[Step]:
    """The provider answered: everybody it did not name is accepted."""
    refused = {each.to: each for each in receipt.refused}
    accepted = {
        "to": State.ACCEPTED,
        "is_last_word": receipt.final,
        "msgid": receipt.msgid,
        "errcode": 0,
        "code": "",
        "errmsg": receipt.warning,
        "warning": bool(receipt.warning),
        # Of an accepted delivery: when to ask for its result.
        "next_attempt_at": None if receipt.final else now,
    }
    for row in batch.deliveries:
        yield row, _refusal(refused[row.to]) if row.to in refused else accepted


def _refusal(refusal: Refusal) -> Fields:
    return {
        "to": State.FAILED,
        "code": refusal.code,
        "errcode": refusal.errcode,
        "errmsg": refusal.errmsg,
    }


def _after_error(batch: Batch, error: ProviderError, now: datetime) -> Iterator[Step]:
    """The provider did not answer, or said no to all: each delivery goes where `verdict` says."""
    for row in batch.deliveries:
        found = verdict(error, attempts=row.attempts, now=now)
        uncounted = {} if found.is_counted else {"attempts": F("attempts") - 1}
        fields = {"to": found.state, "next_attempt_at": found.next_attempt_at}
        yield row, {**fields, **uncounted, **as_fields(error)}


def as_fields(error: ProviderError) -> Fields:
    code = "" if error.code == "errcode" else error.code
    return {"code": code, "errcode": error.errcode, "errmsg": error.errmsg[: LIMITS["errmsg"]]}


def lost(words: str, *, code: str, batch: Batch | None) -> ProviderError:
    """The try ended without an answer, by no fault of the provider."""
    return Unavailable(words, code=code, outcome="unknown" if batch and batch.has_spoken else "not_done")
