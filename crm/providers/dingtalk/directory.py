"""Employees and departments: there is no list of all, so the departments are walked from the root down."""

from collections.abc import Iterator
from typing import Any

from crm.providers.dingtalk.caller import Caller
from crm.providers.errors import BadCredential, Malformed, ProviderError
from crm.providers.gathering import LASTING, Warnings, merge
from crm.providers.reading import Unstorable, as_int, as_list, as_text, number, plain, text
from crm.providers.records import UNSET, Directory, EmployeeRecord, TeamRecord, Unset

ROOT = 1
MEMBERS = ("topapi/v2/user/list", "topapi/user/listsimple")  # the second where the first is not granted
_SUB = "topapi/v2/department/listsub"
_PAGE = 100
_MOST_PAGES = 10_000
_ACTIVE, _NOT_ACTIVATED = 1, 4


def read_directory(caller: Caller) -> Directory:
    """Everybody the app may see. A department it may not is a warning; if that is all of them, an error."""
    warnings = Warnings()
    teams, complete = _read_teams(caller, warnings)
    employees = _read_everybody(caller, [team.department_id for team in teams], warnings)
    return Directory(
        listed=tuple(employee.userid for employee in employees),
        employees=tuple(employees),
        teams=tuple(teams),
        teams_complete=complete,
        warnings=warnings.all(),
    )


def _read_teams(caller: Caller, warnings: Warnings) -> tuple[list[TeamRecord], bool]:
    """Every department that can be reached, parents first, and whether that is all of them."""
    found = {ROOT: TeamRecord(ROOT)}
    complete = True
    waiting = [ROOT]
    while waiting:
        department_id = waiting.pop(0)
        try:
            told = caller.read(_SUB, body={"dept_id": department_id}).data.get("result")
        except LASTING as error:
            warnings.add(_SUB, error)
            complete = False
            continue
        if not isinstance(told, list):
            raise Malformed("department/listsub answered without its list.", code="no_list")
        for entry in told:
            team = _team(entry, department_id)
            if team is None:
                complete = False
            elif team.department_id not in found:
                found[team.department_id] = team
                waiting.append(team.department_id)
    return list(found.values()), complete


def _team(entry: Any, parent_id: int) -> TeamRecord | None:
    if not isinstance(entry, dict) or not isinstance(department_id := number(entry, "dept_id"), int):
        return None
    told = number(entry, "parent_id")
    return TeamRecord(
        department_id,
        name=_told(entry, "name", limit="team_name"),
        parent_id=parent_id if isinstance(told, Unset) else told,
    )


def _read_everybody(caller: Caller, departments: list[int], warnings: Warnings) -> list[EmployeeRecord]:
    apis = list(MEMBERS)
    found: list[EmployeeRecord] = []
    refused: dict[int, ProviderError] = {}
    for department_id in departments:
        for api in list(apis):
            try:
                found += _members(caller, api, department_id)
                refused.pop(department_id, None)
                break
            except LASTING as error:
                warnings.add(api, error)
                refused[department_id] = error
                if isinstance(error, BadCredential) and len(apis) > 1:
                    apis.remove(api)
    if len(refused) == len(departments):
        raise next(iter(refused.values()))
    return merge(found)


def _members(caller: Caller, api: str, department_id: int) -> Iterator[EmployeeRecord]:
    """Who stands in one department; entries without userid are left out."""
    cursor = 0
    for _ in range(_MOST_PAGES):
        request = {"dept_id": department_id, "cursor": cursor, "size": _PAGE}
        told = caller.read(api, body=request).data.get("result")
        if not isinstance(told, dict) or "list" not in told:
            raise Malformed(f"{api} answered without its list.", code="no_list")
        for entry in as_list(told["list"]):
            member = _member(entry, department_id)
            if member is not None:
                yield member
        if told.get("has_more") not in (True, "true"):
            return
        following = as_int(told.get("next_cursor"))
        if following is None or following <= cursor:
            raise Malformed(f"{api} answered with a cursor that leads nowhere.", code="bad_cursor")
        cursor = following
    raise Malformed(f"More than {_MOST_PAGES} pages.", code="page_cap")


def _member(entry: Any, department_id: int) -> EmployeeRecord | None:
    if not isinstance(entry, dict):
        return None
    try:
        userid = plain(entry, "userid")
    except Unstorable:
        return None
    if not userid:
        return None
    told = [number({"id": value}, "id") for value in as_list(entry.get("dept_id_list"))]
    leads: tuple[int, ...] | Unset = UNSET
    if "leader" in entry:
        leads = (department_id,) if entry["leader"] in (True, "true") else ()
    status: int | Unset = UNSET
    if "active" in entry:
        status = _ACTIVE if entry["active"] in (True, "true") else _NOT_ACTIVATED
    return EmployeeRecord(
        userid,
        name=_told(entry, "name"),
        position=_told(entry, "title", limit="position"),
        avatar=_told(entry, "avatar"),
        status=status,
        departments=tuple(value for value in told if isinstance(value, int)) or (department_id,),
        leads=leads,
    )


def _told(entry: dict[str, Any], key: str, *, limit: str = "") -> str | Unset:
    """A text that is left out when it cannot be stored: a bad position must not cost the employee."""
    try:
        return text(entry, key, limit=limit)
    except Unstorable:
        return UNSET


def find_by_mobile(caller: Caller, mobile: str) -> str:
    """The userid of the employee who has this number now. Raises Absent."""
    told = caller.read("topapi/v2/user/getbymobile", body={"mobile": mobile}).data.get("result")
    try:
        userid = as_text(told["userid"], "userid") if isinstance(told, dict) and "userid" in told else ""
    except Unstorable:
        userid = ""
    if not userid:
        raise Malformed("getbymobile answered without a userid.", code="not_json")
    return userid
