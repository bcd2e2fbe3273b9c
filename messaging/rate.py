"""At most so many messages a minute and an hour to one recipient: WeCom drops the rest without a word (contract B3)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone

from crm.models import Pace
from messaging.models import Delivery, Message
from messaging.states import State

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
# What is on the way to the recipient's phone or may be there.
_COUNTED: Final = (State.SENDING, State.ACCEPTED, State.DELIVERED, State.UNCERTAIN)


def hold_back(message: Message, rows: Sequence[Delivery]) -> list[Delivery]:
    """Those of `rows` whose recipient may get one more now; the others stay queued for a minute, no try counted.

    Call it in the transaction that moves what it returns: until that ends, nobody else counts for this corp.
    """
    _take_turn(message)
    over = _full(message, [row.to for row in rows])
    full = [row.pk for row in rows if row.to in over]
    if not full:
        return list(rows)
    now = timezone.now()
    Delivery.objects.filter(pk__in=full).update(next_attempt_at=now + MINUTE, updated_at=now)
    return [row for row in rows if row.pk not in set(full)]


def _take_turn(message: Message) -> None:
    """Two workers that count at the same time would both see room for the last one."""
    key = f"{message.agent.corp.corpid}:recipients"
    if not list(Pace.objects.select_for_update().filter(key=key)):
        Pace.objects.get_or_create(key=key)
        Pace.objects.select_for_update().get(key=key)


def _full(message: Message, to: Sequence[str]) -> set[str]:
    """Who of `to` may get no more now, by when their calls ended: none can have reached the phone later than that."""
    now = timezone.now()
    longest_call = timedelta(seconds=settings.CRM_SEND_LEASE_SECONDS)
    lately = Q(state=State.SENDING) | Q(attempt__finished_at__gt=now - MINUTE)
    recent = Delivery.objects.filter(
        Q(state=State.SENDING) | Q(attempt__finished_at__gt=now - HOUR),
        to__among=to,
        to_kind=message.to_kind,
        message__corp=message.corp_id,
        state__in=_COUNTED,
        updated_at__gt=now - HOUR - longest_call,
    )
    counts = recent.order_by().values_list("to").annotate(minute=Count("pk", filter=lately), hour=Count("pk"))
    return {
        to
        for to, minute, hour in counts
        if minute >= settings.CRM_RECIPIENT_RATE or hour >= settings.CRM_RECIPIENT_HOURLY_RATE
    }
