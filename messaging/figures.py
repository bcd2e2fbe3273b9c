"""Numbers of the traffic: what each app sent by day, and how far a mass send has come. Plain values."""

from datetime import date, datetime, time, timedelta
from typing import Final

from django.db.models import Count
from django.db.models.functions import TruncDate
from django.utils import timezone

from contacts.querysets import User
from messaging.models import Delivery, Message
from messaging.states import State

DAYS: Final = 7
# What the provider says of a customer only once the employee has confirmed.
_AFTER_CONFIRMING: Final = frozenset({"not_friend", "over_cap"})


Tally = list[tuple[str, int]]  # (state, number), in the order of the states


def sent_per_day(user: User) -> dict[int, dict[date, dict[str, Tally]]]:
    """{agent id: {day: {kind of recipient: deliveries within reach}}}, by the day of the last call, newest first.

    One query.
    """
    today = timezone.localdate()
    since = datetime.combine(today - timedelta(days=DAYS - 1), time.min, timezone.get_current_timezone())
    rows = (
        Delivery.objects.visible_to(user)
        .filter(attempt__started_at__gte=since)
        .annotate(day=TruncDate("attempt__started_at"))
        .order_by("-day", "state")
        .values_list("message__agent", "day", "to_kind", "state")
        .annotate(n=Count("pk"))
    )
    told: dict[int, dict[date, dict[str, Tally]]] = {}
    for agent_id, day, to_kind, state, n in rows:
        told.setdefault(agent_id, {}).setdefault(day, {}).setdefault(to_kind, []).append((state, n))
    return told


def mass_progress(message: Message) -> dict[str, int] | None:
    """How many of its `employees` have `confirmed` a mass send, and how many of the `contacts` it `reached`.

    None where it is none.
    """
    rows = message.deliveries.exclude(sender="").order_by().values_list("sender", "state", "code")
    counts: list[tuple[str, str, str, int]] = list(rows.annotate(n=Count("pk")))
    if not counts:
        return None
    confirmed = {sender for sender, state, code, _ in counts if _is_confirmed(state, code)}
    return {
        "employees": len({sender for sender, *_ in counts}),
        "confirmed": len(confirmed),
        "contacts": sum(n for *_, n in counts),
        "reached": sum(n for _, state, _, n in counts if state == State.DELIVERED),
    }


def _is_confirmed(state: str, code: str) -> bool:
    return state == State.DELIVERED or (state == State.REFUSED and code in _AFTER_CONFIRMING)
