"""A call of a provider: pace, token, one exchange, and the verdict of its answer. The same for every dialect."""

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import orjson

from crm.providers.answers import Reply, reply, whole
from crm.providers.base import Credentials, Limiter, Tally
from crm.providers.errors import BadCredential, Malformed, ProviderError, RateLimited, Refused, TokenRejected
from crm.providers.tokens import Token, TokenStore
from crm.providers.transport import JSON_TYPE, Transport, persist

log = logging.getLogger("renmai.providers")

DEFAULT_LIFE_S = 7200


class Caller(ABC):
    """Speaks for one app of one corp. Thread-safe; every request counts in `tally`."""

    def __init__(
        self, transport: Transport, credentials: Credentials, *, tokens: TokenStore, limiter: Limiter
    ) -> None:
        self._transport = transport
        self._credentials = credentials
        self._tokens = tokens
        self._limiter = limiter
        self._counting = threading.Lock()
        self.tally = Tally()

    def read(
        self,
        api: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        expect: str = "",
        parse: Callable[[bytes], Reply] = whole,
    ) -> Reply:
        """A call without effect: tried again after a passing fault. With `body` a POST, else a GET.

        `expect` names the payload key that proves success where the answer has no verdict (rule 1); `parse`
        reads the answer's bytes.
        """
        content = None if body is None else encode(body)
        return self._authorised(
            lambda token: persist(
                lambda: self._once(api, token, query=query, body=content, expect=expect, parse=parse)
            )
        )

    def fetch(self, api: str, *, query: Mapping[str, str]) -> bytes:
        """A file, read with a GET; an error comes as JSON in its place."""
        kept: list[bytes] = []

        def file(body: bytes) -> Reply:
            # A file of its own right may begin like JSON: only what has a verdict is one.
            with suppress(ProviderError):
                if body.lstrip()[:1] == b"{" and "errcode" in (told := whole(body)).data:
                    return told
            kept[:] = [body]
            return Reply({"errcode": 0}, clean=True)

        self.read(api, query=query, parse=file)
        if not kept:
            raise Malformed(f"{api} answered without a file.", code="not_json", outcome="unknown")
        return kept[0]

    def write(
        self,
        api: str,
        body: bytes,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON_TYPE,
        expect: str = "",
        on_speak: Callable[[], None] = lambda: None,
    ) -> Reply:
        """A call with an effect: made once, a refused token aside (then nothing had happened).

        `on_speak` is called with token and pace in hand, right before the request.
        """
        return self._authorised(
            lambda token: self._once(
                api,
                token,
                query=query,
                body=body,
                content_type=content_type,
                expect=expect,
                on_speak=on_speak,
            )
        )

    def _authorised(self, ask: Callable[[str], Reply]) -> Reply:
        """`ask` with the current token; one refresh and one retry when the provider refuses it."""
        token = self._token()
        try:
            return ask(token.value)
        except TokenRejected:
            self._tokens.reject(token)
        try:
            return ask(self._token().value)
        except TokenRejected as again:
            refused = again
        raise BadCredential(refused.errmsg, errcode=refused.errcode, fix=refused.fix)

    def _token(self) -> Token:
        try:
            return self._tokens.get(self._fetch_token)
        except ProviderError as error:
            error.outcome = "not_done"  # whatever became of gettoken, the call behind it was not made
            error.api = "gettoken"
            raise

    @abstractmethod
    def _fetch_token(self) -> tuple[str, float]:
        """A token from the provider, and how many seconds it lives."""

    @abstractmethod
    def _path(self, api: str) -> str:
        """Where `api` is called."""

    @abstractmethod
    def _judge(self, api: str, answer: Reply, token: str, expect: str) -> None:
        """Raise unless the answer says success."""

    def _once(
        self,
        api: str,
        token: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = JSON_TYPE,
        expect: str = "",
        parse: Callable[[bytes], Reply] = whole,
        on_speak: Callable[[], None] = lambda: None,
    ) -> Reply:
        self._limiter.wait(api)
        on_speak()
        with self._counting:
            self.tally.calls += 1
        sent = {"access_token": token, **(query or {})} if token else dict(query or {})
        method = "GET" if body is None else "POST"
        started = time.monotonic()
        try:
            told = self._transport.exchange(
                method, self._path(api), query=sent, body=body, content_type=content_type
            )
            answer = reply(told, parse)
            self._judge(api, answer, token, expect)
        except ProviderError as error:
            self._failed(api, error, started)
            raise
        finally:
            with self._counting:
                self.tally.seconds += time.monotonic() - started
        log.debug("%s errcode=0 %d ms", api, (time.monotonic() - started) * 1000)
        return answer

    def _failed(self, api: str, error: ProviderError, started: float) -> None:
        error.api = api
        if isinstance(error, RateLimited):
            number = error.errcode if error.errcode is not None else 429
            self._limiter.limited(api, errcode=number, retry_after=error.retry_after or 1.0)
        milliseconds = (time.monotonic() - started) * 1000
        level = (
            logging.INFO if isinstance(error, TokenRejected) or error.code == "errcode" else logging.WARNING
        )
        log.log(level, "%s code=%s errcode=%s %d ms", api, error.code, error.errcode, milliseconds)


def encode(body: Any) -> bytes:
    """`body` as UTF-8 JSON with real characters (errcode 40033 exists for escapes). Raises Refused."""
    try:
        return orjson.dumps(body)
    except TypeError:
        pass
    raise Refused("The request holds a character that cannot be written.", code="invalid_characters")
