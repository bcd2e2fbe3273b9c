"""A neutral cover for mini-program attachments: plain grey, 520 x 416 as WeCom advises (wecom.md 3.7)."""

import struct
import zlib

_WIDTH, _HEIGHT, _GREY = 520, 416, 0xE6


def cover_png() -> bytes:
    """The picture as PNG bytes (about 300)."""
    header = struct.pack(">IIBBBBB", _WIDTH, _HEIGHT, 8, 0, 0, 0, 0)
    rows = (b"\0" + bytes([_GREY]) * _WIDTH) * _HEIGHT
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
