"""One HTTP exchange with a provider: bounded in time and size, never redirected, never leaking a URL."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import IncompleteRead
from typing import Final, TypeVar
from urllib.parse import urlencode

import requests
import urllib3
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.response import BaseHTTPResponse

from crm.providers.answers import Answer
from crm.providers.connection import WATCH, open_pool
from crm.providers.errors import BadCredential, Malformed, Outcome, ProviderError, RateLimited, Unavailable

BODY_CAP = 10 * 1024 * 1024  # bytes, after decompression
IDLE_S = 5.0  # an older idle connection is not reused: the other side may be closing it, the outcome be lost
READ_TRIES = 3
JSON_TYPE = "application/json; charset=utf-8"

_CHUNK = 64 * 1024
_HEADERS: Final = {"User-Agent": "renmai", "Accept": "application/json", "Accept-Encoding": "gzip"}
_RETRIED_ERRCODES = {-1, 6000}
_SOON_S = 2.0  # a limit that ends within this time is waited for here

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two pieces of an answer, and for the whole exchange."""

    connect: float = 3
    read: float = 10
    total: float = 30


class Transport:
    """Exchanges with one provider host. Thread-safe: each thread keeps one connection of its own alive."""

    def __init__(self, base_url: str, *, timeouts: Timeouts, allow_private: bool) -> None:
        self._base_url = base_url.rstrip("/")
        self._steps = urllib3.Timeout(connect=timeouts.connect, read=timeouts.read)
        self._total = timeouts.total
        self._allow_private = allow_private
        self._mine = _Mine()

    def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        body: bytes | None = None,
        content_type: str = JSON_TYPE,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request and read its whole answer, whatever its status.

        Raises Unavailable (`network`, `timeout`, `truncated`, `not_json`), Malformed (`truncated`: too large)
        or BadCredential (the peer has a private address). `outcome` tells whether a byte may have been sent.
        """
        target = f"{path}?{urlencode(query)}" if query else path
        sent_headers = {**_HEADERS, **(headers or {})}
        if body is not None:
            sent_headers["Content-Type"] = content_type
        try:
            return self._speak(method, target, body, sent_headers)
        except ProviderError:
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            failure = _failure(error)
        raise failure  # outside the handler: the exception that carries the URL is not even its context

    def _speak(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> Answer:
        WATCH.start(self._total)
        pool, prefix = self._pool()
        response = pool.urlopen(
            method,
            prefix + target,
            body=body,
            headers=headers,
            timeout=self._steps,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            return Answer(response.status, _read(response), _retry_after(response))
        finally:
            response.close()
            self._mine.used_at = time.monotonic()

    def _pool(self) -> tuple[HTTPConnectionPool, str]:
        mine = self._mine
        if mine.pool is not None and time.monotonic() - mine.used_at > IDLE_S:
            mine.pool.close()
            mine.pool = None
        if mine.pool is None:
            mine.pool, mine.prefix = open_pool(self._base_url, allow_private=self._allow_private)
        mine.used_at = time.monotonic()
        return mine.pool, mine.prefix


class _Mine(threading.local):
    """What a thread keeps between its requests."""

    pool: HTTPConnectionPool | None = None
    prefix: str = ""
    used_at: float = 0.0  # time.monotonic()


def _read(response: BaseHTTPResponse) -> bytes:
    length = response.length_remaining
    if length is not None and length <= BODY_CAP and "Content-Encoding" not in response.headers:
        return response.read()
    chunks, size = [], 0
    for chunk in response.stream(_CHUNK):
        size += len(chunk)
        if size > BODY_CAP:
            words = f"The answer is larger than {BODY_CAP} bytes."
            raise Malformed(words, code="truncated", outcome="unknown")
        WATCH.left(None)
        chunks.append(chunk)
    return b"".join(chunks)


def _retry_after(response: BaseHTTPResponse) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 8 else None


def _failure(error: Exception) -> ProviderError:
    """What `error` means, in words that cannot hold a URL."""
    if WATCH.private:
        return BadCredential(
            "The provider's host has a private address.",
            code="network",
            fix="Use a public base URL, or set CRM_ALLOW_PRIVATE_UPSTREAM=1 for a private deployment.",
        )
    causes = list(_causes(error))
    outcome: Outcome = "unknown" if WATCH.sent else "not_done"
    if any(_is_timeout(cause) for cause in causes):
        step = "answer in time" if WATCH.sent else "accept a connection in time"
        return Unavailable(f"The provider did not {step}.", code="timeout", outcome=outcome)
    if any(isinstance(cause, IncompleteRead) for cause in causes):
        return Unavailable("The answer was cut off.", code="truncated", outcome=outcome)
    if any(isinstance(cause, urllib3.exceptions.DecodeError) for cause in causes):
        return Unavailable("The answer could not be decompressed.", code="not_json", outcome=outcome)
    words = "The connection broke before the answer." if WATCH.sent else _unreached(causes)
    return Unavailable(words, code="network", outcome=outcome)


def _is_timeout(error: BaseException) -> bool:
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return False  # urllib3 derives it from ConnectTimeoutError, whatever its reason
    return isinstance(error, urllib3.exceptions.TimeoutError | TimeoutError)


def _unreached(causes: list[BaseException]) -> str:
    for kind, words in (
        (urllib3.exceptions.NameResolutionError, "The provider's host name does not resolve."),
        (urllib3.exceptions.SSLError, "The provider's certificate or TLS was not accepted."),
        (ConnectionRefusedError, "The provider refused the connection."),
        (requests.exceptions.InvalidURL, "The base URL is not valid."),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return words
    return "The provider could not be reached."


def _causes(error: BaseException | None, depth: int = 0) -> Iterator[BaseException]:
    """`error` and what it wraps: in its arguments, its reason (urllib3) or its cause."""
    if error is None or depth > 6:
        return
    yield error
    wrapped = [arg for arg in error.args if isinstance(arg, BaseException)]
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        wrapped.append(reason)
    if error.__cause__ is not None:
        wrapped.append(error.__cause__)
    for inner in wrapped:
        yield from _causes(inner, depth + 1)


def persist(attempt: Callable[[], T]) -> T:
    """Make a read up to three times where the fault is of the passing kind; never used for a send.

    Who was refused for a second (45033, 90018) raises that, even when the pace then forbids another try: it is
    the provider's own word, where the other would only name our pause.
    """
    crowded: RateLimited | None = None
    for tried in range(1, READ_TRIES + 1):
        try:
            return attempt()
        except ProviderError as error:
            failure = error
        if isinstance(failure, RateLimited) and _ends_soon(failure):
            crowded = failure
        if tried == READ_TRIES or not _is_passing(failure):
            break
        time.sleep(random.uniform(0.05, 0.15) * tried)
    raise crowded if crowded and isinstance(failure, RateLimited) else failure


def _ends_soon(error: RateLimited) -> bool:
    return error.code == "errcode" and error.retry_after is not None and error.retry_after <= _SOON_S


def _is_passing(error: ProviderError) -> bool:
    if isinstance(error, RateLimited):
        return _ends_soon(error)
    return isinstance(error, Unavailable) and (error.code == "network" or error.errcode in _RETRIED_ERRCODES)
