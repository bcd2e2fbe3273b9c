"""The whole simulator as one callable from request to answer, and as a WSGI application for other servers."""

import gc
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from crm.simulator import control, generate, snapshot
from crm.simulator.dingtalk.front import PREFIXES, DingtalkFront
from crm.simulator.exchange import Answer, Handler, Request
from crm.simulator.switches import Switches
from crm.simulator.wecom import front
from crm.simulator.world import World


@dataclass(frozen=True, slots=True)
class Options:
    """What the world is made from. Counts are totals over the corps, `rate_limit` per minute, corp, API,

    `second_limit` per second, DingTalk app, API."""

    contacts: int = 2000
    employees: int = 20
    seed: int = 1
    epoch: int = generate.EPOCH
    latency_ms: float = 0.0
    page_limit: int = 0
    rate_limit: int = 10_000
    second_limit: int = 20
    state: Path | None = None


class Application:
    """Routes by path prefix. Another dialect is one more line in `_mounts`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.world = World(
            Switches(
                latency_ms=options.latency_ms,
                page_limit=options.page_limit,
                rate_limit_minute=options.rate_limit,
                calls_per_second=options.second_limit,
            )
        )
        if options.state is not None and options.state.exists():
            snapshot.load(self.world, options.state)
        else:
            self._generate()
        dingtalk = DingtalkFront(self.world)
        self._mounts: tuple[tuple[str, Handler], ...] = (
            (front.PREFIX, front.WecomFront(self.world)),
            *((prefix, dingtalk) for prefix in PREFIXES),
            (control.PREFIX, control.Control(self.world, self._rebuild)),
        )

    def _generate(self) -> None:
        told = self.options
        generate.build(
            self.world, contacts=told.contacts, employees=told.employees, seed=told.seed, epoch=told.epoch
        )

    def _rebuild(self) -> None:
        self.world.forget()
        gc.unfreeze()  # the old world points at itself: only the collector can free it
        gc.collect()
        self._generate()

    def __call__(self, request: Request) -> Answer:
        """The answer to one request."""
        for prefix, handler in self._mounts:
            if request.path.startswith(prefix):
                return handler(request)
        if request.path in ("/", "/_sim"):
            return Answer(status=302, headers={"Location": "/_sim/"})
        return Answer(b"<html><body><h1>404 Not Found</h1></body></html>", 404, "text/html")

    def wsgi(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """The same over WSGI, for load runs under other servers; there bad deliveries arrive whole."""
        headers = {
            key[5:].replace("_", "-"): str(value) for key, value in environ.items() if key.startswith("HTTP_")
        }
        headers["content-type"] = environ.get("CONTENT_TYPE", "")
        request = Request(
            environ["REQUEST_METHOD"],
            environ["PATH_INFO"],
            environ.get("QUERY_STRING", ""),
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)),
            environ.get("REMOTE_ADDR", "127.0.0.1"),
            "\r\n".join(f"{name}: {value}" for name, value in headers.items()).encode("latin-1", "replace"),
        )
        answer = self(request)
        told = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
        start_response(
            f"{answer.status} {HTTPStatus(answer.status).phrase}", told + list(answer.headers.items())
        )
        return [answer.body]
