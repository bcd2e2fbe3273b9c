"""A server on loopback that answers whatever a test wants."""

import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

SECRET = "s3cret-canary/+&="
TOKEN = "token-canary-1"


class Asked:
    """One request as the hostile server saw it."""

    def __init__(self, method: str, path: str, body: bytes) -> None:
        self.method, self.path, self.body = method, urlsplit(path).path, body
        self.query = {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}

    def json(self) -> Any:
        return orjson.loads(self.body)


class Hostile:
    """A server on loopback. `answers[api]` is JSON, bytes, (status, headers, bytes), or uses the socket."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answers: dict[str, Any] = {
            "gettoken": {"errcode": 0, "errmsg": "ok", "access_token": TOKEN, "expires_in": 7200}
        }
        handler = type("Handler", (_Handler,), {"world": self})
        self._server = _Quiet(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def calls(self, api: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == f"/cgi-bin/{api}"]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what the tests are about."""


class _Handler(BaseHTTPRequestHandler):
    world: Hostile
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per answer

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, self.path, body)
        self.world.asked.append(asked)
        answer = self.world.answers[asked.path.removeprefix("/cgi-bin/")]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(self)
        if answer is not None:
            self._write(answer)

    do_POST = do_GET  # noqa: N815

    def _write(self, answer: Any) -> None:
        status, headers, body = answer if isinstance(answer, tuple) else (200, {}, answer)
        if not isinstance(body, bytes):
            body = orjson.dumps(body)
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        return None


def gzipped(body: bytes) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Encoding": "gzip"}, gzip.compress(body)
