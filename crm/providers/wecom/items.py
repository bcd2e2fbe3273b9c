"""A contact as a page of either dialect writes it -> ContactRecord, or BadItem with the reason.

One reader for all shapes (wecom.md 1, rule 5): fields side by side or under `external_contact`; followers as
`follow_user` (ids or objects) or as one `follow_info`.
"""

from collections.abc import Mapping
from typing import Any

from crm.providers.listed import Item
from crm.providers.reading import (
    Unstorable,
    as_list,
    as_text,
    document,
    limits_of,
    number,
    plain,
    raw_bytes,
    text_list,
    texts,
)
from crm.providers.records import (
    LIMITS,
    MAX_TIME,
    UNSET,
    BadItem,
    ContactRecord,
    FollowRecord,
    TagRecord,
    Unset,
    digest_of,
)

_CONTACT_TEXTS = limits_of("name", "nickname", "avatar", "position", "corp_name", "corp_full_name", "unionid")
_FOLLOW_TEXTS = limits_of("userid", "remark", "description", "remark_corp_name", "oper_userid", "state")
Texts = tuple[str, ...] | Unset
_LONGEST_ID = LIMITS["external_userid"]
_PERSONAL = 2  # a tag of the employee's own: it has a name and no id


def read_item(value: Any, *, position: int = 0, implied: str = "") -> ContactRecord | BadItem:
    """An item whose own bytes are not at hand; else as `read_listed`."""
    return read_listed(Item(value, position, b"", b"", False), implied=implied)


def read_listed(item: Item, *, implied: str) -> ContactRecord | BadItem:
    """One item. Never raises: what cannot be stored becomes a BadItem (contract F6).

    `implied` is the follower of an item that names none ("": nobody).
    """
    trouble = item.trouble
    if not trouble:
        try:
            return _contact(item, implied)
        except Unstorable as problem:
            trouble = str(problem)
        except RecursionError:
            trouble = "too_deep"
    value = item.value
    return BadItem(
        item.position, trouble, _found_id(value), _found_userid(value) or implied, item.raw or _raw(value)
    )


def _contact(item: Item, implied: str) -> ContactRecord:
    value, clean = item.value, item.clean
    if not isinstance(value, dict):
        raise Unstorable("not_an_object")
    contact = value.get("external_contact")
    if not isinstance(contact, dict):
        contact = value
    external_userid = _external_userid(contact, clean)
    name, nickname, avatar, position, corp_name, corp_full_name, unionid = texts(
        contact, _CONTACT_TEXTS, clean
    )
    raw = item.raw or raw_bytes(value)
    return ContactRecord(
        external_userid,
        name,
        nickname,
        avatar,
        number(contact, "type"),
        number(contact, "gender"),
        position,
        corp_name,
        corp_full_name,
        unionid,
        document(contact, "external_profile", clean) if "external_profile" in contact else UNSET,
        _follows(value, implied, clean),
        raw,
        item.digest or digest_of(raw),
    )


def _external_userid(contact: Mapping[str, Any], clean: bool) -> str:
    value = contact.get("external_userid")
    if clean and value.__class__ is str and 0 < len(value) <= _LONGEST_ID and not value.isspace():
        return value  # as nearly every item has it
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise Unstorable("no_external_userid")
    return as_text(value, "external_userid", clean=clean)


def _follows(item: Mapping[str, Any], implied: str, clean: bool) -> tuple[FollowRecord, ...]:
    told = item.get("follow_info", UNSET)
    if isinstance(told, dict):
        return (_follow(told, implied, clean),)
    if told is UNSET:
        told = item.get("follow_user", UNSET)
    if told is UNSET:
        return (FollowRecord(implied),) if implied else ()
    found: dict[str, FollowRecord] = {}
    for entry in as_list(told):
        if isinstance(entry, dict):
            follow = _follow(entry, implied, clean)
        elif entry in (None, ""):
            continue
        else:
            follow = FollowRecord(as_text(entry, "userid", clean=clean))
        found.setdefault(follow.userid, follow)
    return tuple(found.values())


def _follow(entry: Mapping[str, Any], implied: str, clean: bool) -> FollowRecord:
    userid, remark, description, remark_corp_name, oper_userid, state = texts(entry, _FOLLOW_TEXTS, clean)
    userid = userid or implied
    if not userid:
        raise Unstorable("no_userid")
    tags: tuple[TagRecord, ...] = ()
    mobiles: Texts = UNSET
    tag_ids: Texts = UNSET
    personal_tags: Texts = UNSET
    if "remark_mobiles" in entry:
        mobiles = tuple(text_list(entry["remark_mobiles"], "remark_mobiles", clean))
    if "tags" in entry:
        tags, tag_ids, personal_tags = _tags(entry["tags"], clean)
    elif "tag_id" in entry:
        tag_ids = _once(text_list(entry["tag_id"], "tag_id", clean))
    return FollowRecord(
        userid,
        remark,
        description,
        number(entry, "createtime", 0, MAX_TIME),
        tag_ids,
        personal_tags,
        tags,
        remark_corp_name,
        mobiles,
        oper_userid,
        number(entry, "add_way"),
        state,
        document(entry, "wechat_channels", clean) if "wechat_channels" in entry else UNSET,
    )


def _tags(told: Any, clean: bool) -> tuple[tuple[TagRecord, ...], tuple[str, ...], tuple[str, ...]]:
    """The tags with their names, the ids of corp tags, and the names of personal ones."""
    tags = [tag for value in as_list(told) if (tag := _tag(value, clean)) is not None]
    corp = [tag.tag_id for tag in tags if tag.tag_id]
    personal = [tag.name for tag in tags if not tag.tag_id]
    return tuple(tags), _once(corp), _once(personal)


def _once(found: list[str]) -> tuple[str, ...]:
    return tuple(found if len(found) < 2 else dict.fromkeys(found))


def _tag(value: Any, clean: bool) -> TagRecord | None:
    if not isinstance(value, dict):
        return None
    kind = number(value, "type")
    tag_id = "" if kind == _PERSONAL else plain(value, "tag_id", clean=clean)
    name = plain(value, "tag_name", limit="tag", clean=clean)
    if not tag_id and not name:
        return None
    kind = (1 if tag_id else _PERSONAL) if isinstance(kind, Unset) else kind
    return TagRecord(tag_id, name, plain(value, "group_name", limit="tag", clean=clean), kind)


def _found_id(item: Any) -> str:
    """The external_userid of a bad item as far as it can be shown and stored."""
    if not isinstance(item, dict):
        return ""
    contact = item.get("external_contact")
    return _shown(contact if isinstance(contact, dict) else item, "external_userid")


def _found_userid(item: Any) -> str:
    follow = item.get("follow_info") if isinstance(item, dict) else None
    return _shown(follow, "userid") if isinstance(follow, dict) else ""


def _shown(source: Mapping[str, Any], key: str) -> str:
    try:
        return plain(source, key).strip()
    except Unstorable:
        return ""


def _raw(item: Any) -> bytes:
    try:
        return raw_bytes(item)
    except (TypeError, ValueError, RecursionError):
        return b""
