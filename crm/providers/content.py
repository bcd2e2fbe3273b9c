"""What goes out: message contents as frozen, provider-independent values, and their JSON form."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Text:
    """A text. Sizes are the provider's to check: see `<provider>/messages.py`."""

    msgtype: ClassVar[str] = "text"
    content: str

    def as_json(self) -> dict[str, Any]:
        return {"msgtype": self.msgtype, "text": {"content": self.content}}


@dataclass(frozen=True, slots=True)
class MiniprogramNotice:
    """A mini-program notice (wecom.md 2.4). `content_item` holds (key, value) pairs.

    `pic_media_id` is the cover where the notice becomes a mini-program attachment of a mass send. It is set
    by `Provider.prepare` just before `body()` and is no part of the JSON form: a media_id lives three days.
    """

    msgtype: ClassVar[str] = "miniprogram_notice"
    appid: str
    title: str
    page: str = ""
    description: str = ""
    emphasis_first_item: bool = False
    content_item: tuple[tuple[str, str], ...] = ()
    pic_media_id: str = ""

    def as_json(self) -> dict[str, Any]:
        notice: dict[str, Any] = {"appid": self.appid, "title": self.title}
        if self.page:
            notice["page"] = self.page
        if self.description:
            notice["description"] = self.description
        if self.emphasis_first_item:
            notice["emphasis_first_item"] = True
        if self.content_item:
            notice["content_item"] = [{"key": key, "value": value} for key, value in self.content_item]
        return {"msgtype": self.msgtype, self.msgtype: notice}


Content = Text | MiniprogramNotice


class ContentError(ValueError):
    """A JSON content that has no such shape: `pointer` says where, `code` says what."""

    def __init__(self, pointer: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.code = code
        self.detail = detail


def parse(data: Any) -> Content:
    """The content written as `{"msgtype": "text", "text": {"content": "…"}}`; raises ContentError."""
    if not isinstance(data, dict):
        raise ContentError("", "invalid", "Content must be an object.")
    parser = _PARSERS.get(str(data.get("msgtype", "")))
    if parser is None:
        raise ContentError(
            "/msgtype", "unknown_msgtype", f"msgtype must be one of {', '.join(sorted(_PARSERS))}."
        )
    msgtype = data["msgtype"]
    _only(data, {"msgtype", msgtype}, "")
    body = data.get(msgtype)
    if not isinstance(body, dict):
        raise ContentError(f"/{msgtype}", "required", f"{msgtype} must be an object.")
    return parser(body)


def _parse_text(body: dict[str, Any]) -> Text:
    _only(body, {"content"}, "/text")
    return Text(content=_string(body, "content", "/text"))


def _parse_notice(body: dict[str, Any]) -> MiniprogramNotice:
    at = "/miniprogram_notice"
    _only(body, {"appid", "page", "title", "description", "emphasis_first_item", "content_item"}, at)
    emphasis = body.get("emphasis_first_item", False)
    if not isinstance(emphasis, bool):
        raise ContentError(
            f"{at}/emphasis_first_item", "invalid", "emphasis_first_item must be true or false."
        )
    items = body.get("content_item") or []
    if not isinstance(items, list):
        raise ContentError(f"{at}/content_item", "invalid", "content_item must be a list.")
    return MiniprogramNotice(
        appid=_string(body, "appid", at),
        title=_string(body, "title", at),
        page=_string(body, "page", at),
        description=_string(body, "description", at),
        emphasis_first_item=emphasis,
        content_item=tuple(_pair(item, f"{at}/content_item/{n}") for n, item in enumerate(items)),
    )


def _pair(item: Any, pointer: str) -> tuple[str, str]:
    if not isinstance(item, dict):
        raise ContentError(pointer, "invalid", "An item must be an object with key and value.")
    _only(item, {"key", "value"}, pointer)
    return _string(item, "key", pointer), _string(item, "value", pointer)


def _string(body: dict[str, Any], key: str, pointer: str) -> str:
    value = body.get(key, "")
    if not isinstance(value, str):
        raise ContentError(f"{pointer}/{key}", "invalid", f"{key} must be a string.")
    return value


def _only(body: dict[str, Any], allowed: set[str], pointer: str) -> None:
    for key in body:
        if key not in allowed:
            raise ContentError(f"{pointer}/{key}", "unknown_field", f"There is no field {key} here.")


_PARSERS: dict[str, Callable[[dict[str, Any]], Content]] = {
    "text": _parse_text,
    "miniprogram_notice": _parse_notice,
}
