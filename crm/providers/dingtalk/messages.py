"""Contents as work notifications: what DingTalk makes of each kind, its limits, and the bytes of a send. No network.

Limits: docs/reference/protocol-dingtalk.md, work notifications. A notice of a mini program becomes a card that opens
its page.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from crm.providers.base import EVERYBODY
from crm.providers.content import Content, Markdown, MiniprogramNotice, News, Text, Textcard
from crm.providers.dingtalk.caller import encode
from crm.providers.errors import Refused
from crm.providers.records import Problem
from crm.providers.wecom.measuring import (
    advised_characters,
    most_bytes,
    most_characters,
    most_entries,
    required,
    unwritable,
    web_address,
)

PEOPLE_PER_SEND: Final = {"employee": 100, "department": 20, "everybody": 1}
TEXT_BYTES = 2048
MARKDOWN_LENGTH = 5000
CARD_LENGTH = 1000  # advised
TITLE_LENGTH = 64
LINK_TITLE_LENGTH, LINK_TEXT_LENGTH = 100, 500  # the second is advised
BUTTON_LENGTH = 20
URL_LENGTH = 500
BUTTON = "查看详情"
PAGE_SCHEME = "eapp://"
Payload = dict[str, Any]


def problems(content: Content) -> list[Problem]:
    """What stands against `content` as a work notification."""
    kind = _KINDS.get(type(content))
    if kind is None:
        return [Problem("/msgtype", "unsupported_type")]
    options = ("safe", "enable_id_trans", "attachments")
    unheard = [Problem(f"/{name}", "unsupported_option") for name in options if getattr(content, name, None)]
    return [*unwritable(content.as_json()), *unheard, *kind[0](content)]


def body(content: Content, *, to_kind: str, to: Sequence[str], agentid: str) -> bytes:
    """The bytes that `asyncsend_v2` takes. Raises Refused (`bad_recipient`, `unsupported_type`)."""
    kind = _KINDS.get(type(content))
    if kind is None:
        raise Refused(f"DingTalk has no {content.msgtype}.", code="unsupported_type")
    message = {"agent_id": int(agentid) if agentid.isdecimal() else agentid, **_receivers(to_kind, to)}
    return encode(message | {"msg": kind[1](content)})


def _receivers(to_kind: str, to: Sequence[str]) -> Payload:
    if to_kind == "everybody":
        if list(to) != [EVERYBODY]:
            raise Refused("Everybody is one recipient.", code="bad_recipient")
        return {"to_all_user": True}
    if any(not each or "," in each for each in to):
        raise Refused("A comma stands between recipients, and cannot stand in one.", code="bad_recipient")
    return {"userid_list" if to_kind == "employee" else "dept_id_list": ",".join(to)}


def _text_problems(content: Text) -> Iterator[Problem]:
    if not content.content.strip():
        yield Problem("/text/content", "empty")
    yield from most_bytes("/text/content", content.content, TEXT_BYTES)


def _text(content: Text) -> Payload:
    return {"msgtype": "text", "text": {"content": content.content}}


def _markdown_problems(content: Markdown) -> Iterator[Problem]:
    if not content.content.strip():
        yield Problem("/markdown/content", "empty")
    yield from most_characters("/markdown/content", content.content, MARKDOWN_LENGTH)


def _markdown(content: Markdown) -> Payload:
    """The title is what the list of chats shows: the first line."""
    title = content.content.strip().partition("\n")[0].lstrip("#> *").strip() or BUTTON
    return {"msgtype": "markdown", "markdown": {"title": title[:TITLE_LENGTH], "text": content.content}}


def _textcard_problems(content: Textcard) -> Iterator[Problem]:
    yield from required("/textcard", content, "title", "description", "url")
    yield from most_characters("/textcard/title", content.title, TITLE_LENGTH)
    yield from advised_characters("/textcard/description", content.description, CARD_LENGTH)
    yield from most_characters(
        "/textcard/description", content.description, MARKDOWN_LENGTH - TITLE_LENGTH - 10
    )
    yield from web_address("/textcard/url", content.url, URL_LENGTH)
    yield from most_characters("/textcard/btntxt", content.btntxt, BUTTON_LENGTH)


def _textcard(content: Textcard) -> Payload:
    return _card(content.title, [content.description], content.btntxt or BUTTON, content.url)


def _notice_problems(notice: MiniprogramNotice) -> Iterator[Problem]:
    at = "/miniprogram_notice"
    yield from required(at, notice, "title", "page")
    yield from most_characters(f"{at}/title", notice.title, TITLE_LENGTH)
    yield from most_characters(f"{at}/page", notice.page, URL_LENGTH - len(PAGE_SCHEME))
    for n, (key, value) in enumerate(notice.content_item):
        if bool(key) != bool(value):
            yield Problem(f"{at}/content_item/{n}/{'value' if key else 'key'}", "half_empty")
    yield from advised_characters(
        f"{at}/content_item", "".join(map("".join, notice.content_item)), CARD_LENGTH
    )


def _notice(notice: MiniprogramNotice) -> Payload:
    pairs = [f"**{key}** {value}" for key, value in notice.content_item if key]
    lines = [notice.description, *pairs] if notice.description else pairs
    return _card(notice.title, lines, BUTTON, PAGE_SCHEME + notice.page.lstrip("/"))


def _card(title: str, lines: Sequence[str], button: str, url: str) -> Payload:
    markdown = "  \n".join([f"### {title}", *lines])  # a line ends with two spaces
    card = {"title": title, "markdown": markdown, "single_title": button, "single_url": url}
    return {"msgtype": "action_card", "action_card": card}


def _news_problems(content: News) -> Iterator[Problem]:
    yield from required("/news", content, "articles")
    yield from most_entries("/news/articles", content.articles, 1)
    for n, article in enumerate(content.articles):
        at = f"/news/articles/{n}"
        yield from required(at, article, "title", "description", "url", "picurl")
        yield from most_characters(f"{at}/title", article.title, LINK_TITLE_LENGTH)
        yield from advised_characters(f"{at}/description", article.description, LINK_TEXT_LENGTH)
        yield from web_address(f"{at}/url", article.url, URL_LENGTH)
        for name in ("appid", "pagepath"):
            if getattr(article, name):
                yield Problem(f"{at}/{name}", "unsupported_option")


def _news(content: News) -> Payload:
    (article,) = content.articles
    link = {
        "messageUrl": article.url,
        "picUrl": article.picurl,
        "title": article.title,
        "text": article.description,
    }
    return {"msgtype": "link", "link": link}


# {kind of content: (what stands against it, its payload)}
_KINDS: dict[type, tuple[Callable[[Any], Iterator[Problem]], Callable[[Any], Payload]]] = {
    Text: (_text_problems, _text),
    Markdown: (_markdown_problems, _markdown),
    Textcard: (_textcard_problems, _textcard),
    MiniprogramNotice: (_notice_problems, _notice),
    News: (_news_problems, _news),
}
