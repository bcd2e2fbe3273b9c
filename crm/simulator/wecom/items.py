"""People as WeCom serialises them. The bytes of list items stay on the records until their truth changes."""

import json
from collections.abc import Iterable

from crm.simulator.exchange import JsonObject, dumps, encoded
from crm.simulator.records import Contact, Employee, Follow
from crm.simulator.world import Corp

# Written as text, not through dictionaries: a first walk over a big corp spends most of its time here.
_quote = json.encoder.encode_basestring


def external_contact(corp: Corp, contact: Contact) -> str:
    """`external_contact` of get and batch/get_by_user: work only of WeCom users, or where `add` stored it."""
    is_direct = corp.spec.dialect == "direct"
    told = (
        f'{{"external_userid":{_quote(contact.external_userid)},"name":{_quote(contact.name)},'
        f'"avatar":{_quote(contact.avatar)},"type":{contact.type},"gender":{contact.gender}'
    )
    if contact.unionid:
        told += f',"unionid":{_quote(contact.unionid)}'
    if is_direct and contact.nickname:
        told += f',"nickname":{_quote(contact.nickname)}'
    if contact.type == 2 or is_direct:
        for name in ("position", "corp_name", "corp_full_name"):
            if value := getattr(contact, name):
                told += f',"{name}":{_quote(value)}'
    return told + "}"


def follow_user(corp: Corp, follow: Follow) -> str:
    """One entry of `follow_user` in externalcontact/get: corp tags are type 1, the member's own type 2."""
    return _relation(follow, f'"tags":{dumps(follow_tags(corp, follow)).decode()}')


def follow_tags(corp: Corp, follow: Follow) -> list[JsonObject]:
    """All tags of a relation."""
    corp_tags = [corp.tags[each] for each in follow.tags]
    told: list[JsonObject] = [
        {"group_name": tag.group.group_name, "tag_name": tag.name, "tag_id": tag.id, "type": 1}
        for tag in corp_tags
    ]
    return told + [{"group_name": group, "tag_name": name, "type": 2} for group, name in follow.own_tags]


def _relation(follow: Follow, tags: str) -> str:
    state = f',"state":{_quote(follow.state)}' if follow.state else ""
    return (
        f'{{"userid":{_quote(follow.employee.userid)},"remark":{_quote(follow.remark)},'
        f'"description":{_quote(follow.description)},"createtime":{follow.createtime},{tags},'
        f'"remark_corp_name":{_quote(follow.remark_corp_name)},"remark_mobiles":{_list(follow.remark_mobiles)},'
        f'"oper_userid":{_quote(follow.oper_userid)},"add_way":{follow.add_way}{state}}}'
    )


def _list(texts: Iterable[str]) -> str:
    return f"[{','.join(map(_quote, texts))}]"


def pair_item(corp: Corp, follow: Follow) -> bytes:
    """An item of batch/get_by_user: one (contact, follower) pair, with the ids of corp tags only."""
    if follow.listed is None:
        info = _relation(follow, f'"tag_id":{_list(follow.tags)}')
        text = f'{{"external_contact":{external_contact(corp, follow.contact)},"follow_info":{info}}}'
        follow.listed = follow.contact.poison or encoded(text)
    return follow.listed


def direct_item(corp: Corp, contact: Contact, *, with_objects: bool) -> bytes:
    """An item of the direct listing, with every follower the app can see."""
    if contact.listed is None:
        followers = visible_follows(contact)
        if with_objects:
            told = f"[{','.join(follow_user(corp, each) for each in followers)}]"
        else:
            told = _list(each.employee.userid for each in followers)
        text = (
            f'{{"external_userid":{_quote(contact.external_userid)},"name":{_quote(contact.name)},'
            f'"position":{_quote(contact.position)},"corp_name":{_quote(contact.corp_name)},'
            f'"type":{contact.type},"follow_user":{told}}}'
        )
        contact.listed = contact.poison or encoded(text)
    return contact.listed


def visible_follows(contact: Contact) -> list[Follow]:
    return [each for each in contact.follows if each.employee.is_reachable]


def member(employee: Employee, *, with_details: bool) -> JsonObject:
    """A full member. Apps made since June 2022 are not told phone, e-mail and gender."""
    told: JsonObject = {
        "userid": employee.userid,
        "name": employee.name,
        "department": employee.department,
        "order": [0] * len(employee.department),
        "position": employee.position,
        "is_leader_in_dept": employee.is_leader_in_dept,
        "status": employee.status,
        "enable": int(employee.status != 2),
        "main_department": employee.department[0] if employee.department else 1,
        "alias": "",
    }
    if with_details:
        told |= {"mobile": employee.mobile, "email": employee.email, "gender": employee.gender}
    return told


def joined(items: Iterable[bytes]) -> bytes:
    """A JSON list of items that are JSON already."""
    return b"[" + b",".join(items) + b"]"
