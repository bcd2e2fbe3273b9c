"""Records to rows: applies items of a listing. Database only, idempotent, and blind to the network."""

from collections import Counter
from collections.abc import Iterable

from django.utils import timezone

from contacts import clock
from contacts.changes import BatchChanges
from contacts.listing import Applied, Listing
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
    older: list[ContactRecord] = []
    bad: list[BadItem] = []
    unchanged: Counter[int] = Counter()
    for item in items:
        if isinstance(item, BadItem):
            bad.append(item)
        elif (follow_id := _quiet(listing, item, applied)) is not None:
            applied.seen.add(follow_id)
            unchanged[listing.live[follow_id]] += 1
        elif isinstance(item, ContactRecord):
            (older if item.external_userid in applied.read_since else fresh).append(item)
    for pk, number in unchanged.items():
        applied.count("unchanged", (pk,), number)
    if older:
        _leave(listing, older, applied)
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


def _leave(listing: Listing, older: list[ContactRecord], applied: Applied) -> None:
    """What we hold is newer than these items; the next run compares again."""
    held = listing.held(item.external_userid for item in older)
    for item in older:
        owners = listing.owners(item)
        applied.count("unchanged", owners[:1])
        applied.seen.update(held[key] for pk in owners if (key := (item.external_userid, pk)) in held)


def _quiet(listing: Listing, item: ContactRecord | bytes, applied: Applied) -> int | None:
    """The follow row of an item that changes nothing."""
    if isinstance(item, bytes):
        return listing.quiet[item]
    follow_id = listing.quiet.get(item.digest)
    if follow_id is not None:
        unlisted = listing.unlisted(item)
        if not unlisted.isdisjoint(listing.restless):
            return None
        applied.seen_unlisted |= unlisted
    return follow_id


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
    held = listing.held(item.external_userid for item in bad)
    for item in bad:
        owner = listing.roll.find(item.userid) if item.userid and not listing.is_whole else None
        owners = listing.members if owner is None else [owner]
        applied.seen.update(held[key] for pk in owners if (key := (item.external_userid, pk)) in held)


def clear_quarantine(run: SyncRun, userids: Iterable[str]) -> int:
    """Close what earlier runs quarantined of these employees and this run read without trouble (contract F6)."""
    opened = Quarantine.objects.filter(corp=run.corp, userid__among=userids, cleared_at__isnull=True)
    return opened.exclude(run=run).update(cleared_at=timezone.now())
