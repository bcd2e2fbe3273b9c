"""A picture that a provider named by its address: fetched from wherever it lies, judged by its bytes."""

from typing import Final
from urllib.parse import urlsplit

from crm.providers.errors import Malformed, Refused, Unavailable
from crm.providers.file_types import content_type_of
from crm.providers.transport import Timeouts, Transport

MOST_BYTES: Final = 1024 * 1024
KINDS: Final = ("image/png", "image/jpeg")


def fetch_picture(url: str, *, timeouts: Timeouts, allow_private: bool) -> bytes:
    """The bytes of a PNG or JPEG of at most MOST_BYTES. No redirect is followed, no private address asked.

    Raises Refused or Malformed (`bad_media`), Unavailable, BadCredential (a private address).
    """
    host, target = _place(url, allow_private=allow_private)
    transport = Transport(host, timeouts=timeouts, allow_private=allow_private)
    told = transport.exchange("GET", target, query={}, headers={"Accept": ", ".join(KINDS)})
    if told.status != 200:
        raise Unavailable(f"HTTP {told.status} instead of a picture.", code="http_status")
    if len(told.body) > MOST_BYTES or content_type_of(told.body) not in KINDS:
        raise Malformed("The address does not lead to a small PNG or JPEG.", code="bad_media")
    return told.body


def _place(url: str, *, allow_private: bool) -> tuple[str, str]:
    """Scheme, host and port of `url`, and what stands behind them. Plain HTTP is asked over TLS in the public net."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port = "", None
    if not host or parts.scheme not in {"http", "https"} or parts.username is not None:
        raise Refused("The picture has no usable address.", code="bad_media")
    scheme = parts.scheme if allow_private else "https"
    server = f"{scheme}://{f'[{host}]' if ':' in host else host}" + (f":{port}" if port else "")
    return server, (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
