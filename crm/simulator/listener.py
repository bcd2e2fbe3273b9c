"""A lean HTTP/1.1 loop on the threading server, which can also deliver answers badly on order."""

import socket
import socketserver
import struct
import sys
import time
from http import HTTPStatus

from crm.simulator.exchange import Answer, Delivery, Handler, Request, dumps

_LARGEST_HEAD = 65_536
_LARGEST_BODY = 64 * 1024 * 1024
_IDLE_SECONDS = 600
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_RESET = struct.pack("ii", 1, 0)  # linger on, zero seconds: closing sends RST instead of FIN


class Hangup(Exception):
    """The connection ends here, whoever wanted it."""


class Connection(socketserver.BaseRequestHandler):
    """One client connection, served by its own thread until either side closes it."""

    server: "Server"
    request: socket.socket

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.request.settimeout(_IDLE_SECONDS)
        self.buffer = bytearray()
        self.is_last = False

    def handle(self) -> None:
        """Read, answer, repeat. A client that goes away is nobody's error."""
        try:
            while True:
                asked = self._read()
                self._write(asked, self.server.answer(asked))
                if self.is_last:
                    return
        except (Hangup, OSError):
            return

    def _read(self) -> Request:
        while (end := self.buffer.find(b"\r\n\r\n")) < 0:
            if len(self.buffer) > _LARGEST_HEAD:
                self._refuse(431)
            self._receive()
        head = bytes(self.buffer[:end])
        del self.buffer[: end + 4]
        line, _, fields = head.partition(b"\r\n")
        try:
            method, target, version = line.decode("latin-1").split(" ")
        except ValueError:
            self._refuse(400)
        path, _, query_string = target.partition("?")
        asked = Request(method, path, query_string, ip=self.client_address[0], head=fields)
        asked.body = self._read_body(asked)
        wish = asked.header("connection").lower()
        self.is_last = wish == "close" or (version == "HTTP/1.0" and wish != "keep-alive")
        return asked

    def _read_body(self, asked: Request) -> bytes:
        if asked.header("transfer-encoding"):
            self._refuse(411)
        length = asked.header("content-length") or "0"
        if not length.isdigit():
            self._refuse(400)
        size = int(length)
        if size > _LARGEST_BODY:
            self._refuse(413)
        if size > len(self.buffer) and asked.header("expect").lower() == "100-continue":
            self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while len(self.buffer) < size:
            self._receive()
        body = bytes(self.buffer[:size])
        del self.buffer[:size]
        return body

    def _receive(self) -> None:
        data = self.request.recv(262_144)
        if not data:
            raise Hangup
        self.buffer += data

    def _refuse(self, status: int) -> None:
        self.request.sendall(head_of(Answer(status=status), 0))
        raise Hangup

    def _write(self, asked: Request, answer: Answer) -> None:
        body = b"" if asked.method == "HEAD" else answer.body
        if answer.delivery is None:
            self.request.sendall(head_of(answer, len(answer.body)) + body)
        else:
            self._deliver_badly(answer, answer.delivery)

    def _deliver_badly(self, answer: Answer, how: Delivery) -> None:
        match how.kind:
            case "delay":
                time.sleep(how.seconds)
                self.request.sendall(head_of(answer, len(answer.body)) + answer.body)
                return
            case "timeout":
                time.sleep(how.seconds)
            case "cut":
                self.request.sendall(head_of(answer, len(answer.body)) + answer.body[: len(answer.body) // 2])
            case "slow_drip":
                self._drip(answer, how.seconds)
                return
            case "huge":
                self._flood(answer, how.size)
                return
            case _:  # "reset" before the call, "after" it: the line breaks without an answer
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                self.request.close()
        raise Hangup

    def _drip(self, answer: Answer, pause: float) -> None:
        self.request.sendall(head_of(answer, len(answer.body)))
        for number in range(len(answer.body)):
            time.sleep(pause)
            self.request.sendall(answer.body[number : number + 1])

    def _flood(self, answer: Answer, size: int) -> None:
        """Valid JSON of `size` bytes or a little more."""
        start, end, block = b'{"errcode":0,"errmsg":"ok","pad":"', b'"}', b"x" * 65_536
        blocks = size // len(block) + 1
        self.request.sendall(head_of(answer, len(start) + blocks * len(block) + len(end)) + start)
        for _ in range(blocks):
            self.request.sendall(block)
        self.request.sendall(end)


class Server(socketserver.ThreadingTCPServer):
    """Listens for the application; a connection per thread."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], handler: Handler) -> None:
        self._handler = handler
        super().__init__(address, Connection)

    def answer(self, request: Request) -> Answer:
        """The application's answer; its own bugs become HTTP 500 and a traceback on stderr."""
        try:
            return self._handler(request)
        except Exception:
            sys.excepthook(*sys.exc_info())
            return Answer(dumps({"error": "the simulator failed, see its log"}), 500)

    @property
    def url(self) -> str:
        host, port = self.server_address[0], self.server_address[1]
        return f"http://{host!s}:{port}"


def head_of(answer: Answer, length: int) -> bytes:
    """Status line and headers of an answer whose body has `length` bytes."""
    lines = [
        f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {length}",
        *(f"{name}: {value}" for name, value in answer.headers.items()),
        "\r\n",
    ]
    return "\r\n".join(lines).encode("latin-1", "replace")
