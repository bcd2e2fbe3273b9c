"""JSON objects as frozen values: the fields of a dataclass say what may stand in the JSON, and nothing else may."""

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields
from types import NoneType, UnionType
from typing import Any, ClassVar, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from crm.providers.records import MAX_INT

UNTOLD: Final = {"untold": True}  # metadata of a field that is no part of the JSON form
PAIR: Final = tuple[str, str]  # written {"key": …, "value": …}
_PAIR_KEYS = ("key", "value")


class ContentError(ValueError):
    """A JSON content that has no such shape: `pointer` says where, `code` says what."""

    def __init__(self, pointer: str, code: str, detail: str) -> None:
        super().__init__(detail)
        self.pointer = pointer
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Shape:
    """A JSON object with the names of the dataclass's fields.

    A field with a default may be missing, and is not written when it is the default. A text without one that is
    missing reads as "": what must not be empty is the provider's to say.
    """

    __slots__ = ()  # not slots=True: the class it makes anew breaks super() in the subclasses

    def as_json(self) -> dict[str, Any]:
        told = ((each, getattr(self, each.name)) for each in fields_of(type(self)))
        return {each.name: _written(value) for each, value in told if value != each.default}


@dataclass(frozen=True)
class Envelope(Shape):
    """`{"msgtype": "text", "text": {…}}`; the fields that `beside` names stand beside the inner object."""

    __slots__ = ()
    msgtype: ClassVar[str]
    beside: ClassVar[tuple[str, ...]] = ()

    def as_json(self) -> dict[str, Any]:
        inside = super().as_json()
        beside = {name: inside.pop(name) for name in self.beside if name in inside}
        return {"msgtype": self.msgtype, self.msgtype: inside, **beside}


ShapeT = TypeVar("ShapeT", bound=Shape)
EnvelopeT = TypeVar("EnvelopeT", bound=Envelope)


def fields_of(shape: type[Shape]) -> "tuple[Field[Any], ...]":
    """The fields that are told in JSON."""
    return tuple(each for each in fields(shape) if "untold" not in each.metadata)


def parts_of(kind: type[Envelope]) -> "tuple[list[Field[Any]], list[Field[Any]]]":
    """The fields of the inner object, and those beside it."""
    told = fields_of(kind)
    inside = [each for each in told if each.name not in kind.beside]
    return inside, [each for each in told if each.name in kind.beside]


def read_envelope(kinds: Iterable[type[EnvelopeT]], data: Any, at: str = "") -> EnvelopeT:
    """The one of `kinds` whose `msgtype` the object `data` names. Raises ContentError."""
    by_name = {kind.msgtype: kind for kind in kinds}
    members = _object(data, at)
    kind = by_name.get(str(members.get("msgtype", "")))
    if kind is None:
        words = f"msgtype must be one of {', '.join(sorted(by_name))}."
        raise ContentError(f"{at}/msgtype", "unknown_msgtype", words)
    name = kind.msgtype
    if not isinstance(members.get(name), dict):
        raise ContentError(f"{at}/{name}", "required", f"{name} must be an object.")
    outer = {key: value for key, value in members.items() if key not in ("msgtype", name)}
    inside, beside = parts_of(kind)
    return kind(**_members(kind, outer, beside, at), **_members(kind, members[name], inside, f"{at}/{name}"))


def read_shape(kind: type[ShapeT], data: Any, at: str) -> ShapeT:
    """The object `data` as `kind`. Raises ContentError."""
    return kind(**_members(kind, _object(data, at), fields_of(kind), at))


def _members(
    kind: type[Shape], data: Mapping[str, Any], allowed: "Iterable[Field[Any]]", at: str
) -> dict[str, Any]:
    by_name = {each.name: each for each in allowed}
    for name in data:
        if name not in by_name:
            raise ContentError(f"{at}/{_escaped(name)}", "unknown_field", f"There is no field {name} here.")
    hints = get_type_hints(kind)
    read = {name: _read(hints[name], value, f"{at}/{name}") for name, value in data.items()}
    for name, each in by_name.items():
        if name not in read and each.default is MISSING:
            read[name] = _blank(hints[name], f"{at}/{name}")
    return read


def _blank(hint: Any, at: str) -> Any:
    if hint is str:
        return ""
    if get_origin(hint) is tuple:
        return ()
    raise ContentError(at, "required", f"{_name(at)} is required.")


def _read(hint: Any, value: Any, at: str) -> Any:
    """`value` as the annotation `hint` has it. Raises ContentError."""
    origin = get_origin(hint)
    if hint == PAIR:
        return _pair(value, at)
    if origin is tuple:
        entries = enumerate(_list(value, at))
        return tuple(_read(get_args(hint)[0], entry, f"{at}/{n}") for n, entry in entries)
    if origin is Literal:
        return _choice(get_args(hint), value, at)
    if origin is UnionType:
        return _one_of([each for each in get_args(hint) if each is not NoneType], value, at)
    return _one_of([hint], value, at) if issubclass(hint, Shape) else _scalar(hint, value, at)


def _one_of(kinds: list[Any], value: Any, at: str) -> Any:
    if issubclass(kinds[0], Envelope):
        return read_envelope(kinds, value, at)
    return read_shape(kinds[0], value, at)


def _choice(choices: tuple[Any, ...], value: Any, at: str) -> Any:
    for each in choices:
        if type(value) is type(each) and value == each:  # true is no 1 here
            return each
    words = f"{_name(at)} must be one of {', '.join(map(str, choices))}."
    raise ContentError(at, "invalid_choice", words)


def _scalar(kind: type, value: Any, at: str) -> Any:
    words, is_sound = _SCALARS[kind]
    if not is_sound(value):
        raise ContentError(at, "invalid", f"{_name(at)} must be {words}.")
    return value


def _is_number(value: Any, *kinds: type) -> bool:
    return type(value) in kinds and 0 <= value <= MAX_INT  # NaN is not


_SCALARS: Final[dict[type, Any]] = {
    str: ("a string", lambda value: isinstance(value, str)),
    bool: ("true or false", lambda value: isinstance(value, bool)),
    int: (f"a whole number, 0 to {MAX_INT}", lambda value: _is_number(value, int)),
    float: (f"a number, 0 to {MAX_INT}", lambda value: _is_number(value, int, float)),
}


def _pair(value: Any, at: str) -> tuple[str, str]:
    told = _object(value, at)
    for name in told:
        if name not in _PAIR_KEYS:
            raise ContentError(f"{at}/{_escaped(name)}", "unknown_field", f"There is no field {name} here.")
    key, content = (_scalar(str, told.get(name, ""), f"{at}/{name}") for name in _PAIR_KEYS)
    return key, content


def _object(value: Any, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ContentError(at, "invalid", f"{_name(at)} must be an object.")
    return value


def _list(value: Any, at: str) -> list[Any]:
    if not isinstance(value, list):
        raise ContentError(at, "invalid", f"{_name(at)} must be a list.")
    return value


def _written(value: Any) -> Any:
    if isinstance(value, Shape):
        return value.as_json()
    return [_entry(each) for each in value] if isinstance(value, tuple) else value


def _entry(value: Any) -> Any:
    return dict(zip(_PAIR_KEYS, value, strict=True)) if isinstance(value, tuple) else _written(value)


def _name(at: str) -> str:
    """The member that a pointer ends in, for a sentence."""
    last = at.rpartition("/")[2]
    return "An entry" if last.isdigit() else last or "Content"


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")  # RFC 6901
