"""Welcomes to who has just added an employee: written down with the call that tells of it, said once, within 20 s.

The code that the call brings opens once, and not after 20 seconds: so it can do no harm to say it again until then,
and nothing is said after. Rows only; the calls are made in messaging/greeter.py.
"""

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Coalesce
from django.utils import timezone

from contacts.models import Contact, Employee
from crm.connections import can
from crm.events import event, record
from crm.providers import DIALECTS
from crm.providers import content as contents
from crm.providers.base import Capability, Provider
from crm.providers.content import Content
from crm.providers.errors import AlreadyWelcomed, BadCredential, CodeExpired, ProviderError
from crm.providers.records import LIMITS, Notice
from crm.queue import is_idle, ring
from crm.retry import backoff_s
from messaging import templates
from messaging.models import Callback, Greeting, Welcome

log = logging.getLogger("renmai.greetings")

# A worker of its own: the reads of `inbox` wait for a slow provider, and these seconds do not come again.
LANE: Final = "welcome"
ADDED: Final = frozenset({f"change_external_contact.add_{half}external_contact" for half in ("", "half_")})
WINDOW: Final = timedelta(seconds=20)
SAFETY: Final = timedelta(seconds=2)  # a request takes its time, and CreateTime is in whole seconds
NAME_PATIENCE: Final = timedelta(seconds=6)  # the inbox reads the contact meanwhile
LOOK_AGAIN: Final = timedelta(milliseconds=400)
LONGEST_CALL_S: Final = 5.0
LEASE: Final = timedelta(seconds=LONGEST_CALL_S + 2)
LONGEST_PAUSE_S: Final = 4.0
MOST_TRIES_BUSY: Final = 3  # errcode -1: WeCom asks for no more (wecom.md 5.1)
CONTACT_PATIENCE: Final = timedelta(minutes=2)  # to stand in the timeline of a contact that is not read yet
AT_ONCE: Final = 200

CRASHED: Final = "crashed"
_BUSY, _BEING_SENT = -1, 41096
State = Greeting.State


def expect(callback: Callback, notice: Notice) -> bool:
    """Write down that somebody is to be greeted, in the caller's transaction; False when nobody is."""
    corp, code = callback.corp, notice.fields.get("WelcomeCode", "")
    if notice.kind not in ADDED or not code or not can(corp, Capability.WELCOME):
        return False
    state = notice.fields.get("State", "")
    welcome = Welcome.objects.for_arrival(corp, userid=callback.userid, state=state)
    if welcome is None:
        return False
    row = Greeting(
        corp=corp,
        welcome=welcome,
        callback=callback,
        external_userid=callback.external_userid,
        userid=callback.userid,
        employee=Employee.objects.filter(corp=corp, userid__iexact=callback.userid).first(),
        welcome_code=code,
        code_digest=hashlib.sha256(code.encode()).hexdigest(),
        deadline=_deadline(notice, callback.received_at),
        created_at=callback.received_at,
    )
    Greeting.objects.bulk_create([row], ignore_conflicts=True)
    if is_idle(LANE):
        ring("messaging.tasks.greet", lane=LANE)
    return True


def _deadline(notice: Notice, received_at: datetime) -> datetime:
    """How old the code was when we heard of it, its provider's clock tells alone: ours may be wrong by minutes.

    An age that cannot be counts for nothing: the provider itself refuses a code that is too old.
    """
    created = notice.fields.get("CreateTime", "")
    age = (
        timedelta(seconds=notice.told_at - int(created))
        if created.isascii() and created.isdigit()
        else WINDOW
    )
    if not timedelta(0) <= age < WINDOW:
        age = timedelta(0)
    return received_at + WINDOW - age - SAFETY


# --- A worker's turn ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Hand:
    """A greeting in `sending`, and what is to be said.

    `was_in_doubt`: an earlier try may have said it already. `was_being_sent`: the last one met another under way.
    """

    greeting: Greeting
    content: Content
    was_in_doubt: bool
    was_being_sent: bool
    has_spoken: bool = False
    body: bytes = b""
    provider: Provider | None = None

    @property
    def attempt_id(self) -> int:
        return self.greeting.pk


def claim(most: int) -> list[Hand]:
    """Take due greetings; what is not to be said ends here, and what waits for a name is due a little later."""
    if most < 1:
        return []
    with transaction.atomic():
        due = Greeting.objects.due().select_for_update(skip_locked=True, of=("self",))
        related = due.select_related("corp", "welcome__template", "employee", "callback__agent__corp")
        rows = list(related.defer("callback__body").order_by("deadline")[:most])
        contacts = _contacts(rows)
        hands = [_take(row, contacts.get((row.corp_id, row.external_userid))) for row in rows]
    return [hand for hand in hands if hand is not None]


def _contacts(rows: Iterable[Greeting]) -> dict[tuple[int, str], Contact]:
    wanted = {(row.corp_id, row.external_userid) for row in rows}
    if not wanted:
        return {}
    corps, ids = {corp for corp, _ in wanted}, {external_userid for _, external_userid in wanted}
    found = Contact.objects.filter(corp__in=corps, external_userid__in=ids).defer("external_profile")
    return {(each.corp_id, each.external_userid): each for each in found}


def _take(row: Greeting, contact: Contact | None) -> Hand | None:
    row.contact = contact
    if contact is not None and (why_not := _why_not(row, contact)):
        _end(row, State.CANCELLED, code=why_not)
        return None
    if row.content is None and (problem := _composed(row)):
        _end(row, State.FAILED, code=problem)
        return None
    if row.content is None:
        Greeting.objects.filter(pk=row.pk).update(next_attempt_at=timezone.now() + LOOK_AGAIN)
        return None
    was_being_sent = row.state == State.QUEUED and row.errcode == _BEING_SENT
    row.state, row.attempts = State.SENDING, row.attempts + 1
    row.next_attempt_at = timezone.now() + LEASE
    row.save(update_fields=["contact", "content", "state", "attempts", "next_attempt_at"])
    return Hand(row, contents.parse(row.content), row.spoke_at is not None, was_being_sent)


def _why_not(row: Greeting, contact: Contact) -> str:
    """Who was lost before comes back by this very call: only what is newer counts."""
    if contact.opted_out_at:
        return "opted_out"
    is_lost = contact.state == Contact.State.LOST and contact.updated_at > row.created_at
    return "lost" if is_lost else ""


def _composed(row: Greeting) -> str:
    try:
        return _compose(row)
    except Exception:
        log.exception("greeting %s cannot be composed", row.pk)
        return CRASHED  # this one alone: the others are taken with it


def _compose(row: Greeting) -> str:
    """Set `content` to the words for this person, unless their name is worth waiting for; "", or what is wrong."""
    template = contents.parse(row.welcome.template.content)
    needs_contact = not set(templates.OF_CONTACT).isdisjoint(templates.variables_of(template))
    if needs_contact and row.contact is None and timezone.now() < row.created_at + NAME_PATIENCE:
        return ""
    spare = row.welcome.instead_of_name
    employee = (row.employee.name or row.userid) if row.employee else row.userid
    values = {templates.CONTACT_NAME: spare, templates.COMPANY: "", templates.EMPLOYEE_NAME: employee}
    if row.contact is not None:
        values[templates.CONTACT_NAME] = row.contact.name or row.contact.nickname or spare
        values[templates.COMPANY] = row.contact.corp_name
    content = templates.render(template, values)
    if _problem(row, content):  # a name can be longer than there is room for
        content = templates.render(template, values | {templates.CONTACT_NAME: spare, templates.COMPANY: ""})
    row.content = content.as_json()
    return _problem(row, content)


def _problem(row: Greeting, content: Content) -> str:
    faults = (each.code for each in DIALECTS[row.corp.dialect].check_welcome(content) if not each.warning)
    return next(faults, "")


def speak(hand: Hand) -> bool:
    """Note that a byte may leave; commits. False when it must not: too late, called off, or another's by now."""
    now = timezone.now()
    mine = Greeting.objects.awaited().filter(pk=hand.greeting.pk, state=State.SENDING)
    mine = mine.filter(attempts=hand.greeting.attempts).exclude(contact__opted_out_at__isnull=False)
    hand.has_spoken = bool(mine.update(spoke_at=Coalesce("spoke_at", now), next_attempt_at=now + LEASE))
    return hand.has_spoken


def release(hand: Hand) -> None:
    """Give back what was not said; the next claim says what becomes of it."""
    _held(hand).update(state=State.QUEUED, attempts=F("attempts") - 1, next_attempt_at=timezone.now())


def _held(hand: Hand) -> Any:
    return Greeting.objects.filter(pk=hand.greeting.pk, state=State.SENDING, attempts=hand.greeting.attempts)


def finish(hand: Hand, error: ProviderError | None) -> None:
    """Write what became of a try; nothing when another worker has taken the greeting over."""
    row = hand.greeting
    state, next_attempt_at = verdict(hand, error, now=timezone.now())
    told = _told(error, state)
    if state not in Greeting.OPEN:
        with transaction.atomic():
            if _held(hand).select_for_update().first() is None:
                log.warning("greeting %s was taken over; its late end %s is not written", row.pk, state)
                return
            row.contact = row.contact or _contacts([row]).get((row.corp_id, row.external_userid))
            row.state = State.SENDING  # where this is done once more, after a failure of the database
            _end(row, state, **told)
        return
    is_unsaid = not hand.was_in_doubt and error is not None and error.outcome == "not_done"
    spoke_at = {"spoke_at": None} if is_unsaid else {}
    _held(hand).update(state=state, next_attempt_at=next_attempt_at, **spoke_at, **told)


def verdict(hand: Hand, error: ProviderError | None, *, now: datetime) -> tuple[State, datetime | None]:
    """The next state, and when to try again where that is an open one."""
    if error is None:
        return State.ACCEPTED, None
    if isinstance(error, AlreadyWelcomed):
        # After a try of ours whose answer was lost, or during which it was being sent, it means that it has arrived.
        is_ours = hand.was_in_doubt or hand.was_being_sent
        return (State.ACCEPTED if is_ours else State.FAILED), None
    is_lost = error.outcome == "unknown"
    doubt = hand.was_in_doubt or is_lost
    if isinstance(error, CodeExpired):
        return (State.UNCERTAIN if doubt else State.EXPIRED), None
    tries = hand.greeting.attempts
    is_busy_for_good = error.errcode == _BUSY and tries >= MOST_TRIES_BUSY
    if not is_lost and (isinstance(error, BadCredential) or not error.retryable or is_busy_for_good):
        return (State.UNCERTAIN if doubt else State.FAILED), None
    again_at = now + timedelta(seconds=max(backoff_s(tries, cap_s=LONGEST_PAUSE_S), error.retry_after or 0))
    if again_at >= hand.greeting.deadline:
        return (State.UNCERTAIN if doubt else State.EXPIRED), None
    return (State.SENDING if is_lost else State.QUEUED), again_at


def _told(error: ProviderError | None, state: State) -> dict[str, Any]:
    if error is None:
        return {"code": "", "errcode": 0, "errmsg": ""}
    code = "" if error.code == "errcode" else error.code
    if isinstance(error, AlreadyWelcomed):
        code = "welcomed_by_us" if state == State.ACCEPTED else "welcomed_already"
    return {"code": code, "errcode": error.errcode, "errmsg": error.errmsg[: LIMITS["errmsg"]]}


# --- The end ------------------------------------------------------------------------------------------------------


def _end(row: Greeting, state: State, **told: Any) -> None:
    """End a greeting that the caller holds. Its code is kept no longer: nobody needs it any more."""
    left = row.state
    row.state, row.finished_at, row.next_attempt_at = state, timezone.now(), None
    row.welcome_code, row.is_told = "", row.contact is not None
    for name, value in told.items():
        setattr(row, name, value)
    row.save(
        update_fields=[
            "state", "finished_at", "next_attempt_at", "welcome_code", "contact", "content", "is_told", *told
        ]
    )  # fmt: skip
    if row.is_told:
        record([_line(row, left)])


def _line(row: Greeting, left: str = "") -> Any:
    reasons = {name: [None, value] for name in ("code", "errcode", "errmsg") if (value := getattr(row, name))}
    changes = {
        "state": [left or None, row.state],
        "userid": [None, row.userid],
        "welcome": [None, row.welcome_id],
        **reasons,
    }
    return event(
        f"greeting.{row.state}",
        "greeting",
        row.pk,
        actor="worker",
        corp_id=row.corp_id,
        contact_id=row.contact_id,
        changes=changes,
    )


def expire() -> int:
    """End what is still open after its last moment; returns how many. What may have been said is uncertain."""
    now = timezone.now()
    over = Greeting.objects.open().filter(
        Q(state=State.QUEUED) | Q(next_attempt_at__lte=now), deadline__lte=now
    )
    if not over.exists():
        return 0
    with transaction.atomic():
        held = over.select_for_update(skip_locked=True, of=("self",))
        rows = list(held.select_related("corp").order_by("pk")[:AT_ONCE])
        contacts = _contacts(rows)
        for row in rows:
            row.contact = contacts.get((row.corp_id, row.external_userid))
            state = State.UNCERTAIN if row.spoke_at else State.EXPIRED
            _end(row, state, code=row.code or _held_back_by(row))
            log.warning("greeting %s of %s is %s: its time is over", row.pk, row.userid, row.state)
    return len(rows)


def _held_back_by(row: Greeting) -> str:
    """Why nobody tried, or nobody to the end; "" where the provider said why."""
    if row.attempts:
        return "" if row.errcode else "worker_lost"
    if not row.corp.is_active:
        return "corp_off"
    return "corp_paused" if row.corp.is_sending_paused else "no_worker"


def tell() -> int:
    """Write the ends of greetings into the history of contacts that were not read yet; returns how many."""
    waiting = Greeting.objects.filter(finished_at__isnull=False, is_told=False)
    if not waiting.exists():
        return 0
    with transaction.atomic():
        rows = list(waiting.select_for_update(skip_locked=True).order_by("pk")[:AT_ONCE])
        contacts = _contacts(rows)
        late = timezone.now() - CONTACT_PATIENCE
        told = []
        for row in rows:
            row.contact = contacts.get((row.corp_id, row.external_userid))
            if row.contact is not None or (row.finished_at and row.finished_at < late):
                told.append(row)
                Greeting.objects.filter(pk=row.pk).update(contact=row.contact, is_told=True)
        record([_line(row) for row in told])
    return len(told)


def is_any_due() -> bool:
    """Whether a lost bell, or a lost worker, has left something to be said."""
    return Greeting.objects.due().exists()


def soonest() -> float | None:
    """Seconds until the next one is due (less than 0: it is); None when none is awaited."""
    at = Greeting.objects.awaited().order_by("next_attempt_at").values_list("next_attempt_at", flat=True)
    first = at.first()
    return None if first is None else (first - timezone.now()).total_seconds()
