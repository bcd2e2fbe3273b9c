"""Tolerant reading: a JSON value of any shape becomes the value a record holds, or is said to be unstorable.

Rules 3 and 4 of docs/reference/protocol-wecom.md 1, contract F6 and F15: an absent key is `UNSET`; `null`
is an empty list where a list is expected, `UNSET` elsewhere; numbers may be strings, and strings numbers.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

from crm.providers.records import LIMITS, MAX_INT, UNSET, Unset

DEEPEST = 100  # levels of a document: databases and JSON writers stop at about a thousand

_SURROGATE = re.compile("[\ud800-\udfff]")


class Unstorable(ValueError):
    """A value our columns cannot hold; its text is the `reason` of a BadItem."""


def text(source: Mapping[str, Any], key: str, *, limit: str = "", clean: bool = False) -> str | Unset:
    """The text under `key`. `limit` names its entry in LIMITS (`key` itself when empty).

    `clean` promises that the answer holds neither NUL nor lone surrogates (see `answers.Reply`).
    Raises Unstorable (`too_long`, `nul`, `surrogate`, `wrong_type`).
    """
    value = source.get(key)
    if value is None:
        return UNSET
    return as_text(value, key, limit=limit, clean=clean)


Limits = tuple[tuple[str, int], ...]  # keys, with the longest text that the column of each takes


def limits_of(*names: str) -> Limits:
    return tuple((name, LIMITS[name]) for name in names)


# A cold listing spends its time in the next three: there a usual value costs no call of a function of ours.


def texts(source: Mapping[str, Any], limits: Limits, clean: bool) -> list[Any]:
    """What `text` tells of each key."""
    if not clean:
        return [text(source, name) for name, _ in limits]
    told = []
    for name, most in limits:
        value = source.get(name, UNSET)
        if value is not UNSET and not (value.__class__ is str and len(value) <= most):
            value = text(source, name, clean=True)
        told.append(value)
    return told


def text_list(value: Any, field: str, clean: bool) -> list[str]:
    """The texts of a list for `field`, without the empty ones. Raises Unstorable."""
    most = LIMITS[field]
    told = []
    for entry in value if value.__class__ is list else as_list(value):
        if entry:
            if not (clean and entry.__class__ is str and len(entry) <= most):
                entry = as_text(entry, field, clean=clean)
            told.append(entry)
    return told


def number(source: Mapping[str, Any], key: str, low: int = -MAX_INT - 1, high: int = MAX_INT) -> int | Unset:
    """The whole number under `key`; UNSET when it is none or outside `low`..`high`."""
    value = source.get(key)
    if value.__class__ is not int:
        value = as_int(value)
        if value is None:
            return UNSET
    return value if low <= value <= high else UNSET


def plain(source: Mapping[str, Any], key: str, *, limit: str = "", clean: bool = False) -> str:
    """Like `text`, where not told and empty are the same."""
    value = source.get(key)
    return "" if value is None else as_text(value, key, limit=limit, clean=clean)


def as_text(value: Any, field: str, *, limit: str = "", clean: bool = False) -> str:
    """`value` as a text for `field`: a number becomes its digits; what else is no string is Unstorable."""
    most = LIMITS[limit or field]
    if clean and value.__class__ is str and len(value) <= most:
        return value
    if isinstance(value, str):
        told = value
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise Unstorable(f"wrong_type: {field}")
    else:
        told = str(value)
    if not clean:
        check_characters(told, field)
    if len(told) > most:
        raise Unstorable(f"too_long: {field} {len(told)} > {most}")
    return told


def check_characters(value: str, field: str) -> None:
    """Raise Unstorable when no database can hold `value`."""
    if "\0" in value:
        raise Unstorable(f"nul: {field}")
    if _SURROGATE.search(value):
        raise Unstorable(f"surrogate: {field}")


def as_int(value: Any) -> int | None:
    """A whole number written as int, integral float or digits; else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and len(value) <= 20 and re.fullmatch(r"\s*[+-]?[0-9]+\s*", value):
        return int(value)
    return None


def as_list(value: Any) -> list[Any]:
    """A list where one is expected: null is empty, a lone object or value is a list of one."""
    if isinstance(value, list):
        return value
    return [] if value is None or value == "" else [value]


def ids(value: Any) -> list[str]:
    """Ids written as a list, as `a|b`, as one string, as "" or not at all (rule 4)."""
    found: list[str] = []
    for entry in as_list(value):
        if isinstance(entry, str):
            found += [part for part in entry.split("|") if part]
        elif isinstance(entry, int) and not isinstance(entry, bool):
            found.append(str(entry))
    return found


def document(source: Mapping[str, Any], key: str, clean: bool) -> dict[str, Any] | Unset:
    """The JSON object under `key`, checked at every depth; UNSET when it is none."""
    value = source.get(key)
    if not isinstance(value, dict):
        return UNSET
    _check_document(value, key, clean, DEEPEST)
    return value


def _check_document(value: Any, field: str, clean: bool, deepest: int) -> None:
    if isinstance(value, str):
        if not clean:
            check_characters(value, field)
    elif isinstance(value, list | dict):
        if deepest == 0:
            raise Unstorable(f"too_deep: {field}")
        for entry in value:  # an object's keys
            _check_document(entry, field, clean, deepest - 1)
        if isinstance(value, dict):
            for entry in value.values():
                _check_document(entry, field, clean, deepest - 1)


def raw_bytes(item: Any) -> bytes:
    """`item` as JSON bytes; ASCII-escaped where UTF-8 cannot hold it (lone surrogates)."""
    try:
        return orjson.dumps(item)
    except TypeError:
        return json.dumps(item, ensure_ascii=True, separators=(",", ":")).encode("ascii")
