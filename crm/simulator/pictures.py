"""Avatars: a tiny SVG drawn from the number in its path, so that no picture needs to be stored."""

from zlib import crc32


def avatar(path: str) -> bytes:
    """A coloured disc with a head and shoulders; the same path always looks the same."""
    hue = crc32(path.encode()) % 360
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" width="64" height="64">'
        f'<rect width="64" height="64" rx="8" fill="hsl({hue},45%,78%)"/>'
        f'<circle cx="32" cy="25" r="11" fill="hsl({hue},45%,40%)"/>'
        f'<path d="M10 62c2-16 11-22 22-22s20 6 22 22z" fill="hsl({hue},45%,40%)"/></svg>'
    ).encode()
