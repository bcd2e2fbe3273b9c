"""For tests and benches: a simulator in a child process, and a small client for its control calls."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from crm.simulator.corps import CORPS

_ROOT = Path(__file__).resolve().parents[2]
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback never goes through a proxy


class Simulator:
    """A running simulator, seen from outside. `corps` holds the dicts of its `--json` lines, direct first."""

    def __init__(self, url: str, corps: list[dict[str, Any]], pid: int = 0) -> None:
        self.url, self.corps, self.pid = url, corps, pid

    def corp(self, dialect: str) -> dict[str, Any]:
        """The credentials of the first corp that speaks this dialect."""
        return next(each for each in self.corps if each["dialect"] == dialect)

    def get(self, path: str, **query: Any) -> Any:
        """GET; the decoded JSON. Raises RuntimeError with the server's words for an HTTP error."""
        return self._exchange("GET", path, query, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """POST a JSON body; the decoded JSON."""
        return self._exchange("POST", path, {}, body)

    def delete(self, path: str, **query: Any) -> Any:
        return self._exchange("DELETE", path, query, None)

    def _exchange(self, method: str, path: str, query: dict[str, Any], body: dict[str, Any] | None) -> Any:
        url = f"{self.url}{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        asked = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
        try:
            with _DIRECT.open(asked, timeout=120) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode()}") from error

    def world(self, corp: str) -> Any:
        """The truth of one corp."""
        return self.get("/_sim/world/", corp=corp)

    def change(self, corp: str, op: str, **fields: Any) -> Any:
        """One op of /_sim/world/, for example `change(corp, "unfollow", external_userid=…, userid=…)`."""
        return self.post("/_sim/world/", fields | {"corp": corp, "op": op})

    def fault(self, **fields: Any) -> int:
        """Order a fault; its id."""
        return int(self.post("/_sim/faults/", fields)["id"])

    def clear_faults(self) -> None:
        self.delete("/_sim/faults/")

    def journal(self, **query: Any) -> list[dict[str, Any]]:
        """Requests, oldest first; `corp`, `api` and `since` narrow them."""
        entries: list[dict[str, Any]] = self.get("/_sim/journal/", **query)["entries"]
        return entries

    def stats(self) -> Any:
        return self.get("/_sim/stats/")

    def messages(self, **query: Any) -> list[dict[str, Any]]:
        """What the phones received, oldest first; `corp`, `to` and `since` narrow it."""
        messages: list[dict[str, Any]] = self.get("/_sim/messages/", **query)["messages"]
        return messages

    def tasks(self, **query: Any) -> list[dict[str, Any]]:
        """The mass-send tasks."""
        tasks: list[dict[str, Any]] = self.get("/_sim/tasks/", **query)["tasks"]
        return tasks

    def notices(self, **query: Any) -> list[dict[str, Any]]:
        """The work notifications of the DingTalk corp, and what became of them."""
        notices: list[dict[str, Any]] = self.get("/_sim/notices/", **query)["notices"]
        return notices

    def confirm(self, corp: str, msgid: str, userid: str) -> Any:
        """The employee presses send."""
        return self.post("/_sim/confirm/", {"corp": corp, "msgid": msgid, "userid": userid})

    def set_callback(self, corp: str, url: str, mode: str = "encrypted") -> None:
        """Where the corp's app is told what people do. Raises RuntimeError when the URL cannot prove itself."""
        self.post("/_sim/callbacks/", {"corp": corp, "url": url, "mode": mode})

    def callbacks(self, **query: Any) -> list[dict[str, Any]]:
        """What the apps were told, oldest first, with every try; `corp` and `since` narrow it."""
        callbacks: list[dict[str, Any]] = self.get("/_sim/callbacks/", **query)["callbacks"]
        return callbacks

    def wait_for_callbacks(self, seconds: float = 10.0, **query: Any) -> list[dict[str, Any]]:
        """The same once none is under way. Raises TimeoutError."""
        until = time.monotonic() + seconds
        while True:
            told = self.get("/_sim/callbacks/", **query)
            if not told["waiting"]:
                callbacks: list[dict[str, Any]] = told["callbacks"]
                return callbacks
            if time.monotonic() > until:
                raise TimeoutError(f"{told['waiting']} callbacks are still under way")
            time.sleep(0.02)

    def app_event(self, corp: str, kind: str, **told: Any) -> None:
        """A member's message or press, for example `app_event(corp, "text", userid=…, fields={"Content": …})`."""
        self.post("/_sim/app-events/", told | {"corp": corp, "kind": kind})

    def press(self, corp: str, n: int, key: str, **told: Any) -> None:
        """Somebody presses the button `key` of the card that is message `n`; `selected` says what else was chosen."""
        self.post("/_sim/press/", told | {"corp": corp, "n": n, "key": key})

    def scan(self, config_id: str, **fields: Any) -> Any:
        """A new customer scans the code of a contact way: `external_userid` and the `userid` they talk to."""
        return self.post(f"/_sim/scan/{config_id}/", fields)

    def advance(self, seconds: float) -> None:
        """Let simulated time pass."""
        self.post("/_sim/clock/", {"advance": seconds})

    def settings(self, **wanted: Any) -> Any:
        """Change switches (none: only read); all of them."""
        return self.post("/_sim/settings/", wanted)

    def reset(self) -> None:
        """Everything as after the start."""
        self.post("/_sim/reset/", {})


@contextmanager
def running(
    *,
    contacts: int = 200,
    employees: int = 10,
    seed: int = 1,
    page_limit: int = 0,
    state: Path | str | None = None,
    latency_ms: float = 0.0,
    rate_limit: int = 10_000,
    second_limit: int = 0,
    port: int = 0,
) -> Iterator[Simulator]:
    """A simulator in a child process, listening; it ends with the block, or with this process.

    `contacts` and `employees` are shared among its three corps.
    """
    command = [sys.executable, "-m", "crm.simulator", "--json", "--port", str(port)]
    command += ["--contacts", str(contacts), "--employees", str(employees), "--seed", str(seed)]
    command += [
        "--page-limit",
        str(page_limit),
        "--latency-ms",
        str(latency_ms),
        "--rate-limit",
        str(rate_limit),
        "--second-limit",
        str(second_limit),
    ]
    command += ["--with-parent", str(os.getpid())] + (["--state", str(state)] if state else [])
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            corps = _read_corps(process)
            yield Simulator(corps[0]["base_url"], corps, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _read_corps(process: "subprocess.Popen[bytes]") -> list[dict[str, Any]]:
    """The lines that say it listens. Raises RuntimeError when it ends before."""
    assert process.stdout is not None
    corps: list[dict[str, Any]] = []
    for line in process.stdout:
        corps.append(json.loads(line))
        if len(corps) == len(CORPS):
            return corps
    raise RuntimeError(f"the simulator ended with status {process.wait()} before it listened")
