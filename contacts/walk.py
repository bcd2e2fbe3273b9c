"""Walks one listing to its end: pages in, rows out, and the faults that belong to one employee stay with that one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F

from contacts.absence import mark_absent
from contacts.listing import Counts, Listing, load_known
from contacts.mirror import apply_items
from contacts.models import SyncPart, SyncRun
from contacts.runs import RunError
from crm.providers.base import Provider
from crm.providers.errors import BadCredential, Malformed, ProviderError, RateLimited, StaleCursor
from crm.providers.records import BadItem, Page

NO_LICENCE = 701008
PATIENCE_WITH_LIMITS = 5


class LeaseLost(Exception):
    """Another process took the run over: this one may write nothing more."""


@dataclass(slots=True)
class Walk:
    """What the parts of one run share while they are walked in this process."""

    run: SyncRun
    provider: Provider
    employees: dict[str, int]
    listed: frozenset[str]
    may_be_gone: bool = False  # the directory was complete, so who is not in it is out of range
    on_page: Callable[[SyncRun], None] = lambda run: None
    read: set[str] = field(default_factory=set)
    seen_unlisted: set[tuple[str, str]] = field(default_factory=set)
    errors: list[RunError] = field(default_factory=list)


def walk_part(walk: Walk, part: SyncPart) -> list[SyncPart]:
    """Read the part to its end. Returns the halves it was split into when the provider refused it as a whole."""
    try:
        progress = _walk_pages(walk, part)
    except BadCredential:
        raise
    except ProviderError as error:
        if len(part.userids) > 1:
            return _split(part)
        _fail(walk, part, error)
        return []
    _complete(walk, part, progress)
    return []


def _walk_pages(walk: Walk, part: SyncPart) -> "_Progress":
    """All pages, started over once when a cursor goes stale or runs in a circle (guarantees S5)."""
    try:
        return _pages_from(walk, part, cursor=part.cursor)
    except (StaleCursor, _CursorRepeated):
        part.from_start, part.cursor = True, ""
        return _pages_from(walk, part, cursor="")


class _CursorRepeated(Malformed):
    pass


@dataclass(slots=True)
class _Progress:
    listing: Listing
    unlicensed: set[str] = field(default_factory=set)


def _pages_from(walk: Walk, part: SyncPart, *, cursor: str) -> _Progress:
    part.from_start = cursor == ""
    listing = Listing(
        corp=walk.run.corp,
        userids=frozenset(part.userids),
        known=load_known(walk.run.corp, part.userids),
        employees=walk.employees,
        listed=walk.listed,
    )
    progress = _Progress(listing)
    cursors = {cursor}
    for _ in range(settings.CRM_SYNC_MAX_PAGES):
        page = _read_page(walk, part.userids, cursor)
        progress.unlicensed.update(page.unlicensed)
        if page.next_cursor and page.next_cursor in cursors:
            raise _CursorRepeated("the same cursor came twice", code="cursor_repeated")
        _apply(walk, part, progress.listing, page)
        if not page.next_cursor:
            walk.seen_unlisted |= listing.seen_unlisted
            return progress
        cursor = page.next_cursor
        cursors.add(cursor)
    raise Malformed(f"more than {settings.CRM_SYNC_MAX_PAGES} pages", code="page_cap")


def _read_page(walk: Walk, userids: Sequence[str], cursor: str) -> Page:
    """One page; a frequency limit is waited for (the pace knows until when), it fails nothing by itself."""
    for _ in range(PATIENCE_WITH_LIMITS):
        try:
            return walk.provider.contact_page(userids, cursor=cursor)
        except RateLimited as error:
            last = error
    raise last


def _apply(walk: Walk, part: SyncPart, listing: Listing, page: Page) -> None:
    """One transaction: the page's rows, its events, the part's progress and the run's counts, under the fence."""
    items = [replace(i, position=part.seen + i.position) if isinstance(i, BadItem) else i for i in page.items]
    for last_try in (False, True):
        try:
            with transaction.atomic():
                counts = apply_items(listing, items, run=walk.run)
                save_progress(walk, part, counts, cursor=page.next_cursor)
        except IntegrityError:
            # Another run (of one employee) or a callback wrote the same contact first: look again, once.
            if last_try:
                raise
        else:
            break
    for name in ("seen", "new", "changed", "unchanged", "quarantined"):
        setattr(part, name, getattr(part, name) + getattr(counts, name))
    part.pages += 1
    part.cursor = page.next_cursor
    walk.on_page(walk.run)


def save_progress(walk: Walk, part: SyncPart, counts: Counts, *, cursor: str) -> None:
    """Add `counts` to part and run; raises LeaseLost, which undoes the page, when the run is no longer ours."""
    more = {
        name: F(name) + getattr(counts, name)
        for name in ("seen", "new", "changed", "unchanged", "quarantined")
    }
    fence(walk.run, pages=F("pages") + 1, calls=walk.provider.tally.calls, **more)
    SyncPart.objects.filter(pk=part.pk).update(
        pages=F("pages") + 1, cursor=cursor, state=SyncPart.State.RUNNING, from_start=part.from_start, **more
    )


def fence(run: SyncRun, **values: Any) -> None:
    """Write on the run if its lease is still ours, else raise LeaseLost."""
    mine = SyncRun.objects.filter(pk=run.pk, lease_token=run.lease_token, state=SyncRun.State.RUNNING)
    if not mine.update(**values):
        raise LeaseLost(f"run {run.pk} was taken over")


def _complete(walk: Walk, part: SyncPart, progress: _Progress) -> None:
    """What a listing did not show is suspected, unless another process had read its first pages."""
    read = [userid for userid in part.userids if userid not in progress.unlicensed]
    with transaction.atomic():
        fence(walk.run, calls=walk.provider.tally.calls)
        absent = mark_absent(progress.listing, walk.run, read) if part.from_start else 0
        SyncRun.objects.filter(pk=walk.run.pk).update(absent=F("absent") + absent)
        SyncPart.objects.filter(pk=part.pk).update(state=SyncPart.State.COMPLETE, absent=absent, cursor="")
    if part.from_start:
        walk.read.update(read)
    for userid in sorted(progress.unlicensed & set(part.userids)):
        walk.errors.append(
            RunError(userid, "errcode", NO_LICENCE, "no interop licence (fail_info)", pages=part.pages)
        )


def _fail(walk: Walk, part: SyncPart, error: ProviderError) -> None:
    walk.errors.append(RunError.of(error, userid=part.userids[0], pages=part.pages))
    with transaction.atomic():
        fence(walk.run, calls=walk.provider.tally.calls)
        SyncPart.objects.filter(pk=part.pk).update(state=SyncPart.State.FAILED)


def _split(part: SyncPart) -> list[SyncPart]:
    """A chunk hides who failed: its halves are listed on their own until the guilty one stands alone (contract A14)."""
    middle = len(part.userids) // 2
    with transaction.atomic():
        SyncPart.objects.filter(pk=part.pk).update(state=SyncPart.State.SPLIT)
        halves = [part.userids[:middle], part.userids[middle:]]
        return [SyncPart.objects.create(run=part.run, userids=half) for half in halves]
