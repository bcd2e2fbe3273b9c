"""Quiet hours (guarantees M6): the arithmetic at its edges, and that nobody is written to in them."""

from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from crm.env import parse_quiet_hours
from crm.providers.content import Text
from messaging import outbox, tasks
from messaging.quiet import SLOTS, quiet_until, releases
from tests.messaging.house import House

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
NIGHT = (time(21), time(8))
NOON = (time(12), time(14))


@pytest.mark.parametrize(
    ("hours", "local", "until"),
    [
        (NIGHT, "2026-11-20T20:59:59", None),
        (NIGHT, "2026-11-20T21:00:00", "2026-11-21T08:00:00"),
        (NIGHT, "2026-11-20T23:59:59", "2026-11-21T08:00:00"),
        (NIGHT, "2026-11-21T00:00:00", "2026-11-21T08:00:00"),
        (NIGHT, "2026-11-21T07:59:59", "2026-11-21T08:00:00"),
        (NIGHT, "2026-11-21T08:00:00", None),
        (NOON, "2026-11-20T11:59:59", None),
        (NOON, "2026-11-20T12:00:00", "2026-11-20T14:00:00"),
        (NOON, "2026-11-20T13:59:59", "2026-11-20T14:00:00"),
        (NOON, "2026-11-20T14:00:00", None),
    ],
)
def test_quiet_until_at_the_edges(hours: tuple[time, time], local: str, until: str | None) -> None:
    now = datetime.fromisoformat(local).replace(tzinfo=SHANGHAI)
    ends = quiet_until(hours, now.astimezone(UTC), SHANGHAI)
    assert ends == (until and datetime.fromisoformat(until).replace(tzinfo=SHANGHAI))


@pytest.mark.parametrize(("day", "hours_long"), [("2026-03-28", 10), ("2026-10-24", 12), ("2026-11-20", 11)])
def test_a_night_in_which_the_clocks_change_ends_on_the_clock(day: str, hours_long: int) -> None:
    begin = datetime.fromisoformat(f"{day}T21:00:00").replace(tzinfo=BERLIN)
    ends = quiet_until(NIGHT, begin.astimezone(UTC), BERLIN)
    assert ends is not None
    assert (ends.astimezone(UTC) - begin.astimezone(UTC)) == timedelta(hours=hours_long)


def test_quiet_until_without_quiet_hours_is_never() -> None:
    assert quiet_until(None, datetime.now(UTC), SHANGHAI) is None


TIMES = st.times(timezones=st.none()).map(lambda each: each.replace(second=0, microsecond=0))


@given(begin=TIMES, end=TIMES, now=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)))
def test_releases_are_spread_outside_the_quiet_hours_and_away_from_the_half_hours(
    begin: time, end: time, now: datetime
) -> None:
    ends = quiet_until((begin, end), now.replace(tzinfo=SHANGHAI), SHANGHAI) if begin != end else None
    if ends is None:
        return
    assert ends > now.replace(tzinfo=SHANGHAI)
    minutes = releases(ends)
    assert len(set(minutes)) == SLOTS
    assert minutes[-1] - minutes[0] >= timedelta(minutes=10)
    assert all(minute > ends and 3 <= minute.minute % 30 <= 27 for minute in minutes)


@pytest.mark.parametrize("text", ["21:00", "21:00-21:00", "25:00-08:00", "21:00-08:00+01:00", "night"])
def test_quiet_hours_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(Exception, match="CRM_QUIET_HOURS"):
        parse_quiet_hours(text)
    assert parse_quiet_hours("21:00-08:00") == NIGHT
    assert parse_quiet_hours("") is None


def around_now(*, hours: float) -> tuple[time, time]:
    now = timezone.now().astimezone(SHANGHAI)
    return (now - timedelta(hours=hours)).time(), (now + timedelta(hours=hours)).time()


def test_deliver_in_quiet_hours_then_no_post_and_each_delivery_has_its_minute(
    direct: House, settings: Any
) -> None:
    message = outbox.compose(
        user=direct.user, actor="user:test", corp=direct.corp, contacts=direct.ids, content=Text("您好")
    )
    settings.CRM_QUIET_HOURS = around_now(hours=2)
    tasks.deliver(message.pk)
    assert not direct.posts("externalcontact/message/send")
    waiting = list(message.deliveries.values_list("state", "attempts", "next_attempt_at"))
    end = timezone.now() + timedelta(hours=2)
    assert all(
        (state, attempts) == ("queued", 0) and at >= end - timedelta(minutes=1)
        for state, attempts, at in waiting
    )
    assert len({at for _state, _attempts, at in waiting}) == 5
    settings.CRM_QUIET_HOURS = None
    message.deliveries.update(next_attempt_at=timezone.now())
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 5}


def test_quiet_hours_are_those_of_the_corps_own_zone(direct: House, settings: Any) -> None:
    settings.CRM_QUIET_HOURS = around_now(hours=2)
    direct.corp.time_zone = "America/New_York"  # there it is another time of the day
    direct.corp.save()
    message = outbox.compose(
        user=direct.user, actor="user:test", corp=direct.corp, contacts=direct.ids, content=Text("您好")
    )
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 5}


def test_what_goes_out_in_one_call_waits_for_the_same_minute(official: House, settings: Any) -> None:
    settings.CRM_QUIET_HOURS = around_now(hours=2)
    message = outbox.compose(
        user=official.user, actor="user:test", corp=official.corp, contacts=official.ids, content=Text("您好")
    )
    tasks.deliver(message.pk)
    minutes: dict[str, set[Any]] = {}
    for sender, at in message.deliveries.values_list("sender", "next_attempt_at"):
        minutes.setdefault(sender, set()).add(at)
    assert all(len(each) == 1 for each in minutes.values())
