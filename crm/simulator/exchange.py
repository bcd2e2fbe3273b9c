"""One HTTP exchange: what was asked, what is answered, and how badly the answer is delivered."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

JsonObject = dict[str, Any]


@dataclass(slots=True)
class Request:
    """A request as read from the socket; `head` keeps the raw header block, looked into only when needed."""

    method: str
    path: str
    query_string: str = ""
    body: bytes = b""
    ip: str = "127.0.0.1"
    head: bytes = b""

    def header(self, name: str) -> str:
        """The first header of that name (case-insensitive), "" when absent."""
        wanted = name.lower().encode() + b":"
        for line in self.head.split(b"\r\n"):
            if line[: len(wanted)].lower() == wanted:
                return line[len(wanted) :].strip().decode("latin-1")
        return ""

    def query(self) -> dict[str, str]:
        """The decoded query; of a repeated key the last one counts."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True)) if self.query_string else {}


@dataclass(frozen=True, slots=True)
class Delivery:
    """How an answer leaves the socket when a fault spoils it: see `listener` for what each kind does."""

    kind: str
    seconds: float = 0.0
    size: int = 0


@dataclass(slots=True)
class Answer:
    """What goes back. `errcode` is only for the journal; `delivery` is None for an honest answer."""

    body: bytes = b""
    status: int = 200
    content_type: str = "application/json; charset=UTF-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    errcode: int = 0
    delivery: Delivery | None = None


Handler = Callable[[Request], Answer]


class Refused(Exception):
    """The call ends with this errcode; `fields` go into the answer beside it."""

    def __init__(self, errcode: int, detail: str = "", **fields: Any) -> None:
        super().__init__(errcode)
        self.errcode, self.detail, self.fields = errcode, detail, fields


# One encoder for all: json.dumps would build a new one at every call that asks for other than its defaults.
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def dumps(value: object) -> bytes:
    """Compact JSON in real UTF-8, as the providers send it."""
    return encoded(_encode(value))


def encoded(text: str) -> bytes:
    """JSON text as bytes; a lone surrogate, which UTF-8 cannot carry, becomes its JSON escape."""
    return text.encode("utf-8", "backslashreplace")


def ok(**fields: Any) -> bytes:
    """A successful answer of an API call."""
    return dumps({"errcode": 0, "errmsg": "ok"} | fields)


def json_answer(value: object, *, status: int = 200) -> Answer:
    """An answer of the control calls."""
    return Answer(body=dumps(value), status=status)
