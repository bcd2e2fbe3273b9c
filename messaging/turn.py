"""A worker's turn with one message: several calls at a time, what they need of the database in few statements."""

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from typing import Final, TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from crm.connections import open_provider
from crm.logs import redact
from crm.providers import DIALECTS
from crm.providers.answers import scrub
from crm.providers.base import Capability, Provider
from crm.providers.content import Content, parse
from crm.providers.errors import BadCredential, ProviderError, RateLimited, Refused, Unavailable
from crm.providers.records import SendReceipt
from crm.queue import is_stopping
from crm.threads import Ask, here
from messaging.claims import Batch, called_off, claim, hold_on, release, speak
from messaging.desk import Desk, Silenced
from messaging.media import mended, with_fresh_media
from messaging.models import Message
from messaging.outcomes import Result, lost, record

T = TypeVar("T")

log = logging.getLogger("renmai.delivery")

# A longer wait for the pace goes back to the queue instead of using up the lease.
PACE_PATIENCE_S: Final = 5.0
DUPLICATE_CHECK_S: Final = 1800
DUPLICATE_CHECK_SPREAD: Final = 12_000  # with the above within the four hours that WeCom takes
REPEATABLE_S: Final = DUPLICATE_CHECK_S - 300  # clocks differ, and a request takes its time
CRASHED: Final = "crashed"  # by a fault of ours, which says nothing of the line
LINE_DOWN: Final = (Unavailable, RateLimited, BadCredential)
LOOK_AGAIN_S: Final = 1.0  # a pause and a cancel act within five seconds (guarantees M8)
# What a lost worker has claimed and not begun waits for the end of its lease: not too much of it.
LARGEST_HAND: Final = 64
DATABASE_PAUSES_S: Final = (0.1, 0.5, 2.0, 4.0, 8.0)  # a restart of the database takes a few seconds


class Line:
    """The line to a message's provider."""

    def __init__(self, message: Message, ask: Ask = here) -> None:
        self.message = message
        self._ask = ask
        self._content: Content | ProviderError | None = None

    @cached_property
    def provider(self) -> Provider:
        return open_provider(self.message.agent, patience_s=PACE_PATIENCE_S, ask=self._ask)

    def prepare(self) -> None:
        """Make the uploads that the content needs. A failure is one of each batch: `write` raises it."""
        try:
            content = with_fresh_media(parse(self.message.content), self.provider, self.message.agent.corp)
            self._content = self.provider.prepare(content, to_kind=self.message.to_kind)
        except ProviderError as error:
            error.outcome = "not_done"  # whatever became of an upload, the send behind it was not made
            self._content = error
        except Exception as error:
            log.exception("message %s cannot be made ready", self.message.pk)
            self._content = crashed(error)

    @property
    def repeatable_s(self) -> float:
        """How long the provider swallows what it has had already."""
        to_employees = self.message.to_kind != Message.ToKind.CONTACT
        return (
            REPEATABLE_S if to_employees and Capability.DUPLICATE_CHECK in self.provider.capabilities else 0
        )

    @property
    def most(self) -> int:
        client = DIALECTS.get(self.message.agent.corp.dialect)
        return client.recipients_per_send.get(self.message.to_kind, 1000) if client else 1000

    def write(self, batch: Batch) -> bytes:
        """The bytes of a call; no network."""
        if not isinstance(self._content, Content):
            raise self._content or Unavailable("The message was not made ready.", code=CRASHED)
        try:
            return self._written(batch, self._content)
        except ProviderError:
            raise
        except Exception as error:
            log.exception("attempt %s cannot be written", batch.attempt_id)
            raise crashed(error) from None  # of this batch alone: the others go on

    def _written(self, batch: Batch, content: Content) -> bytes:
        # Another number for each attempt: the provider swallows the same request, not the same words twice.
        interval = DUPLICATE_CHECK_S + batch.attempt_id % DUPLICATE_CHECK_SPREAD
        return self.provider.body(
            content,
            to_kind=self.message.to_kind,
            to=batch.to,
            sender=batch.sender,
            duplicate_check_s=interval if self.repeatable_s else 0,
        )

    def post(self, batch: Batch, on_speak: Callable[[], None]) -> SendReceipt:
        """`on_speak`: with token and pace in hand; until then a lost worker is certain to have sent nothing."""
        return self.provider.send(batch.body, to_kind=self.message.to_kind, to=batch.to, on_speak=on_speak)


class CalledOff(Silenced):
    """Somebody paused, cancelled or opted out since it was claimed, or this worker ends: it goes back."""


class LeaseLost(Silenced):
    """Before a byte was sent the lease lapsed, and the deliveries went back to the queue."""


class Turn:
    """The first call is made alone; while the line is fine, more and more are under way at the same time."""

    def __init__(self, message: Message) -> None:
        self._message = message
        self._desk: Desk[Batch] = Desk(self._call, self._speak)
        self._line = Line(message, self._ask)
        self._ready: deque[Batch] = deque()
        self._held: dict[int, Batch] = {}  # by attempt: what is claimed and not ended
        self._off: set[int] = set()  # attempts that must not speak
        self._looked_at = time.monotonic()
        self._hand = 1  # calls to claim with the next statement
        self._at_once = 1  # calls that may be under way; each success lets in one more
        self._is_dry = False
        self.trouble: ProviderError | None = None  # the line is down, or no worker may use it now

    def run(self, turn_s: float) -> bool:
        """Send what is due, for about `turn_s` seconds; whether there may be more."""
        until = time.monotonic() + turn_s
        self._line.prepare()
        try:
            self._work(until)
        except Exception:
            self._land()
            raise
        finally:
            self._desk.close()
        return not self._is_dry

    def _work(self, until: float) -> None:
        self._claim()
        while self._ready or self._desk.flying:
            self._step()
            if self.trouble or is_stopping():
                self._lay_down()
            elif not self._is_dry and len(self._ready) < self._at_once and time.monotonic() < until:
                self._claim()

    def _land(self) -> None:
        """Hear what is under way, whatever else went wrong: an answer that nobody hears is an uncertain delivery."""
        with suppress(Exception):  # the first fault is the one to be told
            self._lay_down()
        while self._desk.flying:
            self._end(self._desk.serve())

    def _ask(self, work: Callable[[], T], /) -> T:
        return self._desk.ask(partial(insist, work))

    def _claim(self) -> None:
        # What was claimed though its commit was not heard of goes back when its lease lapses.
        hand = partial(claim, self._message, most=self._line.most, calls=self._hand, write=self._line.write)
        batches = insist(hand)
        self._is_dry = not batches
        self._hand = min(2 * self._hand, LARGEST_HAND)
        self._held |= {each.attempt_id: each for each in batches}
        self._ready.extend(each for each in batches if each.trouble is None)
        self._end([(each, each.trouble) for each in batches if each.trouble is not None])

    def _step(self) -> None:
        if not self._desk.flying and (self._at_once == 1 or len(self._ready) == 1):
            batch = self._ready.popleft()
            self._end([(batch, self._call(batch))])
            return
        while self._ready and self._desk.flying < self._at_once:
            self._desk.start(self._ready.popleft())
        self._end(self._desk.serve())

    def _call(self, batch: Batch) -> Result | Silenced:
        """One call, whatever happens: the worker's edge. Perhaps in a thread, which must not touch the database."""
        try:
            return self._line.post(batch, partial(self._desk.ask_to_speak, batch))
        except (ProviderError, Silenced) as error:
            return error
        except Exception as error:
            log.exception("attempt %s broke", batch.attempt_id)
            return crashed(error, batch)

    def _speak(self, batches: Sequence[Batch]) -> Mapping[int, Silenced]:
        """Who must not speak, and why."""
        off = self._called_off(batches)
        speaking = [each for each in batches if each.attempt_id not in off]
        taken = insist(partial(speak, speaking, repeatable_s=self._line.repeatable_s)) if speaking else ()
        return {**dict.fromkeys(off, CalledOff()), **dict.fromkeys(taken, LeaseLost())}

    def _called_off(self, batches: Sequence[Batch]) -> set[int]:
        """Looked at again a while after the claim: uploads, the pace and the calls before may have taken their time."""
        if time.monotonic() > self._looked_at + LOOK_AGAIN_S:
            self._looked_at = time.monotonic()
            insist(partial(hold_on, list(self._held.values())))
            self._off |= insist(partial(called_off, self._message, list(self._held.values())))
        return self._off.intersection(each.attempt_id for each in batches)

    def _end(self, results: Sequence[tuple[Batch, Result | Silenced]]) -> None:
        for batch, _ in results:
            self._held.pop(batch.attempt_id, None)
        if off := [batch for batch, result in results if isinstance(result, CalledOff)]:
            insist(partial(release, off))
        late = [(batch, _late(batch)) for batch, result in results if isinstance(result, LeaseLost)]
        heard = [(each, self._heard(each, told)) for each, told in results if not isinstance(told, Silenced)]
        insist(partial(record, [*heard, *late]))
        for _, result in heard:
            if isinstance(result, SendReceipt):
                self._at_once = min(self._at_once + 1, settings.CRM_SEND_CALLS)
            elif isinstance(result, LINE_DOWN) and result.code != CRASHED:
                self._at_once = 1
                self.trouble = result if result.outcome == "not_done" else self.trouble

    def _heard(self, batch: Batch, result: Result) -> Result:
        if isinstance(result, Refused):
            corp = self._message.agent.corp
            return insist(partial(mended, result, self._message.content, corp, batch.body))
        return result

    def _lay_down(self) -> None:
        """Give back what is not begun. What cannot be given back now goes back when its lease lapses."""
        waiting, self._ready = list(self._ready), deque()
        self._end([(batch, CalledOff()) for batch in waiting])


def _late(batch: Batch) -> ProviderError:
    log.warning("attempt %s lost its lease before it spoke", batch.attempt_id)
    return Unavailable("The lease ran out before anything was sent.", code="timeout")


def crashed(error: Exception, batch: Batch | None = None) -> ProviderError:
    return lost(scrub(redact(f"{type(error).__name__}: {error}")), code=CRASHED, batch=batch)


def insist(work: Callable[[], T]) -> T:
    """`work`, which does no harm twice, again where the database is away for a moment.

    An answer of the provider that could not be written would be lost, and its deliveries uncertain.
    """
    for pause_s in DATABASE_PAUSES_S:
        if connection.in_atomic_block:
            break
        try:
            return work()
        except (OperationalError, InterfaceError) as error:
            log.warning("the database failed, again in %.1f s: %s", pause_s, error)
            connection.close()
        time.sleep(pause_s)
    return work()
