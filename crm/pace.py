"""The pace towards a provider: a token bucket per corp and API in a row, shared by all processes (guarantees S11)."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from django.db.models import Expression, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from crm.models import Pace
from crm.providers.errors import RateLimited
from crm.threads import Ask, here

# Calls are taken from the row in lots, so that a call costs no statement of its own.
LOT_S: Final = 0.2  # the largest lot, in seconds of the rate
LARGEST_LOT: Final = 300
HOLD_S: Final = 0.5  # what is left of a lot after this long is void: unused calls do not pile up for a burst
AIM_S: Final = 0.4  # a lot is what this process uses in this time, at the speed of its last lot
BURST_S: Final = 0.25  # what an idle API may be asked at once, in seconds of the rate

SOON_OVER: Final = frozenset(
    (45033, 90002, 90018)
)  # limits of a moment: WeCom's concurrency, DingTalk's seconds
PAUSE_S: Final = 60.0  # after 45009 and HTTP 429: the provider's block lasts as long (wecom.md 5.2)
LONGEST_PAUSE_S: Final = 3600.0
SLOWEST_PER_MINUTE: Final = 60  # a refusal halves the rate, not below one call a second
RECOVERY_STEP: Final = 1 / 16  # of the configured rate, won back for each RECOVERY_S without a refusal
RECOVERY_S: Final = 30.0
FURTHEST_TAT_S: Final = 120.0  # the slowest rate, one call a minute, moves it by a minute
POLL_S: Final = 1.0  # while waiting: another process may be told of a limit


@dataclass(frozen=True, slots=True)
class Rate:
    """How `per_minute` is kept: a call moves the bucket by `interval_s`, `largest_lot` calls are taken at once.

    In W seconds all processes together make less than `largest_lot + (W + BURST_S + HOLD_S) / interval_s` calls:
    each lot but the last moved the bucket within the window, which was not filled further than BURST_S ahead,
    and a lot is used within HOLD_S. The interval is such that for W = 60 this is `per_minute`, to the call; it
    costs 1 to 2 % of the rate.
    """

    largest_lot: int
    interval_s: float

    @classmethod
    def of(cls, per_minute: float) -> "Rate":
        lot = max(1, min(LARGEST_LOT, int(per_minute * LOT_S / 60)))
        return cls(lot, (60 + BURST_S + HOLD_S) / (per_minute - lot + 1))


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of Pace at the instant `now` of the database's clock (seconds since 1970).

    `share` is the part of the configured rate in use. An instant too far ahead was written before a clock was put
    back, and counts for nothing (guarantees S12).
    """

    row: Pace
    now: float
    tat: float
    blocked_until: float
    share: float

    @classmethod
    def of(cls, row: Pace, now: float) -> "Standing":
        tat = row.tat if row.tat <= now + FURTHEST_TAT_S else 0.0
        blocked_until = row.blocked_until if row.blocked_until <= now + LONGEST_PAUSE_S else 0.0
        refused_at = row.refused_at if row.refused_at <= now + LONGEST_PAUSE_S else 0.0
        quiet_s = max(0.0, now - max(blocked_until, refused_at))
        share = min(1.0, row.share + RECOVERY_STEP * (quiet_s // RECOVERY_S))
        return cls(row, now, max(tat, now), blocked_until, share)

    @property
    def wait_s(self) -> float:
        return max(self.tat - BURST_S, self.blocked_until) - self.now


class Held:
    """What this process may still call of one API, and who of its threads is fetching more."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._is_filling = False
        self._size = self._left = 0
        self._filled_at = self._until = 0.0

    def use(self) -> int:
        """0: one call is taken. Else the caller must fetch a lot of up to so many, and `fill` it in."""
        with self._changed:
            while self._is_filling:
                self._changed.wait()
            if self._left and self._clock() < self._until:
                self._left -= 1
                return 0
            self._is_filling = True
            return self._wish()

    def _wish(self) -> int:
        used = self._size - self._left
        speed = used / max(self._clock() - self._filled_at, 0.001)
        return max(1, min(2 * self._size, int(speed * AIM_S)))

    def fill(self, size: int, until: float) -> None:
        """A lot of `size`, good until then, has come; its first call is the caller's own. 0: none came."""
        with self._changed:
            self._is_filling = False
            self._size, self._left = size, max(size - 1, 0)
            self._filled_at, self._until = self._clock(), until
            self._changed.notify_all()

    def drop(self) -> None:
        with self._changed:
            self._left = 0


class DatabasePace:
    """The Limiter of one corp. Never above `per_minute` calls of an API in any minute, by all processes together.

    The bound is exact (see Rate) for calls as they leave, by the database's clock, which all hosts share; only a
    process that gets its lot later than HOLD_S after asking makes one call of it, too late. Another process goes
    on for at most HOLD_S after the provider told one of a limit. No lock is held while this sleeps or asks the
    database, and an API never waits for another. `now` is an expression for the database's clock.
    """

    def __init__(
        self,
        corpid: str,
        *,
        per_minute: int,
        patience_s: float = 120,
        ask: Ask = here,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], Expression] = Now,
    ) -> None:
        self._corpid = corpid
        self._per_minute = per_minute
        self._patience_s = patience_s
        self._ask = ask
        self._sleep = sleep
        self._monotonic = monotonic
        self._now = now
        self._held: dict[str, Held] = {}
        self._slowest_share = min(1.0, SLOWEST_PER_MINUTE / per_minute)

    def wait(self, api: str) -> None:
        held = self._held_of(api)
        wish = held.use()
        if not wish:
            return
        size, until = 0, 0.0
        try:
            size, until = self._take(api, wish)
        finally:
            held.fill(size, until)

    def limited(self, api: str, *, errcode: int, retry_after: float) -> None:
        """A limit of a moment pauses for `retry_after`, all else for at least a minute; both halve the rate of the API.

        The rate comes back stepwise while nobody is refused. Those who were in flight together with the first
        one refused say nothing new.
        """
        self._held_of(api).drop()
        self._ask(partial(self._note_limit, api, errcode, retry_after))

    def _note_limit(self, api: str, errcode: int, retry_after: float) -> None:
        pause_s = retry_after if errcode in SOON_OVER else max(retry_after, PAUSE_S)
        is_told = False
        while not is_told:
            found = self._read(api)
            until = found.now + min(pause_s, LONGEST_PAUSE_S)
            changes: dict[str, float] = {"blocked_until": max(found.blocked_until, until)}
            if found.blocked_until <= found.now:
                changes |= {"share": max(found.share / 2, self._slowest_share), "refused_at": found.now}
            is_told = self._swap(found, **changes)

    def _held_of(self, api: str) -> Held:
        return self._held.setdefault(api, Held(self._monotonic))

    def _take(self, api: str, wish: int) -> tuple[int, float]:
        """A lot: how many calls, and until when (monotonic) they are good. Sleeps until there is one."""
        while True:
            asked_at = self._monotonic()
            found = self._ask(partial(self._read, api))
            rate = self._rate(found.share)
            size = min(wish, rate.largest_lot)
            if found.wait_s > 0:
                self._sleep_for(api, found)
            elif self._ask(partial(self._swap, found, tat=found.tat + size * rate.interval_s)):
                return size, asked_at + HOLD_S

    def _rate(self, share: float) -> Rate:
        """At less than the whole rate calls go one by one: a lot would come upon the provider at the same time."""
        if share >= 1:
            return Rate.of(self._per_minute)
        return Rate(1, Rate.of(self._per_minute).interval_s / max(share, self._slowest_share))

    def _sleep_for(self, api: str, found: Standing) -> None:
        if found.wait_s > self._patience_s:
            until = datetime.fromtimestamp(found.now + found.wait_s, tz=timezone.get_current_timezone())
            words = f"{api} is paused until {until:%H:%M:%S}"
            raise RateLimited(words, retry_after=found.wait_s, errcode=45009)
        self._sleep(min(max(found.wait_s, 0.001), POLL_S))

    def _rows(self, api: str) -> QuerySet[Pace]:
        return Pace.objects.filter(key=f"{self._corpid}:{api}"[:200])

    def _read(self, api: str) -> Standing:
        rows: QuerySet[Any] = self._rows(api).annotate(now=self._now())
        row = rows.first()
        if row is None:
            Pace.objects.bulk_create([Pace(key=f"{self._corpid}:{api}"[:200])], ignore_conflicts=True)
            row = rows.get()
        return Standing.of(row, row.now.timestamp())

    def _swap(self, found: Standing, **changes: float) -> bool:
        """Write `changes` unless another process wrote since `found` was read; whether it was done."""
        row = found.row
        unchanged = Pace.objects.filter(
            key=row.key, tat=row.tat, blocked_until=row.blocked_until, refused_at=row.refused_at
        )
        return bool(unchanged.update(**changes))
