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
    BadItem,
    ContactRecord,
    FollowRecord,
    TagRecord,
    Unset,
    digest_of,
)

_CONTACT_TEXTS = limits_of("name", "nickname", "avatar", "position", "corp_name", "corp_full_name", "unionid")
_FOLLOW_TEXTS = limits_of("userid", "remark", "description", "remark_corp_name", "oper_userid", "state")
_LONGEST_ID = LIMITS["external_userid"]
_PERSONAL = 2  # a tag of the employee's own: it has a name and no id


def read_listed(item: Item, *, implied: str) -> ContactRecord | BadItem:
    """One item of a listing; `implied` as in `read_item`."""
    value, position, raw, digest, clean, trouble = item
    if trouble:
        return BadItem(position, trouble, _found_id(value), _found_userid(value) or implied, raw)
    return read_item(value, position=position, implied=implied, clean=clean, raw=raw, digest=digest)


def read_item(
    item: Any,
    *,
    position: int = 0,
    implied: str = "",
    clean: bool = False,
    raw: bytes = b"",
    digest: bytes = b"",
) -> ContactRecord | BadItem:
    """One item. Never raises: what cannot be stored becomes a BadItem (contract F6).

    `implied` is the follower of an item that names none ("": nobody); `raw` and `digest` are its own bytes,
    where they are at hand.
    """
    try:
        raw = raw or raw_bytes(item)
        return _contact(item, implied, clean, raw, digest or digest_of(raw))
    except (Unstorable, RecursionError) as problem:
        reason = str(problem) if isinstance(problem, Unstorable) else "too_deep"
    return BadItem(position, reason, _found_id(item), _found_userid(item) or implied, raw or _raw(item))


def _contact(item: Any, implied: str, clean: bool, raw: bytes, digest: bytes) -> ContactRecord:
    if not isinstance(item, dict):
        raise Unstorable("not_an_object")
    contact = item.get("external_contact")
    if not isinstance(contact, dict):
        contact = item
    external_userid = _external_userid(contact, clean)
    fields: dict[str, Any] = texts(contact, _CONTACT_TEXTS, clean=clean)
    if "external_profile" in contact:
        fields["external_profile"] = document(contact, "external_profile", clean=clean)
    return ContactRecord(
        external_userid=external_userid,
        type=number(contact, "type"),
        gender=number(contact, "gender"),
        follows=_follows(item, implied, clean),
        raw=raw,
        digest=digest,
        **fields,
    )


def _external_userid(contact: Mapping[str, Any], clean: bool) -> str:
    value = contact.get("external_userid")
    if clean and value.__class__ is str and 0 < len(value) <= _LONGEST_ID and not value.isspace():
        return value  # as nearly every item has it
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise Unstorable("no_external_userid")
    return as_text(value, "external_userid", clean=clean)


def _follows(item: Mapping[str, Any], implied: str, clean: bool) -> tuple[FollowRecord, ...]:
    for key in ("follow_info", "follow_user"):
        if key in item:
            break
    else:
        return (FollowRecord(implied),) if implied else ()
    found: dict[str, FollowRecord] = {}
    for entry in as_list(item[key]):
        follow = _follow(entry, implied, clean)
        if follow is not None:
            found.setdefault(follow.userid, follow)
    return tuple(found.values())


def _follow(entry: Any, implied: str, clean: bool) -> FollowRecord | None:
    if not isinstance(entry, dict):
        return FollowRecord(as_text(entry, "userid", clean=clean)) if entry not in (None, "") else None
    fields: dict[str, Any] = texts(entry, _FOLLOW_TEXTS, clean=clean)
    userid = fields.pop("userid", "") or implied
    if not userid:
        raise Unstorable("no_userid")
    if "remark_mobiles" in entry:
        fields["remark_mobiles"] = text_list(entry["remark_mobiles"], "remark_mobiles", clean=clean)
    if "wechat_channels" in entry:
        fields["wechat_channels"] = document(entry, "wechat_channels", clean=clean)
    if "tags" in entry:
        fields["tags"], fields["tag_ids"], fields["personal_tags"] = _tags(entry, clean)
    elif "tag_id" in entry:
        fields["tag_ids"] = tuple(dict.fromkeys(text_list(entry["tag_id"], "tag_id", clean=clean)))
    return FollowRecord(
        userid,
        createtime=number(entry, "createtime", low=0, high=MAX_TIME),
        add_way=number(entry, "add_way"),
        **fields,
    )


def _tags(
    entry: Mapping[str, Any], clean: bool
) -> tuple[tuple[TagRecord, ...], tuple[str, ...], tuple[str, ...]]:
    tags = tuple(tag for value in as_list(entry["tags"]) if (tag := _tag(value, clean)) is not None)
    corp = (tag.tag_id for tag in tags if tag.tag_id)
    personal = (tag.name for tag in tags if not tag.tag_id)
    return tags, tuple(dict.fromkeys(corp)), tuple(dict.fromkeys(personal))


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
