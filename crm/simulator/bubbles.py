"""Messages as a phone would draw them. Everything a user wrote is escaped."""

from collections.abc import Mapping
from html import escape
from typing import Any


def bubble(msgtype: str, content: Mapping[str, Any]) -> str:
    """The HTML of one message; an unknown type is shown as text."""
    match msgtype:
        case "text" | "markdown":
            return _said(content["content"])
        case "miniprogram_notice":
            return _notice(content)
        case "mass" | "welcome":
            return _mass(content)
        case "textcard":
            return _card(content["title"], content["description"], content["btntxt"])
        case "news" | "mpnews":
            return "".join(
                _card(a.get("title", ""), a.get("description") or a.get("digest", ""), "")
                for a in _articles(content)
            )
        case _:
            return _file(msgtype, content.get("media_id", content))


def _said(text: object) -> str:
    return f'<div class="bubble">{escape(str(text))}</div>'


def _file(msgtype: str, media: object) -> str:
    return f'<div class="bubble file">📎 {escape(msgtype)} <code>{escape(str(media))}</code></div>'


def _articles(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [each for each in content.get("articles", []) if isinstance(each, dict)]


def _card(title: object, description: object, button: object) -> str:
    foot = f"<footer>{escape(str(button))}</footer>" if button else ""
    return (
        f'<div class="card"><h3>{escape(str(title))}</h3><p>{escape(str(description or ""))}</p>{foot}</div>'
    )


def template_card(card: Mapping[str, Any], hidden: str, buttons: list[tuple[str, str]]) -> str:
    """A card; `hidden` are the inputs that a press of one of its `buttons`, (key, words), sends along."""
    title = card.get("main_title") or {}
    rows = "".join(
        f"<dt>{escape(str(each.get('keyname', '')))}</dt><dd>{escape(str(each.get('value', '')))}</dd>"
        for each in card.get("horizontal_content_list") or []
    )
    questions = [*(card.get("select_list") or []), card.get("button_selection"), card.get("checkbox")]
    choices = "".join(_choice(each) for each in questions if each) if buttons else ""
    presses = "".join(
        f'<button name="key" value="{escape(key)}">{escape(words)}</button> ' for key, words in buttons
    )
    foot = f"<button disabled>{escape(str(card['replaced']))}</button>" if "replaced" in card else presses
    return (
        f'<form class="card" method="post" action="/_sim/press/">{hidden}<h3>{escape(str(title.get("title", "")))}</h3>'
        f"<p>{escape(str(title.get('desc') or card.get('sub_title_text') or ''))}</p>"
        f"{f'<dl>{rows}</dl>' if rows else ''}{choices}{f'<footer>{foot}</footer>' if foot else ''}</form>"
    )


def _choice(question: Mapping[str, Any]) -> str:
    options = "".join(
        f'<option value="{escape(str(each.get("id", "")))}">{escape(str(each.get("text", "")))}</option>'
        for each in question.get("option_list") or []
    )
    name, title = escape(str(question.get("question_key", ""))), escape(str(question.get("title", "")))
    return f'<label>{title} <select name="q.{name}">{options}</select></label>'


def _notice(content: Mapping[str, Any]) -> str:
    """A mini-program notice: title, description, rows (the first large when emphasised), appid and page."""
    items = list(content["content_item"])
    first = ""
    if content["emphasis_first_item"] and items:
        head = items.pop(0)
        first = (
            f'<div class="emphasis"><b>{escape(head["value"])}</b><span>{escape(head["key"])}</span></div>'
        )
    rows = "".join(f"<dt>{escape(each['key'])}</dt><dd>{escape(each['value'])}</dd>" for each in items)
    page = escape(content["page"] or "（不可点击 no page）")
    description = f"<p>{escape(content['description'])}</p>" if content["description"] else ""
    return (
        f'<div class="card notice"><h3>{escape(content["title"])}</h3>{description}{first}'
        f"{f'<dl>{rows}</dl>' if rows else ''}"
        f"<footer>小程序 <code>{escape(content['appid'])}</code> {page}</footer></div>"
    )


def _mass(content: Mapping[str, Any]) -> str:
    text = _said(content["text"]) if content["text"] else ""
    return text + "".join(_attachment(each) for each in content["attachments"])


def _attachment(attachment: Mapping[str, Any]) -> str:
    msgtype = str(attachment.get("msgtype"))
    told = attachment.get(msgtype) or {}
    if msgtype == "miniprogram":
        return _card(told.get("title", ""), "", f"小程序 {told.get('appid', '')} {told.get('page', '')}")
    if msgtype == "link":
        return _card(told.get("title", ""), told.get("desc", ""), told.get("url", ""))
    return _file(msgtype, told.get("media_id") or told.get("pic_url") or "")
