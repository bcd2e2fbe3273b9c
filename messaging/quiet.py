"""Quiet hours: when nothing is sent, and how what waited goes out afterwards. Pure arithmetic."""

from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

Hours = tuple[time, time]

SLOTS: Final = 20  # minutes over which what has waited is spread (guarantees M6: at least ten)
# Everybody's clock rings at :00 and :30, and WeCom is slow then.
_BUSY: Final = frozenset({0, 1, 2, 28, 29, 30, 31, 32, 58, 59})


def quiet_until(hours: Hours | None, now: datetime, zone: ZoneInfo) -> datetime | None:
    """When the quiet hours end that `now` is in; None outside of them. `hours` are on the clocks of `zone`."""
    if hours is None:
        return None
    begin, end = hours
    local = now.astimezone(zone)
    is_late = local.time() >= begin
    is_early = local.time() < end
    if not (is_late and is_early if begin < end else is_late or is_early):
        return None
    day = local.date() + timedelta(days=1 if begin > end and is_late else 0)
    return datetime.combine(day, end, zone)


def all_releases(hours: Hours | None, about: datetime, zone: ZoneInfo) -> set[datetime]:
    """Every minute in which what has waited goes out, after the quiet hours that end about the day of `about`."""
    if hours is None:
        return set()
    day = about.astimezone(zone).date()
    ends = (datetime.combine(day + timedelta(days=n), hours[1], zone) for n in (-1, 0, 1))
    return {minute.astimezone(UTC) for end in ends for minute in releases(end)}


def releases(end: datetime) -> list[datetime]:
    """The `SLOTS` minutes after `end` in which what has waited goes out, none of them a busy one."""
    minutes = (end + timedelta(minutes=n) for n in range(1, 3 * SLOTS))
    return [minute for minute in minutes if minute.minute not in _BUSY][:SLOTS]
