"""Contact ways as people handle them: made, changed, deleted, tried again. Rows and bells; the worker speaks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from django.db import transaction
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts import pending
from contacts.access import User, reached_teams, require, visible_corps
from contacts.models import Contact, ContactWay, Employee, Tag, Team
from contacts.teams import people_below
from crm.connections import can
from crm.errors import Conflict, FieldError, Invalid, NotAllowed
from crm.events import Line, event, record
from crm.models import Corp
from crm.providers.base import Capability
from crm.queue import ring

T = TypeVar("T")
State = ContactWay.State

MOST_PEOPLE: Final = 100  # behind one code, with all members of its teams (wecom.md 3.6)
CAMPAIGN: Final = 64
REMARK: Final = 30
CHANGEABLE: Final[tuple[str, ...]] = ("campaign", "remark", "skip_verify", "expires_at")


@dataclass(slots=True)
class _Named:
    """Rows by what they were named with."""

    employees: list[Employee]
    teams: list[Team]
    tags: list[Tag]


def create(
    *,
    user: User,
    actor: str,
    corp: Corp,
    campaign: str,
    employees: Sequence[str] = (),
    teams: Sequence[int] = (),
    tags: Sequence[str] = (),
    remark: str = "",
    skip_verify: bool = True,
    expires_at: datetime | None = None,
) -> ContactWay:
    """Write the way as `pending` and ring the worker that has it made at the provider.

    `employees` are userids, `teams` department ids, `tags` the provider's tag ids. Raises NotAllowed, and Invalid with
    pointers as in `POST contact-ways/`.
    """
    require(user, "contacts.add_contactway")
    errors = corp_errors(user, corp)
    texts = {"campaign": campaign.strip(), "remark": remark.strip()}
    named, faults = _named(user, corp, employees, teams, tags)
    if not errors:
        errors = [*_text_errors(texts), *faults, *_end_errors(expires_at)]
        errors += [] if faults else _people_errors(corp, named)
    if errors:
        raise Invalid(_("The contact way cannot be made."), errors=errors)
    with transaction.atomic():
        way = ContactWay(
            corp=corp, skip_verify=skip_verify, expires_at=expires_at, created_by_id=user.pk, **texts
        )
        return write(way, named.employees, named.teams, named.tags, actor=actor)


def write(
    way: ContactWay,
    employees: Sequence[Employee],
    teams: Sequence[Team] = (),
    tags: Sequence[Tag] = (),
    *,
    actor: str,
) -> ContactWay:
    """The new row with its people and its event, in the caller's transaction, and the bell."""
    way.type = ContactWay.Type.ONE if len(employees) == 1 and not teams else ContactWay.Type.SEVERAL
    way.save()
    way.employees.set(employees)
    way.teams.set(teams)
    way.tags.set(tags)
    told = {"campaign": [None, way.campaign], "employees": [[], [each.userid for each in employees]]}
    record([line("contact_way.created", way, actor=actor, changes=told)])
    ring("contacts.tasks.work_on_way", way.pk)
    return way


def for_contact(contact: Contact, employees: Sequence[Employee], *, token: str, actor: str) -> ContactWay:
    """The way by which `contact`, who was created here, comes to be; in the caller's transaction."""
    way = ContactWay(
        corp=contact.corp,
        campaign=contact.name[:CAMPAIGN],
        remark=contact.name[:REMARK],
        token=token,
        contact=contact,
        created_by_id=contact.created_by_id,
    )
    return write(way, employees, actor=actor)


def change(way: ContactWay, *, user: User, actor: str, **asked: Any) -> ContactWay:
    """Change what is given of CHANGEABLE, `employees`, `teams` and `tags` (named as in `create`).

    The provider is told by the worker. Raises NotAllowed, Invalid, Conflict `ended`.
    """
    require_keeper(way, user=user, permission="contacts.change_contactway")
    with transaction.atomic():
        way = ContactWay.objects.select_for_update(of=("self",)).select_related("corp").get(pk=way.pk)
        if way.state in ContactWay.ENDED:
            raise Conflict(_("This code works no more, so it cannot be changed."), code="ended")
        held = _held(way)
        named, errors = _named(user, way.corp, *(asked.get(name, held[name]) for name in held), held=held)
        texts = {name: str(asked[name]).strip() for name in CHANGEABLE[:2] if name in asked}
        errors += _text_errors(texts)
        errors += _end_errors(asked["expires_at"]) if "expires_at" in asked else []
        if not errors and asked.keys() & {"employees", "teams"}:
            errors += _people_errors(way.corp, named, way)
        if errors:
            raise Invalid(_("The contact way cannot be changed."), errors=errors)
        fields = {name: asked[name] for name in CHANGEABLE if name in asked} | texts
        changes = {name: [getattr(way, name), new] for name, new in fields.items()}
        changes |= {name: [held[name], list(asked[name])] for name in held if name in asked}
        changes = {name: pair for name, pair in changes.items() if _differ(*pair)}
        if changes:
            _write_change(way, fields, named, changes, actor=actor)
    return way


def _write_change(
    way: ContactWay,
    fields: Mapping[str, Any],
    named: _Named,
    changes: Mapping[str, list[Any]],
    *,
    actor: str,
) -> None:
    for name, value in fields.items():
        setattr(way, name, value)
    way.employees.set(named.employees)
    way.teams.set(named.teams)
    way.tags.set(named.tags)
    way.updated_at = timezone.now()
    way.save(update_fields=[*fields, "updated_at"])
    record([line("contact_way.updated", way, actor=actor, changes=_plain(changes))])
    if changes.keys() & {"remark", "employees", "teams", "skip_verify"}:
        # Whoever speaks for the way now goes on; its lease is not cut short. What failed is told when it is retried.
        rows = ContactWay.objects.filter(pk=way.pk).exclude(state=State.FAILED)
        if rows.update(revision=F("revision") + 1, due_at=_soon(), tries=0):
            ring("contacts.tasks.work_on_way", way.pk)


def delete(way: ContactWay, *, user: User, actor: str) -> None:
    """The code shall open nothing any more; who came by it stays. Raises NotAllowed, Conflict `ended`."""
    require_keeper(way, user=user, permission="contacts.delete_contactway")
    if not end(way, State.DELETED, actor=actor):
        raise Conflict(_("This code works no more."), code="ended")


@transaction.atomic
def end(way: ContactWay, state: str, *, actor: str) -> bool:
    """One conditional UPDATE with its event; the provider is told by the worker. False when it had ended."""
    contact = ContactWay.objects.filter(pk=way.pk).values_list("contact", flat=True).first()
    held = Contact.objects.filter(pk=contact).first() if contact else None
    if held is not None:  # the contact before its way, as everybody locks them
        pending.move(held, Contact.State.PENDING, Contact.State.FAILED, actor=actor, error=f"way_{state}")
    now = timezone.now()
    rows = ContactWay.objects.filter(pk=way.pk).standing()
    if state == State.EXPIRED:  # somebody may have put its end off since the sweep looked
        rows = rows.filter(expires_at__lte=now)
    if not rows.update(state=state, due_at=_soon(), tries=0, updated_at=now):
        transaction.set_rollback(True)
        return False
    record([line(f"contact_way.{state}", way, actor=actor)])
    ring("contacts.tasks.work_on_way", way.pk)
    return True


def retry(way: ContactWay, *, user: User, actor: str) -> None:
    """Try what the provider refused again. Raises NotAllowed, Conflict `not_failed`."""
    require_keeper(way, user=user, permission="contacts.change_contactway")
    if not _restart(way, actor=actor, states=(State.FAILED, State.ACTIVE, *ContactWay.ENDED)):
        raise Conflict(_("This contact way is not waiting for a retry."), code="not_failed")


@transaction.atomic
def _restart(way: ContactWay, *, actor: str, states: Iterable[str]) -> bool:
    contact = Contact.objects.select_for_update(no_key=True, of=("self",)).filter(contact_way=way.pk).first()
    rows = ContactWay.objects.filter(pk=way.pk, state__in=list(states), due_at__isnull=True)
    made = rows.filter(state=State.FAILED).update(
        state=State.PENDING, due_at=_soon(), tries=0, updated_at=timezone.now()
    )
    if not made and not rows.exclude(error="").update(due_at=_soon(), tries=0):
        return False
    if made and contact is not None:
        pending.move(contact, Contact.State.FAILED, Contact.State.PENDING, actor=actor)
    ring("contacts.tasks.work_on_way", way.pk)
    return True


@transaction.atomic
def open_again(way: ContactWay, *, actor: str) -> bool:
    """Have a new code made for a contact created here whose code failed or ended. False while the old one stands."""
    rows = ContactWay.objects.filter(pk=way.pk, due_at__isnull=True, config_id="")
    opened = rows.filter(state__in=(State.FAILED, *ContactWay.ENDED)).update(
        state=State.PENDING,
        expires_at=None,
        error="",
        tries=0,
        due_at=_soon(),
        qr_code="",
        picture=None,
        updated_at=timezone.now(),
    )
    if opened:
        record([line("contact_way.updated", way, actor=actor, changes={"state": [way.state, State.PENDING]})])
        ring("contacts.tasks.work_on_way", way.pk)
    return bool(opened)


def expire_due() -> int:
    """End the ways whose time has come; returns how many. Rows only: a sweep calls it."""
    due = ContactWay.objects.standing().filter(expires_at__lte=timezone.now()).defer("picture")
    return sum(end(way, State.EXPIRED, actor="schedule") for way in due.order_by("pk")[:100])


def _soon() -> Coalesce:
    return Coalesce("due_at", Value(timezone.now()))


def require_keeper(way: ContactWay, *, user: User, permission: str) -> None:
    """Raise NotAllowed for a way that leads to others besides one's own people, unless one made it."""
    require(user, permission)
    if way.created_by_id is not None and way.created_by_id == user.pk:
        return
    foreign = way.employees.exclude(pk__in=Employee.objects.reached_by(user).values("pk"))
    if foreign.exists() or way.teams.exclude(pk__in=reached_teams(user).values("pk")).exists():
        raise NotAllowed(_("Only who made this code, or who leads everybody behind it, changes it."))


def may_keep(way: ContactWay, user: User, permission: str) -> bool:
    try:
        require_keeper(way, user=user, permission=permission)
    except NotAllowed:
        return False
    return True


def line(verb: str, way: ContactWay, *, actor: str, changes: Mapping[str, Any] | None = None) -> Line:
    """History of the way, and of the contact it was made for."""
    return event(
        verb,
        "contact_way",
        way.pk,
        actor=actor,
        corp_id=way.corp_id,
        contact_id=way.contact_id,
        changes=changes,
    )


def making_corps(user: User) -> "QuerySet[Corp]":
    """The corps of one's own whose provider has contact ways."""
    corps = visible_corps(user).filter(is_active=True)
    return corps.filter(pk__in=[corp.pk for corp in corps if can(corp, Capability.CONTACT_WAY)])


def corp_errors(user: User, corp: Corp) -> list[FieldError]:
    if not visible_corps(user).filter(pk=corp.pk).exists():
        return [FieldError("/corp", "not_found", _("There is no such corp."))]
    errors = []
    if not can(corp, Capability.CONTACT_WAY):
        errors.append(FieldError("/corp", "unsupported", _("The provider of this corp has no contact ways.")))
    if not corp.is_active:
        errors.append(FieldError("/corp", "inactive", _("This corp is switched off.")))
    return errors


def _held(way: ContactWay) -> dict[str, list[Any]]:
    return {
        "employees": list(way.employees.order_by("userid").values_list("userid", flat=True)),
        "teams": list(way.teams.order_by("department_id").values_list("department_id", flat=True)),
        "tags": list(way.tags.order_by("tag_id").values_list("tag_id", flat=True)),
    }


def _named(
    user: User,
    corp: Corp,
    employees: Sequence[str],
    teams: Sequence[int],
    tags: Sequence[str],
    *,
    held: Mapping[str, Sequence[Any]] | None = None,
) -> tuple[_Named, list[FieldError]]:
    """The rows that the names stand for; beyond one's reach only what is `held` already."""
    held = held or {"employees": (), "teams": (), "tags": ()}
    own = Employee.objects.filter(corp=corp)
    people = own.named(held["employees"]) | own.reached_by(user).named(employees)
    led = reached_teams(user).filter(corp=corp, absent_since__isnull=True)
    rooms = {
        team.department_id: team
        for rows in (Team.objects.filter(corp=corp, department_id__in=held["teams"]), led)
        for team in rows.filter(department_id__in=teams)
    }
    labels = {
        tag.tag_id: tag
        for tag in Tag.objects.filter(corp=corp, tag_id__in=tags, deleted_at__isnull=True)
        if tag.type != Tag.Type.PERSONAL
    }
    labels |= {tag.tag_id: tag for tag in Tag.objects.filter(corp=corp, tag_id__in=held["tags"])}
    errors = [
        *_missing("employees", employees, people, _("There is no such employee.")),
        *_missing("teams", teams, rooms, _("There is no such team.")),
        *_missing("tags", tags, labels, _("There is no such tag.")),
    ]
    return _Named(_rows(employees, people), _rows(teams, rooms), _rows(tags, labels)), errors


def _missing(field: str, names: Sequence[Any], found: Mapping[Any, object], words: str) -> list[FieldError]:
    return [
        FieldError(f"/{field}/{n}", "not_found", words) for n, name in enumerate(names) if name not in found
    ]


def _rows(names: Sequence[Any], found: Mapping[Any, T]) -> list[T]:
    rows = [found[name] for name in names if name in found]
    return list({getattr(row, "pk"): row for row in rows}.values())  # noqa: B009


def _text_errors(texts: Mapping[str, str]) -> list[FieldError]:
    errors = []
    if texts.get("campaign") == "":
        errors.append(FieldError("/campaign", "required", _("A contact way needs a name.")))
    for field, value in texts.items():
        limit = CAMPAIGN if field == "campaign" else REMARK
        if len(value) > limit:
            sentence = _("At most %(limit)d characters.") % {"limit": limit}
            errors.append(FieldError(f"/{field}", "too_long", sentence))
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
            sentence = _("It holds a character that cannot be stored.")
            errors.append(FieldError(f"/{field}", "invalid", sentence))
    return errors


def _end_errors(expires_at: datetime | None) -> list[FieldError]:
    if expires_at is None or expires_at > timezone.now():
        return []
    return [FieldError("/expires_at", "past", _("This moment has passed."))]


def _people_errors(corp: Corp, named: _Named, way: ContactWay | None = None) -> list[FieldError]:
    if not named.employees and not named.teams:
        words = _("Name at least one employee or team whom the code leads to.")
        return [FieldError("/employees", "required", words)]
    is_made = way is not None and bool(way.config_id or way.asked_at)
    if way and is_made and way.type == ContactWay.Type.ONE and (len(named.employees) != 1 or named.teams):
        words = _("The provider made this code for one employee. For several, make another code.")
        return [FieldError("/employees", "one_only", words)]
    members = people_below(corp, [team.pk for team in named.teams])
    people = {each.pk for each in named.employees}.union(*members.values())
    if len(people) > MOST_PEOPLE:
        words = _("Together they are %(number)d people; the provider takes at most %(limit)d.")
        detail = words % {"number": len(people), "limit": MOST_PEOPLE}
        return [FieldError("/teams" if named.teams else "/employees", "too_many", detail)]
    return []


def _differ(old: Any, new: Any) -> bool:
    return sorted(old) != sorted(new) if isinstance(old, list) else old != new


def _plain(changes: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    return {
        name: [each.isoformat() if isinstance(each, datetime) else each for each in pair]
        for name, pair in changes.items()
    }
