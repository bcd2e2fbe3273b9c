"""The provider's token of an agent: one row that all processes share, and a copy of it in each (guarantees T1–T3)."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from crm.models import AccessToken, Agent
from crm.providers.errors import ProviderError, Unavailable
from crm.providers.tokens import EARLY_S, Token
from crm.providers.transport import persist
from crm.threads import Ask, here

REFRESH_MARGIN_S: Final = 5.0
FAILURES_IN_A_ROW: Final = 5
FAILURES_PAUSE: Final = timedelta(minutes=1)
COPY_S: Final = 60.0  # a changed secret or a token that somebody replaced is noticed within this time
# A lease that would end later than this was written by a clock that has been put back since.
LONGEST_LEASE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Copy:
    """What this process holds: a token, and until when (time.monotonic()) it need not look at the row."""

    token: Token
    until: float


class DatabaseTokens:
    """A TokenStore shared by all processes: one refresh at a time, decided by one conditional UPDATE.

    The row is read once a minute, and at once after the provider refused the token. Instants in it are those of
    the database's clock. A provider that keeps refusing to give one is asked at most 5 times in any minute, by
    everybody together (guarantees T3). Thread-safe.
    """

    def __init__(
        self, agent: Agent, *, ask: Ask = here, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._agent = agent
        self._ask = ask
        self._monotonic = monotonic
        self._rows = AccessToken.objects.filter(agent=agent)
        self._lock = threading.Lock()
        self._copy: _Copy | None = None
        self._refusals = 0  # a row that was read before the last one may hold what was refused

    def get(self, fetch: Callable[[], tuple[str, float]]) -> Token:
        copy = self._copy
        if copy and self._monotonic() < copy.until:
            return copy.token
        return persist(lambda: self._look(fetch))

    def _look(self, fetch: Callable[[], tuple[str, float]]) -> Token:
        deadline = self._monotonic() + _refresh_lease_s() + REFRESH_MARGIN_S
        while True:
            asked_at, refusals = self._monotonic(), self._refusals
            row, now = self._ask(self._read)
            if row.value and row.expires_at and row.expires_at > now:
                token, left = Token(row.value, row.generation), row.expires_at - now
                self._keep(token, until=asked_at + left.total_seconds(), refusals=refusals)
                return token
            _refuse_while_failing(row, now)
            if self._ask(partial(self._wins_refresh, row, now)):
                return self._refresh(row, now, fetch)
            if self._monotonic() > deadline:
                raise Unavailable("another process has been fetching the token for too long", code="timeout")
            time.sleep(0.1)

    def reject(self, token: Token) -> None:
        theirs = self._rows.filter(generation=token.generation)
        self._ask(lambda: theirs.update(value="", expires_at=None))
        with self._lock:
            self._refusals += 1
            if self._copy and self._copy.token == token:
                self._copy = None

    def _keep(self, token: Token, *, until: float, refusals: int) -> None:
        with self._lock:
            if refusals == self._refusals:
                self._copy = _Copy(token, min(until, self._monotonic() + COPY_S))

    def _read(self) -> tuple[AccessToken, datetime]:
        row = self._rows.annotate(now=Now()).first()
        if row is None:
            AccessToken.objects.bulk_create([AccessToken(agent=self._agent)], ignore_conflicts=True)
            row = self._rows.annotate(now=Now()).get()
        return row, row.now

    def _wins_refresh(self, row: AccessToken, now: datetime) -> bool:
        free = Q(refreshing_until__isnull=True) | Q(refreshing_until__lte=now)
        free |= Q(refreshing_until__gt=now + LONGEST_LEASE)
        until = now + timedelta(seconds=_refresh_lease_s())
        as_seen = self._rows.filter(free, generation=row.generation, failures=row.failures)
        return bool(as_seen.update(refreshing_until=until))

    def _refresh(self, row: AccessToken, now: datetime, fetch: Callable[[], tuple[str, float]]) -> Token:
        mine = self._rows.filter(generation=row.generation)
        try:
            value, expires_in = fetch()
        except ProviderError as error:
            self._ask(partial(self._note_failure, error))
            raise
        except BaseException:  # a worker told to stop, too: the others need not wait for the lease's end
            self._ask(lambda: mine.update(refreshing_until=None))
            raise
        life_s = max(expires_in - EARLY_S, expires_in / 2)
        token = Token(value, row.generation + 1)  # the next `get` copies it from the row
        renewed = {
            "value": value,
            "generation": token.generation,
            "expires_at": now + timedelta(seconds=life_s),
            "refreshing_until": None,
            "failures": 0,
            "failed_at": None,
        }
        self._ask(lambda: mine.update(**renewed))
        return token

    def _note_failure(self, error: ProviderError) -> None:
        row, now = self._read()
        failures = row.failures + 1 if _is_recent(row.failed_at, now) else 1
        self._rows.update(
            refreshing_until=None,
            failures=failures,
            failed_at=now,
            last_errcode=error.errcode,
            last_errmsg=error.errmsg[:500],
        )


def _refresh_lease_s() -> float:
    """Longer than one call of gettoken can take: an earlier end would let a second process ask as well."""
    return settings.CRM_HTTP_TIMEOUTS[2] + REFRESH_MARGIN_S


def _is_recent(failed_at: datetime | None, now: datetime) -> bool:
    """Within the last minute; a failure of tomorrow was noted before the clock was put back."""
    return failed_at is not None and now - FAILURES_PAUSE < failed_at <= now


def _refuse_while_failing(row: AccessToken, now: datetime) -> None:
    """After 5 failures, none a minute after the one before it, nobody asks for a minute: so no minute sees a 6th."""
    if row.failed_at is None or row.failures < FAILURES_IN_A_ROW or not _is_recent(row.failed_at, now):
        return
    left = (row.failed_at + FAILURES_PAUSE - now).total_seconds()
    error = Unavailable(
        f"token refused {row.failures} times, next try in {left:.0f} s: {row.last_errmsg}",
        errcode=row.last_errcode,
        retry_after=left,
    )
    error.api = "gettoken"
    raise error
