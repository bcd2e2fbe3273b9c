"""What directories of every dialect share: one record per employee, and look-ups that failed without stopping it."""

from collections.abc import Iterable

from crm.providers.errors import Absent, BadCredential, ProviderError, Refused
from crm.providers.records import EmployeeRecord, Unset, Warned

LASTING = (Refused, BadCredential, Absent)  # the provider said no; anything else may pass


def merge(members: Iterable[EmployeeRecord]) -> list[EmployeeRecord]:
    """One record per userid, in order of first appearance, with the departments of all of them."""
    found: dict[str, EmployeeRecord] = {}
    for member in members:
        known = found.get(member.userid)
        found[member.userid] = member if known is None else _joined(known, member)
    return list(found.values())


def _joined(first: EmployeeRecord, second: EmployeeRecord) -> EmployeeRecord:
    fields = {name: getattr(first, name) for name in EmployeeRecord.__slots__}
    for name in fields:
        if isinstance(fields[name], Unset):
            fields[name] = getattr(second, name)
    for name in ("departments", "leads"):
        mine, other = fields[name], getattr(second, name)
        if isinstance(mine, tuple) and isinstance(other, tuple):
            fields[name] = tuple(dict.fromkeys(mine + other))
    return EmployeeRecord(**fields)


class Warnings:
    """Look-ups that failed without stopping the directory, one line per call and code."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, int | None], Warned] = {}

    def add(self, call: str, error: ProviderError) -> None:
        """Note a failed look-up. Without a token there is no directory: raises `error` again."""
        if error.api == "gettoken":
            raise error
        key = (call, error.code, error.errcode)
        self._found.setdefault(key, Warned(call, error.code, error.errcode, error.errmsg))

    def all(self) -> tuple[Warned, ...]:
        return tuple(self._found.values())
