"""One call of a DingTalk API: who calls, and with which parameters."""

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

    def text(self, name: str, *, missing: int) -> str:
        """A string parameter (a number counts as its digits); absent and empty ones are refused with `missing`."""
        return text(self.params, name, missing=missing)

    def number(self, name: str, default: int, *, bad: int = 400002) -> int:
        """A whole number, or a string of digits; anything else is refused with `bad`."""
        value = self.params.get(name)
        if value is None or value == "":
            return default
        if isinstance(value, bool) or not str(value).lstrip("-").isdigit():
            raise Refused(bad, name)
        return int(value)


def text(told: Mapping[str, Any], name: str, *, missing: int | None = None, bad: int = 400002) -> str:
    """A string member; `missing` refuses an absent or empty one."""
    value = told.get(name)
    if value is None or value == "":
        if missing is not None:
            raise Refused(missing, name)
        return ""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        raise Refused(bad, name)
    return str(value)


def read_body(request: Request) -> JsonObject:
    """The JSON object of a POST, {} when empty; a form says its objects as JSON strings."""
    if "form-urlencoded" in request.header("content-type"):
        form = Request("GET", "", request.body.decode("utf-8", "replace")).query()
        return {name: _object_in(value) for name, value in form.items()}
    if not request.body.strip():
        return {}
    try:
        told = json.loads(request.body)
    except (ValueError, RecursionError) as error:
        raise Refused(47001, "the body is not JSON") from error
    if not isinstance(told, dict):
        raise Refused(47001, "the body is not a JSON object")
    return told


def _object_in(value: str) -> Any:
    if value.lstrip().startswith(("{", "[")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
