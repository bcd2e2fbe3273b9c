"""One call of a WeCom API: who calls, with which parameters, and how it is refused or answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm.simulator.clock import Clock
from crm.simulator.exchange import JsonObject, Refused, Request, ok
from crm.simulator.switches import Switches
from crm.simulator.world import Corp, World

__all__ = ["Call", "Refused", "ok", "read_body"]


@dataclass(slots=True)
class Call:
    """A call whose token was found good. `params` is the query of a GET, the JSON body of a POST."""

    world: World
    corp: Corp
    app: str  # "app" or "sync": whose secret made the token
    request: Request
    api: str
    params: Mapping[str, Any]
    empty_page: bool = False  # a fault wants this page of a listing without items

    @property
    def clock(self) -> Clock:
        return self.world.clock

    @property
    def switches(self) -> Switches:
        return self.world.switches

    @property
    def is_direct(self) -> bool:
        return self.corp.spec.dialect == "direct"

    def text(self, name: str, *, missing: int | None = None) -> str:
        """A string parameter; absent, null and "" are refused with `missing` if given, else ""."""
        value = self.params.get(name)
        if value is None or value == "":
            if missing is not None:
                raise Refused(missing, f"{name} missing")
            return ""
        if not isinstance(value, str):
            raise Refused(40035, f"{name} must be a string")
        return value

    def number(self, name: str, default: int) -> int:
        """An integer parameter; a string of digits counts as one."""
        value = self.params.get(name)
        if value is None or value == "":
            return default
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, str))
            or not str(value).lstrip("-").isdigit()
        ):
            raise Refused(40035, f"{name} must be a number")
        return int(value)

    def strings(self, name: str, *, at_most: int, too_many: int = 40058) -> list[str]:
        """A list of strings, [] when absent or null."""
        value = self.params.get(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise Refused(40035, f"{name} must be a list of strings")
        if len(value) > at_most:
            raise Refused(too_many, f"{name} holds {len(value)}, more than {at_most}")
        return value

    def record(self, name: str) -> Mapping[str, Any]:
        """An object parameter; 40063 when absent."""
        value = self.params.get(name)
        if value is None:
            raise Refused(40063, f"{name} missing")
        if not isinstance(value, dict):
            raise Refused(40035, f"{name} must be an object")
        return value


def read_body(request: Request) -> JsonObject:
    """The JSON object of a POST; an empty body is a missing parameter (40063), bad JSON a bad one (40035)."""
    if not request.body.strip():
        raise Refused(40063, "the body is empty; was this a GET?")
    try:
        told = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise Refused(40035, "the body is not JSON") from error
    if not isinstance(told, dict):
        raise Refused(40035, "the body is not a JSON object")
    return told
