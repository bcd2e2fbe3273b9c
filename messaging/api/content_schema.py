"""The JSON schema of every content, drawn from the shapes that read it."""

from collections.abc import Iterable
from dataclasses import MISSING, Field
from types import NoneType, UnionType
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from crm.providers.records import MAX_INT
from crm.providers.shapes import PAIR, Envelope, Shape, fields_of, parts_of

_SCALARS: Final[dict[Any, dict[str, Any]]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": 0, "maximum": MAX_INT},
    float: {"type": "number", "minimum": 0, "maximum": MAX_INT},
}
_TYPES: Final = {int: "integer", str: "string"}


def schema_of(kind: type[Envelope]) -> dict[str, Any]:
    inside, beside = parts_of(kind)
    fixed = {"msgtype": {"const": kind.msgtype}, kind.msgtype: _object(kind, inside)}
    options = _object(kind, beside)["properties"]
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["msgtype", kind.msgtype],
        "properties": {**fixed, **options},
    }


def _object(kind: type[Shape], told: "Iterable[Field[Any]]") -> dict[str, Any]:
    hints = get_type_hints(kind)
    schema: dict[str, Any] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {each.name: _value(hints[each.name]) for each in told},
    }
    required = [each.name for each in told if each.default is MISSING]
    return {**schema, "required": required} if required else schema


def _value(hint: Any) -> dict[str, Any]:
    if hint == PAIR:
        text = _SCALARS[str]
        return {"type": "object", "additionalProperties": False, "properties": {"key": text, "value": text}}
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _value(get_args(hint)[0])}
    if get_origin(hint) is Literal:
        choices = list(get_args(hint))
        return {"type": _TYPES[type(choices[0])], "enum": choices}
    if get_origin(hint) is UnionType:
        return _one_of([each for each in get_args(hint) if each is not NoneType])
    return _SCALARS[hint] if hint in _SCALARS else _object(hint, fields_of(hint))


def _one_of(kinds: list[Any]) -> dict[str, Any]:
    if issubclass(kinds[0], Envelope):
        return {"oneOf": [schema_of(kind) for kind in kinds]}
    return _value(kinds[0])
