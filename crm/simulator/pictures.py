"""Pictures drawn from their path, so that none needs to be stored: avatars, and codes nobody can scan."""

import random
import struct
from zlib import compress, crc32

_MODULES, _QUIET, _SCALE = 25, 4, 6  # as of a version 2 code, with its quiet zone


def avatar(path: str) -> bytes:
    """A coloured disc with a head and shoulders; the same path always looks the same."""
    hue = crc32(path.encode()) % 360
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">'
        f'<rect width="64" height="64" rx="8" fill="hsl({hue},45%,78%)"/>'
        f'<circle cx="32" cy="25" r="11" fill="hsl({hue},45%,40%)"/>'
        f'<path d="M10 62c2-16 11-22 22-22s20 6 22 22z" fill="hsl({hue},45%,40%)"/></svg>'
    ).encode()


def qr_code(path: str) -> bytes:
    """A PNG that looks like a QR code and holds nothing: the simulator's page scans it with a button."""
    draw = random.Random(path).random
    dark = [[draw() < 0.5 for _ in range(_MODULES)] for _ in range(_MODULES)]
    for top, left in ((0, 0), (0, _MODULES - 7), (_MODULES - 7, 0)):
        for row in range(max(0, top - 1), min(_MODULES, top + 8)):
            for column in range(max(0, left - 1), min(_MODULES, left + 8)):
                ring = max(abs(row - top - 3), abs(column - left - 3))
                dark[row][column] = ring in (0, 1, 3)
    size = (_MODULES + 2 * _QUIET) * _SCALE
    light = b"\xff" * (_QUIET * _SCALE)
    blank = [b"\0" + b"\xff" * size] * (_QUIET * _SCALE)
    rows = [
        b"\0" + light + b"".join((b"\0" if each else b"\xff") * _SCALE for each in line) + light
        for line in dark
        for _ in range(_SCALE)
    ]
    header = struct.pack(">IIBBBBB", size, size, 8, 0, 0, 0, 0)  # 8-bit grey
    chunks = (b"IHDR", header), (b"IDAT", compress(b"".join(blank + rows + blank))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(kind + data))
        for kind, data in chunks
    )
