"""What happens in the world without the API: people meet, part, move. One function per op of /_sim/world/."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from crm.simulator.exchange import JsonObject
from crm.simulator.records import Contact, Department, Employee, Follow, Tag, TagGroup
from crm.simulator.world import Corp

_CONTACT = (
    "name",
    "nickname",
    "gender",
    "type",
    "position",
    "corp_name",
    "corp_full_name",
    "avatar",
    "unionid",
)
_FOLLOW = ("remark", "description", "createtime", "remark_corp_name", "oper_userid", "add_way", "state")
_EMPLOYEE = (
    "name", "department", "is_leader_in_dept", "position", "mobile", "email", "gender", "status", "licensed",
)  # fmt: skip
_ASSIGNED = 202  # add_way of a relation that an administrator handed over

Op = Callable[[Corp, Mapping[str, Any], int], JsonObject]


def apply(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """Do what `fields["op"]` names. Raises ValueError or LookupError with a sentence for whoever asked."""
    op = OPS.get(str(fields.get("op")))
    if op is None:
        raise ValueError(f"op must be one of {', '.join(OPS)}")
    try:
        return {"ok": True} | op(corp, fields, now)
    except KeyError as missing:
        raise ValueError(f"{fields['op']} needs {missing}") from missing


def _contact(corp: Corp, fields: Mapping[str, Any]) -> Contact:
    contact = corp.contacts.get(fields["external_userid"])
    if contact is None:
        raise LookupError(f"no contact {fields['external_userid']}")
    return contact


def _employee(corp: Corp, userid: str) -> Employee:
    employee = corp.employee(userid)
    if employee is None:
        raise LookupError(f"no employee {userid}")
    return employee


def _relation(corp: Corp, fields: Mapping[str, Any], userid: str) -> Follow:
    follow = corp.following(_employee(corp, userid), _contact(corp, fields))
    if follow is None:
        raise LookupError(f"{userid} does not follow {fields['external_userid']}")
    return follow


def _set(record: object, names: tuple[str, ...], fields: Mapping[str, Any]) -> None:
    for name in names:
        if name in fields:
            if type(fields[name]) is not type(getattr(record, name)):
                raise ValueError(
                    f"{name} cannot be {fields[name]!r}; hostile values go through /_sim/poison/"
                )
            setattr(record, name, fields[name])


def _set_follow(corp: Corp, follow: Follow, fields: Mapping[str, Any]) -> None:
    _set(follow, _FOLLOW, fields)
    if "remark_mobiles" in fields:
        follow.remark_mobiles = tuple(fields["remark_mobiles"])
    if "tags" in fields:
        follow.tags = tuple(each for each in map(_tag_id, fields["tags"]) if each)
        follow.own_tags = tuple(
            (each.get("group_name", ""), each["tag_name"])
            for each in fields["tags"]
            if isinstance(each, dict) and not each.get("tag_id")
        )
        if unknown := [each for each in follow.tags if each not in corp.tags]:
            follow.tags = tuple(each for each in follow.tags if each in corp.tags)
            raise LookupError(f"no tags {unknown}")
    corp.touch(follow.contact)


def _tag_id(told: Any) -> str:
    return told if isinstance(told, str) else str(told.get("tag_id") or "")


def add_contact(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """A new person; `follow_user` holds userids or objects with the fields of a relation."""
    made_up = hashlib.sha1(f"{corp.spec.corp}/{corp.last_n}".encode(), usedforsecurity=False).hexdigest()[:30]
    external_userid = fields.get("external_userid") or ("wo" if fields.get("type") == 2 else "wm") + made_up
    if external_userid in corp.contacts:
        raise ValueError(f"{external_userid} exists")
    contact = Contact(external_userid, str(fields.get("name", "新客户")))
    _set(contact, _CONTACT, fields)
    corp.next_n()
    corp.add_contact(contact)
    for told in fields.get("follow_user", ()):
        relation = {"userid": told} if isinstance(told, str) else told
        follow(corp, relation | {"external_userid": external_userid}, now)
    return {"external_userid": external_userid}


def edit_contact(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    contact = _contact(corp, fields)
    _set(contact, _CONTACT, fields)
    corp.touch(contact)
    return {}


def delete_contact(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    corp.delete_contact(_contact(corp, fields))
    return {}


def follow(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    employee, contact = _employee(corp, fields["userid"]), _contact(corp, fields)
    if corp.following(employee, contact):
        raise ValueError(f"{employee.userid} follows {contact.external_userid} already")
    made = corp.follow(employee, contact, createtime=now, oper_userid=employee.userid, add_way=1)
    _set_follow(corp, made, fields)
    return {}


def scan(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """Somebody scans a contact way's code and becomes a customer of its (first) member, with the way's state."""
    way = corp.ways.get(fields["config_id"])
    if way is None:
        raise LookupError(f"no contact way {fields['config_id']}")
    relation = {"userid": way.user[0], "state": way.state, "add_way": 1}
    if fields.get("external_userid") in corp.contacts:
        return follow(corp, relation | {"external_userid": fields["external_userid"]}, now)
    return add_contact(corp, {**fields, "follow_user": [relation]}, now) | {"userid": way.user[0]}


def unfollow(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """The member deletes the customer."""
    corp.end(_relation(corp, fields, fields["userid"]))
    return {}


def customer_leaves(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """The customer deletes the member: reads still work, mass messages end in status 2."""
    _relation(corp, fields, fields["userid"]).customer_left = True
    corp.changed()
    return {}


def edit_follow(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    _set_follow(corp, _relation(corp, fields, fields["userid"]), fields)
    return {}


def transfer(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """The relation of `from` ends, one of `to` begins with its notes unless `to` follows already."""
    old = _relation(corp, fields, fields["from"])
    contact, takeover = old.contact, _employee(corp, fields["to"])
    corp.end(old)
    if corp.following(takeover, contact) is None:
        corp.follow(
            takeover,
            contact,
            createtime=now,
            remark=old.remark,
            description=old.description,
            tags=old.tags,
            remark_corp_name=old.remark_corp_name,
            remark_mobiles=old.remark_mobiles,
            oper_userid=old.employee.userid,
            add_way=_ASSIGNED,
            state=old.state,
        )
    return {}


def add_employee(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    userid = fields["userid"]
    if corp.employee(userid):
        raise ValueError(f"{userid} exists")
    departments = fields.get("department", [1])
    employee = Employee(userid, fields.get("name", userid), departments, [0] * len(departments))
    _set(employee, _EMPLOYEE, fields)
    corp.add_employee(employee)
    return {"userid": userid}


def edit_employee(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """Also `left: true`: status 5, the relations wait for inheritance where no listing shows them."""
    employee = _employee(corp, fields["userid"])
    _set(employee, _EMPLOYEE, fields)
    if "left" in fields:
        employee.status = 5 if fields["left"] else 1
    corp.touch_all(each.contact for each in employee.follows)
    corp.changed()
    return {}


def remove_employee(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    corp.remove_employee(_employee(corp, fields["userid"]))
    return {}


def set_visible(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """Drop the member from the range of customer contact, or restore it."""
    employee = _employee(corp, fields["userid"])
    employee.visible = bool(fields["visible"])
    corp.touch_all(each.contact for each in employee.follows)
    corp.changed()
    return {}


def add_tag(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """A corp tag in the group of that name, which is made when there is none."""
    name = fields["group_name"]
    group = next((each for each in corp.tag_groups.values() if each.group_name == name), None)
    group = group or TagGroup(f"etgroup{corp.next_n():025d}", name, now, 0)
    tag = Tag(f"ettag{corp.next_n():027d}", fields["tag_name"], now, 0, group)
    corp.add_tag(group, tag)
    return {"tag_id": tag.id, "group_id": group.group_id}


def _tag(corp: Corp, fields: Mapping[str, Any]) -> Tag:
    tag = corp.tags.get(fields["tag_id"])
    if tag is None:
        raise LookupError(f"no tag {fields['tag_id']}")
    return tag


def edit_tag(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    tag = _tag(corp, fields)
    tag.name = fields.get("tag_name", tag.name)
    tag.group.group_name = fields.get("group_name", tag.group.group_name)
    corp.touch_all(corp.contacts.values())
    return {}


def delete_tag(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    corp.delete_tag(_tag(corp, fields))
    return {}


def edit_department(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """Change a department, or make it when the id is new."""
    number = int(fields["id"])
    department = corp.departments.setdefault(number, Department(number, str(number), 1, 0))
    _set(department, ("name", "parentid", "order", "department_leader"), fields)
    corp.changed()
    return {}


OPS: dict[str, Op] = {
    each.__name__: each
    for each in (
        add_contact, edit_contact, delete_contact, follow, unfollow, customer_leaves, edit_follow, transfer,
        add_employee, edit_employee, remove_employee, set_visible, scan,
        add_tag, edit_tag, delete_tag, edit_department,
    )
}  # fmt: skip
