"""A worker's turn with the greetings: several calls at a time, so that one that hangs keeps no other waiting."""

import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from django.utils import timezone

from crm.connections import first_agent, open_provider
from crm.providers import content as contents
from crm.providers.base import Provider
from crm.providers.errors import ProviderError, Refused
from crm.queue import is_stopping, ring
from messaging import greetings, media
from messaging.desk import Desk, Silenced
from messaging.greetings import Hand
from messaging.models import Greeting, Welcome
from messaging.turn import crashed, insist

log = logging.getLogger("renmai.greetings")

TURN_S: Final = 45.0
CALLS: Final = 10
LONGEST_WAIT_S: Final = 2.0  # for what is due later the sweep rings
TICK_S: Final = 0.3  # while calls are under way: somebody else may have come
PACE_PATIENCE_S: Final = 2.0
UPLOAD_PATIENCE_S: Final = 0.5  # for the upload of another worker: the other greetings wait meanwhile


def greet(turn_s: float = TURN_S) -> None:
    """Say what is due, and what becomes due meanwhile."""
    Turn().run(turn_s)
    if (wait_s := greetings.soonest()) is not None and wait_s <= 0:
        ring("messaging.tasks.greet", lane=greetings.LANE)


def keep_files() -> int:
    """Upload the files of the welcomes in use before the provider forgets them: a greeting has no time for it."""
    number = 0
    welcomes = Welcome.objects.active().filter(corp__is_active=True)
    for welcome in welcomes.select_related("corp", "template"):
        content = contents.parse(welcome.template.content)
        if not media.file_ids(content.as_json()):
            continue
        try:
            media.with_fresh_media(content, open_provider(first_agent(welcome.corp)), welcome.corp)
            number += 1
        except ProviderError as error:
            log.warning("a file of the welcome %s could not be uploaded: %s", welcome.pk, error)
    return number


class Turn:
    """The thread that makes it owns the database; the calls are made by others (see messaging/desk.py)."""

    def __init__(self) -> None:
        self._desk: Desk[Hand] = Desk(self._call, self._speak)
        self._providers: dict[int, Provider] = {}

    def run(self, turn_s: float) -> None:
        until = time.monotonic() + turn_s
        try:
            while self._step(until):
                pass
        finally:
            while self._desk.flying:
                self._end(self._desk.serve())
            self._desk.close()

    def _step(self, until: float) -> bool:
        """Whether there is more to do."""
        insist(greetings.expire)
        may_begin = not is_stopping() and time.monotonic() < until
        if may_begin:
            for hand in insist(partial(greetings.claim, CALLS - self._desk.flying)):
                self._start(hand)
        if self._desk.flying:
            self._end(self._desk.serve(TICK_S))
            return True
        wait_s = greetings.soonest() if may_begin else None
        if wait_s is None or wait_s > LONGEST_WAIT_S:
            return False
        time.sleep(max(wait_s, 0.02))
        return True

    def _start(self, hand: Hand) -> None:
        """References to files become media_ids here, where the database is; they are fresh as a rule."""
        corp = hand.greeting.corp
        try:
            hand.provider = self._provider(hand.greeting)
            hand.content = media.with_fresh_media(
                hand.content, hand.provider, corp, patience_s=UPLOAD_PATIENCE_S
            )
        except ProviderError as error:
            self._finish(hand, _unsaid(error))
        except Exception as error:
            log.exception("greeting %s cannot be made ready", hand.attempt_id)
            self._finish(hand, crashed(error))  # of this one alone: the others go on
        else:
            self._desk.start(hand)

    def _provider(self, greeting: Greeting) -> Provider:
        """The app that was given the code; another one may not have the right to welcome people."""
        agent = greeting.callback.agent if greeting.callback else None
        agent = agent or first_agent(greeting.corp)
        if agent.pk not in self._providers:
            self._providers[agent.pk] = open_provider(
                agent,
                patience_s=PACE_PATIENCE_S,
                most_s=greetings.LONGEST_CALL_S,
                ask=lambda work: self._desk.ask(partial(insist, work)),
            )
        return self._providers[agent.pk]

    def _call(self, hand: Hand) -> ProviderError | Silenced | None:
        """In a thread, which must not touch the database."""
        provider = hand.provider
        assert provider is not None
        try:
            content = provider.prepare(hand.content, to_kind="contact")
            hand.body = provider.welcome_body(content, welcome_code=hand.greeting.welcome_code)
        except ProviderError as error:
            return _unsaid(error)
        except Exception as error:
            log.exception("greeting %s cannot be written", hand.attempt_id)
            return crashed(error)
        try:
            provider.send_welcome(hand.body, on_speak=partial(self._desk.ask_to_speak, hand))
        except (ProviderError, Silenced) as told:
            return told
        except Exception as error:
            log.exception("greeting %s broke", hand.attempt_id)
            failure = crashed(error)
            failure.outcome = "unknown" if hand.has_spoken else "not_done"
            return failure
        return None

    def _speak(self, hands: Sequence[Hand]) -> Mapping[int, Silenced]:
        return {hand.attempt_id: Silenced() for hand in hands if not insist(partial(greetings.speak, hand))}

    def _end(self, ended: Sequence[tuple[Hand, Any]]) -> None:
        for hand, result in ended:
            if isinstance(result, Silenced):
                insist(partial(greetings.release, hand))
            else:
                self._finish(hand, result)

    def _finish(self, hand: Hand, error: ProviderError | None) -> None:
        row = hand.greeting
        if isinstance(error, Refused) and row.content:
            error = insist(partial(media.mended, error, row.content, row.corp, hand.body))
        insist(partial(greetings.finish, hand, error))
        took_s = (timezone.now() - row.created_at).total_seconds()
        log.info(
            "greeting %s of %s, try %d, after %.1f s: %s",
            row.pk, row.userid, row.attempts, took_s, error or "accepted",
        )  # fmt: skip


def _unsaid(error: ProviderError) -> ProviderError:
    """Whatever became of an upload, the greeting behind it was not said."""
    error.outcome = "not_done"
    return error
