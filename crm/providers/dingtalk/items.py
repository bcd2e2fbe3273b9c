"""An external contact as DingTalk writes it -> ContactRecord, or BadItem with the reason.

What WeCom keeps of each relation (remark, tags, phones), DingTalk keeps of the contact: every follower's record
says it. An item is always whole: DingTalk leaves out what is empty, so a missing remark, title, company or list
of sharers is told as empty. Only the phone may be held back from an app.
"""

from collections.abc import Mapping
from typing import Any, Final

from crm.providers.listed import Item
from crm.providers.reading import Unstorable, as_text, plain, raw_bytes, text, text_list
from crm.providers.records import LIMITS, UNSET, BadItem, ContactRecord, FollowRecord, Unset, digest_of

OWNER: Final = "owner"
SHARED: Final = "shared"
DEFAULT_STATE_CODE: Final = "86"


def read_item(value: Any) -> ContactRecord | BadItem:
    """An item whose own bytes are not at hand."""
    return read_listed(Item(value, 0, b"", b"", False))


def read_listed(item: Item) -> ContactRecord | BadItem:
    """One item. Never raises: what cannot be stored becomes a BadItem (contract F6)."""
    trouble = item.trouble
    if not trouble:
        try:
            return _contact(item)
        except Unstorable as problem:
            trouble = str(problem)
        except RecursionError:
            trouble = "too_deep"
    value = item.value
    return BadItem(
        item.position,
        trouble,
        _shown(value, "userid", "external_userid"),
        _shown(value, "follower_user_id", "userid"),
        item.raw or _raw(value),
    )


def _contact(item: Item) -> ContactRecord:
    value, clean = item.value, item.clean
    if not isinstance(value, dict):
        raise Unstorable("not_an_object")
    external_userid = value.get("userid")
    if isinstance(external_userid, bool) or not isinstance(external_userid, str | int):
        raise Unstorable("no_external_userid")
    if not str(external_userid).strip():
        raise Unstorable("no_external_userid")
    raw = item.raw or raw_bytes(value)
    return ContactRecord(
        external_userid=as_text(external_userid, "external_userid", clean=clean),
        name=text(value, "name", clean=clean),
        position=plain(value, "title", limit="position", clean=clean),
        corp_name=plain(value, "company_name", limit="corp_name", clean=clean),
        follows=_follows(value, clean),
        raw=raw,
        digest=item.digest or digest_of(raw),
    )


def _follows(value: Mapping[str, Any], clean: bool) -> tuple[FollowRecord, ...]:
    owner = plain(value, "follower_user_id", limit="userid", clean=clean)
    if not owner:
        raise Unstorable("no_userid")
    shared = text_list(value.get("share_user_ids"), "userid", clean)
    remark = plain(value, "remark", clean=clean)
    tag_ids: tuple[str, ...] | Unset = UNSET
    if "label_ids" in value:
        tag_ids = tuple(dict.fromkeys(text_list(value["label_ids"], "tag_id", clean)))
    mobiles = _mobiles(value, clean)
    return tuple(
        FollowRecord(
            userid,
            remark=remark,
            tag_ids=tag_ids,
            remark_mobiles=mobiles,
            role=OWNER if userid == owner else SHARED,
        )
        for userid in _once([owner, *shared])
    )


def _once(userids: list[str]) -> list[str]:
    """Each employee once, whatever the case it is written in."""
    found: dict[str, str] = {}
    for userid in userids:
        found.setdefault(userid.lower(), userid)
    return list(found.values())


def _mobiles(value: Mapping[str, Any], clean: bool) -> tuple[str, ...] | Unset:
    if value.get("mobile") is None:
        return UNSET
    mobile = plain(value, "mobile", limit="remark_mobiles", clean=clean)
    state_code = plain(value, "state_code", limit="remark_mobiles", clean=clean) or DEFAULT_STATE_CODE
    if len(told := phone(state_code, mobile)) > LIMITS["remark_mobiles"]:
        raise Unstorable("too_long: mobile")
    return (told,) if mobile else ()


def phone(state_code: str, mobile: str) -> str:
    """A number with its country code, as we write it: `+86-13900000001`."""
    return f"+{state_code.lstrip('+')}-{mobile}"


def parts_of(number: str) -> tuple[str, str]:
    """Country code and number of a phone as we write it; 86 where it has no code."""
    state_code, _, mobile = number.strip().rpartition("-")
    return state_code.lstrip("+") or DEFAULT_STATE_CODE, mobile


def _shown(value: Any, key: str, limit: str) -> str:
    """A member of a bad item as far as it can be shown and stored."""
    try:
        return plain(value, key, limit=limit).strip() if isinstance(value, dict) else ""
    except Unstorable:
        return ""


def _raw(item: Any) -> bytes:
    try:
        return raw_bytes(item)
    except (TypeError, ValueError, RecursionError):
        return b""
