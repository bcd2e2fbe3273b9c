"""What a message may contain: the documented limits of each msgtype, in the documented units."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from crm.simulator.wecom.call import Call, Refused
from crm.simulator.wecom.cards import check_card

Content = dict[str, Any]
_APPID = re.compile(r"wx[0-9A-Za-z]{16}")


def read_content(call: Call, msgtype: str) -> Content:
    """The content as the phone will show it (cut where WeCom cuts). Raises Refused as WeCom refuses."""
    check = CHECKS.get(msgtype)
    if check is None:
        raise Refused(40008, f"msgtype {msgtype}")
    told = call.params.get(msgtype)
    if not isinstance(told, dict):
        raise Refused(
            44004 if msgtype in ("text", "markdown") and told is None else 40063, f"{msgtype} missing"
        )
    return check(call, told)


def cut(text: str, size: int) -> str:
    """At most `size` UTF-8 bytes of the text, cut between characters and without a word."""
    return text.encode("utf-8", "replace")[:size].decode("utf-8", "ignore")


def words(told: Mapping[str, Any], name: str, *, missing: int | None = None, most_bytes: int = 0) -> str:
    """A string member; `missing` refuses an absent or empty one, more than `most_bytes` bytes are 40058."""
    value = told.get(name)
    if value is None or value == "":
        if missing is not None:
            raise Refused(missing, f"{name} missing")
        return ""
    if not isinstance(value, str):
        raise Refused(40035, f"{name} must be a string")
    if most_bytes and len(value.encode("utf-8", "replace")) > most_bytes:
        raise Refused(40058, f"{name} has more than {most_bytes} bytes")
    return value


def stored_media(call: Call, told: Mapping[str, Any], name: str = "media_id") -> str:
    """A media_id that is known and not expired."""
    media_id = words(told, name, missing=41006)
    media = call.corp.media.get(media_id)
    if media is None or media.is_permanent or call.clock.now() - media.created_at > call.switches.media_ttl:
        raise Refused(40007)
    return media_id


def _text(call: Call, told: Content) -> Content:
    return {"content": cut(words(told, "content", missing=44004), 2048)}


def _markdown(call: Call, told: Content) -> Content:
    content = words(told, "content", missing=44004)
    if len(content.encode("utf-8", "replace")) > 2048:
        raise Refused(45002)
    return {"content": content}


def _stored(call: Call, told: Content) -> Content:
    return {"media_id": stored_media(call, told)}


def _video(call: Call, told: Content) -> Content:
    media_id = stored_media(call, told)
    title, description = cut(words(told, "title"), 128), cut(words(told, "description"), 512)
    return {"media_id": media_id, "title": title, "description": description}


def _textcard(call: Call, told: Content) -> Content:
    return {
        "title": cut(words(told, "title", missing=41016), 128),
        "description": cut(words(told, "description", missing=41033), 512),
        "url": _url(words(told, "url", missing=41010, most_bytes=2048)),
        "btntxt": words(told, "btntxt")[:4] or "详情",
    }


def _url(url: str) -> str:
    if "://" not in url:
        raise Refused(45034)
    return url


def _articles(told: Content) -> list[Content]:
    articles = told.get("articles")
    if not isinstance(articles, list) or not all(isinstance(each, dict) for each in articles):
        raise Refused(40035, "articles must be a list of objects")
    if not 1 <= len(articles) <= 8:
        raise Refused(45008)
    return articles


def _news(call: Call, told: Content) -> Content:
    articles = []
    for told_article in _articles(told):
        article = {"title": cut(words(told_article, "title", missing=41016), 128)}
        article["description"] = cut(words(told_article, "description"), 512)
        if not words(told_article, "appid"):
            article["url"] = _url(words(told_article, "url", missing=41010, most_bytes=2048))
        keys = ("picurl", "appid", "pagepath")
        articles.append(article | {key: told_article[key] for key in keys if key in told_article})
    return {"articles": articles}


def _mpnews(call: Call, told: Content) -> Content:
    shown = []
    for article in _articles(told):
        words(article, "title", missing=41016)
        words(article, "content", missing=44004, most_bytes=666 * 1024)
        stored_media(call, article, "thumb_media_id")
        if len(words(article, "author").encode("utf-8", "replace")) > 64:
            raise Refused(45032)
        title, digest = cut(words(article, "title"), 128), cut(words(article, "digest"), 512)
        shown.append(article | {"title": title, "digest": digest})
    return {"articles": shown}


def _template_card(call: Call, told: Content) -> Content:
    check_card(told)
    return told


def miniprogram_notice(call: Call, told: Content) -> Content:
    """A mini-program notice; pairs with neither key nor value are dropped, as the page says."""
    appid = words(told, "appid", missing=90200)
    if not _APPID.fullmatch(appid):
        raise Refused(90207)
    linked = call.switches.linked_appids
    if linked is not None and appid not in linked:
        raise Refused(90206)
    page = words(told, "page")
    if len(page.encode("utf-8", "replace")) > 1024:
        raise Refused(90204)
    title, description = words(told, "title", missing=41016), words(told, "description")
    if len(title) > 12 or len(description) > 12:
        raise Refused(40058, "title and description have at most 12 characters")
    shown = {"appid": appid, "page": page, "title": title, "description": description}
    items = _content_items(told.get("content_item"))
    return shown | {"emphasis_first_item": told.get("emphasis_first_item") is True, "content_item": items}


def _content_items(told: Any) -> list[dict[str, str]]:
    if told is None:
        return []
    if not isinstance(told, list) or not all(isinstance(each, dict) for each in told):
        raise Refused(40035, "content_item must be a list of objects")
    if len(told) > 10:
        raise Refused(90201)
    pairs = [{"key": words(each, "key"), "value": words(each, "value")} for each in told]
    pairs = [each for each in pairs if each["key"] or each["value"]]
    if any(not 1 <= len(each["key"]) <= 10 for each in pairs):
        raise Refused(90202)
    if any(not 1 <= len(each["value"]) <= 30 for each in pairs):
        raise Refused(90203)
    return pairs


CHECKS: dict[str, Callable[[Call, Content], Content]] = {
    "text": _text,
    "markdown": _markdown,
    "image": _stored,
    "voice": _stored,
    "file": _stored,
    "video": _video,
    "textcard": _textcard,
    "news": _news,
    "mpnews": _mpnews,
    "miniprogram_notice": miniprogram_notice,
    "template_card": _template_card,
}
