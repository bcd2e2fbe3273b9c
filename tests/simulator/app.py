"""An app that is called back: reads what it is told as the published scheme says, and can answer badly."""

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

from crm.providers.wecom.crypto import decrypt, is_signed


class App:
    """`told` holds what was understood, `answers` the statuses of the next calls (then 200), `pause` comes first."""

    def __init__(self, credentials: dict[str, Any]) -> None:
        self.credentials = credentials
        self.told: list[dict[str, Any]] = []
        self.answers: deque[int] = deque()
        self.pause = 0.0
        self.around = (b"", b"")  # what stands before and after the answer to the verification
        self.url = ""

    def changes(self) -> list[tuple[str, str]]:
        return [(each["fields"]["Event"], each["fields"].get("ChangeType", "")) for each in self.told]

    def verify(self, query: dict[str, str]) -> bytes:
        sealed = query["echostr"]
        told = self._open(query, sealed) if "msg_signature" in query else sealed.encode()
        before, after = self.around
        return before + told + after

    def hear(self, query: dict[str, str], body: bytes) -> None:
        if "signature" in query:
            assert is_signed(
                query["signature"], self.credentials["callback_token"], query["timestamp"], query["nonce"]
            )
            self.told.append({"query": query, "outer": {}, "xml": body.decode(), "fields": fields_of(body)})
            return
        outer = fields_of(body)
        xml = self._open(query, outer["Encrypt"])
        self.told.append({"query": query, "outer": outer, "xml": xml.decode(), "fields": fields_of(xml)})

    def _open(self, query: dict[str, str], sealed: str) -> bytes:
        parts = (self.credentials["callback_token"], query["timestamp"], query["nonce"], sealed)
        assert is_signed(query["msg_signature"], *parts)
        message, receiveid = decrypt(sealed, aes_key=self.credentials["aes_key"])
        assert receiveid == self.credentials["corp"]
        return message


def fields_of(xml: bytes) -> dict[str, Any]:
    return {each.tag: fields_of_element(each) for each in ElementTree.fromstring(xml)}


def fields_of_element(element: ElementTree.Element) -> Any:
    return {each.tag: fields_of_element(each) for each in element} if len(element) else element.text or ""


@contextmanager
def listening(app: App) -> Iterator[App]:
    """The app at its URL, as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(app.verify)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(lambda query: app.hear(query, body))

        def _answer(self, act: Any) -> None:
            query = {name: value for name, [value] in parse_qs(urlsplit(self.path).query).items()}
            told = act(query) or b""
            time.sleep(app.pause)
            status = app.answers.popleft() if app.answers else 200
            try:
                self.send_response(status)
                self.send_header("Location", "/elsewhere/")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)
            except OSError:
                pass  # whoever asked did not wait

        def log_message(self, *told: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        app.url = f"http://127.0.0.1:{server.server_port}/callbacks/"
        yield app
        server.shutdown()
