"""Compares the simulator's world with our rows, field by field: the judge of every test of the mirror."""

from collections.abc import Iterator
from typing import Any

from contacts.models import Contact, FollowUser
from crm.models import Corp

# What each dialect's listing tells (wecom.md 2.2 and 3.3); what it does not tell cannot be compared.
CONTACT_FIELDS = {
    "direct": ("name", "type", "position", "corp_name"),
    "official": ("name", "type", "gender", "avatar", "unionid", "position", "corp_name", "corp_full_name"),
}
FOLLOW_FIELDS = {
    "direct": (),
    "official": (
        "remark",
        "description",
        "createtime",
        "remark_corp_name",
        "remark_mobiles",
        "oper_userid",
        "add_way",
        "state",
    ),
}


def differences(corp: Corp, world: dict[str, Any]) -> list[str]:
    """Everything in which the rows of `corp` differ from the world; [] when the mirror is true."""
    return [
        *_contact_differences(corp, world),
        *_follow_differences(corp, world),
    ]


def _contact_differences(corp: Corp, world: dict[str, Any]) -> Iterator[str]:
    rows = {row.external_userid: row for row in Contact.objects.filter(corp=corp, state=Contact.State.ACTIVE)}
    followed = {told["external_userid"]: told for told in world["contacts"] if told["follow_user"]}
    yield from (f"missing contact {key}" for key in followed.keys() - rows.keys())
    yield from (f"extra contact {key}" for key in rows.keys() - followed.keys())
    for key in rows.keys() & followed.keys():
        for name in CONTACT_FIELDS[corp.dialect]:
            held, told = getattr(rows[key], name), followed[key][name]
            # An avatar is served under the simulator's own address, which the world leaves out.
            if held != told and not (name == "avatar" and str(held).endswith(str(told))):
                yield f"contact {key} {name}: {held!r} is {told!r}"


def _follow_differences(corp: Corp, world: dict[str, Any]) -> Iterator[str]:
    current = FollowUser.objects.filter(contact__corp=corp, ended_at__isnull=True)
    rows = {
        (row.contact.external_userid, row.employee.userid): row
        for row in current.select_related("contact", "employee").defer("raw")
    }
    world_rows = {
        (told["external_userid"], relation["userid"]): relation
        for told in world["contacts"]
        for relation in told["follow_user"]
    }
    yield from (f"missing follow {key}" for key in world_rows.keys() - rows.keys())
    yield from (f"extra follow {key}" for key in rows.keys() - world_rows.keys())
    for key in rows.keys() & world_rows.keys():
        for name in FOLLOW_FIELDS[corp.dialect]:
            held, told = getattr(rows[key], name), world_rows[key][name]
            if held != told:
                yield f"follow {key} {name}: {held!r} is {told!r}"
        if corp.dialect == "official":
            told_tags = sorted(tag["tag_id"] for tag in world_rows[key]["tags"] if tag["type"] != 2)
            if sorted(rows[key].tag_ids) != told_tags:
                yield f"follow {key} tags: {rows[key].tag_ids} is {told_tags}"
