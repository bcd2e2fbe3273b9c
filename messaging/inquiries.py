"""Mass sends whose answer was lost: the provider is asked whether it made them. Nothing is sent from here.

Only one that can be nothing else settles it; what the provider does not know stays for a person to decide.
"""

import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from crm.connections import open_provider
from crm.models import Agent
from crm.providers import DIALECTS
from crm.providers.base import Capability, Provider
from crm.providers.errors import BadCredential, ProviderError, RateLimited, Unavailable
from crm.providers.records import SendReceipt
from messaging import results
from messaging.models import Attempt, Delivery, Message
from messaging.states import State, close_ended, locked, move, update_locked

log = logging.getLogger("renmai.delivery")

PER_TURN: Final = 20
# How far the provider's clock may be from ours; until then a mass send that is there may not be listed.
MARGIN: Final = timedelta(minutes=10)
PAUSE: Final = timedelta(minutes=1)
GIVE_UP_AFTER: Final = timedelta(days=7)  # mass sends of more than a month ago are not listed
LONGEST_WAIT: Final = timedelta(hours=1)  # from the claim of an attempt to its first word
UNKNOWN_THERE: Final = "no_such_send"
SEVERAL: Final = "several_sends"
WORDS: Final = {
    UNKNOWN_THERE: "The provider knows no such mass send.",
    SEVERAL: "The provider knows several mass sends that this can be.",
}


def ask_about_lost(*, turn_s: float = results.TURN_S) -> int:
    """Ask about the lost mass sends that are due, oldest first; returns how many deliveries were settled.

    An agent whose line is down is left alone after its first one.
    """
    began = time.monotonic()
    lines: dict[int, Provider] = {}
    down: set[int] = set()
    settled = 0
    for attempt in _due():
        agent = attempt.message.agent
        if agent.pk in down:
            continue
        if time.monotonic() - began > turn_s:
            break
        _ask_later(attempt)
        try:
            if agent.pk not in lines:
                lines[agent.pk] = open_provider(agent, patience_s=results.PACE_PATIENCE_S)
            settled += _settle(attempt, _found(attempt, lines[agent.pk]))
        except ProviderError as error:
            log.warning("attempt %s is asked about later: %s", attempt.pk, error)
            if (
                isinstance(error, Unavailable | RateLimited | BadCredential)
                and error.errcode != results.STILL_DISPATCHED
            ):
                down.add(agent.pk)
        except Exception:
            log.exception("attempt %s could not be asked about", attempt.pk)
    return settled


def _due() -> Sequence[Attempt]:
    able = [name for name, each in DIALECTS.items() if Capability.FIND_MASS_MESSAGE in each.capabilities]
    now = timezone.now()
    lost = (
        _unanswered()
        .filter(
            Q(next_attempt_at__isnull=True) | Q(next_attempt_at__lte=now),
            attempt__spoke_at__gt=now - GIVE_UP_AFTER,
            attempt__msgid="",
            message__corp__dialect__in=able,
            message__corp__is_active=True,
        )
        .exclude(sender="")
    )
    ids = lost.order_by("attempt").values_list("attempt", flat=True).distinct()[:PER_TURN]
    return list(Attempt.objects.filter(pk__in=list(ids)).select_related("message__agent__corp"))


def _unanswered() -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=State.UNCERTAIN).exclude(code__in=WORDS)


def _ask_later(attempt: Attempt) -> None:
    """Less and less often."""
    now = timezone.now()
    wait = max(PAUSE, (now - attempt.spoke_at) / 5) if attempt.spoke_at else PAUSE
    update_locked(_unanswered().filter(attempt=attempt), next_attempt_at=now + wait)


def _found(attempt: Attempt, provider: Provider) -> list[SendReceipt]:
    """The mass sends that this can be, by content, time, sender and recipients."""
    assert attempt.spoke_at is not None
    begin, end = (int((attempt.spoke_at + side * MARGIN).timestamp()) for side in (-1, 1))
    return provider.find_mass_sends(
        bytes(attempt.body), to=attempt.to, sender=attempt.sender, begin=begin, end=end
    )


def _settle(attempt: Attempt, found: Sequence[SendReceipt]) -> int:
    """Write what `found` says; returns how many deliveries it settled."""
    with transaction.atomic():
        _take_turn(attempt)
        if _is_another_speaking(attempt):
            return 0
        ours = _unclaimed(attempt, found)
        rows = list(locked(_unanswered().filter(attempt=attempt)).select_related("message"))
        if len(ours) == 1:
            _believe(attempt, rows, ours[0])
        elif attempt.spoke_at and timezone.now() - attempt.spoke_at > MARGIN:
            _leave_to_a_person(rows, SEVERAL if ours else UNKNOWN_THERE)
    close_ended(Message.objects.filter(pk=attempt.message_id))
    return len(rows) if len(ours) == 1 else 0


def _take_turn(attempt: Attempt) -> None:
    """Of two that are asked about at once, both might take the same mass send."""
    agents = Agent.objects.filter(corp=attempt.message.corp_id).order_by("pk")
    agents.select_for_update(no_key=True).first()


def _near(attempt: Attempt) -> QuerySet[Attempt]:
    """The attempts of the corp whose mass sends may be listed together with that of `attempt`, itself left out."""
    assert attempt.spoke_at is not None
    since = attempt.spoke_at - MARGIN - LONGEST_WAIT
    near = Attempt.objects.filter(message__corp=attempt.message.corp_id, started_at__gte=since)
    return near.exclude(pk=attempt.pk)


def _is_another_speaking(attempt: Attempt) -> bool:
    """What is being made at this moment is listed before we know its msgid."""
    return _near(attempt).filter(sender=attempt.sender, finished_at__isnull=True).exists()


def _unclaimed(attempt: Attempt, found: Sequence[SendReceipt]) -> list[SendReceipt]:
    """Those of which no other attempt of ours is known to be the origin."""
    msgids = {each.msgid for each in found}
    known = set(_near(attempt).filter(msgid__in=msgids).values_list("msgid", flat=True))
    return [each for each in found if each.msgid not in known]


def _believe(attempt: Attempt, rows: Sequence[Delivery], receipt: SendReceipt) -> None:
    """It is there: its results are asked for as if the answer had come."""
    if not rows:
        return
    Attempt.objects.filter(pk=attempt.pk).update(msgid=receipt.msgid)
    refused = {each.to: each for each in receipt.refused}
    reason = f"The provider knows it as {receipt.msgid}."
    move(
        [row for row in rows if row.to not in refused],
        leaving=State.UNCERTAIN,
        to=State.ACCEPTED,
        reason=reason,
        is_last_word=False,
        msgid=receipt.msgid,
        errcode=0,
        code="",
        errmsg="",
        next_attempt_at=timezone.now(),
    )
    for row in rows:
        if why := refused.get(row.to):
            move(
                [row],
                leaving=State.UNCERTAIN,
                to=State.FAILED,
                reason=reason,
                errcode=why.errcode,
                code=why.code,
                errmsg=why.errmsg,
                next_attempt_at=None,
            )
    Message.objects.filter(pk=attempt.message_id).update(state=Message.State.OPEN)


def _leave_to_a_person(rows: Sequence[Delivery], code: str) -> None:
    pks = [row.pk for row in rows]
    Delivery.objects.filter(pk__in=pks, state=State.UNCERTAIN).update(
        code=code, errcode=None, errmsg=WORDS[code], next_attempt_at=None, updated_at=timezone.now()
    )
