"""Records to rows: applies one page of a listing. Database only, idempotent, and blind to the network."""

from collections.abc import Iterable

from django.utils import timezone

from contacts.changes import PageChanges
from contacts.listing import Counts, Listing, digest_of, note_unlisted, own_userids
from contacts.models import Quarantine, SyncRun
from crm.providers.records import BadItem, ContactRecord


def apply_items(listing: Listing, items: Iterable[ContactRecord | BadItem], *, run: SyncRun) -> Counts:
    """Apply the items of one page inside the caller's transaction. Applying them twice changes nothing."""
    counts = Counts()
    fresh: list[tuple[ContactRecord, bytes]] = []
    bad: list[BadItem] = []
    for item in items:
        counts.seen += 1
        if isinstance(item, BadItem):
            bad.append(item)
            continue
        digest = digest_of(item.raw)
        if _is_known(listing, item, digest):
            counts.unchanged += 1
        else:
            fresh.append((item, digest))
    counts.quarantined = len(bad)
    if bad:
        _quarantine(listing, bad, run=run)
    if fresh:
        PageChanges(listing, actor=f"sync:{run.pk}").apply(fresh, counts)
    return counts


def _is_known(listing: Listing, item: ContactRecord, digest: bytes) -> bool:
    mine = own_userids(listing, item)
    rows = [listing.known.get((item.external_userid, userid)) for userid in mine]
    if not mine or not all(row is not None and row.is_quiet and row.digest == digest for row in rows):
        return False
    listing.seen.update(row.follow_id for row in rows if row is not None)
    note_unlisted(listing, item)
    return True


def _quarantine(listing: Listing, bad: list[BadItem], *, run: SyncRun) -> None:
    rows: dict[tuple[str, str, str], Quarantine] = {}
    for item in bad:
        userid = item.userid or (next(iter(listing.userids)) if len(listing.userids) == 1 else "")
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
    Quarantine.objects.bulk_create(
        rows.values(),
        update_conflicts=True,
        unique_fields=["corp", "userid", "key", "reason"],
        update_fields=["run", "position", "raw", "cleared_at"],
    )
    # A record that is listed but cannot be stored is not absent: keep what we hold of it.
    for item in bad:
        for userid in [item.userid] if item.userid else listing.userids:
            held = listing.known.get((item.external_userid, userid))
            if held is not None:
                listing.seen.add(held.follow_id)


def clear_quarantine(run: SyncRun, userids: Iterable[str]) -> int:
    """Close what earlier runs quarantined of these employees and this run read without trouble (contract F6)."""
    opened = Quarantine.objects.filter(corp=run.corp, userid__in=list(userids), cleared_at__isnull=True)
    return opened.exclude(run=run).update(cleared_at=timezone.now())
