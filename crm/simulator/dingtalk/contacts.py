"""External contacts: listed for the whole organisation by offset, read, created, updated, deleted; and their labels."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from crm.simulator.dingtalk.call import Call, Refused, ok, text
from crm.simulator.exchange import JsonObject, dumps
from crm.simulator.records import Card, Contact, Employee, TagGroup
from crm.simulator.world import Corp

_MOST = 100
_DEFAULT = 20
_MOST_SHARED = 20
_MOST_LABELS = 20
_NAME = 64
_COLORS = (-16744448, -65536, -16776961, -32768)


def listing(call: Call) -> bytes:
    """POST extcontact/list: no total, no cursor, no order; the offset counts rows that may move between pages."""
    offset, size = _range(call, bad_size=40069)
    size = min(size, call.switches.page_limit or size)
    if call.switches.ignored_offset:
        offset = 0
    found = [each for each in call.corp.contacts.values() if each.follows]
    page = [] if call.empty_page else found[offset : offset + size]
    items = [_bytes(call, each) for each in page]
    middle = len(items) // 2  # a hostile item stands between good ones
    number = offset // size + 1
    items[middle:middle] = [
        raw for (_, at), poison in call.corp.poison_pages.items() if at == number for raw in poison
    ]
    return b'{"errcode":0,"errmsg":"ok","results":[' + b",".join(items) + b"]}"


def _range(call: Call, *, bad_size: int) -> tuple[int, int]:
    if "offset" not in call.params or "size" not in call.params:
        return 0, _DEFAULT  # either alone has no effect
    offset, size = call.number("offset", 0, bad=40068), call.number("size", 0, bad=bad_size)
    if offset < 0:
        raise Refused(40068)
    if not 1 <= size <= _MOST:
        raise Refused(bad_size)
    return offset, size


def _bytes(call: Call, contact: Contact) -> bytes:
    if contact.poison is not None:
        return contact.poison
    if contact.listed is None:
        contact.listed = dumps(_item(contact))
    if call.switches.tells_mobile:
        return contact.listed
    return dumps({name: value for name, value in _item(contact).items() if name != "mobile"})


def _item(contact: Contact) -> JsonObject:
    card = contact.card or Card()
    owner, *shared = [each.employee.userid for each in contact.follows]
    told: JsonObject = {
        "userid": contact.external_userid,
        "name": contact.name,
        "follower_user_id": owner,
        "label_ids": [int(each) for each in card.labels],
        "state_code": card.state_code,
    }
    optional = {
        "mobile": card.mobile,
        "title": contact.position,
        "company_name": contact.corp_name,
        "remark": card.remark,
        "address": card.address,
        "email": card.email,
        "share_user_ids": shared,
        "share_dept_ids": list(card.share_dept_ids),
    }
    return told | {name: value for name, value in optional.items() if value}


def get(call: Call) -> bytes:
    """POST extcontact/get: one contact."""
    item = _bytes(call, _contact(call.corp, call.text("user_id", missing=33012), unknown=33012))
    return b'{"errcode":0,"errmsg":"ok","result":' + item + b"}"


def _contact(corp: Corp, userid: str, *, unknown: int) -> Contact:
    contact = corp.contacts.get(userid)
    if contact is None or not contact.follows:
        raise Refused(unknown)
    return contact


def create(call: Call) -> bytes:
    """POST extcontact/create: a new contact, found by nobody else under the same phone."""
    told = _told(call)
    name, owner, labels = _required(call.corp, told, phone=True)
    shared, departments = _shared(call.corp, told)
    state_code, mobile = text(told, "state_code"), text(told, "mobile")
    if not re.fullmatch(r"\d{1,4}", state_code) or not re.fullmatch(r"\d{5,20}", mobile):
        raise Refused(60103)
    for each in call.corp.contacts.values():
        if each.card and each.follows and (each.card.state_code, each.card.mobile) == (state_code, mobile):
            raise Refused(22005)
    number = call.corp.next_n()
    stamp = hashlib.sha1(f"{call.corp.spec.corp}/{number}".encode(), usedforsecurity=False).hexdigest()
    contact = Contact(f"ext{int(stamp[:14], 16)}", name)
    contact.card = Card(state_code, mobile, labels=labels, share_dept_ids=departments)
    call.corp.add_contact(contact)
    _write(call, contact, told, [owner, *shared])
    return ok(userid=contact.external_userid)


def update(call: Call) -> bytes:
    """POST extcontact/update: everything but the phone. Another owner is how a contact is handed over."""
    told = _told(call)
    contact = _contact(call.corp, text(told, "user_id", missing=40003), unknown=60121)
    contact.name, owner, labels = _required(call.corp, told, phone=False)
    shared, departments = _shared(call.corp, told)
    card = contact.card = contact.card or Card()
    card.labels, card.share_dept_ids = labels, departments
    _write(call, contact, told, [owner, *shared])
    return ok()


def delete(call: Call) -> bytes:
    """POST extcontact/delete: the contact is gone for everybody."""
    call.corp.delete_contact(_contact(call.corp, call.text("user_id", missing=33012), unknown=33012))
    return ok()


def _told(call: Call) -> Mapping[str, Any]:
    told = call.params.get("contact")
    if not isinstance(told, dict):
        raise Refused(40036, "contact")
    return told


def _required(corp: Corp, told: Mapping[str, Any], *, phone: bool) -> tuple[str, Employee, tuple[str, ...]]:
    for name in ("name", "follower_user_id", *(("state_code", "mobile") if phone else ())):
        text(told, name, missing=40036, bad=40036)
    labels = told.get("label_ids")
    if not isinstance(labels, list) or not labels:
        raise Refused(60204)
    ids = tuple(dict.fromkeys(str(each) for each in labels))
    if len(ids) > _MOST_LABELS or any(each not in corp.tags for each in ids):
        raise Refused(40035, "label_ids")
    if len(text(told, "name")) > _NAME:
        raise Refused(60112)
    return text(told, "name"), _employee(corp, text(told, "follower_user_id")), ids


def _employee(corp: Corp, userid: str) -> Employee:
    employee = corp.employee(userid)
    if employee is None or not employee.is_present:
        raise Refused(60121, userid)
    return employee


def _shared(corp: Corp, told: Mapping[str, Any]) -> tuple[list[Employee], tuple[int, ...]]:
    users, departments = told.get("share_user_ids") or [], told.get("share_dept_ids") or []
    if not isinstance(users, list) or not isinstance(departments, list):
        raise Refused(40035, "share")
    if max(len(users), len(departments)) > _MOST_SHARED:
        raise Refused(40035, f"more than {_MOST_SHARED}")
    return [_employee(corp, str(each)) for each in users], tuple(int(each) for each in departments)


def _write(call: Call, contact: Contact, told: Mapping[str, Any], people: list[Employee]) -> None:
    """The optional texts (what is left out is cleared) and who follows: the owner first, then the others."""
    contact.position, contact.corp_name = text(told, "title"), text(told, "company_name")
    if contact.card is not None:
        contact.card.remark, contact.card.address = text(told, "remark"), text(told, "address")
    wanted = list(dict.fromkeys(each.userid for each in people))
    for follow in contact.follows:
        if follow.employee.userid not in wanted:
            call.corp.end(follow)
    for employee in people:
        if call.corp.following(employee, contact) is None:
            call.corp.follow(employee, contact, createtime=call.clock.seconds())
    contact.follows = tuple(sorted(contact.follows, key=lambda each: wanted.index(each.employee.userid)))
    call.corp.touch(contact)


def listlabelgroups(call: Call) -> bytes:
    """POST extcontact/listlabelgroups: groups have no id, and a colour that is a signed number."""
    offset, size = _range(call, bad_size=41101)
    groups = list(call.corp.tag_groups.values())
    page = groups[offset : offset + size]
    return ok(results=[_group(each, groups.index(each)) for each in page])


def _group(group: TagGroup, place: int) -> JsonObject:
    labels = [{"id": int(each.id), "name": each.name} for each in group.tags]
    return {"name": group.group_name, "color": _COLORS[place % len(_COLORS)], "labels": labels}
