"""The provider's directory and tag list to rows: employees, teams, memberships, tags. Database only."""

from collections.abc import Iterable
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from contacts.models import Employee, Tag, Team, TeamMembership
from crm import events
from crm.models import Corp
from crm.providers.records import Directory, EmployeeRecord, TagRecord, TeamRecord, told

STATUS: Final = {
    1: Employee.Status.ACTIVE,
    2: Employee.Status.DISABLED,
    4: Employee.Status.INACTIVE,
    5: Employee.Status.LEFT,
}


@transaction.atomic
def apply_directory(corp: Corp, directory: Directory, *, actor: str) -> None:
    """Make teams, employees and memberships what the directory says; what it did not tell stays."""
    teams = _apply_teams(corp, directory)
    employees = _apply_employees(corp, directory, actor=actor)
    _apply_memberships(corp, directory, teams=teams, employees=employees)


def _apply_teams(corp: Corp, directory: Directory) -> dict[int, int]:
    """{department_id: pk} of all teams of the corp, after the upsert."""
    held = {team.department_id: team for team in Team.objects.filter(corp=corp)}
    made = [
        _fill_team(Team(corp=corp, department_id=t.department_id), t)
        for t in directory.teams
        if t.department_id not in held
    ]
    Team.objects.bulk_create(made)
    held.update((team.department_id, team) for team in made)
    changed = []
    now = timezone.now()
    told_ids = {record.department_id for record in directory.teams}
    for record in directory.teams:
        team = held[record.department_id]
        before = (team.name, team.order, team.parent_id, team.absent_since)
        _fill_team(team, record)
        if isinstance(record.parent_id, int):
            parent = held.get(record.parent_id)
            team.parent_id = parent.pk if parent and parent is not team else None
        team.absent_since = None
        if before != (team.name, team.order, team.parent_id, team.absent_since):
            changed.append(team)
    if directory.teams_complete:
        for team in held.values():
            if team.department_id not in told_ids and team.absent_since is None:
                team.absent_since = now
                changed.append(team)
    if changed:
        Team.objects.bulk_update(changed, ["name", "order", "parent", "absent_since"], batch_size=200)
    return {department_id: team.pk for department_id, team in held.items()}


def _fill_team(team: Team, record: TeamRecord) -> Team:
    for name, value in told(record, ("name", "order")).items():
        setattr(team, name, value)
    return team


def _apply_employees(corp: Corp, directory: Directory, *, actor: str) -> dict[str, Employee]:
    """{lower-case userid: employee} of the corp, after the upsert; userids are told in any case."""
    held = {employee.userid.lower(): employee for employee in Employee.objects.filter(corp=corp)}
    records = {record.userid.lower(): record for record in directory.employees}
    for userid in directory.listed:
        records.setdefault(userid.lower(), EmployeeRecord(userid=userid))
    listed = {userid.lower() for userid in directory.listed}
    made = [
        Employee(corp=corp, userid=record.userid, is_listed=key in listed, **_employee_values(record))
        for key, record in records.items()
        if key not in held
    ]
    Employee.objects.bulk_create(made, batch_size=500)
    lines = [_employee_event("employee.created", employee, {}, actor) for employee in made]
    changed = []
    for key, employee in held.items():
        values = _employee_values(records[key]) if key in records else {}
        if directory.listed_complete or key in listed:
            values["is_listed"] = key in listed
        changes = {n: [getattr(employee, n), v] for n, v in values.items() if getattr(employee, n) != v}
        if changes:
            for name, value in values.items():
                setattr(employee, name, value)
            employee.updated_at = timezone.now()
            changed.append(employee)
            lines.append(_employee_event(_verb(changes), employee, changes, actor))
    if changed:
        fields = ["name", "alias", "position", "avatar", "status", "is_listed", "updated_at"]
        Employee.objects.bulk_update(changed, fields, batch_size=200)
    events.record(lines)
    held.update((employee.userid.lower(), employee) for employee in made)
    return held


def rename(corp: Corp, old: str, new: str, *, actor: str) -> None:
    """Give the employee `old` the userid `new`, so that follows and history go on; nothing where both are known."""
    employee = Employee.objects.filter(corp=corp, userid__iexact=old).first()
    if employee is None or Employee.objects.filter(corp=corp, userid__iexact=new).exists():
        return
    changes = {"userid": [employee.userid, new]}
    Employee.objects.filter(pk=employee.pk).update(userid=new, updated_at=timezone.now())
    events.record([_employee_event("employee.updated", employee, changes, actor)])


def _employee_values(record: EmployeeRecord) -> dict[str, Any]:
    values = told(record, ("name", "alias", "position", "avatar", "status"))
    if "status" in values:
        values["status"] = STATUS.get(values["status"], Employee.Status.ACTIVE)
    return values


def _verb(changes: dict[str, list[Any]]) -> str:
    old, new = changes.get("status", (None, None))
    if new == Employee.Status.LEFT:
        return "employee.left"
    return "employee.returned" if old == Employee.Status.LEFT else "employee.updated"


def _employee_event(verb: str, employee: Employee, changes: dict[str, Any], actor: str) -> events.Line:
    return events.event(verb, "employee", employee.pk, actor=actor, corp_id=employee.corp_id, changes=changes)


def _apply_memberships(
    corp: Corp, directory: Directory, *, teams: dict[int, int], employees: dict[str, Employee]
) -> None:
    """Replace the memberships of the employees whose departments were told; leaders come from either side."""
    leaders = {
        (department.department_id, userid.lower())
        for department in directory.teams
        if isinstance(department.leaders, tuple)
        for userid in department.leaders
    }
    wanted: dict[tuple[int, int], bool] = {}
    told_employees = []
    for record in directory.employees:
        if not isinstance(record.departments, tuple):
            continue
        employee = employees[record.userid.lower()]
        told_employees.append(employee.pk)
        leads = record.leads if isinstance(record.leads, tuple) else ()
        for department_id in record.departments:
            if department_id in teams:
                is_leader = department_id in leads or (department_id, record.userid.lower()) in leaders
                wanted[teams[department_id], employee.pk] = is_leader
    _replace_memberships(corp, told_employees, wanted)


def _replace_memberships(corp: Corp, told_employees: list[int], wanted: dict[tuple[int, int], bool]) -> None:
    told_pks = set(told_employees)
    held = {
        (m.team_id, m.employee_id): m
        for m in TeamMembership.objects.filter(team__corp=corp)
        if m.employee_id in told_pks
    }
    TeamMembership.objects.filter(pk__in=[m.pk for key, m in held.items() if key not in wanted]).delete()
    TeamMembership.objects.bulk_create(
        [
            TeamMembership(team_id=t, employee_id=e, is_leader=lead)
            for (t, e), lead in wanted.items()
            if (t, e) not in held
        ],
        batch_size=500,
    )
    changed = [m for key, m in held.items() if key in wanted and m.is_leader != wanted[key]]
    for membership in changed:
        membership.is_leader = not membership.is_leader
    if changed:
        TeamMembership.objects.bulk_update(changed, ["is_leader"], batch_size=200)


@transaction.atomic
def apply_tags(corp: Corp, records: Iterable[TagRecord], *, actor: str) -> None:
    """Make the corp's tags what the complete tag list says; a tag that is gone keeps its name and a date."""
    told_tags = {record.tag_id: record for record in records if record.tag_id}
    held = {tag.tag_id: tag for tag in Tag.objects.filter(corp=corp)}
    made = [
        _fill_tag(Tag(corp=corp, tag_id=tag_id), r) for tag_id, r in told_tags.items() if tag_id not in held
    ]
    Tag.objects.bulk_create(made, batch_size=500)
    lines = [_tag_event("tag.created", tag, {}, actor) for tag in made]
    changed = []
    for tag_id, tag in held.items():
        changes = _tag_changes(tag, told_tags.get(tag_id))
        if changes:
            changed.append(tag)
            lines.append(_tag_event("tag.deleted" if tag.deleted_at else "tag.updated", tag, changes, actor))
    if changed:
        fields = ["name", "group_id", "group_name", "type", "order", "deleted_at"]
        Tag.objects.bulk_update(changed, fields, batch_size=200)
    events.record(lines)


def _fill_tag(tag: Tag, record: TagRecord) -> Tag:
    tag.name, tag.group_id, tag.group_name = record.name, record.group_id, record.group
    tag.type, tag.order, tag.deleted_at = record.type, record.order, None
    return tag


def _tag_changes(tag: Tag, record: TagRecord | None) -> dict[str, Any]:
    before = {name: getattr(tag, name) for name in ("name", "group_id", "group_name", "type", "order")}
    was_deleted = tag.deleted_at
    if record is None:
        # Rule-group tags (type 3) are not in the corp's list: their absence there says nothing.
        if was_deleted is None and tag.type == Tag.Type.CORP:
            tag.deleted_at = timezone.now()
            return {"deleted": [False, True]}
        return {}
    _fill_tag(tag, record)
    changes: dict[str, Any] = {
        n: [old, getattr(tag, n)] for n, old in before.items() if getattr(tag, n) != old
    }
    if was_deleted:
        changes["deleted"] = [True, False]
    return changes


def _tag_event(verb: str, tag: Tag, changes: dict[str, Any], actor: str) -> events.Line:
    return events.event(verb, "tag", tag.tag_id, actor=actor, corp_id=tag.corp_id, changes=changes)
