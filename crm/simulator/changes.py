"""What people do in the client: they meet, part, move. One function per op of /_sim/world/; callbacks tell of it."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from crm.simulator import events
from crm.simulator.edits import set_card, set_fields, tag_id_of
from crm.simulator.exchange import JsonObject
from crm.simulator.records import Card, Contact, Department, Employee, Follow, Tag, TagGroup, Welcome
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
_TOLD_EDITS = {"remark", "description", "tags"}  # a change of only the remark mobiles is not reported
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


def _set_follow(corp: Corp, follow: Follow, fields: Mapping[str, Any]) -> None:
    if follow.contact.card is not None:
        set_card(corp, follow.contact.card, fields)
        corp.touch(follow.contact)
        return
    set_fields(follow, _FOLLOW, fields)
    if "remark_mobiles" in fields:
        follow.remark_mobiles = tuple(fields["remark_mobiles"])
    if "tags" in fields:
        follow.tags = tuple(each for each in map(tag_id_of, fields["tags"]) if each)
        follow.own_tags = tuple(
            (each.get("group_name", ""), each["tag_name"])
            for each in fields["tags"]
            if isinstance(each, dict) and not each.get("tag_id")
        )
        if unknown := [each for each in follow.tags if each not in corp.tags]:
            follow.tags = tuple(each for each in follow.tags if each in corp.tags)
            raise LookupError(f"no tags {unknown}")
    corp.touch(follow.contact)


def add_contact(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """A new person; `follow_user` holds userids or objects with the fields of a relation."""
    made_up = hashlib.sha1(f"{corp.spec.corp}/{corp.last_n}".encode(), usedforsecurity=False).hexdigest()[:30]
    external_userid = fields.get("external_userid") or ("wo" if fields.get("type") == 2 else "wm") + made_up
    if external_userid in corp.contacts:
        raise ValueError(f"{external_userid} exists")
    contact = Contact(external_userid, str(fields.get("name", "新客户")))
    set_fields(contact, _CONTACT, fields)
    number = corp.next_n()
    if corp.spec.dialect == "dingtalk":
        contact.card = Card(mobile=f"1990{number:07d}", labels=tuple(corp.tags)[:1])
        set_card(corp, contact.card, fields)
    corp.add_contact(contact)
    for told in fields.get("follow_user", ()):
        relation = {"userid": told} if isinstance(told, str) else told
        follow(corp, relation | {"external_userid": external_userid}, now)
    return {"external_userid": external_userid}


def edit_contact(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    contact = _contact(corp, fields)
    set_fields(contact, _CONTACT, fields)
    if contact.card is not None:
        set_card(corp, contact.card, fields)
    corp.touch(contact)
    return {}


def delete_contact(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    contact = _contact(corp, fields)
    for each in contact.follows:
        _tell(corp, "del_external_contact", each, now)
    corp.delete_contact(contact)
    return {}


def _tell(corp: Corp, change: str, relation: Follow, now: int, **more: str) -> None:
    userid, external_userid = relation.employee.userid, relation.contact.external_userid
    corp.tell(events.customer(change, now, userid=userid, external_userid=external_userid, **more))


def _welcome_code(corp: Corp, relation: Follow, now: int) -> str:
    """A code for the first message: not among colleagues of WeCom, and only where a callback can bring it."""
    if corp.callback is None or relation.contact.type == 2:
        return ""
    code = f"welcome{corp.next_n():025d}"
    corp.welcomes[code] = Welcome(relation.contact.external_userid, relation.employee.userid, now)
    return code


def follow(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """Member and customer are connected; `half`: the customer added the member, who did not add back yet."""
    employee, contact = _employee(corp, fields["userid"]), _contact(corp, fields)
    if corp.following(employee, contact):
        raise ValueError(f"{employee.userid} follows {contact.external_userid} already")
    made = corp.follow(employee, contact, createtime=now, oper_userid=employee.userid, add_way=1)
    _set_follow(corp, made, fields)
    corp.greeted.discard((contact.external_userid, employee.userid))
    change = "add_half_external_contact" if fields.get("half") else "add_external_contact"
    _tell(corp, change, made, now, State=made.state, WelcomeCode=_welcome_code(corp, made, now))
    return {}


def add_back(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """The member adds back a customer of whom only half was told."""
    made = _relation(corp, fields, fields["userid"])
    code = _welcome_code(corp, made, now)
    _tell(corp, "add_external_contact", made, now, State=made.state, WelcomeCode=code)
    return {}


def chat(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """The two begin to talk: too late for a welcome message."""
    relation = _relation(corp, fields, fields["userid"])
    corp.greeted.add((relation.contact.external_userid, relation.employee.userid))
    return {}


def scan(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """Somebody scans a contact way's code and becomes a customer, with its state, of its members by turns."""
    way = corp.ways.get(fields["config_id"])
    if way is None or not way.is_live(now):
        raise LookupError(f"no contact way {fields['config_id']}, or it has expired")
    userids = [each.userid for each in corp.members_of_way(way) if each.is_reachable]
    if not userids:
        raise LookupError("nobody of this contact way is there")
    userid = userids[way.scans % len(userids)]
    relation = {"userid": userid, "state": way.state, "add_way": 1, "half": fields.get("half", False)}
    if fields.get("external_userid") in corp.contacts:
        told = {"external_userid": fields["external_userid"]}
        follow(corp, relation | told, now)
    else:
        told = add_contact(corp, {**fields, "follow_user": [relation]}, now)
    way.scans += 1
    return told | {"userid": userid}


def unfollow(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """The member deletes the customer."""
    ended = _relation(corp, fields, fields["userid"])
    corp.end(ended)
    _tell(corp, "del_external_contact", ended, now)
    return {}


def customer_leaves(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """The customer deletes the member: reads still work, mass messages end in status 2."""
    left = _relation(corp, fields, fields["userid"])
    left.customer_left = True
    corp.changed()
    _tell(corp, "del_follow_user", left, now)
    return {}


def edit_follow(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    edited = _relation(corp, fields, fields["userid"])
    _set_follow(corp, edited, fields)
    if not _TOLD_EDITS.isdisjoint(fields):
        _tell(corp, "edit_external_contact", edited, now, State=edited.state)
    return {}


def transfer(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """The relation of `from` ends, one of `to` begins with its notes unless `to` follows already.

    `fails`, customer_refused or customer_limit_exceed: nothing moves, and that is told.
    """
    old = _relation(corp, fields, fields["from"])
    contact, takeover = old.contact, _employee(corp, fields["to"])
    if fields.get("fails"):
        who = {"userid": takeover.userid, "external_userid": contact.external_userid}
        corp.tell(events.customer("transfer_fail", now, **who, FailReason=fields["fails"]))
        return {}
    was_first = contact.follows[0] is old
    corp.end(old)
    _tell(corp, "del_external_contact", old, now, Source="DELETE_BY_TRANSFER")
    if corp.following(takeover, contact) is None:
        made = corp.follow(
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
        _tell(corp, "add_external_contact", made, now, State=made.state)
    if was_first and contact.card is not None and (taken := corp.following(takeover, contact)):
        corp.put_first(taken)
    return {}


def add_employee(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    userid = fields["userid"]
    if corp.employee(userid):
        raise ValueError(f"{userid} exists")
    departments = fields.get("department", [1])
    employee = Employee(userid, fields.get("name", userid), departments, [0] * len(departments))
    set_fields(employee, _EMPLOYEE, fields)
    corp.add_employee(employee)
    corp.tell(events.member("create_user", now, userid=userid, department=departments))
    return {"userid": userid}


def edit_employee(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """Also `new_userid`, and `left: true`: status 5, the relations wait for inheritance and no listing shows them."""
    employee = _employee(corp, fields["userid"])
    old, new = employee.userid, fields.get("new_userid", "")
    if new:
        corp.rename_employee(employee, new)
    set_fields(employee, _EMPLOYEE, fields)
    if "left" in fields:
        employee.status = 5 if fields["left"] else 1
    corp.touch_all(each.contact for each in employee.follows)
    corp.changed()
    if "left" in fields:
        corp.tell(events.member("delete_user" if fields["left"] else "create_user", now, userid=old))
    else:
        told = {"userid": old, "new_userid": new, "department": employee.department}
        corp.tell(events.member("update_user", now, **told))
    return {}


def remove_employee(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    employee = _employee(corp, fields["userid"])
    corp.remove_employee(employee)
    corp.tell(events.member("delete_user", now, userid=employee.userid))
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
    if group is None:
        is_dingtalk = corp.spec.dialect == "dingtalk"  # whose groups have no id
        group_id = name if is_dingtalk else f"etgroup{corp.next_n():025d}"
        group = TagGroup(group_id, name, now, 0)
        corp.tell(events.tag("create", now, id=group.group_id, kind="tag_group"))
    number = corp.next_n()
    tag_id = str(8000 + number) if corp.spec.dialect == "dingtalk" else f"ettag{number:027d}"
    tag = Tag(tag_id, fields["tag_name"], now, 0, group)
    corp.add_tag(group, tag)
    corp.tell(events.tag("create", now, id=tag.id, kind="tag"))
    return {"tag_id": tag.id, "group_id": group.group_id}


def _tag(corp: Corp, fields: Mapping[str, Any]) -> Tag:
    tag = corp.tags.get(fields["tag_id"])
    if tag is None:
        raise LookupError(f"no tag {fields['tag_id']}")
    return tag


def edit_tag(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    tag = _tag(corp, fields)
    if "tag_name" in fields:
        tag.name = fields["tag_name"]
        corp.tell(events.tag("update", now, id=tag.id, kind="tag"))
    if "group_name" in fields:
        tag.group.group_name = fields["group_name"]
        corp.tell(events.tag("update", now, id=tag.group.group_id, kind="tag_group"))
    corp.touch_all(corp.contacts.values())
    return {}


def shuffle_tags(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """The tags of a group in another order: here, the first becomes the last."""
    group = corp.tag_groups.get(fields["group_id"])
    if group is None:
        raise LookupError(f"no tag group {fields['group_id']}")
    group.tags.append(group.tags.pop(0))
    for place, each in enumerate(group.tags):
        each.order = len(group.tags) - place
    corp.changed()
    corp.tell(events.tag("shuffle", now, id=group.group_id))
    return {}


def delete_tag(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    tag = _tag(corp, fields)
    corp.delete_tag(tag)
    corp.tell(events.tag("delete", now, id=tag.id, kind="tag"))
    if not tag.group.tags:
        corp.tell(events.tag("delete", now, id=tag.group.group_id, kind="tag_group"))
    return {}


def edit_department(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """Change a department, or make it when the id is new."""
    number = int(fields["id"])
    change = "update_party" if number in corp.departments else "create_party"
    department = corp.departments.setdefault(number, Department(number, str(number), 1, 0))
    set_fields(department, ("name", "parentid", "order", "department_leader"), fields)
    corp.changed()
    told = {"Id": number, "Name": department.name, "ParentId": department.parentid, "Order": department.order}
    corp.tell(events.party(change, now, told))
    return {}


def remove_department(corp: Corp, fields: Mapping[str, Any], now: int) -> JsonObject:
    """Only one without members and without departments below it, as in the client."""
    number = int(fields["id"])
    if number not in corp.departments:
        raise LookupError(f"no department {number}")
    if corp.members_of(number) or len(corp.subtree(number)) > 1:
        raise ValueError(f"department {number} is not empty")
    del corp.departments[number]
    corp.changed()
    corp.tell(events.party("delete_party", now, {"Id": number}))
    return {}


OPS: dict[str, Op] = {
    each.__name__: each
    for each in (
        add_contact, edit_contact, delete_contact, follow, unfollow, customer_leaves, edit_follow, transfer,
        add_employee, edit_employee, remove_employee, set_visible, scan, add_back, chat,
        add_tag, edit_tag, shuffle_tags, delete_tag, edit_department, remove_department,
    )
}  # fmt: skip
