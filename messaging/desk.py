"""Makes calls in threads, while whatever they need of the database is done by the one thread that owns the desk.

So a worker that makes many calls at a time has one connection, and those that are about to speak at the same moment
are committed together.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any, Generic, Protocol, TypeVar


class Call(Protocol):
    """What the desk must know of a call: which try it is."""

    @property
    def attempt_id(self) -> int: ...


T = TypeVar("T")
B = TypeVar("B", bound=Call)


class Silenced(Exception):
    """A call must not be made."""


class Closed(Silenced):
    """The owner has gone: nothing more may be said or done."""


@dataclass(slots=True)
class _Asked(Generic[B]):
    """Something a thread waits for: that its `batch` may speak, or that `work` is done."""

    batch: B | None = None
    work: Callable[[], Any] = lambda: None
    reply: SimpleQueue[Any] = field(default_factory=SimpleQueue)


@dataclass(frozen=True, slots=True)
class _Ended(Generic[B]):
    batch: B
    result: Any


class Desk(Generic[B]):
    """Owned by the thread that makes it, which calls everything but `ask` and `ask_to_speak`.

    `call` makes the call of a batch and raises nothing. `speak` returns who must stay silent, and why, by attempt.
    """

    def __init__(
        self, call: Callable[[B], Any], speak: Callable[[Sequence[B]], Mapping[int, Silenced]]
    ) -> None:
        self._call = call
        self._speak = speak
        self._owner = threading.get_ident()
        self._waiting: SimpleQueue[B | None] = SimpleQueue()
        self._told: SimpleQueue[_Asked[B] | _Ended[B]] = SimpleQueue()
        self._threads = 0
        self._is_closed = False
        self.flying = 0

    def start(self, batch: B) -> None:
        """Have the call made soon; by a new thread where all others are busy."""
        self.flying += 1
        self._waiting.put(batch)
        if self._threads < self.flying:
            self._threads += 1
            # Daemons: an end must not wait for a provider that hangs.
            threading.Thread(target=self._work, name=f"call-{self._threads}", daemon=True).start()

    def serve(self, patience_s: float | None = None) -> list[tuple[B, Any]]:
        """Wait until a thread wants something, and do all that is wanted; returns the calls that have ended.

        An empty list when nothing is wanted within `patience_s` seconds.
        """
        try:
            told = [self._told.get(timeout=patience_s)]
        except Empty:
            return []
        while not self._told.empty():
            told.append(self._told.get())
        asked = [each for each in told if isinstance(each, _Asked)]
        self._let_speak([each for each in asked if each.batch is not None])
        for each in asked:
            if each.batch is None:
                each.reply.put(_value_or_error(each.work))
        ended = [(each.batch, each.result) for each in told if isinstance(each, _Ended)]
        self.flying -= len(ended)
        return ended

    def _let_speak(self, asked: Sequence[_Asked[B]]) -> None:
        batches = [each.batch for each in asked if each.batch is not None]
        if not batches:
            return
        silent = _value_or_error(lambda: self._speak(batches))
        for each, batch in zip(asked, batches, strict=True):
            each.reply.put(silent if isinstance(silent, Exception) else silent.get(batch.attempt_id))

    def ask(self, work: Callable[[], T], /) -> T:
        """From any thread: have `work` done by the owner; its value, or what it raised."""
        if self._is_owner():
            return work()
        value: T = self._have(_Asked[B](work=work))
        return value

    def ask_to_speak(self, batch: B) -> None:
        """From any thread: returns when `batch` may speak, raises when it must not."""
        if not self._is_owner():
            self._have(_Asked(batch))
        elif why_not := self._speak([batch]).get(batch.attempt_id):
            raise why_not

    def _is_owner(self) -> bool:
        return threading.get_ident() == self._owner

    def _have(self, asked: _Asked[B]) -> Any:
        self._told.put(asked)
        if self._is_closed:  # looked at after the put: what stood there before, `close` answers
            raise Closed
        value = asked.reply.get()
        if isinstance(value, Exception):
            raise value
        return value

    def close(self) -> None:
        """Whoever still waits is told to stay silent; calls under way end by themselves, unheard."""
        self._is_closed = True
        for _ in range(self._threads):
            self._waiting.put(None)
        while not self._told.empty():
            each = self._told.get()
            if isinstance(each, _Asked):
                each.reply.put(Closed())

    def _work(self) -> None:
        while (batch := self._waiting.get()) is not None and not self._is_closed:
            self._told.put(_Ended(batch, self._call(batch)))


def _value_or_error(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        return error
