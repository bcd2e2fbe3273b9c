"""What becomes of a delivery after a failed try: a pure table over the error, the tries made and the time."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from crm.providers.errors import BadCredential, ProviderError, RateLimited
from crm.retry import backoff_s
from messaging.models import Delivery

MAX_TRIES: Final = 5
MAX_TRIES_BUSY: Final = 3  # errcode -1: WeCom asks for no more (wecom.md 5.1)
TOKEN_API: Final = "gettoken"
UPLOADING: Final = "uploading"
TOKEN_PAUSE_S: Final = 5.0
PAUSE_S: Final = 60.0  # a frequency block lasts at least a minute; so does mending a configuration

_BUSY, _FREQUENCY, _CONCURRENCY = -1, 45009, 45033


@dataclass(frozen=True, slots=True)
class Verdict:
    """The next state. `is_counted` is False for a try that was only told to come back later."""

    state: Delivery.State
    next_attempt_at: datetime | None = None
    is_counted: bool = True


def verdict(error: ProviderError, *, attempts: int, now: datetime) -> Verdict:
    """`attempts` counts the tries made, this one included.

    `uncertain` wherever the call may have happened: nothing here resends what may have arrived.
    """
    if error.outcome == "unknown":
        return Verdict(Delivery.State.UNCERTAIN)
    if error.api == TOKEN_API:
        # Without a token nothing can be said: sends wait, however long it takes (guarantees T3).
        wait_s = PAUSE_S if isinstance(error, BadCredential) else TOKEN_PAUSE_S
        return Verdict(
            Delivery.State.QUEUED, _after(now, max(wait_s, error.retry_after or 0)), is_counted=False
        )
    if error.code == UPLOADING:  # by another worker, whose lease is as long as ours
        return Verdict(Delivery.State.QUEUED, _after(now, backoff_s(attempts)), is_counted=False)
    if isinstance(error, RateLimited) and error.errcode != _CONCURRENCY:
        return Verdict(Delivery.State.QUEUED, _after(now, _block_s(error)), is_counted=False)
    if isinstance(error, BadCredential):
        return _again(MAX_TRIES, attempts, now, PAUSE_S)
    if not error.retryable:
        return Verdict(Delivery.State.FAILED)
    most = MAX_TRIES_BUSY if error.errcode == _BUSY else MAX_TRIES
    return _again(most, attempts, now, max(backoff_s(attempts), error.retry_after or 0))


def _again(most: int, attempts: int, now: datetime, wait_s: float) -> Verdict:
    if attempts >= most:
        return Verdict(Delivery.State.FAILED)
    return Verdict(Delivery.State.QUEUED, _after(now, wait_s))


def _block_s(error: RateLimited) -> float:
    told = error.retry_after or PAUSE_S
    return max(told, PAUSE_S) if error.errcode == _FREQUENCY else told


def _after(now: datetime, seconds: float) -> datetime:
    return now + timedelta(seconds=seconds)
