"""Who does the work that needs the database: a connection belongs to the thread that opened it."""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Ask(Protocol):
    """Has work done by the thread that owns the connection."""

    def __call__(self, work: Callable[[], T], /) -> T:
        """The value of `work`, or what it raised."""


def here(work: Callable[[], T], /) -> T:
    """The Ask of a thread that may use its own connection."""
    return work()
