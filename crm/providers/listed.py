"""A listing read item by item: what the caller knows by its digest is hashed, and never parsed.

Why that is safe, although the items are cut apart at `},{"<first key>":` without looking inside. A slice counts
only when it is a complete JSON value: because it parses here, or because its digest is known, and digests are made
of complete items alone. The answer around the list must be JSON with a mark in the list's place. Complete slices
with commas between them, in that place, are the list, wherever the guess to cut there came from. A wrong cut
leaves a slice that neither parses nor is known: then the answer is read whole.

And when no reader takes the whole, because of one item that is nested too deep or holds a number beyond all
numbers: then its structure says where the items are, without a guess (see `structure`). What stands in an item
does not count there, so the one nobody can read is told as such, and costs its neighbours nothing.
"""

import json
import secrets
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

import orjson

from crm.providers.answers import Reply, is_clean, second_reading, whole
from crm.providers.errors import Unavailable
from crm.providers.reading import as_list, raw_bytes
from crm.providers.records import BadItem, ContactRecord, digest_of
from crm.providers.structure import find_list, outline

_MARK = secrets.token_hex(16)  # nobody outside this process can have written it
_MARK_JSON = f'"{_MARK}"'.encode()


@dataclass(slots=True)
class Item:
    """A parsed item of a listing. `raw` and `digest` are empty where its own bytes could not be told apart.

    `clean` promises that no text in it holds NUL or a lone surrogate. `trouble` is the reason why no reader
    takes it (a BadItem's); then `value` is an outline, to say whom it is about.
    """

    value: Any
    position: int
    raw: bytes
    digest: bytes
    clean: bool
    trouble: str = ""


Read = Callable[[Item], ContactRecord | BadItem]
Odd = Callable[[int, bytes], Item | None]


def read_listing(body: bytes, name: str, *, known: Container[bytes], read: Read) -> Reply:
    """The JSON object `body` with the `items` of its list `name`: what `read` makes of each, or its known digest.

    `items` is None where the object has no such list. Raises what `whole` raises.
    """
    return _cut(body, name, known, read) or _whole(body, name, known, read)


def _whole(body: bytes, name: str, known: Container[bytes], read: Read) -> Reply:
    try:
        data, clean, _ = reply = whole(body)
    except Unavailable:
        found = _found(body, name, known, read)
        if found is None:
            raise
        return found
    if name not in data or not isinstance(data[name], list | dict | None):
        return reply
    records = (read(Item(value, n, b"", b"", clean)) for n, value in enumerate(as_list(data[name])))
    items = [
        record.digest if isinstance(record, ContactRecord) and record.digest in known else record
        for record in records
    ]
    return Reply(data, clean, items)


def _found(body: bytes, name: str, known: Container[bytes], read: Read) -> Reply | None:
    """The listing by its structure; None when that is not JSON's, or what is around the list cannot be read."""
    try:
        found = find_list(body, name)
    except ValueError:
        return None
    if found is None:
        return None
    start, stop, slices = found
    around = _around(body[:start] + _MARK_JSON + body[stop:], name)
    if around is None:
        return None
    clean = is_clean(body)
    return Reply(around, clean, _items(slices, clean, known, read, _odd_or_unreadable))


def _cut(body: bytes, name: str, known: Container[bytes], read: Read) -> Reply | None:
    key = f'"{name}":['.encode()
    start = body.find(key) + len(key)
    end = body.rfind(b"}]") + 1
    if start < len(key) or end <= start:
        return None
    around = _around(body[: start - 1] + _MARK_JSON + body[end + 1 :], name)
    if around is None:
        return None
    clean = is_clean(body)
    items = _items(_slices(body, start, end), clean, known, read, _odd)
    return None if items is None else Reply(around, clean, items)


def _around(answer: bytes, name: str) -> dict[str, Any] | None:
    """The answer with an empty list `name`; None when the mark does not stand for that list."""
    try:
        data = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(data, dict) or data.get(name) != _MARK:
        return None
    data[name] = []
    return data


def _slices(body: bytes, start: int, end: int) -> list[bytes]:
    """`body[start:end]` cut before every `{` that looks like the beginning of an item."""
    colon = body.find(b'":', start, end)
    if not body.startswith(b'{"', start) or colon < 0:
        return [body[start:end]]
    head = body[start : colon + 2]
    pieces = body[colon + 2 : end - 1].split(b"}," + head)
    return [head + piece + b"}" for piece in pieces]


def _items(
    slices: list[bytes], clean: bool, known: Container[bytes], read: Read, odd: Odd
) -> list[ContactRecord | BadItem | bytes] | None:
    """What `read` makes of each slice, or its known digest; None where `odd` makes nothing of one."""
    items: list[ContactRecord | BadItem | bytes] = []
    for position, raw in enumerate(slices):
        digest = digest_of(raw)
        if digest in known:
            items.append(digest)
            continue
        try:
            item = Item(orjson.loads(raw), position, raw, digest, clean)
        except orjson.JSONDecodeError:
            second = odd(position, raw)
            if second is None:
                return None
            item = second
        items.append(read(item))
    return items


def _odd(position: int, raw: bytes) -> Item | None:
    """An item with a lone surrogate or a raw NUL; None when it is no JSON."""
    try:
        value = second_reading(raw)
        raw = raw_bytes(value)
    except (ValueError, RecursionError):
        return None
    return Item(value, position, raw, digest_of(raw), clean=False)


def _odd_or_unreadable(position: int, raw: bytes) -> Item:
    return _odd(position, raw) or Item(outline(raw), position, raw, b"", False, _trouble(raw))


def _trouble(raw: bytes) -> str:
    """Why no reader takes an item whose structure is JSON's."""
    try:
        second_reading(raw)
    except RecursionError:
        return "too_deep"
    except UnicodeDecodeError:
        return "not_utf8"
    except json.JSONDecodeError:
        return "not_json"
    except ValueError:
        return "bad_number"
    return "too_deep"  # it can be read, and not be written again
