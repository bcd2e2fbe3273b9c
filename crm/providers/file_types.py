"""What a file is, told by its bytes: a name and a Content-Type header say what their writer likes."""

from typing import Final

UNKNOWN: Final = "application/octet-stream"
AMR: Final = "audio/amr"

_BEGINNINGS: Final = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"#!AMR\n", AMR),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
)
# Brands of the box `ftyp` that are no MP4 video: QuickTime, sound alone, still pictures.
_NO_VIDEO: Final = (b"qt", b"M4A", b"M4B", b"hei", b"hev", b"mif", b"msf", b"avi", b"crx")
# Bytes of a frame after its first, by the mode in that first byte (RFC 4867, 5.3); one lasts 20 ms.
_AMR_FRAMES: Final = (12, 13, 15, 17, 19, 20, 26, 31, 5, 0, 0, 0, 0, 0, 0, 0)


def content_type_of(data: bytes) -> str:
    """The type of a file that begins so; UNKNOWN where it does not matter to any provider."""
    if data[4:8] == b"ftyp" and not data[8:12].startswith(_NO_VIDEO):
        return "video/mp4"
    return next((name for beginning, name in _BEGINNINGS if data.startswith(beginning)), UNKNOWN)


def amr_seconds(data: bytes) -> float:
    """How long an AMR file speaks."""
    at, frames = len(b"#!AMR\n"), 0
    while at < len(data):
        at += 1 + _AMR_FRAMES[data[at] >> 3 & 15]
        frames += 1
    return frames * 0.02
