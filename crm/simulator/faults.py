"""Faults on order: which calls they hit, and how often. What each kind does to an answer is in `spoil`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from crm.simulator.cursors import page_number

KINDS = (
    "errcode", "http_status", "html", "empty", "reset", "timeout", "redirect", "huge",  # call not performed
    "truncated", "cut", "no_list", "bad_cursor", "repeat_cursor", "loop_cursor", "empty_page", "fields",
    "delay", "slow_drip", "after",
)  # fmt: skip
NOT_PERFORMED = frozenset(KINDS[:8])
_OF_LATER_PAGES = frozenset(("repeat_cursor", "loop_cursor"))  # on a first page there is no cursor to repeat


@dataclass(slots=True)
class Fault:
    """One order. The first `skip` matching calls go free, the next `times` are hit (None: all after)."""

    id: int
    kind: str
    api: str = "*"
    corp: str = ""
    errcode: int = -1
    errmsg: str = ""
    status: int = 0
    seconds: float = 0.0
    size: int = 50_000_000
    location: str = "/_sim/elsewhere/"
    skip: int = 0
    times: int | None = 1
    match: dict[str, Any] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    hits: int = 0
    first_cursor: str = ""  # loop_cursor: where the loop closes

    def hits_call(self, corp: str, api: str, params: Mapping[str, Any]) -> bool:
        """Whether this call is one of those meant, the counting apart."""
        if self.corp not in ("", corp) or self.api not in ("*", api):
            return False
        if self.kind in _OF_LATER_PAGES and not params.get("cursor"):
            return False
        return all(_matches(params, name, wanted) for name, wanted in self.match.items())

    @property
    def is_spent(self) -> bool:
        return self.times is not None and self.times <= 0


class FaultBook:
    """The orders that are not spent yet. The first that fits a call wins."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._last_id = 0

    def add(self, fields: Mapping[str, Any]) -> Fault:
        """Take an order. Raises ValueError for an unknown kind, TypeError for an unknown field."""
        wanted = dict(fields)
        wanted.setdefault("kind", "fields" if "fields" in wanted else "")
        if wanted["kind"] not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        if wanted.get("times", 1) is not None and wanted.get("times", 1) < 1:
            raise ValueError("times must be positive, or null for ever")
        if wanted["kind"] == "loop_cursor":
            wanted.setdefault("times", None)  # a loop needs more than one turn
        self._last_id += 1
        fault = Fault(id=self._last_id, **wanted)
        self._faults.append(fault)
        return fault

    def pick(self, corp: str, api: str, params: Mapping[str, Any]) -> Fault | None:
        """The fault that hits this call, already counted; None for nearly every call."""
        for fault in self._faults:
            if fault.hits_call(corp, api, params):
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                return self._count(fault)
        return None

    def _count(self, fault: Fault) -> Fault:
        fault.hits += 1
        if fault.times is not None:
            fault.times -= 1
        if fault.is_spent:
            self._faults.remove(fault)
        return fault

    def clear(self, fault_id: int | None = None) -> None:
        """Withdraw one order, or all."""
        self._faults = [each for each in self._faults if fault_id is not None and each.id != fault_id]

    def as_json(self) -> list[dict[str, Any]]:
        return [asdict(each) for each in self._faults]

    def __bool__(self) -> bool:
        return bool(self._faults)


def _matches(params: Mapping[str, Any], name: str, wanted: Any) -> bool:
    if name == "cursor_page":
        return bool(page_number(params.get("cursor")) == wanted)
    # A userid may be asked for alone, in a list or as one of several joined receivers.
    keys = ("userid", "userid_list", "touser", "sender") if name == "userid" else (name,)
    return any(_is_named(params.get(key), wanted) for key in keys)


def _is_named(told: object, wanted: object) -> bool:
    if isinstance(told, str):
        return wanted == told or wanted in told.split("|")
    return bool(wanted in told if isinstance(told, list) else wanted == told)
