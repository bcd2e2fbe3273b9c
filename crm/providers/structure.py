"""The structure of a JSON text, read without recursion: where a list's items are when no JSON reader takes them.

Brackets, commas, colons and quotes must stand as JSON wants them, to the last byte. Inside a text, or where a
number or a word stands, may be anything: `1e999`, `NaN`, bytes that are not UTF-8. That moves no boundary, for
none of it is a quote or a bracket; so an item that cannot be read ends exactly where it would if it could.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

_TOKEN = re.compile(
    rb'[ \t\r\n]*+(?:([{}\[\],:])|("[^"\\]*+(?:\\.[^"\\]*+)*+")|([-+.\w]++)|(.)|\Z)', re.DOTALL
)

KEY, TEXT, WORD = b"k", b'"', b"w"  # kinds of token, beside the six signs of JSON
_KINDS = {3: WORD, 4: b"?"}
_VALUE = b'{["w'
_FIRST = {b"{": b'"}', b"[": _VALUE + b"]"}  # what may follow where a container begins,
_LATER = {b"{": b'"', b"[": _VALUE}  # after a comma in it,
_AFTER = {b"{": b",}", b"[": b",]"}  # and after a value in it
_KEYS = (_FIRST[b"{"], _LATER[b"{"])  # where a text is a key

_SHALLOW = 2  # an outline tells an item's fields and their fields

Token = tuple[bytes, int, int, int]


def tokens(text: bytes) -> Iterator[Token]:
    """(kind, containers around it, start, stop) of every token of one JSON value.

    Raises ValueError where the structure is not that of one.
    """
    around: list[bytes] = []
    may_follow = _VALUE
    for token in _TOKEN.finditer(text):
        group = token.lastindex or 0
        start, stop = token.span(group)
        kind = text[start : start + 1] if group < 3 else _KINDS[group]
        if group == 0 or kind not in may_follow:
            break
        if kind in b"}]":
            around.pop()
        is_key = kind == TEXT and may_follow in _KEYS
        yield KEY if is_key else kind, len(around), start, stop
        if kind in b"{[":
            around.append(kind)
            may_follow = _FIRST[kind]
        elif kind == b",":
            may_follow = _LATER[around[-1]]
        elif kind == b":":
            may_follow = _VALUE
        elif is_key:
            may_follow = b":"
        else:
            may_follow = _AFTER[around[-1]] if around else b""
    if may_follow or group != 0:
        raise ValueError("not the structure of JSON")


def find_list(body: bytes, name: str) -> tuple[int, int, list[bytes]] | None:
    """Where the list `name` of the JSON object `body` starts and stops, and its items; of several the last.

    None when there is no such list. Raises ValueError as `tokens` does.
    """
    key = f'"{name}"'.encode()
    found: tuple[int, int, list[bytes]] | None = None
    is_named, list_start, item_start, items = False, -1, -1, [b""]
    for kind, depth, start, stop in tokens(body):
        if depth == 1 and kind == KEY:
            is_named = body[start:stop] == key
        elif is_named and depth == 1 and kind == b"[":
            list_start, items = start, []
        elif is_named and depth == 1 and kind == b"]":
            found = list_start, stop, items
        elif is_named and depth == 2 and kind in b"{[":
            item_start = start
        elif is_named and depth == 2 and kind in b"}]":
            items.append(body[item_start:stop])
        elif is_named and depth == 2 and kind in (TEXT, WORD):
            items.append(body[start:stop])
    return found


def outline(item: bytes) -> Any:
    """What can be read of an item that cannot: its fields and theirs; null for what is deeper or no value."""
    parts = []
    for kind, depth, start, stop in tokens(item):
        if depth < _SHALLOW or (depth == _SHALLOW and kind not in b"{}[]"):
            parts.append(_readable(item[start:stop], kind))
        elif depth == _SHALLOW and kind in b"{[":
            parts.append(b"null")
    return orjson.loads(b"".join(parts))


def _readable(token: bytes, kind: bytes) -> bytes:
    if kind in (KEY, TEXT, WORD):
        try:
            orjson.loads(token)
        except orjson.JSONDecodeError:
            return b'""' if kind == KEY else b"null"
    return token
