"""How much more the provider lets us send: mass sends to one contact, app messages of one day (wecom.md 3.7, 6).

Counted from our own deliveries: what others send beside us is seen only in the provider's refusals.
"""

from calendar import monthrange
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from django.conf import settings
from django.db.models import Count, F, Q
from django.utils import timezone

from contacts.models import Employee
from crm.models import Agent, Corp
from messaging.models import DayUse, Delivery, Message
from messaging.quiet import SLOTS, releases
from messaging.states import State

PER_ACCOUNT: Final = 200  # person-times of an app a day, for each account of the corp
COUNTED_AGAIN_AFTER: Final = timedelta(minutes=1)
# What has reached the provider, or may have.
_TAKEN: Final = (State.SENDING, State.ACCEPTED, State.DELIVERED, State.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Quota:
    """What a preview tells of the quota it would use.

    `kind` `app`: person-times of the app's messages to employees in this `period`. `mass`: mass sends to one contact;
    `used` is of the recipient who has got most, and for `last` recipients this would be the last one.
    """

    kind: str
    period: str
    limit: int
    used: int
    last: int = 0

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `limit` mass sends to one contact from `begin` to `end`, a calendar `period` of the corp's zone."""

    period: str
    limit: int
    begin: datetime
    end: datetime


def mass_cap(corp: Corp) -> Cap:
    """The cap of now, by settings.CRM_MASS_CAP."""
    limit, period = settings.CRM_MASS_CAP
    today = _today(corp)
    days = monthrange(today.year, today.month)[1]
    first, length = (today, 1) if period == "day" else (today.replace(day=1), days)
    begin, end = (_midnight(corp, each) for each in (first, first + timedelta(days=length)))
    return Cap(period, days if limit is None else limit, begin, end)


def mass_sends(corp: Corp, to: Iterable[str], cap: Cap) -> dict[str, int]:
    """{external_userid: mass sends that count against `cap`}, one query; who got none is left out.

    A `refused` with `over_cap` says that it is full, whoever filled it: employees send mass messages of their own.
    """
    waiting = Q(message__not_before__isnull=True) | Q(message__not_before__lt=cap.end)
    got = Q(state__in=_TAKEN, updated_at__gte=cap.begin) | Q(waiting, state=State.QUEUED)
    full = Q(state=State.REFUSED, code="over_cap", updated_at__gte=cap.begin)
    rows = Delivery.objects.filter(
        got | full, to__among=to, to_kind=Message.ToKind.CONTACT, message__corp=corp
    ).exclude(sender="")
    counts = (
        rows.order_by().values_list("to").annotate(n=Count("pk", filter=got), full=Count("pk", filter=full))
    )
    return {to: max(n, cap.limit) if full else n for to, n, full in counts}


def of_mass(corp: Corp, used: Sequence[int]) -> Quota | None:
    """The quota of a mass send to recipients of whom each has `used` so many."""
    cap = mass_cap(corp)
    last = sum(n == cap.limit - 1 for n in used)
    return Quota("mass", cap.period, cap.limit, max(used), last) if used else None


def of_app(agent: Agent) -> Quota | None:
    """What `agent` may still send to employees today; None where the provider sets no such limit."""
    return _counted(agent) if _has_days(agent.corp) else None


def _has_days(corp: Corp) -> bool:
    return corp.provider == Corp.Provider.WECOM


def _counted(agent: Agent) -> Quota:
    """By the corp's clocks, and by when the last call for each delivery began."""
    today = Delivery.objects.filter(
        to_kind=Message.ToKind.EMPLOYEE,
        state__in=_TAKEN,
        message__agent=agent,
        attempt__started_at__gte=_midnight(agent.corp, _today(agent.corp)),
    )
    return Quota("app", "day", _app_limit(agent.corp), today.count())


def _app_limit(corp: Corp) -> int:
    if settings.CRM_APP_DAILY_QUOTA:
        return int(settings.CRM_APP_DAILY_QUOTA)
    return PER_ACCOUNT * corp.employees.exclude(status=Employee.Status.LEFT).count()


def hold_for_the_day(message: Message, rows: Sequence[Delivery]) -> list[Delivery]:
    """Those of `rows` that fit into the app's quota of today; the others stay queued until tomorrow, no try counted.

    Call it in the transaction that moves what it returns: until that ends, nobody else takes from this app's day.
    """
    agent = message.agent
    if not rows or message.to_kind != Message.ToKind.EMPLOYEE or not _has_days(agent.corp):
        return list(rows)
    room = _take(agent, len(rows))
    if late := [row.pk for row in rows[room:]]:
        minutes = releases(_midnight(agent.corp, _today(agent.corp) + timedelta(days=1)))
        Delivery.objects.filter(pk__among=late).update(
            next_attempt_at=minutes[message.pk % SLOTS], updated_at=timezone.now()
        )
    return list(rows[:room])


def _take(agent: Agent, wanted: int) -> int:
    """Take up to `wanted` from the day of the app; returns how many there were.

    The row spares counting a day's deliveries for every call. What a failed try took comes back with the next count.
    """
    now = timezone.now()
    fresh = max(_midnight(agent.corp, _today(agent.corp)), now - COUNTED_AGAIN_AFTER)
    known = DayUse.objects.filter(agent=agent, counted_at__gte=fresh, used__lte=F("limit") - wanted)
    if known.update(used=F("used") + wanted):
        return wanted
    DayUse.objects.get_or_create(agent=agent)
    DayUse.objects.select_for_update().get(agent=agent)
    counted = _counted(agent)
    taken = min(wanted, counted.left)
    DayUse.objects.filter(agent=agent).update(limit=counted.limit, used=counted.used + taken, counted_at=now)
    return taken


def _today(corp: Corp) -> date:
    return timezone.now().astimezone(corp.zone).date()


def _midnight(corp: Corp, day: date) -> datetime:
    return datetime.combine(day, time.min, corp.zone)
