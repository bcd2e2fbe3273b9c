"""Fixed windows of the simulator's clock, and a count of calls in flight."""

import threading
from collections import Counter
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from crm.simulator.clock import Clock


class Windows:
    """Counts per key in fixed windows; a full window refuses until it ends."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: dict[Hashable, tuple[int, int]] = {}

    def take(self, key: Hashable, *, limit: int, seconds: int, amount: int = 1) -> bool:
        """Count `amount` more; False when that would exceed `limit` in this window (0: no limit)."""
        if not limit:
            return True
        window = int(self._clock.now()) // seconds
        started, used = self._counts.get((key, seconds), (window, 0))
        used = used if started == window else 0
        if used + amount > limit:
            return False
        self._counts[key, seconds] = (window, used + amount)
        return True

    def is_full(self, key: Hashable, *, limit: int, seconds: int) -> bool:
        """Whether one more would be refused, without counting it."""
        window = int(self._clock.now()) // seconds
        started, used = self._counts.get((key, seconds), (window, 0))
        return bool(limit) and started == window and used >= limit

    def clear(self) -> None:
        self._counts.clear()


class Gate:
    """How many calls of one kind are being answered right now."""

    def __init__(self) -> None:
        self._inside: Counter[Hashable] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def pass_through(self, key: Hashable) -> Iterator[int]:
        """Enter; yields how many are inside, this one included."""
        with self._lock:
            self._inside[key] += 1
            inside = self._inside[key]
        try:
            yield inside
        finally:
            with self._lock:
                self._inside[key] -= 1
