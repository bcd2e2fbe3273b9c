"""The whole truth of a corp as JSON: what a mirror must look like once it caught up."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from crm.simulator.exchange import JsonObject
from crm.simulator.records import Contact, Employee, Follow, MassTask, Message, Notice, TagGroup
from crm.simulator.world import Corp


def truth(corp: Corp) -> JsonObject:
    """Every department, employee, tag (of contacts, of members) and contact, with the relations that live now."""
    return {
        "corp": corp.spec.corp,
        "dialect": corp.spec.dialect,
        "name": corp.spec.name,
        "departments": [
            {
                "id": each.id,
                "name": each.name,
                "parentid": each.parentid,
                "order": each.order,
                "department_leader": each.department_leader,
            }
            for each in corp.departments.values()
        ],
        "employees": [employee_truth(each) for each in corp.employees.values()],
        "tags": [tag_group_truth(each) for each in corp.tag_groups.values()],
        "member_tags": [asdict(each) for each in corp.member_tags.values()],
        "contacts": list(_contacts(corp)),
    }


def employee_truth(employee: Employee) -> JsonObject:
    """`visible` and `licensed` decide what listings tell; `contacts` counts the live relations."""
    return {
        "userid": employee.userid,
        "name": employee.name,
        "department": employee.department,
        "is_leader_in_dept": employee.is_leader_in_dept,
        "position": employee.position,
        "mobile": employee.mobile,
        "email": employee.email,
        "gender": employee.gender,
        "status": employee.status,
        "licensed": employee.licensed,
        "visible": employee.visible,
        "contacts": len(employee.follows),
    }


def tag_group_truth(group: TagGroup) -> JsonObject:
    return {
        "group_id": group.group_id,
        "group_name": group.group_name,
        "create_time": group.create_time,
        "order": group.order,
        "tag": [
            {"id": t.id, "name": t.name, "create_time": t.create_time, "order": t.order} for t in group.tags
        ],
    }


def _contacts(corp: Corp) -> Iterator[JsonObject]:
    for contact in corp.contacts.values():
        yield contact_truth(corp, contact)


def contact_truth(corp: Corp, contact: Contact) -> JsonObject:
    """A contact and everybody who follows it, also members whom the app cannot see."""
    return {
        "external_userid": contact.external_userid,
        "name": contact.name,
        "nickname": contact.nickname,
        "gender": contact.gender,
        "type": contact.type,
        "position": contact.position,
        "corp_name": contact.corp_name,
        "corp_full_name": contact.corp_full_name,
        "avatar": contact.avatar,
        "unionid": contact.unionid,
        "follow_user": [_follow_truth(corp, each) for each in contact.follows],
        **({} if contact.card is None else asdict(contact.card)),
    }


def _follow_truth(corp: Corp, follow: Follow) -> JsonObject:
    return {
        "userid": follow.employee.userid,
        "remark": follow.remark,
        "description": follow.description,
        "createtime": follow.createtime,
        "tags": _tags(corp, follow),
        "remark_corp_name": follow.remark_corp_name,
        "remark_mobiles": list(follow.remark_mobiles),
        "oper_userid": follow.oper_userid,
        "add_way": follow.add_way,
        "state": follow.state,
        **_shared_truth(corp, follow),
    }


def _shared_truth(corp: Corp, follow: Follow) -> JsonObject:
    """In DingTalk every relation says what the contact's card says, and which of them is the owner's."""
    card, first = follow.contact.card, follow.contact.follows[0]
    if card is None:
        return {}
    tags = [corp.tags[each] for each in card.labels]
    return {
        "role": "owner" if follow is first else "shared",
        "remark": card.remark,
        "remark_mobiles": [f"+{card.state_code}-{card.mobile}"] if card.mobile else [],
        "tags": [
            {"group_name": each.group.group_name, "tag_name": each.name, "tag_id": each.id, "type": 1}
            for each in tags
        ],
    }


def _tags(corp: Corp, follow: Follow) -> list[dict[str, Any]]:
    tags = [corp.tags[each] for each in follow.tags]
    corp_tags = [
        {"group_name": each.group.group_name, "tag_name": each.name, "tag_id": each.id, "type": 1}
        for each in tags
    ]
    own = [
        {"group_name": group, "tag_name": name, "tag_id": "", "type": 2} for group, name in follow.own_tags
    ]
    return corp_tags + own


def notice_truth(corp: Corp, notice: Notice) -> JsonObject:
    """A work notification of a DingTalk corp."""
    return {"corp": corp.spec.corp} | asdict(notice)


def message_truth(corp: Corp, message: Message) -> JsonObject:
    """What one phone received; `from` is a userid, or "app"."""
    return {
        "n": message.n,
        "at": message.at,
        "corp": corp.spec.corp,
        "kind": message.kind,
        "to": message.to,
        "from": message.sender,
        "msgtype": message.msgtype,
        "content": message.content,
        "msgid": message.msgid,
        "recalled": message.recalled,
    }


def task_truth(corp: Corp, task: MassTask) -> JsonObject:
    """A mass-send task; `recipients` gives the status of each contact."""
    return {
        "corp": corp.spec.corp,
        "msgid": task.msgid,
        "created_at": task.created_at,
        "text": task.text,
        "attachments": task.attachments,
        "cancelled": task.cancelled,
        "reminders": task.reminders,
        "parts": [
            {"userid": part.userid, "send_time": part.send_time, "recipients": part.recipients}
            for part in task.parts.values()
        ],
    }
