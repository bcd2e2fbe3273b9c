"""Welcome messages: which template is said to whom, checked when it is kept."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts import ways
from contacts.access import require
from contacts.models import ContactWay, Employee
from contacts.querysets import User, sees_everything
from crm.connections import can
from crm.errors import FieldError, Invalid, NotAllowed
from crm.events import event, record
from crm.models import Corp
from crm.providers import content as contents
from crm.providers.base import Capability
from crm.queue import ring
from messaging import results, templates
from messaging.models import Template, Welcome

ADD: Final = "messaging.add_welcome"
CHANGE: Final = "messaging.change_welcome"
NAME_LENGTH: Final = 64
SPARE_LENGTH: Final = 32
Scope = Welcome.Scope


def create(
    *,
    user: User,
    actor: str,
    corp: Corp,
    name: str,
    template: Template,
    scope: str,
    employees: Sequence[Employee] = (),
    way: ContactWay | None = None,
    instead_of_name: str = "",
    is_active: bool = True,
) -> Welcome:
    """Keep a welcome message. Raises NotAllowed, or Invalid whose errors point at the fields of `POST welcomes/`."""
    require(user, ADD)
    if not can(corp, Capability.WELCOME):
        words = _("This corp's provider has no welcome messages.")
        raise Invalid(words, errors=[FieldError("/corp", "unsupported", words)])
    made = Welcome(corp=corp, created_by_id=user.pk)
    told = {
        "name": name,
        "template": template,
        "scope": scope,
        "way": way,
        "instead_of_name": instead_of_name,
        "is_active": is_active,
    }
    return _keep(made, told, employees, user=user, actor=actor)


def change(
    welcome: Welcome, *, user: User, actor: str, employees: Sequence[Employee] | None = None, **told: Any
) -> Welcome:
    """Change what is given, of the fields of `create`. Who is being greeted now is greeted as it was."""
    require_keeper(welcome, user=user)
    if told.get("scope", welcome.scope) != Scope.WAY and "way" not in told:
        told["way"] = None
    if told.get("scope", welcome.scope) != Scope.EMPLOYEES and employees is None:
        employees = ()
    return _keep(welcome, told, employees, user=user, actor=actor)


def require_keeper(welcome: Welcome, *, user: User) -> None:
    """Raise NotAllowed for who does not lead everybody in whose name it is said."""
    require(user, CHANGE)
    if sees_everything(user):
        return
    foreign = welcome.employees.exclude(pk__in=Employee.objects.reached_by(user).values("pk"))
    if welcome.scope == Scope.CORP or foreign.exists():
        raise NotAllowed(_("Only who leads everybody in whose name it is said changes it."))
    if welcome.way is not None:
        ways.require_keeper(welcome.way, user=user, permission="contacts.change_contactway")


def may_keep(welcome: Welcome, user: User) -> bool:
    try:
        require_keeper(welcome, user=user)
    except NotAllowed:
        return False
    return True


def scopes_of(user: User) -> list[str]:
    """For whom `user` may keep one."""
    return list(Scope.values) if sees_everything(user) else [Scope.EMPLOYEES, Scope.WAY]


def _keep(
    welcome: Welcome, told: dict[str, Any], employees: Sequence[Employee] | None, *, user: User, actor: str
) -> Welcome:
    verb = "welcome.created" if welcome._state.adding else "welcome.updated"
    before = _as_told(welcome)
    for field, value in told.items():
        setattr(welcome, field, value.strip() if isinstance(value, str) else value)
    after = list(welcome.employees.all()) if employees is None else list(employees)
    with transaction.atomic():
        # Two that are kept at once for the same people wait for each other.
        Corp.objects.select_for_update().get(pk=welcome.corp_id)
        if errors := [
            *_faults(welcome, after),
            *_overlaps(welcome, after),
            *_out_of_reach(user, welcome, after),
        ]:
            raise Invalid(_("The welcome message cannot be kept as it is."), errors=errors)
        now_told = _as_told(welcome) | {"employees": sorted(each.userid for each in after)}
        changes = {field: [before[field], new] for field, new in now_told.items() if before[field] != new}
        if verb == "welcome.updated" and not changes:
            return welcome
        _save(welcome, after)
        record([event(verb, "welcome", welcome.pk, actor=actor, corp_id=welcome.corp_id, changes=changes)])
        ring("messaging.tasks.upload_welcome_files", lane=results.LANE)
    return welcome


def _save(welcome: Welcome, employees: Sequence[Employee]) -> None:
    welcome.updated_at = timezone.now()
    try:
        with transaction.atomic():
            welcome.save()
    except IntegrityError:
        words = _("This corp has a welcome message of this name already.")
        raise Invalid(words, errors=[FieldError("/name", "exists", words)]) from None
    welcome.employees.set(employees)


def _as_told(welcome: Welcome) -> dict[str, Any]:
    fields = ("name", "template_id", "scope", "way_id", "instead_of_name", "is_active")
    told = {field.removesuffix("_id"): getattr(welcome, field) for field in fields}
    if welcome._state.adding:
        return dict.fromkeys([*told, "employees"])
    return told | {"employees": sorted(welcome.employees.values_list("userid", flat=True))}


def _faults(welcome: Welcome, employees: Sequence[Employee]) -> list[FieldError]:
    required = _("This field is required.")
    errors = [] if welcome.name else [FieldError("/name", "required", required)]
    errors += _too_long(welcome)
    if welcome.scope not in Scope.values:
        return [*errors, FieldError("/scope", "invalid_choice", _("Choose for whom it is."))]
    if welcome.scope == Scope.EMPLOYEES and not employees:
        errors.append(FieldError("/employees", "required", _("Name at least one employee.")))
    if welcome.scope != Scope.EMPLOYEES and employees:
        errors.append(FieldError("/employees", "invalid", _("Only one for some employees names them.")))
    if welcome.scope == Scope.WAY and welcome.way is None:
        errors.append(FieldError("/way", "required", required))
    if welcome.scope != Scope.WAY and welcome.way is not None:
        errors.append(FieldError("/way", "invalid", _("Only one for a contact way names it.")))
    if welcome.way is not None and welcome.way.corp_id != welcome.corp_id:
        errors.append(FieldError("/way", "not_found", _("There is no such contact way in this corp.")))
    return [*errors, *(_of_template(welcome) if welcome.is_active else ())]


def _out_of_reach(user: User, welcome: Welcome, employees: Sequence[Employee]) -> list[FieldError]:
    """One speaks for the people within reach."""
    if welcome.scope in Scope.values and welcome.scope not in scopes_of(user):
        return [FieldError("/scope", "not_allowed", _("Only administrators welcome for the whole corp."))]
    if welcome.way is not None and not ways.may_keep(welcome.way, user, "contacts.change_contactway"):
        words = _("Only who may change the contact way gives it a welcome.")
        return [FieldError("/way", "not_allowed", words)]
    reached = Employee.objects.reached_by(user).filter(corp=welcome.corp_id, pk__in=[e.pk for e in employees])
    if reached.count() < len({each.pk for each in employees}):
        return [FieldError("/employees", "not_found", _("There is no such employee."))]
    return []


def _too_long(welcome: Welcome) -> list[FieldError]:
    limits = {"name": NAME_LENGTH, "instead_of_name": SPARE_LENGTH}
    words = _("Too long: %(length)s characters, at most %(limit)s are allowed.")
    return [
        FieldError(f"/{field}", "too_long", words % {"length": len(value), "limit": limit})
        for field, limit in limits.items()
        if len(value := getattr(welcome, field)) > limit
    ]


def _of_template(welcome: Welcome) -> list[FieldError]:
    """What stands against saying the template when nobody is there to give its variables a value."""
    template = welcome.template
    if template.corp_id != welcome.corp_id:
        return [FieldError("/template", "not_found", _("There is no such template in this corp."))]
    if not template.is_active:
        return [FieldError("/template", "inactive", _("This template is no longer in use."))]
    content = contents.parse(template.content)
    return templates.alone(welcome.corp, content, instead_of_name=welcome.instead_of_name)


def _overlaps(welcome: Welcome, employees: Sequence[Employee]) -> list[FieldError]:
    """Nobody has two welcomes in use of one kind: which would be said?"""
    if not welcome.is_active:
        return []
    others = Welcome.objects.active().filter(corp=welcome.corp_id, scope=welcome.scope).exclude(pk=welcome.pk)
    if welcome.scope == Scope.EMPLOYEES:
        return _taken(others, employees)
    other = (others.filter(way=welcome.way) if welcome.scope == Scope.WAY else others).first()
    if other is None:
        return []
    at, words = (
        ("/way", _("This contact way has a welcome message in use already: %s."))
        if welcome.scope == Scope.WAY
        else ("/scope", _("There is a welcome message for everybody in use already: %s."))
    )
    return [FieldError(at, "exists", words % other.name)]


def _taken(others: Any, employees: Collection[Employee]) -> list[FieldError]:
    taken = (
        others.filter(employees__in=employees).order_by("pk").values_list("employees__name", "name").first()
    )
    if taken is None:
        return []
    words = _("%(employee)s has a welcome message in use already: %(welcome)s.")
    return [FieldError("/employees", "exists", words % {"employee": taken[0], "welcome": taken[1]})]
