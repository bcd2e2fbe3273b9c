"""Tells the apps what people did: signs, encrypts and posts, tries again, and loses or doubles on order."""

import heapq
import random
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from crm.providers.wecom.crypto import encrypt, sign
from crm.simulator.corps import CorpSpec
from crm.simulator.events import Event, cdata
from crm.simulator.exchange import JsonObject
from crm.simulator.records import Callback
from crm.simulator.switches import Switches

MODES = ("encrypted", "signature")
_KEPT = 20_000
_LARGEST_ANSWER = 65_536


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *told: Any) -> None:
        """A redirect is an answer other than 200, as any."""


_HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirects)


@dataclass(frozen=True, slots=True)
class Heard:
    """How the app answered: `status` 0 says that nothing came, and `error` why."""

    status: int
    body: bytes
    error: str
    seconds: float


@dataclass(slots=True, eq=False)
class Emission:
    """One callback on its way. `state`: waiting, delivered, failed (no more tries) or lost (on order)."""

    n: int
    corp: CorpSpec
    callback: Callback
    event: Event
    state: str = "waiting"
    copy_of: int | None = None
    held_back: bool = False
    tries: list[JsonObject] = field(default_factory=list)
    is_abandoned: bool = False

    def as_json(self) -> JsonObject:
        fields = self.event.fields
        return {
            "n": self.n,
            "corp": self.corp.corp,
            "url": self.callback.url,
            "kind": fields.get("Event") or fields["MsgType"],
            "change": fields.get("ChangeType", ""),
            "fields": fields,
            "xml": self.event.xml(self.corp.corp),
            "state": self.state,
            "copy_of": self.copy_of,
            "held_back": self.held_back,
            "tries": self.tries,
        }


class Callbacks:
    """The sender: one thread, started by the first event. Whoever changes the world never waits for it."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._ready = threading.Condition()
        self._queue: list[tuple[float, int, Emission]] = []  # (due, turn, …): a heap
        self._turn = 0
        self._emissions: deque[Emission] = deque(maxlen=_KEPT)
        self._last_n = 0
        self._thread: threading.Thread | None = None

    def clear(self) -> None:
        """Forget what was emitted and what still waits; the same events then meet the same luck again."""
        with self._ready:
            for each in self._emissions:
                each.is_abandoned = True  # one may be in the sender's hands
            self._emissions.clear()
            self._queue.clear()
            self._last_n = 0

    def emit(self, corp: CorpSpec, callback: Callback, events: Iterable[Event]) -> None:
        """Queue the events, each with the luck that the switches and its number give it."""
        with self._ready:
            for event in events:
                self._emit(corp, callback, event)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="callbacks", daemon=True)
                self._thread.start()
            self._ready.notify()

    def _emit(self, corp: CorpSpec, callback: Callback, event: Event) -> None:
        told, emission = self._switches, self._note(corp, callback, event)
        draw = random.Random(f"{told.callback_seed}/{emission.n}").random
        is_lost, is_double, emission.held_back = (
            draw() < share for share in (told.callback_loss, told.callback_double, told.callback_reorder)
        )
        if is_lost:
            emission.state = "lost"
            return
        held = told.callback_reorder_seconds if emission.held_back else 0.0
        self._queue_in(told.callback_delay + held, emission)
        if is_double:
            copy = self._note(corp, callback, event)
            copy.copy_of = emission.n
            self._queue_in(told.callback_delay, copy)

    def _note(self, corp: CorpSpec, callback: Callback, event: Event) -> Emission:
        self._last_n += 1
        emission = Emission(self._last_n, corp, callback, event)
        self._emissions.append(emission)
        return emission

    def _queue_in(self, seconds: float, emission: Emission) -> None:
        self._turn += 1
        heapq.heappush(self._queue, (time.monotonic() + seconds, self._turn, emission))

    def _run(self) -> None:
        while True:
            emission = self._next()
            heard = self._post(emission)
            with self._ready:
                self._settle(emission, heard)

    def _next(self) -> Emission:
        with self._ready:
            while True:
                wait = self._queue[0][0] - time.monotonic() if self._queue else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._queue)[-1]
                self._ready.wait(wait)

    def _post(self, emission: Emission) -> Heard:
        """One try: new time, nonce and ciphertext each, as the random head of the frame wants it."""
        spec, callback = emission.corp, emission.callback
        message = emission.event.xml(spec.corp)
        if callback.mode == "signature":
            return _ask(signed_url(spec, callback), message.encode(), self._switches.callback_timeout)
        sealed = encrypt(message.encode(), aes_key=spec.aes_key, receiveid=spec.corp)
        agent = f"<AgentID>{cdata(spec.agentid)}</AgentID>" if emission.event.names_agent else ""
        body = (
            f"<xml><ToUserName>{cdata(spec.corp)}</ToUserName>{agent}<Encrypt>{cdata(sealed)}</Encrypt></xml>"
        )
        return _ask(signed_url(spec, callback, sealed), body.encode(), self._switches.callback_timeout)

    def _settle(self, emission: Emission, heard: Heard) -> None:
        emission.tries.append(
            {"status": heard.status, "error": heard.error, "seconds": round(heard.seconds, 3)}
        )
        if emission.is_abandoned:
            return
        if heard.status == 200 and not heard.error:
            emission.state = "delivered"
        elif len(emission.tries) > self._switches.callback_retries:
            emission.state = "failed"
        else:
            self._queue_in(self._switches.callback_retry_pause, emission)

    def read(self, *, corp: str = "", since: int = 0) -> JsonObject:
        """What was emitted, in order, and how many callbacks are still under way."""
        with self._ready:
            emissions = list(self._emissions)
        waiting = sum(each.state == "waiting" for each in emissions)
        told = [each.as_json() for each in emissions if each.n > since and corp in ("", each.corp.corp)]
        return {"waiting": waiting, "callbacks": told}


def signed_url(spec: CorpSpec, callback: Callback, *sealed: str, **more: str) -> str:
    """The URL of one call: signed over the ciphertext, or without one as the old scheme does.

    The time is the real one, not the simulated: the app compares it with its own clock.
    """
    stamp, nonce = str(int(time.time())), str(random.SystemRandom().randrange(10**9, 10**10))
    name = "msg_signature" if sealed else "signature"
    signature = sign(spec.callback_token, stamp, nonce, *sealed)
    query = urlencode({name: signature, "timestamp": stamp, "nonce": nonce} | more)
    return f"{callback.url}{'&' if '?' in callback.url else '?'}{query}"


def verify(spec: CorpSpec, callback: Callback, *, seconds: float) -> None:
    """Ask the URL to decrypt a random number, as WeCom does before it saves it. Raises ValueError."""
    address = urlsplit(callback.url)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise ValueError("url must be an http or https address")
    if callback.mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}")
    wanted = str(random.SystemRandom().randrange(10**18, 10**19))
    if callback.mode == "encrypted":
        sealed = encrypt(wanted.encode(), aes_key=spec.aes_key, receiveid=spec.corp)
        heard = _ask(signed_url(spec, callback, sealed, echostr=sealed), None, seconds)
    else:
        heard = _ask(signed_url(spec, callback, echostr=wanted), None, seconds)
    if heard.error:
        raise ValueError(f"the URL was not verified: {heard.error}")
    if heard.status != 200:
        raise ValueError(f"the URL was not verified: it answered HTTP {heard.status}")
    if heard.body != wanted.encode():
        raise ValueError(f"the URL was not verified: it answered {heard.body[:60]!r}, not the echostr's text")


def _ask(url: str, body: bytes | None, seconds: float) -> Heard:
    """One exchange that must be over within `seconds`, the whole of it."""
    started = time.monotonic()
    asked = urllib.request.Request(url, body, {"Content-Type": "text/xml"} if body is not None else {})
    try:
        with _HTTP.open(asked, timeout=seconds) as answer:
            status, told, error = answer.status, answer.read(_LARGEST_ANSWER), ""
    except urllib.error.HTTPError as refused:
        with refused:
            status, told, error = refused.code, b"", ""
    except (OSError, ValueError, HTTPException) as failed:
        status, told, error = 0, b"", str(failed) or type(failed).__name__
    took = time.monotonic() - started
    if not error and took > seconds:
        error = f"answered after {took:.1f} s"
    return Heard(status, told, error, took)
