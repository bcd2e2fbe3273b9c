"""The later word on sends: an employee confirmed a mass send, a work notification arrived, and whom it reached."""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Min, QuerySet
from django.utils import timezone

from crm.connections import open_provider
from crm.models import Agent
from crm.providers.base import Provider
from crm.providers.errors import BadCredential, ProviderError, RateLimited, Unavailable
from crm.providers.records import SendResult
from messaging.models import Delivery, Errand, Message
from messaging.states import State, close_ended, locked, move, update_locked

log = logging.getLogger("renmai.delivery")

LANE: Final = "poll"  # a worker of its own: a provider that does not answer keeps no send waiting
TURN_S: Final = 45.0
TASKS_PER_CALL: Final = 100
PACE_PATIENCE_S: Final = 5.0
# How long to leave a task alone, by its age: most are confirmed soon or late.
PAUSES: Final = (
    (timedelta(hours=1), timedelta(0)),
    (timedelta(days=1), timedelta(minutes=10)),
    (timedelta.max, timedelta(hours=1)),
)
# An employee may have confirmed a moment before the stop, and the result not say so yet.
STOP_SETTLES: Final = timedelta(minutes=5)
GIVE_UP_AFTER: Final = timedelta(days=30)
LINE_DOWN_PAUSE: Final = timedelta(minutes=1)
STILL_DISPATCHED: Final = 41063  # of this task; any other Unavailable is of the line
REASONS: Final = {
    "not_friend": "The contact has removed this employee.",
    "over_cap": "The contact has already got as many mass messages as the provider allows.",
    "stopped": "The mass send was stopped before the employee confirmed it.",
    "never_confirmed": "The employee did not confirm it within 30 days.",
    "never_told": "The provider took it, and within a day never said whether it arrived.",
    "minute_limit": "The provider left this one out: too many messages in a minute.",
    "day_limit": "The provider left this one out: too many messages to one person in a day.",
    "same_today": "The provider left this one out: the same content was sent to this person today.",
    "forbidden_content": "The provider blocked the content.",
    "protected": "The provider protects this person from messages.",
    "left_out": "The provider left this one out and did not say why.",
    "invalid_user": "The provider does not know this employee, or the app cannot see them.",
    "not_delivered": "The provider could not deliver it.",
}


@dataclass(frozen=True, slots=True)
class Task:
    """A mass send that waits for its employee, with those of its recipients that we wait for."""

    agent_id: int
    msgid: str
    sender: str
    accepted_at: datetime

    def waiting(self) -> QuerySet[Delivery]:
        return _waiting().filter(message__agent=self.agent_id, msgid=self.msgid, sender=self.sender)

    def is_told_no_more(self, provider: Provider) -> bool:
        ends = provider.results_end_s
        return ends is not None and timezone.now() - self.accepted_at > timedelta(seconds=ends)

    def is_given_up(self) -> bool:
        return timezone.now() - self.accepted_at > GIVE_UP_AFTER


def poll_results(*, turn_s: float = TURN_S) -> int:
    """Ask for the results that are due, longest unasked first; returns how many got their last word.

    An agent whose line is down is left alone after its first task: the others must not wait for each timeout.
    """
    began = time.monotonic()
    tasks = _due_tasks()
    agents = Agent.objects.select_related("corp").in_bulk({task.agent_id for task in tasks})
    lines: dict[int, Provider] = {}
    down: set[int] = set()
    found = 0
    for task in tasks:
        if task.agent_id in down:
            continue
        try:
            if task.agent_id not in lines:
                lines[task.agent_id] = open_provider(agents[task.agent_id], patience_s=PACE_PATIENCE_S)
            found += _ask(task, lines[task.agent_id])
        except Exception as error:
            is_ours = not isinstance(error, ProviderError)
            log.warning("results of agent %s wait: %s", task.agent_id, error, exc_info=is_ours)
            down.add(task.agent_id)
            _leave_alone(task.agent_id)
        if time.monotonic() - began > turn_s:
            break
    return found


def _ask(task: Task, provider: Provider) -> int:
    """Ask for one result; raises when it is the line that failed and not this task."""
    update_locked(task.waiting(), next_attempt_at=_next_poll(task))
    told: list[SendResult] = []
    try:
        told = list(provider.result(task.msgid, sender=task.sender))
    except ProviderError as error:
        if isinstance(error, Unavailable | RateLimited | BadCredential) and error.errcode != STILL_DISPATCHED:
            raise
        log.info("no result of %s yet: %s", task.msgid, error)
    except Exception:
        log.exception("the result of %s could not be read", task.msgid)
    found = _record(task, told)
    if task.is_told_no_more(provider):
        return found + _take_as_accepted(task)
    if _is_stopped(task):
        return found + _refuse_waiting(task, "stopped")
    return found + _refuse_waiting(task, "never_confirmed") if task.is_given_up() else found


def _is_stopped(task: Task) -> bool:
    """Whether the mass send was stopped so long ago that its result has the last confirmations."""
    done = Errand.objects.filter(kind=Errand.Kind.STOP, state=Errand.State.DONE, msgid=task.msgid)
    return done.filter(message__agent=task.agent_id, ended_at__lte=timezone.now() - STOP_SETTLES).exists()


def _leave_alone(agent_id: int) -> None:
    """Let the others have their turn next time: the tasks of this agent would come first again."""
    now = timezone.now()
    due = _waiting().filter(message__agent=agent_id, next_attempt_at__lte=now).exclude(msgid="")
    update_locked(due, next_attempt_at=now + LINE_DOWN_PAUSE)


def _waiting() -> QuerySet[Delivery]:
    return Delivery.objects.filter(state=State.ACCEPTED, is_last_word=False, message__corp__is_active=True)


def _due_tasks() -> list[Task]:
    groups = (
        _waiting()
        .exclude(msgid="")
        .filter(next_attempt_at__lte=timezone.now())
        .order_by()
        .values("message__agent_id", "msgid", "sender")
        .annotate(asked_at=Min("next_attempt_at"), accepted_at=Min("attempt__finished_at"))
        .order_by("asked_at")[:TASKS_PER_CALL]
    )
    now = timezone.now()
    return [
        Task(each["message__agent_id"], each["msgid"], each["sender"], each["accepted_at"] or now)
        for each in groups
    ]


def _next_poll(task: Task) -> datetime:
    now = timezone.now()
    return now + next(pause for age, pause in PAUSES if now - task.accepted_at < age)


def _record(task: Task, results: Iterable[SendResult]) -> int:
    told = {each.to: each for each in results if each.state != "waiting"}
    if not told:
        return 0
    with transaction.atomic():
        rows = list(locked(task.waiting()).select_related("message"))
        known = [row for row in rows if row.to in told]
        _move([row for row in known if told[row.to].state == "delivered"], State.DELIVERED)
        refused = [row for row in known if told[row.to].state == "refused"]
        for reason in dict.fromkeys(told[row.to].reason for row in refused):
            _move([row for row in refused if told[row.to].reason == reason], State.REFUSED, reason)
    close_ended(Message.objects.filter(pk__in={row.message_id for row in known}))
    return len(known)


def _refuse_waiting(task: Task, reason: str) -> int:
    """Nobody will confirm it any more: the provider is asked no further."""
    with transaction.atomic():
        rows = list(locked(task.waiting()).select_related("message"))
        _move(rows, State.REFUSED, reason)
    close_ended(Message.objects.filter(pk__in={row.message_id for row in rows}))
    return len(rows)


def _take_as_accepted(task: Task) -> int:
    """The provider tells nothing any more: that it took the message is the last word."""
    with transaction.atomic():
        rows = list(task.waiting().select_for_update(of=("self",)))
        told = {"code": "never_told", "errmsg": REASONS["never_told"]}
        task.waiting().filter(pk__in=[row.pk for row in rows]).update(
            is_last_word=True, next_attempt_at=None, updated_at=timezone.now(), **told
        )
    close_ended(Message.objects.filter(pk__in={row.message_id for row in rows}))
    return len(rows)


def _move(rows: list[Delivery], to: State, reason: str = "") -> None:
    fields = {"code": reason, "errmsg": REASONS.get(reason, reason)} if reason else {}
    move(rows, leaving=State.ACCEPTED, to=to, next_attempt_at=None, **fields)
