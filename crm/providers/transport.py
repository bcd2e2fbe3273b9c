"""One HTTP exchange with a provider: bounded in time and size, never redirected, never leaking a URL."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

import requests
import urllib3

from crm.providers.answers import Answer
from crm.providers.connection import WATCH, open_session
from crm.providers.errors import BadCredential, Malformed, Outcome, ProviderError, RateLimited, Unavailable

BODY_CAP = 10 * 1024 * 1024  # bytes, after decompression
IDLE_S = (
    5.0  # an older idle connection is not reused: the other side may be closing it, and the outcome be lost
)
READ_TRIES = 3
JSON_TYPE = "application/json; charset=utf-8"

_CHUNK = 64 * 1024
_RETRIED_ERRCODES = {-1, 6000}
_CONCURRENCY = 45033

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: to connect, between two pieces of an answer, and for the whole exchange."""

    connect: float = 3
    read: float = 10
    total: float = 30


class Transport:
    """Exchanges with one provider host; one connection per thread, kept alive."""

    def __init__(self, base_url: str, *, timeouts: Timeouts, allow_private: bool) -> None:
        self._base_url = base_url.rstrip("/")
        self._timeouts = timeouts
        self._allow_private = allow_private
        self._mine = threading.local()

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
        sent_headers = dict(headers or {})
        if body is not None:
            sent_headers["Content-Type"] = content_type
        try:
            return self._speak(method, self._base_url + path, dict(query), body, sent_headers)
        except ProviderError:
            raise
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            failure = _failure(error)
        raise failure  # outside the handler: the exception that carries the URL is not even its context

    def _speak(
        self, method: str, url: str, query: dict[str, str], body: bytes | None, headers: dict[str, str]
    ) -> Answer:
        session = self._session()
        WATCH.start(self._timeouts.total)
        response = session.request(
            method,
            url,
            params=query,
            data=body,
            headers=headers,
            timeout=(self._timeouts.connect, self._timeouts.read),
            allow_redirects=False,
            stream=True,
        )
        try:
            return Answer(response.status_code, _read(response), _retry_after(response))
        finally:
            response.close()
            self._mine.used_at = time.monotonic()

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._mine, "session", None)
        if session is None:
            session = self._mine.session = open_session(allow_private=self._allow_private)
        elif time.monotonic() - self._mine.used_at > IDLE_S:
            session.close()
        self._mine.used_at = time.monotonic()
        return session


def _read(response: requests.Response) -> bytes:
    chunks, size = [], 0
    for chunk in response.iter_content(_CHUNK):
        size += len(chunk)
        if size > BODY_CAP:
            words = f"The answer is larger than {BODY_CAP} bytes."
            raise Malformed(words, code="truncated", outcome="unknown")
        WATCH.left(None)
        chunks.append(chunk)
    return b"".join(chunks)


def _retry_after(response: requests.Response) -> float | None:
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
    if any(isinstance(cause, urllib3.exceptions.IncompleteRead) for cause in causes):
        return Unavailable("The answer was cut off.", code="truncated", outcome=outcome)
    if any(isinstance(cause, urllib3.exceptions.DecodeError) for cause in causes):
        return Unavailable("The answer could not be decompressed.", code="not_json", outcome=outcome)
    words = "The connection broke before the answer." if WATCH.sent else _unreached(causes)
    return Unavailable(words, code="network", outcome=outcome)


def _is_timeout(error: BaseException) -> bool:
    if isinstance(error, urllib3.exceptions.NewConnectionError):
        return False  # urllib3 derives it from ConnectTimeoutError, whatever its reason
    return isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError)


def _unreached(causes: list[BaseException]) -> str:
    for kind, words in (
        (urllib3.exceptions.NameResolutionError, "The provider's host name does not resolve."),
        (requests.exceptions.SSLError, "The provider's certificate or TLS was not accepted."),
        (ConnectionRefusedError, "The provider refused the connection."),
        (requests.exceptions.InvalidURL, "The base URL is not valid."),
    ):
        if any(isinstance(cause, kind) for cause in causes):
            return words
    return "The provider could not be reached."


def _causes(error: BaseException | None, depth: int = 0) -> Iterator[BaseException]:
    """`error` and what it wraps: in its arguments (requests), its reason (urllib3) or its cause."""
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
    """Make a read up to three times where the fault is of the passing kind; never used for a send."""
    for tried in range(1, READ_TRIES):
        try:
            return attempt()
        except ProviderError as error:
            if not _is_passing(error):
                raise
        time.sleep(random.uniform(0.05, 0.15) * tried)
    return attempt()


def _is_passing(error: ProviderError) -> bool:
    if isinstance(error, RateLimited):
        return error.errcode == _CONCURRENCY
    return isinstance(error, Unavailable) and (error.code == "network" or error.errcode in _RETRIED_ERRCODES)
