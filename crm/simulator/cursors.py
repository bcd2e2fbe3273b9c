"""Opaque paging cursors: a sealed position, bound to the listing it belongs to and to a lifetime."""

import hashlib
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from dataclasses import dataclass
from itertools import count

_LAYOUT = struct.Struct(">IQIIQ8s")  # nonce, issued at, page, member, after, binding
_SEAL_BYTES = 10
_KEY = b"renmai simulator cursors"  # fixed: a restarted simulator honours the cursors of its predecessor
_nonces = count(1)  # the same place never gets the same cursor twice


class BadCursor(ValueError):
    """Tampered with, of another listing, or too old."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a listing goes on: on page `page`, at list entry `member`, after its record number `after`."""

    page: int = 1
    member: int = 0
    after: int = 0


START = Place()


def binding(*parts: object) -> bytes:
    """The mark of one listing: its endpoint, parameters and caller."""
    return hashlib.blake2b(repr(parts).encode("utf-8", "replace"), digest_size=8).digest()


def seal(place: Place, *, bound_to: bytes, now: float) -> str:
    """The cursor that leads to `place` in the listing marked `bound_to`."""
    raw = _LAYOUT.pack(next(_nonces) & 0xFFFFFFFF, int(now), place.page, place.member, place.after, bound_to)
    return urlsafe_b64encode(raw + _digest(raw)).decode().rstrip("=")


def unseal(cursor: str, *, bound_to: bytes, now: float, ttl: float) -> Place:
    """The place a cursor leads to; "" is the start. Raises BadCursor."""
    if not cursor:
        return START
    issued_at, place, mark = _open(cursor)
    if mark != bound_to:
        raise BadCursor("of another listing")
    if now - issued_at > ttl:
        raise BadCursor("expired")
    return place


def page_number(cursor: object) -> int:
    """Which page a request with this cursor asks for: 1 without one, 0 when it cannot be read."""
    if not cursor:
        return 1
    try:
        return _open(str(cursor))[1].page
    except BadCursor:
        return 0


def _open(cursor: str) -> tuple[int, Place, bytes]:
    try:
        data = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except (Base64Error, ValueError) as error:
        raise BadCursor("not a cursor") from error
    raw, sealed = data[: _LAYOUT.size], data[_LAYOUT.size :]
    if len(raw) != _LAYOUT.size or not hmac.compare_digest(sealed, _digest(raw)):
        raise BadCursor("not a cursor of ours")
    _, issued_at, page, member, after, mark = _LAYOUT.unpack(raw)
    return issued_at, Place(page, member, after), mark


def _digest(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, key=_KEY, digest_size=_SEAL_BYTES).digest()
