"""The token cache a client is given: one refresh at a time, and no old error discards a newer token."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and the generation it belongs to (1, 2, 3 … per credential)."""

    value: str
    generation: int


class TokenStore(Protocol):
    """Where tokens live. `fetch` is the client's call to the provider: () -> (token, expires_in seconds)."""

    def get(self, fetch: Callable[[], tuple[str, float]]) -> Token:
        """The current token, fetched by exactly one caller when there is none."""

    def reject(self, token: Token) -> None:
        """The provider refused `token`: forget it, unless a newer one took its place."""


class MemoryTokens:
    """A TokenStore for one process: tests, benchmarks, scripts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self._clock = clock
        self._value = ""
        self._generation = 0
        self._expires_at = 0.0

    def get(self, fetch: Callable[[], tuple[str, float]]) -> Token:
        with self._lock:
            if not self._value or self._clock() >= self._expires_at:
                value, expires_in = fetch()
                self._value, self._generation = value, self._generation + 1
                self._expires_at = self._clock() + max(expires_in - EARLY_S, expires_in / 2)
            return Token(self._value, self._generation)

    def reject(self, token: Token) -> None:
        with self._lock:
            if token.generation == self._generation:
                self._value = ""


EARLY_S = 300  # refresh this long before the token's end (wecom.md 3.1: "a few minutes early")
