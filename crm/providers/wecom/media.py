"""The files WeCom takes for three days (docs/reference/protocol-wecom.md 3.11)."""

from collections.abc import Iterator
from typing import Final

from crm.providers.file_types import AMR, amr_seconds, content_type_of
from crm.providers.records import Problem

MIB: Final = 1024 * 1024
LEAST_BYTES: Final = 6
MOST_BYTES: Final = {"image": 10 * MIB, "voice": 2 * MIB, "video": 10 * MIB, "file": 20 * MIB}
VOICE_SECONDS: Final = 60
TYPES: Final = {"image": ("image/jpeg", "image/png"), "voice": (AMR,), "video": ("video/mp4",)}
UPLOADED_AS: Final = {
    "image": "image/png",
    "voice": AMR,
    "video": "video/mp4",
    "file": "application/octet-stream",
}


def file_problems(kind: str, data: bytes) -> Iterator[Problem]:
    """What stands against uploading `data` as `kind`; pointers are empty, the file is all there is."""
    if kind not in MOST_BYTES:
        yield Problem("", "unsupported_type")
    elif len(data) < LEAST_BYTES:
        yield Problem("", "too_small", {"limit": LEAST_BYTES})
    elif len(data) > MOST_BYTES[kind]:
        yield Problem("", "too_large", {"limit": MOST_BYTES[kind] // MIB})
    elif kind in TYPES and content_type_of(data) not in TYPES[kind]:
        yield Problem("", "wrong_type", {"kind": kind})
    elif kind == "voice" and amr_seconds(data) > VOICE_SECONDS:
        yield Problem("", "too_long_voice", {"limit": VOICE_SECONDS, "length": round(amr_seconds(data))})
