"""Reads the listings of a run in threads, several at once where the provider is slow; all writing stays in one.

Also a single listing is read in a thread of its own: the next pages come while the database writes the last ones.
"""

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from django.db import connections

from contacts.models import SyncPart
from contacts.walk import PartWalk, Walk, leave
from crm.providers.errors import BadCredential, ProviderError
from crm.providers.records import Page

PAGES_AHEAD: Final = 20  # how far reading may run before writing: a batch of new contacts
REFUSALS: Final = 2  # one employee's listing may be refused for its own reasons


@dataclass(slots=True)
class Told:
    """What reading a listing came to: a page, an error, or (neither) its end."""

    reader: PartWalk
    page: Page | None = None
    error: BaseException | None = None


class Readers:
    """Threads that read listings, each with its own connections; their pages wait in one bounded queue."""

    def __init__(self, count: int, is_stopping: threading.Event) -> None:
        self._listings: queue.SimpleQueue[PartWalk | None] = queue.SimpleQueue()
        self._told: queue.Queue[Told] = queue.Queue(maxsize=max(PAGES_AHEAD, count))
        self._is_stopping = is_stopping
        self._count = count
        for number in range(count):
            # Daemons: Ctrl-C must not wait for a provider that hangs.
            threading.Thread(target=self._work, name=f"reader-{number}", daemon=True).start()

    def start(self, reader: PartWalk) -> None:
        self._listings.put(reader)

    def next(self) -> Told:
        return self._told.get()

    def stop(self) -> None:
        self._is_stopping.set()
        for _ in range(self._count):
            self._listings.put(None)

    def _work(self) -> None:
        try:
            while (reader := self._listings.get()) is not None:
                self._read(reader)
        finally:
            connections.close_all()  # token and pace were read over a connection of this thread

    def _read(self, reader: PartWalk) -> None:
        pages = reader.pages()
        while not self._is_stopping.is_set():
            told = _step(reader, pages)
            self._hand_over(told)
            if told.page is None:
                return

    def _hand_over(self, told: Told) -> None:
        while not self._is_stopping.is_set():
            try:
                self._told.put(told, timeout=0.5)
            except queue.Full:
                continue
            else:
                return


def walk_parts(walk: Walk, parts: Iterable[SyncPart], *, at_once: int) -> None:
    """Walk every part to its end. A dead credential stops the rest, which is named unread."""
    readers = Readers(at_once, walk.is_stopping)
    try:
        _work_through(walk, deque(parts), readers, at_once)
    finally:
        readers.stop()


def _work_through(walk: Walk, waiting: deque[SyncPart], readers: Readers, at_once: int) -> None:
    active: list[PartWalk] = []
    refusals = 0  # listings in a row that ended with a credential refused even after its renewal
    while waiting or active:
        while waiting and len(active) <= at_once:  # one more waits, so that no thread does
            active.append(PartWalk(walk, waiting.popleft()))
            readers.start(active[-1])
        told = readers.next()
        if told.page is not None:
            told.reader.add(told.page)
            refusals = 0
        elif told.error is None:
            active.remove(told.reader)
            told.reader.complete()
        elif isinstance(told.error, BadCredential) and (refusals := refusals + 1) == REFUSALS:
            # The credential is dead, not the employee: asking on for each would only get the address blocked.
            for reader in active:
                reader.give_up(told.error)
            for part in waiting:
                leave(walk, part, told.error)
            return
        elif not isinstance(told.error, ProviderError):
            raise told.error
        elif told.reader.may_restart(told.error):
            readers.start(told.reader)
        else:
            active.remove(told.reader)
            waiting.extendleft(reversed(told.reader.fail(told.error)))


def _step(reader: PartWalk, pages: Iterator[Page]) -> Told:
    try:
        page = next(pages, None)
    except BaseException as error:  # told where it can be acted on
        return Told(reader, error=error)
    return Told(reader, page=page)
