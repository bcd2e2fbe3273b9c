"""What was asked, in order. Cheap to write (a tuple in a ring), spelled out only when somebody reads it."""

import json
import time
from collections import Counter, deque
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

_KEPT_BODY = 65_536


class Entry(NamedTuple):
    n: int
    at: float
    monotonic: float
    corp: str
    api: str
    method: str
    query_string: str
    token: int
    body: bytes
    errcode: int
    status: int


class Journal:
    """A bounded ring of requests, and counters that are never cut."""

    def __init__(self, size: int) -> None:
        self._ring: deque[Entry] = deque(maxlen=size)
        self._counts: Counter[tuple[str, str, int, int]] = Counter()
        self._n = 0

    @property
    def next_n(self) -> int:
        """The number the next request will get."""
        return self._n + 1

    def resize(self, size: int) -> None:
        if size != self._ring.maxlen:
            self._ring = deque(self._ring, maxlen=size)

    def write(
        self, *, at: float, corp: str, api: str, method: str, query_string: str, token: int, body: bytes,
        errcode: int, status: int,
    ) -> None:  # fmt: skip
        """Note one request. `status` 0 says that no answer left the simulator."""
        self._n += 1
        kept = body if len(body) <= _KEPT_BODY else body[:_KEPT_BODY]
        self._ring.append(
            Entry(
                self._n, at, time.monotonic(), corp, api, method, query_string, token, kept, errcode, status
            )
        )
        self._counts[corp, api, errcode, status] += 1

    def read(self, *, corp: str = "", api: str = "", since: int = 0) -> list[dict[str, Any]]:
        """The requests still in the ring with a number above `since`, oldest first."""
        return [
            _spell_out(each)
            for each in list(self._ring)
            if each.n > since and corp in ("", each.corp) and api in ("", each.api)
        ]

    def clear(self) -> None:
        """Forget the ring and the counters; numbering goes on."""
        self._ring.clear()
        self._counts.clear()

    def stats(self) -> dict[str, Any]:
        """Counters since the start: per corp and API the calls, and how they ended."""
        corps: dict[str, dict[str, dict[str, Any]]] = {}
        for (corp, api, errcode, status), number in self._counts.items():
            line = corps.setdefault(corp, {}).setdefault(api, {"calls": 0, "errcodes": {}, "statuses": {}})
            line["calls"] += number
            line["errcodes"][str(errcode)] = line["errcodes"].get(str(errcode), 0) + number
            line["statuses"][str(status)] = line["statuses"].get(str(status), 0) + number
        return {"requests": self._n, "corps": corps}


def _spell_out(entry: Entry) -> dict[str, Any]:
    params = dict(parse_qsl(entry.query_string, keep_blank_values=True))
    if "access_token" in params:
        params["access_token"] = f"#{entry.token}" if entry.token else "unknown"
    for name in {"corpsecret", "appsecret"} & params.keys():
        params[name] = "…"
    spelled: dict[str, Any] = entry._asdict()
    del spelled["query_string"], spelled["token"]
    return spelled | {"params": params, "body": _body_of(entry.body)}


def _body_of(body: bytes) -> Any:
    if not body:
        return None
    try:
        told = json.loads(body)
    except ValueError:
        return f"<{len(body)} bytes>" if b"\0" in body[:4096] else body[:2048].decode("utf-8", "replace")
    if isinstance(told, dict):
        told |= dict.fromkeys({"access_token", "appSecret"} & told.keys(), "…")
    return told
