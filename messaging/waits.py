"""Why what is queued does not go out yet, and when it will: drawn from what the rows say already."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from django.conf import settings
from django.db.models import Count

from messaging.models import Delivery, Message
from messaging.quiet import all_releases, quiet_until
from messaging.rate import MINUTE
from messaging.states import State


class Why(StrEnum):
    """In the order in which one hides the next."""

    PAUSED = "paused"
    CORP_OFF = "corp_off"
    CORP_PAUSED = "corp_paused"
    NOT_BEFORE = "not_before"
    QUIET_HOURS = "quiet_hours"
    RETRY = "retry"  # tried, and tried again
    LINE_DOWN = "line_down"  # not tried: the call before it found the provider silent or refusing
    QUOTA = "quota"  # the app has sent as much as it may today
    RATE = "rate"  # the recipient has just got as many as one may get


@dataclass(frozen=True, slots=True)
class Wait:
    """What `count` deliveries wait for. `first` and `last` are when they go out; None: when a person says so."""

    why: Why
    first: datetime | None = None
    last: datetime | None = None
    count: int = 1


class Waits:
    """What holds the queued deliveries of one message back at `now`. Its `corp` must be loaded."""

    def __init__(self, message: Message, now: datetime) -> None:
        self.message, self.now = message, now

    def of(self, delivery: Delivery) -> Wait | None:
        """What `delivery` waits for; None when it is not queued, or goes out as soon as a worker comes by."""
        if delivery.state != State.QUEUED:
            return None
        has_failed = bool(delivery.code or delivery.errcode)
        return self._wait(delivery.next_attempt_at, has_failed=has_failed, attempts=delivery.attempts)

    def counted(self) -> list[Wait]:
        """What all of them wait for: one for each reason, in the order of `Why`."""
        queued = self.message.deliveries.filter(state=State.QUEUED).order_by()
        groups = queued.values_list("next_attempt_at", "code", "errcode", "attempts").annotate(n=Count("pk"))
        found = (
            (self._wait(at, has_failed=bool(code or errcode), attempts=attempts), n)
            for at, code, errcode, attempts, n in groups
        )
        return _merged(replace(wait, count=n) for wait, n in found if wait)

    def _wait(self, at: datetime | None, *, has_failed: bool, attempts: int) -> Wait | None:
        if self.of_all:
            return self.of_all
        # A worker gives it its minute after the quiet hours only when it comes by.
        if self._quiet_until and (at is None or at < self._quiet_until):
            return Wait(Why.QUIET_HOURS, self._quiet_until, self._quiet_until)
        if at is None or at <= self.now:
            return None
        if at in self._releases:
            return Wait(Why.QUIET_HOURS, at, at)
        if not has_failed:
            return Wait(Why.RATE if at <= self.now + MINUTE else Why.QUOTA, at, at)
        return Wait(Why.RETRY if attempts else Why.LINE_DOWN, at, at)

    @cached_property
    def of_all(self) -> Wait | None:
        """What holds the whole message."""
        message = self.message
        if message.paused_at:
            return Wait(Why.PAUSED)
        if not message.corp.is_active:
            return Wait(Why.CORP_OFF)
        if message.corp.is_sending_paused:
            return Wait(Why.CORP_PAUSED)
        if message.not_before and message.not_before > self.now:
            return Wait(Why.NOT_BEFORE, message.not_before, message.not_before)
        return None

    @cached_property
    def _quiet_until(self) -> datetime | None:
        if self.message.is_urgent:
            return None
        return quiet_until(settings.CRM_QUIET_HOURS, self.now, self.message.corp.zone)

    @cached_property
    def _releases(self) -> set[datetime]:
        return all_releases(settings.CRM_QUIET_HOURS, self.now, self.message.corp.zone)


def _merged(waits: Iterable[Wait]) -> list[Wait]:
    by_reason: dict[Why, list[Wait]] = {}
    for each in waits:
        by_reason.setdefault(each.why, []).append(each)
    return [_one(by_reason[why]) for why in Why if why in by_reason]


def _one(waits: list[Wait]) -> Wait:
    firsts = [each.first for each in waits if each.first]
    lasts = [each.last for each in waits if each.last]
    count = sum(each.count for each in waits)
    return Wait(waits[0].why, min(firsts, default=None), max(lasts, default=None), count)
