"""Walks one listing: its pages are read (perhaps in a thread), applied in small batches, and concluded about."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction
from django.db.models import F

from contacts import clock
from contacts.absence import mark_absent
from contacts.listing import Applied, Listing, RelationKey
from contacts.mirror import Item, apply_items
from contacts.models import SyncPart, SyncRun
from contacts.roll import Roll
from contacts.runs import RunError
from crm.providers.base import Provider
from crm.providers.errors import Malformed, ProviderError, RateLimited, StaleCursor
from crm.providers.records import BadItem, Page

NO_LICENCE: Final = 701008
PATIENCE_WITH_LIMITS: Final = 5
PATIENCE_OF_PACE_S: Final = (
    120  # so long the pace itself waits; a longer pause it tells, and a run can bear it
)
LONGEST_WAIT_S: Final = 900
# A batch is what a crash may repeat: small, yet a transaction and its bookkeeping are paid for once per batch.
BATCH_FRESH_ITEMS: Final = 2000
BATCH_PAGES: Final = 50
BATCH_SECONDS: Final = 1.0


class LeaseLost(Exception):
    """Another process took the run over: this one may write nothing more."""


class CursorRepeated(Malformed):
    """The listing runs in a circle."""


@dataclass(slots=True)
class Walk:
    """What the parts of one run share while they are walked in this process."""

    run: SyncRun
    provider: Provider
    roll: Roll
    listed: frozenset[int]  # employees whose own listing tells about their relations
    may_be_gone: bool = False  # the directory was complete, so who is not in it is out of range
    must_parse: bool = False  # items may name unlisted employees, which only parsing tells
    restless: frozenset[RelationKey] = frozenset()
    # Called by who reads, before the next page is asked for.
    on_page: Callable[[SyncRun], None] = lambda run: None
    # Employees whose listing this run read from its start to its end.
    read: set[int] = field(default_factory=set)
    seen_unlisted: set[RelationKey] = field(default_factory=set)
    errors: list[RunError] = field(default_factory=list)
    is_stopping: threading.Event = field(default_factory=threading.Event)  # nobody waits for pages any more


def pages_of(walk: Walk, userids: list[str], listing: Listing, *, cursor: str) -> Iterator[Page]:
    """Every page from `cursor` on; touches no row of the mirror, so it may run in a thread of its own.

    Raises CursorRepeated, Malformed `page_cap`, and what the provider raises.
    """
    cursors = {cursor}
    for _ in range(settings.CRM_SYNC_MAX_PAGES):
        page = _read_page(walk, userids, cursor, () if walk.must_parse else listing.quiet)
        if page.next_cursor and page.next_cursor in cursors:
            raise CursorRepeated("the same cursor came twice", code="cursor_repeated")
        walk.on_page(walk.run)
        yield page
        if not page.next_cursor:
            return
        cursor = page.next_cursor
        cursors.add(cursor)
    raise Malformed(f"more than {settings.CRM_SYNC_MAX_PAGES} pages", code="page_cap")


def _read_page(walk: Walk, userids: list[str], cursor: str, known: Any) -> Page:
    """One page; a frequency limit is waited for, it fails nothing by itself (guarantees S11)."""
    for _ in range(PATIENCE_WITH_LIMITS):
        try:
            return walk.provider.contact_page(userids, cursor=cursor, known=known)
        except RateLimited as error:
            last = error
        rest = last.retry_after or 0
        if rest > PATIENCE_OF_PACE_S and walk.is_stopping.wait(min(rest, LONGEST_WAIT_S)):
            break
    raise last


class PartWalk:
    """One listing of the run in progress. All its writes happen in the process's main thread."""

    def __init__(self, walk: Walk, part: SyncPart) -> None:
        self.walk = walk
        self.part = part
        self.cursor = part.cursor
        self.was_restarted = False
        self._begin()

    def _begin(self) -> None:
        self.part.from_start = self.cursor == ""
        members = self.walk.roll.pks(self.part.userids)
        self.listing = Listing(
            corp=self.walk.run.corp,
            members=members,
            roll=self.walk.roll,
            listed=self.walk.listed,
            sole=next(iter(members)) if len(members) == 1 and not self.is_whole else None,
            is_whole=self.is_whole,
            restless=self.walk.restless,
            asked_at=clock.now(self.walk.run.corp),
        )
        self.listing.load()
        self.unlicensed: set[int] = set()
        self.unclear: set[int] = (
            set()
        )  # whose items had no id: they may be anybody, so nobody of theirs is absent
        self._items: list[Item] = []
        self._pages = 0
        self._fresh = 0
        self._flushed_at = time.monotonic()

    @property
    def is_whole(self) -> bool:
        return self.walk.provider.lists_whole_corp

    def pages(self) -> Iterator[Page]:
        asks_for_all = self.is_whole and not self.walk.run.userid
        userids = [] if asks_for_all else self.part.userids
        return pages_of(self.walk, userids, self.listing, cursor=self.cursor)

    def may_restart(self, error: ProviderError) -> bool:
        """A stale or circling cursor: start the listing over, once (guarantees S5)."""
        if self.was_restarted or not isinstance(error, (StaleCursor, CursorRepeated)):
            return False
        self._flush()
        self.was_restarted, self.cursor = True, ""
        self._begin()
        return True

    def add(self, page: Page) -> None:
        seen = self.part.seen + len(self._items)
        for item in page.items:
            if isinstance(item, BadItem) and not item.external_userid:
                owner = None if self.is_whole else self.walk.roll.find(item.userid)
                self.unclear |= self.listing.members if owner is None else {owner}
            self._items.append(
                replace(item, position=seen + item.position) if isinstance(item, BadItem) else item
            )
            self._fresh += not isinstance(item, bytes)
        self._pages += 1
        self.cursor = page.next_cursor
        self.unlicensed |= self.walk.roll.pks(page.unlicensed)
        is_old = time.monotonic() - self._flushed_at > BATCH_SECONDS
        # The last page waits for `complete`, which writes it together with the conclusion.
        if page.next_cursor and (is_old or self._fresh >= BATCH_FRESH_ITEMS or self._pages >= BATCH_PAGES):
            self._flush()

    def _flush(self) -> None:
        if self._pages:
            self._write(lambda applied: None, state=SyncPart.State.RUNNING)

    def complete(self) -> None:
        """The listing ended well: what it did not show is suspected, if this process read it from its start."""
        unread = (self.unlicensed | self.unclear) & self.listing.members
        read = self.listing.members - unread
        self.part.unread = sorted(self.walk.roll.userid(pk) for pk in unread)
        self.part.unlicensed = sorted(self.walk.roll.userid(pk) for pk in self.unlicensed & unread)

        def conclude(applied: Applied) -> None:
            if self.part.from_start:
                marked = mark_absent(self.listing, self.walk.run, read, applied)
                applied.counts["absent"] = marked.total()
                for pk, number in marked.items():
                    applied.by_employee[pk]["absent"] = number

        self._write(conclude, state=SyncPart.State.COMPLETE)
        self.walk.seen_unlisted |= self.listing.seen_unlisted
        if self.part.from_start:
            self.walk.read |= read
        self.walk.errors += errors_of(self.part)

    def _write(self, conclude: Callable[[Applied], None], *, state: str) -> None:
        """One transaction: rows, events, the part's progress and the run's counts, under the fence."""
        for last_try in (False, True):
            try:
                with transaction.atomic():
                    applied = apply_items(self.listing, self._items, run=self.walk.run)
                    conclude(applied)
                    told = self._save_progress(applied, state=state)
            except (IntegrityError, OperationalError):
                # Another run, a person or a callback wrote the same rows at the same time: look again, once.
                if last_try:
                    raise
                self.walk.roll.reload()
                self.listing.load()
            else:
                break
        self.listing.absorb(applied)
        self.part.seen += applied.counts["seen"]
        self.part.by_employee = told
        self.part.pages += self._pages
        self._items, self._pages, self._fresh = [], 0, 0
        self._flushed_at = time.monotonic()

    def _save_progress(self, applied: Applied, *, state: str) -> dict[str, Any]:
        """Add to part and run, and return the part's counts by employee.

        Raises LeaseLost, which undoes the batch, when the run is no longer ours.
        """
        added = {**applied.counts, "pages": self._pages}
        values = {name: F(name) + number for name, number in added.items() if number}
        by_employee = self._by_employee(applied)
        fence(self.walk.run, calls=self.walk.provider.tally.calls, **values)
        SyncPart.objects.filter(pk=self.part.pk).update(
            cursor=self.cursor,
            state=state,
            from_start=self.part.from_start,
            by_employee=by_employee,
            unread=self.part.unread,
            unlicensed=self.part.unlicensed,
            **values,
        )
        return by_employee

    def _by_employee(self, applied: Applied) -> dict[str, Any]:
        """{userid: counts} so far; {} where the part is of one employee, whose counts are the part's own."""
        if len(self.part.userids) == 1:
            return {}
        told = {userid: Counter(counts) for userid, counts in self.part.by_employee.items()}
        for pk, counts in applied.by_employee.items():
            told.setdefault(self.walk.roll.userid(pk), Counter()).update(counts)
        return {userid: dict(counts) for userid, counts in told.items()}

    def fail(self, error: ProviderError) -> list[SyncPart]:
        """The halves of a chunk, to find who is guilty (contract A14); [] when this one employee is."""
        self._flush()
        if len(self.part.userids) > 1 and not self.is_whole:
            return self._split()
        leave(self.walk, self.part, error)
        return []

    def give_up(self, error: ProviderError) -> None:
        """Keep what was read; the rest of the listing is named unread."""
        self._flush()
        leave(self.walk, self.part, error)

    def _split(self) -> list[SyncPart]:
        middle = len(self.part.userids) // 2
        with transaction.atomic():
            fence(self.walk.run, listings=F("listings") + 1)
            SyncPart.objects.filter(pk=self.part.pk).update(state=SyncPart.State.SPLIT)
            halves = [self.part.userids[:middle], self.part.userids[middle:]]
            return [SyncPart.objects.create(run=self.part.run, userids=half) for half in halves]


def leave(walk: Walk, part: SyncPart, error: ProviderError) -> None:
    """The listing stays unread, wholly or from some page on, and each of its employees is named for it.

    Nobody is named for the listing of a whole corp.
    """
    is_nobodys = walk.provider.lists_whole_corp and not walk.run.userid
    guilty: list[str | None] = [None] if is_nobodys else [*part.userids]
    walk.errors += [RunError.of(error, userid=userid, pages=part.pages) for userid in guilty]
    with transaction.atomic():
        fence(walk.run, calls=walk.provider.tally.calls)
        SyncPart.objects.filter(pk=part.pk).update(state=SyncPart.State.FAILED)


def errors_of(part: SyncPart) -> list[RunError]:
    """What a complete listing has to say against its employees."""
    words = "no interop licence (fail_info)"
    return [RunError(userid, "errcode", NO_LICENCE, words, pages=part.pages) for userid in part.unlicensed]


def fence(run: SyncRun, **values: Any) -> None:
    """Write on the run if its lease is still ours, else raise LeaseLost."""
    mine = SyncRun.objects.filter(pk=run.pk, lease_token=run.lease_token, state=SyncRun.State.RUNNING)
    if not mine.update(**values):
        raise LeaseLost(f"run {run.pk} was taken over")
