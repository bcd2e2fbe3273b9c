"""Who else wrote to the same contacts lately: a customer should not hear the same thing from two colleagues."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from contacts.querysets import User
from messaging.models import Delivery
from messaging.states import State

MOST = 1000  # of the last messages are looked through
_WRITTEN = (State.SENDING, State.ACCEPTED, State.DELIVERED, State.UNCERTAIN)


@dataclass(frozen=True, slots=True)
class Recent:
    """The last message of a colleague to one contact. What it said is not told: it may be out of reach."""

    contact_id: int
    name: str
    by: str
    at: datetime


def colleagues(user: User, contact_ids: Iterable[int]) -> list[Recent]:
    """For each contact the last message somebody else sent within settings.CRM_COLLEAGUE_DAYS, newest first."""
    since = timezone.now() - timedelta(days=settings.CRM_COLLEAGUE_DAYS)
    rows = (
        Delivery.objects.filter(contact__among=contact_ids, state__in=_WRITTEN, updated_at__gt=since)
        .exclude(message__created_by=user.pk)
        .select_related("contact", "message__created_by")
        .defer("contact__external_profile", "message__content")
        .order_by("-updated_at")[:MOST]
    )
    last: dict[int, Recent] = {}
    for row in rows:
        by = row.message.created_by
        name = (by.get_full_name() or by.get_username()) if by else ""
        if row.contact is not None:
            last.setdefault(row.contact.pk, Recent(row.contact.pk, str(row.contact), name, row.updated_at))
    return list(last.values())
