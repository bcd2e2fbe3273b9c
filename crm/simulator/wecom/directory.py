"""Members and departments."""

from crm.simulator.exchange import JsonObject
from crm.simulator.records import Department, Employee
from crm.simulator.wecom.call import Call, Refused, ok
from crm.simulator.wecom.items import member
from crm.simulator.wecom.listing import paged


def simplelist(call: Call) -> bytes:
    """GET user/simplelist: ids and names of the members who stand directly in a department."""
    members = _members(call)
    return ok(userlist=[{"userid": e.userid, "name": e.name, "department": e.department} for e in members])


def full_list(call: Call) -> bytes:
    """GET user/list: the same members in full."""
    return ok(userlist=[member(each, with_details=call.switches.member_details) for each in _members(call)])


def _members(call: Call) -> list[Employee]:
    department = _department(call, "department_id", missing=41009)
    if call.text("fetch_child") != "1":
        return call.corp.members_of(department.id)
    found = [each for below in call.corp.subtree(department.id) for each in call.corp.members_of(below.id)]
    return list({each.userid: each for each in found}.values())


def _department(call: Call, name: str, *, missing: int | None = None) -> Department:
    number = call.number(name, 0 if missing else 1)
    department = call.corp.departments.get(number)
    if department is None:
        raise Refused(60003 if number else 40066, f"{name} {number}")
    return department


def get(call: Call) -> bytes:
    """GET user/get: one member in full."""
    employee = call.corp.employee(call.text("userid", missing=41009))
    if employee is None or not employee.is_present:
        raise Refused(60111)
    return ok(**member(employee, with_details=call.switches.member_details))


def list_id(call: Call) -> bytes:
    """POST user/list_id: one row per (member, department); for the contacts-sync secret only."""
    if call.app != "sync" and call.switches.list_id_needs_sync:
        raise Refused(48002, "needs the contacts-sync secret")
    limit = call.number("limit", 10_000)
    if not 1 <= limit <= 10_000:
        raise Refused(40058, "limit must be 1..10000")
    present = [each for each in call.corp.employees.values() if each.is_present]
    rows = [{"userid": each.userid, "department": number} for each in present for number in each.department]
    return paged(call, rows, key="dept_user", limit=limit, bound=())


def getuserid(call: Call) -> bytes:
    """POST user/getuserid: who has this mobile number."""
    mobile = call.text("mobile", missing=40063)
    if not 5 <= len(mobile.encode()) <= 32:
        raise Refused(40058, "mobile must have 5 to 32 bytes")
    for employee in call.corp.employees.values():
        if employee.mobile == mobile and employee.is_present:
            return ok(userid=employee.userid)
    raise Refused(46004)


def department_list(call: Call) -> bytes:
    """GET department/list: the department `id` (default the root) and all below it."""
    return ok(department=[_department_item(each) for each in _subtree(call)])


def department_simplelist(call: Call) -> bytes:
    """GET department/simplelist: the same without names."""
    return ok(department_id=[{"id": d.id, "parentid": d.parentid, "order": d.order} for d in _subtree(call)])


def department_get(call: Call) -> bytes:
    """GET department/get: one department."""
    return ok(department=_department_item(_department(call, "id")))


def _subtree(call: Call) -> list[Department]:
    return call.corp.subtree(_department(call, "id").id)


def _department_item(department: Department) -> JsonObject:
    return {
        "id": department.id,
        "name": department.name,
        "name_en": department.name_en,
        "department_leader": department.department_leader,
        "parentid": department.parentid,
        "order": department.order,
    }
