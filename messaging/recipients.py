"""From what a person chose to who will get the message: reach, state, and in whose name it goes out."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final, TypedDict, TypeVar

from django.db.models import BigIntegerField

from contacts.models import Contact, Employee, FollowUser
from contacts.querysets import User
from crm.models import Corp
from messaging import quota
from messaging.models import Message
from messaging.wording import reason


class Chosen(TypedDict, total=False):
    """Who is to get a message: exactly one of these. Departments and member tags by the provider's numbers."""

    contacts: Sequence[int]
    employees: Sequence[str]
    departments: Sequence[int]
    tags: Sequence[int]
    everybody: bool


CHOSEN_AS: Final[dict[str, str]] = {
    Message.ToKind.CONTACT: "contacts",
    Message.ToKind.EMPLOYEE: "employees",
    Message.ToKind.DEPARTMENT: "departments",
    Message.ToKind.TAG: "tags",
    Message.ToKind.EVERYBODY: "everybody",
}


def place(to_kind: str, position: int | None = None) -> str:
    """The JSON pointer to what was chosen, or to one of it."""
    at = f"/to/{CHOSEN_AS[to_kind]}"
    return at if position is None or to_kind == Message.ToKind.EVERYBODY else f"{at}/{position}"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Somebody who will get the message. `sender` is the employee of a mass send, "" elsewhere.

    `position` is the index in what was asked for. `people` is how many active employees a department or everybody
    is by the mirror; None where it is one person, or a tag.
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
    people: int | None = None
    mass_used: int = 0  # of the cap on mass sends to this contact


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
    """Everybody asked for, duplicates folded: in `recipients` or in `excluded`.

    `people` is how many active employees stand behind departments or everybody, each counted once.
    """

    recipients: list[Recipient]
    excluded: list[Exclusion]
    people: int | None = None

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
    mass = _mass(corp, found) if by_sender else None
    return sorted_in(
        _contact(pk, position, found.get(pk), senders, mass) for position, pk in first_places(ids)
    )


def of_employees(user: User, corp: Corp, userids: Sequence[str]) -> Resolved:
    """The employees `userids` within the reach of `user` (contract C12)."""
    reached = Employee.objects.reached_by(user).filter(corp=corp)
    found = reached.only("userid", "name", "status").named(userids)
    spelled = [found[userid].userid if userid in found else userid for userid in userids]
    by_userid = {row.userid: row for row in found.values()}
    return sorted_in(
        _employee(userid, position, by_userid.get(userid)) for position, userid in first_places(spelled)
    )


def first_places(ids: Sequence[Id]) -> list[tuple[int, Id]]:
    """(position, id) of each id where it stands first."""
    first: dict[Id, int] = {}
    for position, each in enumerate(ids):
        first.setdefault(each, position)
    return [(position, each) for each, position in first.items()]


def sorted_in(found: Iterable[Found], *, people: int | None = None) -> Resolved:
    resolved = Resolved([], [], people)
    for each in found:
        if isinstance(each, Recipient):
            resolved.recipients.append(each)
        else:
            resolved.excluded.append(each)
    return resolved


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


@dataclass(frozen=True, slots=True)
class _Mass:
    """How often each contact may get a mass send, and how often it has."""

    limit: int
    used: dict[str, int]


def _mass(corp: Corp, contacts: dict[int, Contact]) -> _Mass:
    cap = quota.mass_cap(corp)
    to = [row.external_userid for row in contacts.values()]
    return _Mass(cap.limit, quota.mass_sends(corp, to, cap))


def _contact(
    pk: int, position: int, row: Contact | None, senders: dict[int, _Sender], mass: _Mass | None
) -> Found:
    if row is None:
        return excluded(str(pk), "", "not_found", position)
    if row.state != Contact.State.ACTIVE:
        return excluded(row.external_userid, row.name, row.state, position)
    if row.opted_out_at:
        return excluded(row.external_userid, row.name, "opted_out", position)
    if not _is_single_id(row.external_userid):
        return excluded(row.external_userid, row.name, "bad_recipient", position)
    if mass is not None and pk not in senders:
        return excluded(row.external_userid, row.name, "no_relation", position)
    used = mass.used.get(row.external_userid, 0) if mass else 0
    if mass is not None and used >= mass.limit:
        return excluded(row.external_userid, row.name, "over_cap", position)
    sender = senders[pk] if mass else _Sender("", "")
    return Recipient(
        Message.ToKind.CONTACT,
        row.external_userid,
        row.name,
        sender.userid,
        sender.name or sender.userid,
        contact_id=pk,
        company=row.corp_name,
        position=position,
        mass_used=used,
    )


_UNABLE = {Employee.Status.LEFT: "employee_left", Employee.Status.DISABLED: "employee_disabled"}


def _employee(userid: str, position: int, row: Employee | None) -> Found:
    if row is None:
        return excluded(userid, "", "not_found", position)
    if row.status in _UNABLE:
        return excluded(userid, row.name, _UNABLE[Employee.Status(row.status)], position)
    if not _is_single_id(userid):
        return excluded(userid, row.name, "bad_recipient", position)
    return Recipient(Message.ToKind.EMPLOYEE, userid, row.name, employee_id=row.pk, position=position)


def _is_single_id(to: str) -> bool:
    """False for what a provider would read as several receivers or as everybody (`a|b`, `@all`)."""
    return bool(to.strip()) and "|" not in to and not to.startswith("@")


def excluded(to: str, name: str, code: str, position: int) -> Exclusion:
    return Exclusion(to, name, code, reason(code), position)
