"""Records to rows: applies items of a listing. Database only, idempotent, and blind to the network."""

from collections import Counter
from collections.abc import Iterable

from django.utils import timezone

from contacts import clock
from contacts.changes import BatchChanges
from contacts.listing import Applied, Known, Listing
from contacts.models import Contact, Quarantine, SyncRun
from crm.providers.records import BadItem, ContactRecord

Item = ContactRecord | BadItem | bytes


def apply_items(listing: Listing, items: Iterable[Item], *, run: SyncRun) -> Applied:
    """Apply items of a listing inside the caller's transaction. Applying them twice changes nothing.

    `bytes` is the digest of an item that the listing knows as quiet. The caller tells the listing with
    `absorb` once the transaction has committed.
    """
    applied = Applied(read_since=_read_since(listing))
    fresh: list[ContactRecord] = []
    bad: list[BadItem] = []
    unchanged: Counter[int] = Counter()
    for item in items:
        if isinstance(item, BadItem):
            bad.append(item)
        elif (known := _quiet(listing, item, applied)) is not None:
            applied.seen.add(known.follow_id)
            unchanged[known.employee_id] += 1
        elif isinstance(item, ContactRecord):
            if item.external_userid in applied.read_since:
                _leave(listing, item, applied)
            else:
                fresh.append(item)
    for pk, number in unchanged.items():
        applied.count("unchanged", (pk,), number)
    if bad:
        _quarantine(listing, bad, applied, run=run)
    if fresh:
        BatchChanges(listing, applied, actor=f"sync:{run.pk}").apply(fresh)
    return applied


def _read_since(listing: Listing) -> frozenset[str]:
    """The contacts that a single read told of after this listing was begun: its pages may be older than that."""
    moment = clock.tick(listing.corp)
    if moment.reads == listing.asked_at.reads:
        return frozenset()
    rows = Contact.objects.filter(corp=listing.corp, read_number__gt=listing.asked_at.reads)
    return frozenset(rows.values_list("external_userid", flat=True))


def _leave(listing: Listing, item: ContactRecord, applied: Applied) -> None:
    """What we hold is newer than the item; the next run compares again."""
    owners = listing.owners(item)
    applied.count("unchanged", owners)
    for pk in owners:
        if held := listing.known.get((item.external_userid, pk)):
            applied.seen.add(held.follow_id)


def _quiet(listing: Listing, item: ContactRecord | bytes, applied: Applied) -> Known | None:
    """The relation of an item that changes nothing."""
    if isinstance(item, bytes):
        return listing.quiet[item]
    known = listing.quiet.get(item.digest)
    if known is not None:
        unlisted = listing.unlisted(item)
        if not unlisted.isdisjoint(listing.restless):
            return None
        applied.seen_unlisted |= unlisted
    return known


def _quarantine(listing: Listing, bad: list[BadItem], applied: Applied, *, run: SyncRun) -> None:
    sole = next(iter(listing.members)) if len(listing.members) == 1 else None
    rows: dict[tuple[str, str, str], Quarantine] = {}
    for item in bad:
        owner = listing.roll.find(item.userid) if item.userid else sole
        userid = listing.roll.userid(owner) if owner else item.userid
        row = Quarantine(
            first_run=run,
            run=run,
            corp=listing.corp,
            external_userid=item.external_userid[:255],
            userid=userid,
            position=item.position,
            key=item.external_userid[:255] or f"#{item.position}",
            reason=item.reason[:255],
            raw=item.raw.decode(errors="replace"),
        )
        rows[userid, row.key, row.reason] = row
        applied.count("quarantined", () if owner is None else (owner,))
    Quarantine.objects.bulk_create(
        rows.values(),
        update_conflicts=True,
        unique_fields=["corp", "userid", "key", "reason"],
        update_fields=["run", "position", "raw", "cleared_at"],
    )
    # A record that is listed but cannot be stored is not absent: keep what we hold of it.
    for item in bad:
        owner = listing.roll.find(item.userid) if item.userid else None
        for pk in listing.members if owner is None else [owner]:
            held = listing.known.get((item.external_userid, pk))
            if held is not None:
                applied.seen.add(held.follow_id)


def clear_quarantine(run: SyncRun, userids: Iterable[str]) -> int:
    """Close what earlier runs quarantined of these employees and this run read without trouble (contract F6)."""
    opened = Quarantine.objects.filter(corp=run.corp, userid__in=list(userids), cleared_at__isnull=True)
    return opened.exclude(run=run).update(cleared_at=timezone.now())
