"""Tags of a contact way, set at the provider on the relations of those who came by it."""

import logging
from datetime import timedelta
from typing import Final

from django.db.models import F, QuerySet
from django.utils import timezone

from contacts.models import Arrival
from contacts.reading import read_contact
from crm.connections import first_agent, open_provider
from crm.errors import Conflict
from crm.providers.errors import BadCredential, ProviderError
from crm.retry import backoff_s

log = logging.getLogger("renmai.contacts")

LEASE: Final = timedelta(seconds=120)
PATIENCE_S: Final = 20
LONGEST_WAIT_S: Final = 300


def due() -> "QuerySet[Arrival]":
    """Arrivals whose tags are still to be set."""
    rows = Arrival.objects.filter(due_at__lte=timezone.now(), way__corp__is_active=True)
    return rows.order_by("due_at")


def mark(arrival_id: int) -> None:
    """Set the way's tags on the relation. Safe to repeat: a tag is set or it is not."""
    now = timezone.now()
    if not due().filter(pk=arrival_id).exists():
        return
    claimed = Arrival.objects.filter(pk=arrival_id, due_at__lte=now)
    if not claimed.update(due_at=now + LEASE, tries=F("tries") + 1):
        return
    rows = Arrival.objects.select_related("way__corp", "follow_user__contact", "follow_user__employee")
    arrival = rows.defer("way__picture", "follow_user__raw").get(pk=arrival_id)
    try:
        _mark(arrival)
    except ProviderError as error:
        _put_off(arrival, error)
        return
    _same(arrival).update(due_at=None, tagged_at=timezone.now(), error="", tries=0)


def _same(arrival: Arrival) -> "QuerySet[Arrival]":
    """Unless the person left and came again meanwhile: then the tags are to be set once more."""
    return Arrival.objects.filter(pk=arrival.pk, createtime=arrival.createtime)


def _mark(arrival: Arrival) -> None:
    follow, corp = arrival.follow_user, arrival.way.corp
    wanted = arrival.way.tags.filter(deleted_at__isnull=True).order_by("tag_id")
    missing = [tag_id for tag_id in wanted.values_list("tag_id", flat=True) if tag_id not in follow.tag_ids]
    if not missing:
        return
    external_userid, userid = follow.contact.external_userid, follow.employee.userid
    provider = open_provider(first_agent(corp), patience_s=PATIENCE_S)
    provider.mark_tags(external_userid, userid, add=tuple(missing))
    log.info("%d tags were set on %s of %s in %s", len(missing), external_userid, userid, corp.corpid)
    try:  # what is changed through the interface is told by no callback (guarantees C4)
        read_contact(corp, external_userid, actor="worker")
    except (ProviderError, Conflict) as error:
        log.info("%s is read by the next sync: %s", external_userid, error)


def _put_off(arrival: Arrival, error: ProviderError) -> None:
    log.warning("tags of arrival %s were not set: %s", arrival.pk, error)
    # Nobody is asked to try tags again, so they outlast a secret that somebody has to mend.
    is_passing = error.retryable or error.outcome == "unknown" or isinstance(error, BadCredential)
    wait_s = max(backoff_s(arrival.tries, cap_s=LONGEST_WAIT_S), error.retry_after or 0)
    later = timezone.now() + timedelta(seconds=wait_s) if is_passing else None
    _same(arrival).update(due_at=later, error=str(error)[:500])
