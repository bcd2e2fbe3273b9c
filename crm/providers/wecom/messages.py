"""Contents as WeCom takes them: the limits of each kind, and the bytes of a send. No network.

Limits: docs/reference/protocol-wecom.md 2.4, 3.7, 3.9. Bytes are UTF-8; 汉字 are counted as code points.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from crm.providers.attachments import MiniprogramAttachment
from crm.providers.base import EVERYBODY
from crm.providers.content import (
    Content,
    File,
    Image,
    Markdown,
    MiniprogramNotice,
    Mpnews,
    News,
    TemplateCard,
    Text,
    Textcard,
    Video,
    Voice,
)
from crm.providers.errors import Refused
from crm.providers.records import Problem
from crm.providers.wecom.articles import (
    markdown_problems,
    media_problems,
    mpnews_problems,
    news_problems,
    textcard_problems,
    video_problems,
)
from crm.providers.wecom.attachments import attachment_problems
from crm.providers.wecom.caller import encode
from crm.providers.wecom.cards import card_problems
from crm.providers.wecom.measuring import most_bytes, most_characters, most_entries, required, unwritable

TEXT_BYTES = 2048  # message/send cuts silently beyond; externalcontact/message/send: not documented, the same
MASS_TEXT_BYTES = 4000
MASS_TITLE_BYTES = 64
TITLE_LENGTH = (4, 12)
PAGE_BYTES = 1024
ITEMS, KEY_LENGTH, VALUE_LENGTH = 10, 10, 30
DUPLICATE_CHECK_MAX_S = 14400
# How many one `message/send` takes (3.9): beyond that 40032, 82002, 82003.
MEMBERS_PER_SEND = {"employee": 1000, "department": 100, "tag": 100, "everybody": 1}
_RECEIVERS = {"employee": "touser", "department": "toparty", "tag": "totag"}


def employee_problems(content: Content, *, to_kind: str = "employee") -> list[Problem]:
    """What stands against `content` in `message/send`."""
    if to_kind == "everybody" and isinstance(content, MiniprogramNotice):
        return [Problem("/msgtype", "not_to_everybody")]
    own = _OF_EMPLOYEES[type(content)](content)
    return [*unwritable(content.as_json()), *_without(content, "attachments"), *own]


def contact_problems(content: Content) -> list[Problem]:
    """What stands against `content` in `externalcontact/message/send` (dialect direct)."""
    if not isinstance(content, Text | MiniprogramNotice):
        return [Problem("/msgtype", "unsupported_type")]
    beside = _without(content, "safe", "enable_id_trans", "attachments")
    return [*unwritable(content.as_json()), *beside, *_OF_EMPLOYEES[type(content)](content)]


def mass_problems(content: Content) -> list[Problem]:
    """What stands against `content` in a mass message to contacts (`add_msg_template`)."""
    if isinstance(content, Text):
        own = _mass_text_problems(content)
    elif isinstance(content, MiniprogramNotice):
        own = _mass_notice_problems(content)
    else:
        return [Problem("/msgtype", "unsupported_type")]
    return [*unwritable(content.as_json()), *_without(content, "safe", "enable_id_trans"), *own]


def _without(content: Content, *names: str) -> Iterator[Problem]:
    """What would go unheard with these recipients."""
    for name in names:
        if getattr(content, name, None):
            yield Problem(f"/{name}", "unsupported_option")


def _text_problems(content: Text) -> Iterator[Problem]:
    if not content.content.strip():
        yield Problem("/text/content", "empty")
    yield from most_bytes("/text/content", content.content, TEXT_BYTES)


def _mass_text_problems(content: Text) -> Iterator[Problem]:
    if not content.content.strip() and not content.attachments:
        yield Problem("/text/content", "empty")
    yield from most_bytes("/text/content", content.content, MASS_TEXT_BYTES)
    yield from attachment_problems(content.attachments)


def _notice_problems(notice: MiniprogramNotice) -> Iterator[Problem]:
    at = "/miniprogram_notice"
    yield from required(at, notice, "appid", "title")
    yield from most_bytes(f"{at}/page", notice.page, PAGE_BYTES)
    for name, value in (("title", notice.title), ("description", notice.description)):
        low, high = TITLE_LENGTH
        yield from most_characters(f"{at}/{name}", value, high)
        if value and len(value) < low:
            params = {"limit": low, "length": len(value), "unit": "characters"}
            yield Problem(f"{at}/{name}", "too_short", params, warning=True)
    yield from _item_problems(f"{at}/content_item", notice)


def _item_problems(at: str, notice: MiniprogramNotice) -> Iterator[Problem]:
    pairs = [(n, pair) for n, pair in enumerate(notice.content_item) if any(pair)]
    yield from most_entries(at, pairs, ITEMS)
    for n, (key, value) in pairs:
        if not key or not value:
            yield Problem(f"{at}/{n}/{'value' if key else 'key'}", "half_empty")
        yield from most_characters(f"{at}/{n}/key", key, KEY_LENGTH)
        yield from most_characters(f"{at}/{n}/value", value, VALUE_LENGTH)


def _mass_notice_problems(notice: MiniprogramNotice) -> Iterator[Problem]:
    at = "/miniprogram_notice"
    yield from required(at, notice, "appid", "title", "page")
    yield from most_bytes(f"{at}/title", notice.title, MASS_TITLE_BYTES)
    yield from most_bytes(f"{at}/page", notice.page, PAGE_BYTES)
    for name in ("description", "content_item"):
        if getattr(notice, name):  # a mini-program attachment has no place for them
            yield Problem(f"{at}/{name}", "not_shown", warning=True)


_OF_EMPLOYEES: dict[type[Content], Callable[[Any], Iterator[Problem]]] = {
    Text: _text_problems,
    Image: media_problems,
    Voice: media_problems,
    Video: video_problems,
    File: media_problems,
    Textcard: textcard_problems,
    News: news_problems,
    Mpnews: mpnews_problems,
    Markdown: markdown_problems,
    MiniprogramNotice: _notice_problems,
    TemplateCard: card_problems,
}


def employee_body(
    content: Content,
    *,
    to: Sequence[str],
    agentid: str,
    to_kind: str = "employee",
    duplicate_check_s: int = 0,
) -> bytes:
    """The body of `message/send`, to one kind of receivers: no call of ours mixes them."""
    body: dict[str, Any] = {**_receivers(to_kind, to), **_payload(content)}
    if agentid:
        body["agentid"] = int(agentid) if agentid.isascii() and agentid.isdigit() else agentid
    if duplicate_check_s > 0:
        body["enable_duplicate_check"] = 1
        body["duplicate_check_interval"] = min(duplicate_check_s, DUPLICATE_CHECK_MAX_S)
    return encode(body)


def _receivers(to_kind: str, to: Sequence[str]) -> dict[str, str]:
    if to_kind == "everybody":
        if list(to) != [EVERYBODY]:
            raise Refused(f"To everybody is to {EVERYBODY}.", code="bad_recipient")
        return {"touser": EVERYBODY}
    if to_kind != "employee" and not all(each.isascii() and each.isdigit() for each in to):
        raise Refused("Departments and tags are numbers.", code="bad_recipient")
    return {_RECEIVERS[to_kind]: "|".join(_recipients(to, most=MEMBERS_PER_SEND[to_kind]))}


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
        {"chat_type": "single", "external_userid": recipients, "sender": sender, **_mass_payload(content)}
    )


def welcome_body(content: Content, *, welcome_code: str) -> bytes:
    """The body of `externalcontact/send_welcome_msg`."""
    return encode({"welcome_code": welcome_code, **_mass_payload(content)})


def _payload(content: Content) -> dict[str, Any]:
    payload = content.as_json()
    payload.get("template_card", {}).pop("replace_text", None)
    items = payload.get("miniprogram_notice", {}).get("content_item")
    if items:
        kept = [item for item in items if item["key"] or item["value"]]
        payload["miniprogram_notice"]["content_item"] = kept
        if not kept:
            del payload["miniprogram_notice"]["content_item"]
    return payload


def _mass_payload(content: Content) -> dict[str, Any]:
    if isinstance(content, Text):
        text = {"text": {"content": content.content}} if content.content.strip() else {}
        attached = [each.as_json() for each in content.attachments]
        return {**text, "attachments": attached} if attached else text
    if not isinstance(content, MiniprogramNotice):
        raise Refused("A mass message cannot carry this content.", code="unsupported_type")
    if not content.pic_media_id:
        raise Refused("The mini-program attachment has no cover yet: call prepare() first.", code="no_cover")
    card = MiniprogramAttachment(content.title, content.pic_media_id, content.appid, content.page)
    return {"attachments": [card.as_json()]}


def _recipients(to: Sequence[str], *, most: int) -> list[str]:
    """`to`, once each. An id that would address others as well (`@all`, `a|b`) is refused."""
    for recipient in to:
        if not recipient.strip() or "|" in recipient or recipient.startswith("@"):
            raise Refused("A recipient is not an id.", code="bad_recipient")
    found = list(dict.fromkeys(to))
    if not 1 <= len(found) <= most:
        raise Refused(f"A send takes 1 to {most} recipients.", code="bad_recipient")
    return found
