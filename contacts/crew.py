"""Reads the listings of a run, several at once where the provider is slow; every write stays in this thread."""

import queue
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from django.db import connections

from contacts.models import SyncPart
from contacts.runs import RunError
from contacts.walk import PartWalk, Walk
from crm.providers.errors import BadCredential, ProviderError
from crm.providers.records import Page

PAGES_AHEAD: Final = 2  # per listing: how far reading may run before writing


@dataclass(slots=True)
class Told:
    """What reading a listing came to: a page, an error, or (neither) its end."""

    reader: PartWalk
    page: Page | None = None
    error: Exception | None = None


class Source(Protocol):
    def start(self, reader: PartWalk) -> None: ...

    def next(self) -> Told: ...

    def stop(self) -> None: ...


def walk_parts(walk: Walk, parts: Iterable[SyncPart], *, at_once: int) -> None:
    """Walk every part to its end. A dead credential stops the rest, which is named unread."""
    source: Source = Threads(at_once) if at_once > 1 else Inline()
    try:
        _work_through(walk, deque(parts), source, at_once)
    finally:
        source.stop()


def _work_through(walk: Walk, waiting: deque[SyncPart], source: Source, at_once: int) -> None:
    active: list[PartWalk] = []
    while waiting or active:
        while waiting and len(active) < at_once:
            active.append(PartWalk(walk, waiting.popleft()))
            source.start(active[-1])
        told = source.next()
        if told.page is not None:
            told.reader.add(told.page)
        elif told.error is None:
            active.remove(told.reader)
            told.reader.complete()
        elif isinstance(told.error, BadCredential):
            # The credential is dead, not the employee: asking on for each would only get the address blocked.
            unread = [*(reader.part for reader in active), *waiting]
            walk.errors += [
                RunError.of(told.error, userid=userid) for part in unread for userid in part.userids
            ]
            return
        elif not isinstance(told.error, ProviderError):
            raise told.error
        elif told.reader.may_restart(told.error):
            source.start(told.reader)
        else:
            active.remove(told.reader)
            waiting.extendleft(reversed(told.reader.fail(told.error)))


class Inline:
    """One listing at a time, read in this thread: the fastest way to a provider that is near."""

    def start(self, reader: PartWalk) -> None:
        self._reader = reader
        self._pages = reader.pages()

    def next(self) -> Told:
        return _step(self._reader, self._pages)

    def stop(self) -> None:
        return None


class Threads:
    """A thread for each listing in progress; pages wait in one bounded queue."""

    def __init__(self, at_once: int) -> None:
        self._told: queue.Queue[Told] = queue.Queue(maxsize=at_once * PAGES_AHEAD)
        self._is_stopping = threading.Event()

    def start(self, reader: PartWalk) -> None:
        # Daemons: Ctrl-C must not wait for a provider that hangs.
        threading.Thread(
            target=self._read, args=(reader,), name=f"listing-{reader.part.pk}", daemon=True
        ).start()

    def next(self) -> Told:
        return self._told.get()

    def stop(self) -> None:
        self._is_stopping.set()

    def _read(self, reader: PartWalk) -> None:
        pages = reader.pages()
        try:
            while not self._is_stopping.is_set():
                told = _step(reader, pages)
                self._hand_over(told)
                if told.page is None:
                    return
        finally:
            connections.close_all()  # token and pace were read over a connection of this thread

    def _hand_over(self, told: Told) -> None:
        while not self._is_stopping.is_set():
            try:
                self._told.put(told, timeout=0.5)
            except queue.Full:
                continue
            else:
                return


def _step(reader: PartWalk, pages: Iterator[Page]) -> Told:
    try:
        page = next(pages, None)
    except Exception as error:
        return Told(reader, error=error)
    return Told(reader, page=page)
