"""Reading and editing customers one at a time, their tags, and `add` of the direct dialect."""

import re
from collections.abc import Mapping
from typing import Any

from crm.simulator.cursors import Place, binding
from crm.simulator.exchange import encoded
from crm.simulator.records import Contact, Employee, Follow, TagGroup
from crm.simulator.wecom.call import Call, Refused, ok
from crm.simulator.wecom.items import external_contact, follow_user, visible_follows
from crm.simulator.wecom.listing import next_cursor, open_cursor

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_\-@.]{0,63}")
_TEXTS = ("nickname", "position", "corp_name", "corp_full_name", "avatar", "unionid")


def get_follow_user_list(call: Call) -> bytes:
    """GET get_follow_user_list: the members with customer contact, as far as the app sees them."""
    return ok(follow_user=[each.userid for each in call.corp.reachable_employees()])


def get(call: Call) -> bytes:
    """GET get: a contact with all followers; `next_cursor` only when they do not fit on one page."""
    contact = _contact(call)
    mark = binding(call.api, call.app, call.corp.spec.corp, contact.external_userid)
    place = open_cursor(call, mark)
    size = call.switches.follower_page or 500
    followers = [each for each in visible_follows(contact) if each.n > place.after]
    if not followers and not place.after:
        raise Refused(84061)
    shown = followers[:size]
    told = ",".join(follow_user(call.corp, each) for each in shown)
    answer = encoded(
        f'{{"errcode":0,"errmsg":"ok","external_contact":{external_contact(call.corp, contact)},'
        f'"follow_user":[{told}]}}'
    )
    if len(followers) <= size and not place.after:
        return answer
    following = Place(place.page + 1, 0, shown[-1].n) if len(followers) > size else None
    return answer[:-1] + next_cursor(call, following, mark) + b"}"


def _contact(call: Call) -> Contact:
    contact = call.corp.contacts.get(call.text("external_userid", missing=41035))
    if contact is None:
        raise Refused(40096)
    return contact


def _relation(call: Call) -> Follow:
    employee = call.corp.employee(call.text("userid", missing=41009))
    if employee is None or not employee.is_present:
        raise Refused(60111)
    follow = call.corp.following(employee, _contact(call))
    if follow is None:
        raise Refused(84061)
    return follow


def remark(call: Call) -> bytes:
    """POST remark: what the member notes about the customer; only the given fields change."""
    follow = _relation(call)
    fields = ("remark", "description", "remark_company", "remark_mobiles", "remark_pic_mediaid")
    if not any(name in call.params for name in fields):
        raise Refused(40063, "one of " + ", ".join(fields))
    for name, limit in (("remark", 20), ("description", 150), ("remark_company", 20)):
        if len(call.text(name)) > limit:
            raise Refused(40058, f"{name} has more than {limit} characters")
    mobiles = call.strings("remark_mobiles", at_most=5)
    follow.remark = call.text("remark") if "remark" in call.params else follow.remark
    follow.description = call.text("description") if "description" in call.params else follow.description
    if "remark_company" in call.params and follow.contact.type == 1:
        follow.remark_corp_name = call.text("remark_company")
    if "remark_mobiles" in call.params:
        follow.remark_mobiles = tuple(each for each in mobiles if each)
    call.corp.touch(follow.contact)
    return ok()


def mark_tag(call: Call) -> bytes:
    """POST mark_tag: put corp tags on a customer, take them off."""
    follow = _relation(call)
    added, removed = (call.strings(name, at_most=3000) for name in ("add_tag", "remove_tag"))
    if not added and not removed:
        raise Refused(40063, "add_tag or remove_tag")
    if any(each not in call.corp.tags for each in added + removed):
        raise Refused(40068)
    kept = [each for each in follow.tags if each not in removed]
    follow.tags = tuple(dict.fromkeys(kept + [each for each in added if each not in removed]))
    call.corp.touch(follow.contact)
    return ok()


def get_corp_tag_list(call: Call) -> bytes:
    """POST get_corp_tag_list: all tags by group, or those of the named groups or tags."""
    groups, tags = (call.strings(name, at_most=3000) for name in ("group_id", "tag_id"))
    chosen = list(call.corp.tag_groups.values())
    if groups:
        return ok(tag_group=[_group(each, None) for each in chosen if each.group_id in groups])
    if tags:
        return ok(tag_group=[_group(g, tags) for g in chosen if any(tag.id in tags for tag in g.tags)])
    return ok(tag_group=[_group(each, None) for each in chosen])


def _group(group: TagGroup, wanted: list[str] | None) -> dict[str, Any]:
    tags = [tag for tag in group.tags if wanted is None or tag.id in wanted]
    return {
        "group_id": group.group_id,
        "group_name": group.group_name,
        "create_time": group.create_time,
        "order": group.order,
        "tag": [{"id": t.id, "name": t.name, "create_time": t.create_time, "order": t.order} for t in tags],
    }


def add(call: Call) -> bytes:
    """POST add (direct): create or update the contact of that id; the named members come to follow it."""
    told = call.record("external_contact")
    external_userid = told.get("external_userid")
    if not external_userid:
        raise Refused(41035)
    if not isinstance(external_userid, str) or not _ID.fullmatch(external_userid):
        raise Refused(40096)
    followers = [_follower(call, userid) for userid in call.strings("follow_user", at_most=1000)]
    _check(told, is_new=external_userid not in call.corp.contacts)
    contact = call.corp.contacts.get(external_userid)
    if contact is None:
        contact = Contact(external_userid, "")
        call.corp.add_contact(contact)
    for name, value in told.items():
        if name in ("name", "gender", "type", *_TEXTS):
            setattr(contact, name, value)
    for employee in followers:
        if call.corp.following(employee, contact) is None:
            now = call.clock.seconds()
            call.corp.follow(employee, contact, createtime=now, oper_userid=employee.userid, add_way=17)
    call.corp.touch(contact)
    return ok(external_contact={"external_userid": external_userid})


def _follower(call: Call, userid: str) -> Employee:
    employee = call.corp.employee(userid)
    if employee is None or not employee.is_present:
        raise Refused(60111, f"follow_user {userid} not found")
    return employee


def _check(told: Mapping[str, Any], *, is_new: bool) -> None:
    if is_new and not told.get("name"):
        raise Refused(40063, "name missing")
    for name in ("name", *_TEXTS):
        if not isinstance(told.get(name, ""), str) or len(told.get(name, "")) > 1024:
            raise Refused(40058, f"bad {name}")
    if told.get("gender", 0) not in (0, 1, 2) or told.get("type", 1) not in (1, 2):
        raise Refused(40058, "bad gender or type")
