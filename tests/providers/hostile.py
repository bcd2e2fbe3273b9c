"""A server on loopback that answers whatever a test wants."""

import contextlib
import datetime
import gzip
import ipaddress
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from crm.providers.base import Provider
from crm.providers.errors import ProviderError

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


@contextlib.contextmanager
def self_signed(folder: Path) -> Iterator[tuple[str, list[bytes]]]:
    """A TLS server on 127.0.0.1 that vouches for itself: its URL, and what clients sent after the handshake."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_certificate(folder))
    received: list[bytes] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as secured:
                received.append(secured.recv(65536))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{listening.getsockname()[1]}", received
    listening.shutdown(socket.SHUT_RDWR)  # wakes accept
    thread.join(5)
    listening.close()


def _certificate(folder: Path) -> Path:
    """Key and certificate for 127.0.0.1, signed by nobody else, in one PEM file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "self-signed.pem"
    path.write_bytes(private + certificate.public_bytes(pem))
    return path


# --- Calls and answers that several tests share

Open = Callable[..., Provider]

API = "externalcontact/list"
EMPTY_PAGE = {"errcode": 0, "errmsg": "ok", "external_contact_list": [], "next_cursor": ""}


def fail(client: Open, hostile: Hostile, answer: Any, **options: Any) -> ProviderError:
    """The error of one listing call that is answered with `answer`."""
    hostile.answers[API] = answer
    with pytest.raises(ProviderError) as caught:
        client("direct", **options).contact_page(["lin"])
    return caught.value


def drip(handler: Any) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b" " * 1000:
        handler.wfile.write(bytes([byte]))
        handler.wfile.flush()
        time.sleep(0.1)


def drip_body(handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    drip(handler)


def reset(handler: Any) -> None:
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True
