"""Employees and departments. There is no call for all of them: departments are walked one level at a time."""

from crm.simulator.dingtalk.call import Call, Refused, ok
from crm.simulator.exchange import JsonObject
from crm.simulator.records import Department, Employee

_ROOT = 1
_MOST = 100


def _department(call: Call) -> Department:
    department = call.corp.departments.get(call.number("dept_id", _ROOT))
    if department is None:
        raise Refused(60003)
    return department


def _below(call: Call) -> list[Department]:
    parent = _department(call)
    return [each for each in call.corp.departments.values() if each.parentid == parent.id != each.id]


def listsub(call: Call) -> bytes:
    """POST v2/department/listsub: the departments right below one."""
    found = [
        {
            "dept_id": each.id,
            "name": each.name,
            "parent_id": each.parentid,
            "create_dept_group": False,
            "auto_add_user": False,
        }
        for each in _below(call)
    ]
    return ok(result=found)


def listsubid(call: Call) -> bytes:
    """POST v2/department/listsubid: their ids."""
    return ok(result={"dept_id_list": [each.id for each in _below(call)]})


def _members(call: Call) -> list[Employee]:
    members = call.corp.members_of(_department(call).id)
    return [each for each in members if each.visible and each.status == 1]


def _page(call: Call) -> tuple[list[Employee], JsonObject]:
    cursor, size = call.number("cursor", 0, bad=40068), call.number("size", 0, bad=40069)
    if cursor < 0:
        raise Refused(40068)
    if not 1 <= size <= _MOST:
        raise Refused(40069)
    members = _members(call)
    stop = cursor + size
    end: JsonObject = {"has_more": False}
    if stop < len(members):
        end = {"has_more": True, "next_cursor": stop}
    return members[cursor:stop], end


def listsimple(call: Call) -> bytes:
    """POST user/listsimple: ids and names of those who stand directly in a department."""
    members, end = _page(call)
    return ok(result={**end, "list": [{"userid": each.userid, "name": each.name} for each in members]})


def full_list(call: Call) -> bytes:
    """POST v2/user/list: the same people in full, with whether they lead this department."""
    members, end = _page(call)
    leaders = _department(call).department_leader
    told = [_full(each) | {"leader": each.userid in leaders} for each in members]
    return ok(result={**end, "list": told})


def listid(call: Call) -> bytes:
    """POST user/listid: their ids, all at once."""
    return ok(result={"userid_list": [each.userid for each in _members(call)]})


def get(call: Call) -> bytes:
    """POST v2/user/get: one employee."""
    employee = call.corp.employee(call.text("userid", missing=400002))
    if employee is None or not employee.is_present:
        raise Refused(60121)
    if not employee.visible:
        raise Refused(50002)
    leads = [
        {"dept_id": number, "leader": employee.userid in call.corp.departments[number].department_leader}
        for number in employee.department
        if number in call.corp.departments
    ]
    return ok(result=_full(employee) | {"leader_in_dept": leads})


def getbymobile(call: Call) -> bytes:
    """POST v2/user/getbymobile: who has this number now; leavers are not found."""
    mobile = call.text("mobile", missing=400002)
    if not mobile.isdigit():
        raise Refused(40104)
    for employee in call.corp.employees.values():
        if employee.mobile == mobile and employee.is_present:
            return ok(result={"userid": employee.userid})
    raise Refused(60121)


def _full(employee: Employee) -> JsonObject:
    told: JsonObject = {
        "userid": employee.userid,
        "unionid": f"union{employee.userid}",
        "name": employee.name,
        "dept_id_list": employee.department,
        "active": employee.status == 1,
    }
    optional = {"title": employee.position, "mobile": employee.mobile, "email": employee.email}
    return told | {name: value for name, value in optional.items() if value}
