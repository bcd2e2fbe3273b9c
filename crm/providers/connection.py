"""The socket under a client: who may be at the other end, until when it may answer, whether a byte has left.

Everything here is per thread: a thread makes one request at a time, and `WATCH` belongs to that request.
"""

import http.client
import io
import ipaddress
import logging
import re
import socket
import threading
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.poolmanager import PoolManager

_BUFFER = 64 * 1024  # bytes: most answers come in one piece


class _Watch(threading.local):
    """The request this thread is making."""

    deadline: float = float("inf")  # time.monotonic()
    sent: bool = False  # a byte may have reached the provider
    private: bool = False  # the peer was refused: its address is not a public one

    def start(self, seconds: float) -> None:
        self.deadline, self.sent, self.private = time.monotonic() + seconds, False, False

    def left(self, at_most: float | None) -> float:
        """Seconds this step may still take; raises TimeoutError when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("total time limit")
        return left if at_most is None else min(at_most, left)


WATCH = _Watch()


class PrivatePeerError(OSError):
    """The connected peer has an address we do not speak to."""


def is_public(address: str) -> bool:
    """Whether `address` belongs to the public internet; an IPv6 address around an IPv4 one counts as that."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
        if ip in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class _DeadlineReader(io.RawIOBase):
    """Reads a socket no longer than the request's total limit, however slowly the bytes drip."""

    def __init__(self, raw: Any, sock: socket.socket) -> None:
        self._raw, self._sock, self._each = raw, sock, sock.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._sock.settimeout(WATCH.left(self._each))
        return self._sock.recv_into(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


class _DeadlineResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        raw = self.fp.detach()
        self.fp = io.BufferedReader(_DeadlineReader(raw, sock), _BUFFER)


class _Watched(HTTPConnection):
    """A connection that obeys WATCH and tells it when the first byte goes out."""

    response_class = _DeadlineResponse
    _held: list[bytes] | None = None  # while a request is put together

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Head and body leave together: two packets would wake the other side twice."""
        self._held = []
        try:
            super().request(*args, **kwargs)
            packet = b"".join(self._held)
        finally:
            self._held = None
        self.send(packet)

    def _new_conn(self) -> socket.socket:
        self.timeout = WATCH.left(self.timeout if isinstance(self.timeout, int | float) else None)
        return super()._new_conn()

    def send(self, data: Any) -> None:
        if self._held is not None:
            self._held.append(data)
            return
        if self.sock is None:
            self.connect()
        self.sock.settimeout(WATCH.left(self.sock.gettimeout()))
        WATCH.sent = True
        super().send(data)


class _PublicOnly(_Watched):
    """Checks the address really connected to, so a name that resolves anew to another one gains nothing."""

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        if is_public(sock.getpeername()[0]):
            return sock
        sock.close()
        WATCH.private = True
        raise PrivatePeerError("private address")


class _WatchedTLS(_Watched, HTTPSConnection):
    pass


class _PublicOnlyTLS(_PublicOnly, HTTPSConnection):
    pass


def _pools(plain: type[HTTPConnection], tls: type[HTTPSConnection]) -> dict[str, type[HTTPConnectionPool]]:
    return {
        "http": type("Pool", (HTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("TLSPool", (HTTPSConnectionPool,), {"ConnectionCls": tls}),
    }


_POOLS = {True: _pools(_Watched, _WatchedTLS), False: _pools(_PublicOnly, _PublicOnlyTLS)}


class Adapter(HTTPAdapter):
    """A requests adapter over these connections; it never retries by itself."""

    def __init__(self, *, allow_private: bool) -> None:
        self._pool_classes = _POOLS[allow_private]
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes

    def pool(self, request: requests.PreparedRequest) -> HTTPConnectionPool:
        """The connections `send` would take for `request`: no proxy, TLS verified against certifi's bundle."""
        pool = self.get_connection_with_tls_context(request, verify=True, proxies={}, cert=None)
        if not isinstance(pool, HTTPConnectionPool):
            raise requests.exceptions.InvalidSchema("neither http nor https")
        self.cert_verify(pool, request.url or "", True, None)  # type: ignore[no-untyped-call]
        return pool


def open_pool(base_url: str, *, allow_private: bool) -> tuple[HTTPConnectionPool, str]:
    """Connections to the host of `base_url`, and the path in it ("" mostly). No environment, no cookies.

    requests reads the URL and sets TLS up; the exchanges go through urllib3 itself, at a third of the price.
    """
    request = requests.Request("GET", base_url).prepare()
    return Adapter(allow_private=allow_private).pool(request), request.path_url.rstrip("/")


class _CutQueries(logging.Filter):
    """urllib3 logs whole URLs, and ours carry tokens and secrets (guarantees F8)."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = re.sub(r"\?[^\s\"')]*", "?***", record.getMessage()), ()
        record.exc_info = record.exc_text = None
        return True


for _module in ("connection", "connectionpool", "response"):  # a filter serves its own logger only
    logging.getLogger(f"urllib3.{_module}").addFilter(_CutQueries())
