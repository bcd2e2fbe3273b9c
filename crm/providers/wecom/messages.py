"""Contents as WeCom takes them: the limits of each kind, and the bytes of a send. No network.

Limits: docs/reference/protocol-wecom.md 2.4, 3.7, 3.9. Bytes are UTF-8; 汉字 are counted as code points.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from crm.providers.content import Content, MiniprogramNotice, Text
from crm.providers.errors import Refused
from crm.providers.records import Problem
from crm.providers.wecom.caller import encode

TEXT_BYTES = 2048  # message/send cuts silently beyond; externalcontact/message/send: not documented, the same
MASS_TEXT_BYTES = 4000
MASS_TITLE_BYTES = 64
TITLE_LENGTH = (4, 12)
PAGE_BYTES = 1024
ITEMS, KEY_LENGTH, VALUE_LENGTH = 10, 10, 30
DUPLICATE_CHECK_MAX_S = 14400

_UNWRITABLE = re.compile("[\0\ud800-\udfff]")


def problems(content: Content, *, mass: bool) -> list[Problem]:
    """What stands against `content`; `mass` is a mass message to contacts (add_msg_template)."""
    if isinstance(content, Text):
        return list(_text_problems(content, MASS_TEXT_BYTES if mass else TEXT_BYTES))
    found = list(_notice_characters(content))
    return found + list(_attachment_problems(content) if mass else _notice_problems(content))


def _text_problems(content: Text, limit: int) -> Iterator[Problem]:
    at = "/text/content"
    if not content.content.strip():
        yield Problem(at, "empty")
    if _UNWRITABLE.search(content.content):
        yield Problem(at, "invalid_characters")
    yield from _bytes(at, content.content, limit)


def _notice_problems(notice: MiniprogramNotice) -> Iterator[Problem]:
    at = "/miniprogram_notice"
    yield from _required(at, notice, "appid", "title")
    yield from _bytes(f"{at}/page", notice.page, PAGE_BYTES)
    for name, value in (("title", notice.title), ("description", notice.description)):
        low, high = TITLE_LENGTH
        yield from _characters(f"{at}/{name}", value, high)
        if value and len(value) < low:
            params = {"limit": low, "length": len(value), "unit": "characters"}
            yield Problem(f"{at}/{name}", "too_short", params, warning=True)
    pairs = [(n, pair) for n, pair in enumerate(notice.content_item) if any(pair)]
    if len(pairs) > ITEMS:
        yield Problem(f"{at}/content_item", "too_many", {"limit": ITEMS, "length": len(pairs)})
    for n, (key, value) in pairs:
        pair_at = f"{at}/content_item/{n}"
        if not key or not value:
            yield Problem(f"{pair_at}/{'value' if key else 'key'}", "half_empty")
        yield from _characters(f"{pair_at}/key", key, KEY_LENGTH)
        yield from _characters(f"{pair_at}/value", value, VALUE_LENGTH)


def _attachment_problems(notice: MiniprogramNotice) -> Iterator[Problem]:
    at = "/miniprogram_notice"
    yield from _required(at, notice, "appid", "title", "page")
    yield from _bytes(f"{at}/title", notice.title, MASS_TITLE_BYTES)
    yield from _bytes(f"{at}/page", notice.page, PAGE_BYTES)
    for name in ("description", "content_item"):
        if getattr(notice, name):  # a mini-program attachment has no place for them
            yield Problem(f"{at}/{name}", "not_shown", warning=True)


def _notice_characters(notice: MiniprogramNotice) -> Iterator[Problem]:
    at = "/miniprogram_notice"
    for name in ("appid", "title", "page", "description"):
        if _UNWRITABLE.search(getattr(notice, name)):
            yield Problem(f"{at}/{name}", "invalid_characters")
    for n, (key, value) in enumerate(notice.content_item):
        if _UNWRITABLE.search(key + value):
            yield Problem(f"{at}/content_item/{n}", "invalid_characters")


def _required(at: str, notice: MiniprogramNotice, *names: str) -> Iterator[Problem]:
    for name in names:
        if not getattr(notice, name).strip():
            yield Problem(f"{at}/{name}", "required")


def _bytes(pointer: str, value: str, limit: int) -> Iterator[Problem]:
    length = len(value.encode("utf-8", "surrogatepass"))
    if length > limit:
        yield Problem(pointer, "too_long", {"limit": limit, "length": length, "unit": "bytes"})


def _characters(pointer: str, value: str, limit: int) -> Iterator[Problem]:
    if len(value) > limit:
        yield Problem(pointer, "too_long", {"limit": limit, "length": len(value), "unit": "characters"})


def employee_body(content: Content, *, to: Sequence[str], agentid: str, duplicate_check_s: int = 0) -> bytes:
    """The body of `message/send`."""
    body: dict[str, Any] = {"touser": "|".join(_recipients(to, most=1000)), **_payload(content)}
    if agentid:
        body["agentid"] = int(agentid) if agentid.isascii() and agentid.isdigit() else agentid
    if duplicate_check_s > 0:
        body["enable_duplicate_check"] = 1
        body["duplicate_check_interval"] = min(duplicate_check_s, DUPLICATE_CHECK_MAX_S)
    return encode(body)


def contact_body(content: Content, *, to: Sequence[str]) -> bytes:
    """The body of `externalcontact/message/send` (dialect direct): one contact, never several ids joined."""
    (recipient,) = _recipients(to, most=1)
    return encode({"touser": recipient, **_payload(content)})


def mass_body(content: Content, *, to: Sequence[str], sender: str) -> bytes:
    """The body of `externalcontact/add_msg_template` for the contacts `to` of the employee `sender`."""
    if not sender:
        raise Refused("A mass message needs the employee who sends it.", code="no_sender")
    recipients = _recipients(to, most=10_000)
    return encode(
        {"chat_type": "single", "external_userid": recipients, "sender": sender, **_attachment(content)}
    )


def _payload(content: Content) -> dict[str, Any]:
    payload = content.as_json()
    items = payload.get("miniprogram_notice", {}).get("content_item")
    if items:
        kept = [item for item in items if item["key"] or item["value"]]
        payload["miniprogram_notice"]["content_item"] = kept
        if not kept:
            del payload["miniprogram_notice"]["content_item"]
    return payload


def _attachment(content: Content) -> dict[str, Any]:
    if isinstance(content, Text):
        return {"text": {"content": content.content}}
    if not content.pic_media_id:
        raise Refused("The mini-program attachment has no cover yet: call prepare() first.", code="no_cover")
    card = {
        "title": content.title,
        "pic_media_id": content.pic_media_id,
        "appid": content.appid,
        "page": content.page,
    }
    return {"attachments": [{"msgtype": "miniprogram", "miniprogram": card}]}


def _recipients(to: Sequence[str], *, most: int) -> list[str]:
    """`to`, once each. An id that would address others as well (`@all`, `a|b`) is refused."""
    for recipient in to:
        if not recipient.strip() or "|" in recipient or recipient.startswith("@"):
            raise Refused("A recipient is not an id.", code="bad_recipient")
    found = list(dict.fromkeys(to))
    if not 1 <= len(found) <= most:
        raise Refused(f"A send takes 1 to {most} recipients.", code="bad_recipient")
    return found
