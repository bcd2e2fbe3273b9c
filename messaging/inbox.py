"""What the provider called to say: kept once, worked out once. A call is a bell; what it makes us read is the truth."""

import hashlib
import logging
import re
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from contacts import reading, runs
from contacts.models import SyncRun
from crm.connections import can
from crm.errors import Conflict
from crm.events import event, record
from crm.models import Agent, Corp
from crm.providers.base import Capability
from crm.providers.errors import BadCredential, ProviderError
from crm.providers.records import LIMITS, Notice
from crm.queue import is_idle, is_stopping, ring
from crm.retry import backoff_s
from messaging import clicks, greetings, received
from messaging.models import Callback
from messaging.models.callbacks import FROM_PEOPLE
from messaging.states import grouped

log = logging.getLogger("renmai.callbacks")

LANE: Final = "inbox"  # a worker of its own: an event acts while syncs and sends wait for a slow provider
ACTOR: Final = "callback"
TURN_S: Final = 45.0
AT_ONCE: Final = 500
HELD: Final = timedelta(minutes=2)  # longer than one read may take, its waits included
MAX_TRIES: Final = 8
BUSY_S: Final = 5.0  # a sync is at it
KIND_LENGTH: Final = 128
KEPT: Final = timedelta(days=30)
BELLS_PER_SWEEP: Final = 20

State = Callback.State
# The first word of a kind, and what it makes us read.
CONTACT, TAGS, DIRECTORY = "change_external_contact", "change_external_tag", "change_contact"
EMPLOYEE = "employee"
_NEW_USERID: Final = re.compile(r"<NewUserID>\s*(?:<!\[CDATA\[)?([^\]<\s]+)")
_DAMAGE: Final = str.maketrans("", "", "\0")


class Subject(NamedTuple):
    """What to read again, and which one of it."""

    what: str
    ident: str = ""


def accept(agent: Agent, notice: Notice) -> bool:
    """Keep a genuine call; False when it was here before. Committed when this returns: then it may be answered."""
    with transaction.atomic():
        row, is_new = Callback.objects.get_or_create(
            corp=agent.corp,
            digest=hashlib.sha256(notice.identity).hexdigest(),
            defaults={
                "agent": agent,
                "kind": _fitting(notice.kind, KIND_LENGTH),
                "userid": _fitting(notice.userid, LIMITS["userid"]),
                "external_userid": _fitting(notice.external_userid, LIMITS["external_userid"]),
                "body": notice.text,
            },
        )
        if notice.kind in FROM_PEOPLE:
            if is_new:
                _tell_received(row, notice)
                received.expect_file(row, notice.fields)
            return is_new
        if is_new:
            greetings.expect(row, notice)
        else:
            _queue_again(row)
        if is_idle(LANE):
            ring("messaging.tasks.handle_callbacks", agent.corp_id, lane=LANE)
    return is_new


def _queue_again(row: Callback) -> None:
    """Calls count whole seconds: a second change within one is told in the same words, after the first was read."""
    again = Callback.objects.filter(pk=row.pk).exclude(state=State.IGNORED)
    again.update(state=State.QUEUED, next_attempt_at=timezone.now(), handled_at=None)


def _fitting(text: str, most: int) -> str:
    return text.translate(_DAMAGE)[:most]


def _tell_received(row: Callback, notice: Notice) -> None:
    told = {"kind": [None, row.kind], "userid": [None, row.userid]}
    if content := notice.fields.get("Content", "").translate(_DAMAGE):
        told["content"] = [None, content]
    record([event("message.received", "callback", row.pk, actor=ACTOR, corp_id=row.corp_id, changes=told)])
    Callback.objects.filter(pk=row.pk).update(**_ended(State.DONE))


def handle(corp_id: int, *, turn_s: float = TURN_S) -> None:
    """Read again what the queued calls of a corp are about, each once however many there are."""
    corp, until = Corp.objects.get(pk=corp_id), time.monotonic() + turn_s
    while groups := grouped(_due(corp)[:AT_ONCE], lambda row: _subject(corp, row)):
        for subject, rows in groups.items():
            _work_out(corp, subject, rows)
            if time.monotonic() > until or is_stopping():
                ring("messaging.tasks.handle_callbacks", corp_id, lane=LANE)
                return


def _due(corp: Corp) -> QuerySet[Callback]:
    due = Callback.objects.filter(state=State.QUEUED, next_attempt_at__lte=timezone.now())
    return due.filter(corp=corp, corp__is_active=True).defer("body").order_by("pk")


def _subject(corp: Corp, row: Callback) -> Subject | None:
    """None where nothing is to be read: what we do not know, and what we do not mirror."""
    kind = row.kind.partition(".")[0]
    if kind in (TAGS, DIRECTORY):
        return Subject(kind)
    if kind == clicks.KIND:
        return Subject(kind, str(row.pk))
    if kind != CONTACT:
        return None
    if can(corp, Capability.READ_CONTACT):
        return Subject(CONTACT, row.external_userid) if row.external_userid else None
    return Subject(EMPLOYEE, row.userid) if row.userid else None


def _work_out(corp: Corp, subject: Subject | None, rows: Sequence[Callback]) -> None:
    until = timezone.now() + HELD
    mine = _claim(rows, until)
    if not mine:
        return
    # Without what was told once more meanwhile: that is due again.
    still = Callback.objects.filter(pk__among=mine, state=State.QUEUED, next_attempt_at=until)
    if subject is None:
        still.update(**_ended(State.IGNORED))
        return
    try:
        _read(corp, subject, mine)
    except Conflict as busy:
        log.info("%s of %s waits: %s", subject.what, corp.corpid, busy)
        later = timezone.now() + timedelta(seconds=BUSY_S)
        still.update(next_attempt_at=later, attempts=F("attempts") - 1)
    except ProviderError as error:
        log.warning("%s of %s could not be read: %s", subject.what, corp.corpid, error)
        _put_off(still, rows[0].attempts + 1, error)
    else:
        still.update(**_ended(State.DONE))


def _claim(rows: Sequence[Callback], until: datetime) -> list[int]:
    """Those of `rows` that no other worker has in hand. One whose worker dies is due again at `until`."""
    free = Callback.objects.filter(pk__among=[row.pk for row in rows], state=State.QUEUED)
    with transaction.atomic():
        locked = (
            free.filter(next_attempt_at__lte=timezone.now())
            .select_for_update(skip_locked=True)
            .order_by("pk")
        )
        mine = list(locked.values_list("pk", flat=True))
        free.filter(pk__among=mine).update(next_attempt_at=until, attempts=F("attempts") + 1)
    return mine


def _read(corp: Corp, subject: Subject, rows: Sequence[int]) -> None:
    if subject.what == CONTACT:
        reading.read_contact(corp, subject.ident, actor=ACTOR)
    elif subject.what == EMPLOYEE:
        runs.ask_for_run(corp, trigger=SyncRun.Trigger.CALLBACK, actor=ACTOR, userid=subject.ident)
    elif subject.what == clicks.KIND:
        clicks.note_click(int(subject.ident), actor=ACTOR)
    elif subject.what == TAGS:
        reading.read_tags(corp, actor=ACTOR)
    else:
        reading.read_directory(corp, actor=ACTOR, renamed=_renamed(rows))


def _renamed(rows: Sequence[int]) -> dict[str, str]:
    """{old userid: new userid} of what the calls `rows` tell of renamed employees."""
    told = Callback.objects.filter(pk__among=rows).order_by("pk").values_list("userid", "body")
    return {old: found[1] for old, body in told if (found := _NEW_USERID.search(body))}


def _put_off(rows: QuerySet[Callback], tries: int, error: ProviderError) -> None:
    told = {"code": error.code, "errcode": error.errcode, "errmsg": error.errmsg[: LIMITS["errmsg"]]}
    if tries >= MAX_TRIES or not (error.retryable or isinstance(error, BadCredential)):
        rows.update(**_ended(State.FAILED), **told)
    else:
        wait_s = max(backoff_s(tries), error.retry_after or 0)
        rows.update(next_attempt_at=timezone.now() + timedelta(seconds=wait_s), **told)


def _ended(state: Callback.State) -> dict[str, Any]:
    return {"state": state, "next_attempt_at": None, "handled_at": timezone.now()}


def replay(rows: QuerySet[Callback]) -> int:
    """Work out once more what ended; returns how many."""
    ended = rows.exclude(state=State.QUEUED).exclude(kind__in=FROM_PEOPLE)
    again = {"code": "", "errcode": None, "errmsg": "", "handled_at": None, "attempts": 0}
    corps = set(ended.order_by().values_list("corp_id", flat=True))
    number = ended.update(state=State.QUEUED, next_attempt_at=timezone.now(), **again)
    for corp_id in corps:
        ring("messaging.tasks.handle_callbacks", corp_id, lane=LANE)
    return number


def unattended() -> list[int]:
    """Corps with queued calls that are due: what a lost bell missed."""
    due = Callback.objects.filter(state=State.QUEUED, next_attempt_at__lte=timezone.now())
    found = due.filter(corp__is_active=True).order_by().values_list("corp_id", flat=True).distinct()
    return list(found[:BELLS_PER_SWEEP])


def forget_old() -> int:
    """Delete the calls that are older than 30 days and ended; returns how many."""
    old = Callback.objects.filter(received_at__lt=timezone.now() - KEPT).exclude(state=State.QUEUED)
    # What hangs on them is looked for, so they are loaded: without the bodies.
    return old.only("pk").delete()[1].get(Callback._meta.label, 0)
