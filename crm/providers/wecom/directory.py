"""Members and departments, the same calls in both dialects."""

from collections.abc import Sequence
from typing import Any

from crm.providers.errors import BadCredential, Malformed, ProviderError
from crm.providers.gathering import LASTING, Warnings, merge
from crm.providers.reading import Unstorable, as_int, as_list, as_text, ids, number, plain, text
from crm.providers.records import MAX_TIME, UNSET, EmployeeRecord, TeamRecord, Unset
from crm.providers.wecom.caller import Caller

__all__ = ["LASTING", "ROOT", "Warnings", "merge", "read_members", "read_names", "read_teams"]

ROOT = 1


def read_teams(caller: Caller) -> tuple[list[TeamRecord], bool]:
    """Every department, and whether that is all of them (an entry that is none makes it False)."""
    data = caller.read("department/list", expect="department").data
    if "department" not in data:
        raise Malformed("department/list answered without its list.", code="no_list")
    entries = as_list(data["department"])
    teams = {team.department_id: team for entry in entries if (team := _team(entry)) is not None}
    return list(teams.values()), len(teams) == len(entries)


def _team(entry: Any) -> TeamRecord | None:
    if not isinstance(entry, dict) or not isinstance(department_id := number(entry, "id"), int):
        return None
    try:
        leaders = _userids(entry["department_leader"]) if "department_leader" in entry else UNSET
        return TeamRecord(
            department_id,
            name=_told(entry, "name", limit="team_name"),
            parent_id=number(entry, "parentid"),
            order=number(entry, "order", low=0, high=MAX_TIME),
            leaders=leaders,
        )
    except Unstorable:
        return None


def _userids(value: Any) -> tuple[str, ...]:
    return tuple(dict.fromkeys(as_text(userid, "userid") for userid in ids(value)))


def read_members(caller: Caller, api: str, department_id: int) -> list[EmployeeRecord]:
    """The members of one department by `user/list` or `user/simplelist`; entries without userid left out."""
    query = {"department_id": str(department_id)}
    data = caller.read(api, query=query, expect="userlist").data
    if "userlist" not in data:
        raise Malformed(f"{api} answered without its list.", code="no_list")
    found = (_member(entry, department_id) for entry in as_list(data["userlist"]))
    return [member for member in found if member is not None]


def _member(entry: Any, department_id: int) -> EmployeeRecord | None:
    if not isinstance(entry, dict):
        return None
    try:
        userid = plain(entry, "userid")
    except Unstorable:
        return None
    if not userid:
        return None
    departments, leads = _departments(entry, department_id)
    return EmployeeRecord(
        userid,
        name=_told(entry, "name"),
        alias=_told(entry, "alias", limit="name"),
        position=_told(entry, "position"),
        avatar=_told(entry, "avatar"),
        status=number(entry, "status"),
        departments=departments,
        leads=leads,
    )


def _told(entry: dict[str, Any], key: str, *, limit: str = "") -> str | Unset:
    """A text that is left out when it cannot be stored: a bad position must not cost the employee."""
    try:
        return text(entry, key, limit=limit)
    except Unstorable:
        return UNSET


def _departments(
    entry: dict[str, Any], department_id: int
) -> tuple[tuple[int, ...], tuple[int, ...] | Unset]:
    told = [number({"id": value}, "id") for value in as_list(entry.get("department"))]
    departments = tuple(value for value in told if isinstance(value, int)) or (department_id,)
    if "is_leader_in_dept" not in entry:
        return departments, UNSET
    flags = [as_int(value) for value in as_list(entry["is_leader_in_dept"])]
    pairs = zip(told, flags, strict=False)
    return departments, tuple(value for value, flag in pairs if flag == 1 and isinstance(value, int))


def read_names(caller: Caller, departments: Sequence[int], warnings: Warnings) -> list[EmployeeRecord]:
    """Names of everybody in `departments`, as far as they can be read; failures become warnings.

    `user/list` first; `user/simplelist` where it fails. A call refused for lack of rights is not tried again.
    """
    apis = ["user/list", "user/simplelist"]
    found: list[EmployeeRecord] = []
    for department_id in departments:
        for api in list(apis):
            try:
                found += read_members(caller, api, department_id)
                break
            except ProviderError as error:
                warnings.add(api, error)
                if isinstance(error, BadCredential):
                    apis.remove(api)
    return merge(found)
