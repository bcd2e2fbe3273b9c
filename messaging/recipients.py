"""From what a person chose to who will get the message: reach, state, and in whose name it goes out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

from django.db.models import BigIntegerField

from contacts.models import Contact, Employee, FollowUser
from contacts.querysets import User
from crm.models import Corp
from messaging.models import Message
from messaging.wording import reason


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who will get the message. `sender` is the employee of a mass send, "" elsewhere.

    `position` is the index in what was asked for.
    """

    to_kind: str
    to: str
    name: str
    sender: str = ""
    sender_name: str = ""
    contact_id: int | None = None
    employee_id: int | None = None
    company: str = ""
    position: int = 0


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Somebody who cannot get it. `position` is the index in what was asked for; `detail` a sentence."""

    to: str
    name: str
    code: str
    detail: str
    position: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """Everybody asked for, duplicates folded: in `recipients` or in `excluded`."""

    recipients: list[Recipient]
    excluded: list[Exclusion]

    def calls(self, per_call: int) -> int:
        """How many calls to the provider a send takes at `per_call` recipients of one sender each."""
        return sum(ceil(n / per_call) for n in Counter(each.sender for each in self.recipients).values())


Found = Recipient | Exclusion
Id = TypeVar("Id", int, str)


def of_contacts(user: User, corp: Corp, ids: Sequence[int], *, by_sender: bool) -> Resolved:
    """The contacts `ids` that `user` reaches. `by_sender`: each in the name of one current follower."""
    wanted = [pk for pk in dict.fromkeys(ids) if 0 < pk <= BigIntegerField.MAX_BIGINT]
    rows = Contact.objects.visible_to(user).filter(corp=corp, pk__in=wanted)
    found = {
        row.pk: row for row in rows.only("external_userid", "name", "corp_name", "state", "opted_out_at")
    }
    senders = _senders(user, found) if by_sender else {}
    resolved = Resolved([], [])
    for position, pk in _first_places(ids):
        _sort_in(resolved, _contact(pk, position, found.get(pk), senders if by_sender else None))
    return resolved


def of_employees(user: User, corp: Corp, userids: Sequence[str]) -> Resolved:
    """The employees `userids` within the reach of `user` (contract C12)."""
    reached = Employee.objects.reached_by(user).filter(corp=corp)
    found = reached.only("userid", "name", "status").named(userids)
    spelled = [found[userid].userid if userid in found else userid for userid in userids]
    by_userid = {row.userid: row for row in found.values()}
    resolved = Resolved([], [])
    for position, userid in _first_places(spelled):
        _sort_in(resolved, _employee(userid, position, by_userid.get(userid)))
    return resolved


def _first_places(ids: Sequence[Id]) -> list[tuple[int, Id]]:
    """(position, id) of each id where it stands first."""
    first: dict[Id, int] = {}
    for position, each in enumerate(ids):
        first.setdefault(each, position)
    return [(position, each) for each, position in first.items()]


def _sort_in(resolved: Resolved, found: Found) -> None:
    if isinstance(found, Recipient):
        resolved.recipients.append(found)
    else:
        resolved.excluded.append(found)


@dataclass(frozen=True, slots=True)
class _Sender:
    userid: str
    name: str


def _senders(user: User, contacts: dict[int, Contact]) -> dict[int, _Sender]:
    """For each contact one current follower within reach: one's own employee, else who added it first."""
    follows = (
        FollowUser.objects.current()
        .filter(contact__in=list(contacts), employee__in=Employee.objects.reached_by(user))
        .exclude(employee__status__in=(Employee.Status.LEFT, Employee.Status.DISABLED))
        .values_list(
            "contact_id", "employee__user_id", "createtime", "pk", "employee__userid", "employee__name"
        )
    )
    best: dict[int, tuple[tuple[bool, float, int], _Sender]] = {}
    for contact_id, login_id, createtime, pk, userid, name in follows:
        since = float("inf") if createtime is None else createtime
        offer = (login_id != user.pk, since, pk), _Sender(userid, name)
        if contact_id not in best or offer[0] < best[contact_id][0]:
            best[contact_id] = offer
    return {contact_id: sender for contact_id, (_, sender) in best.items()}


def _contact(pk: int, position: int, row: Contact | None, senders: dict[int, _Sender] | None) -> Found:
    if row is None:
        return _excluded(str(pk), "", "not_found", position)
    if row.state != Contact.State.ACTIVE:
        return _excluded(row.external_userid, row.name, row.state, position)
    if row.opted_out_at:
        return _excluded(row.external_userid, row.name, "opted_out", position)
    if not _is_single_id(row.external_userid):
        return _excluded(row.external_userid, row.name, "bad_recipient", position)
    if senders is not None and pk not in senders:
        return _excluded(row.external_userid, row.name, "no_relation", position)
    sender = senders[pk] if senders else _Sender("", "")
    return Recipient(
        Message.ToKind.CONTACT,
        row.external_userid,
        row.name,
        sender.userid,
        sender.name or sender.userid,
        contact_id=pk,
        company=row.corp_name,
        position=position,
    )


_UNABLE = {Employee.Status.LEFT: "employee_left", Employee.Status.DISABLED: "employee_disabled"}


def _employee(userid: str, position: int, row: Employee | None) -> Found:
    if row is None:
        return _excluded(userid, "", "not_found", position)
    if row.status in _UNABLE:
        return _excluded(userid, row.name, _UNABLE[Employee.Status(row.status)], position)
    if not _is_single_id(userid):
        return _excluded(userid, row.name, "bad_recipient", position)
    return Recipient(Message.ToKind.EMPLOYEE, userid, row.name, employee_id=row.pk, position=position)


def _is_single_id(to: str) -> bool:
    """False for what a provider would read as several receivers or as everybody (`a|b`, `@all`)."""
    return bool(to.strip()) and "|" not in to and not to.startswith("@")


def _excluded(to: str, name: str, code: str, position: int) -> Exclusion:
    return Exclusion(to, name, code, reason(code), position)
