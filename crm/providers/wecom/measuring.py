"""How a text or a list is held against a documented limit. Bytes are UTF-8; characters and 汉字 are code points."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from crm.providers.records import Problem

_UNWRITABLE = re.compile("[\0\ud800-\udfff]")


def required(at: str, value: Any, *names: str) -> Iterator[Problem]:
    """The texts and lists `names` of `value` that are empty."""
    for name in names:
        told = getattr(value, name)
        if not (told.strip() if isinstance(told, str) else told):
            yield Problem(f"{at}/{name}", "required")


def most_bytes(pointer: str, value: str, limit: int) -> Iterator[Problem]:
    yield from _beyond(pointer, "too_long", byte_length(value), limit, unit="bytes")


def most_characters(pointer: str, value: str, limit: int) -> Iterator[Problem]:
    yield from _beyond(pointer, "too_long", len(value), limit, unit="characters")


def cut_bytes(pointer: str, value: str, limit: int) -> Iterator[Problem]:
    """A warning: WeCom cuts beyond `limit` bytes and says nothing."""
    yield from _beyond(pointer, "cut", byte_length(value), limit, unit="bytes", warning=True)


def advised_characters(pointer: str, value: str, limit: int) -> Iterator[Problem]:
    """A warning: WeCom advises no more."""
    yield from _beyond(pointer, "long", len(value), limit, unit="characters", warning=True)


def most_entries(pointer: str, entries: Sequence[Any], limit: int) -> Iterator[Problem]:
    if len(entries) > limit:
        yield Problem(pointer, "too_many", {"limit": limit, "length": len(entries)})


def web_address(pointer: str, url: str, limit: int) -> Iterator[Problem]:
    yield from most_bytes(pointer, url, limit)
    if url.strip() and "://" not in url:
        yield Problem(pointer, "no_scheme")


def unwritable(told: Any, at: str = "") -> Iterator[Problem]:
    """Every text in the JSON `told` that holds what UTF-8 or a database cannot."""
    if isinstance(told, str):
        if _UNWRITABLE.search(told):
            yield Problem(at, "invalid_characters")
    elif isinstance(told, dict):
        for name, value in told.items():
            yield from unwritable(value, f"{at}/{name}")
    elif isinstance(told, list):
        for n, value in enumerate(told):
            yield from unwritable(value, f"{at}/{n}")


def byte_length(value: str) -> int:
    return len(value.encode("utf-8", "surrogatepass"))


def _beyond(
    pointer: str, code: str, length: int, limit: int, *, unit: str, warning: bool = False
) -> Iterator[Problem]:
    if length > limit:
        yield Problem(pointer, code, {"limit": limit, "length": length, "unit": unit}, warning=warning)
