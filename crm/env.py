"""The only reader of the environment: typed values, secrets also from files."""

import base64
import os
import secrets
from datetime import time
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def env_str(name: str, default: str = "") -> str:
    return os.environ.get(name, default)


def env_bool(name: str, *, default: bool = False) -> bool:
    value = os.environ.get(name, "").strip().lower()
    if value in {"", "0", "false", "no", "off"}:
        return default if value == "" else False
    if value in {"1", "true", "yes", "on"}:
        return True
    raise ImproperlyConfigured(f"{name} must be 0 or 1, not {value!r}.")


def env_int(name: str, default: int, *, minimum: int = 0) -> int:
    value = os.environ.get(name, "").strip()
    if not value:
        return default
    try:
        number = int(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}.") from None
    if number < minimum:
        raise ImproperlyConfigured(f"{name} must be at least {minimum}, not {number}.")
    return number


def env_list(name: str, default: str = "") -> list[str]:
    return [part.strip() for part in os.environ.get(name, default).split(",") if part.strip()]


def env_secret(name: str) -> str:
    """The secret in variable `name`, or in the file that `name`_FILE points to; "" when neither is set."""
    path = os.environ.get(f"{name}_FILE", "")
    if path and os.environ.get(name):
        raise ImproperlyConfigured(f"Set {name} or {name}_FILE, not both.")
    if not path:
        return os.environ.get(name, "")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE: {error.strerror}: {path}") from None


def kept_secret(directory: Path, filename: str, *, size: int = 32) -> str:
    """A random secret (`size` bytes, base64) made once and kept under `directory`, readable by its owner only.

    The default for a first run: nothing to configure, and no two installations share a key.
    """
    path = directory / filename
    if not path.exists():
        directory.mkdir(parents=True, exist_ok=True)
        draft = directory / f".{filename}.{secrets.token_hex(8)}"
        draft.touch(mode=0o600)
        draft.write_text(base64.b64encode(secrets.token_bytes(size)).decode(), encoding="ascii")
        try:
            os.link(draft, path)  # atomic: two first starts agree on one secret
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii").strip()


def parse_field_keys(text: str) -> dict[str, bytes]:
    """`id:base64[,id:base64…]` as {id: 32 bytes}; the first encrypts, all decrypt."""
    keys: dict[str, bytes] = {}
    for part in text.split(","):
        key_id, _, encoded = part.strip().partition(":")
        try:
            key = base64.b64decode(encoded, validate=True)
        except ValueError:
            key = b""
        if not key_id or len(key) != 32:
            raise ImproperlyConfigured("CRM_FIELD_KEYS must be id:base64[,…], each key of 32 bytes.")
        keys[key_id] = key
    return keys


def parse_removal_guard(text: str) -> tuple[int, float]:
    """`20,10%` as (20, 0.1): a run may find max(20 rows, 10 % of the scope) absent before it is held."""
    count, _, percent = text.partition(",")
    try:
        guard = (int(count), float(percent.strip().removesuffix("%")) / 100)
    except ValueError:
        raise ImproperlyConfigured(
            f"CRM_SYNC_REMOVAL_GUARD must look like 20,10% and not {text!r}."
        ) from None
    if guard[0] < 0 or not 0 <= guard[1] <= 1:
        raise ImproperlyConfigured("CRM_SYNC_REMOVAL_GUARD must be a count and a share between 0 and 100 %.")
    return guard


def parse_mass_cap(text: str) -> tuple[int | None, str]:
    """`1/day` as (1, "day"); the None of `days/month` stands for as many as the month has days."""
    number, _, period = text.strip().partition("/")
    if text.strip() == "days/month":
        return None, "month"
    if period not in {"day", "month"} or not (number.isascii() and number.isdigit()) or int(number) == 0:
        raise ImproperlyConfigured(f"CRM_MASS_CAP must be days/month, 4/month or 1/day and not {text!r}.")
    return int(number), period


def parse_quiet_hours(text: str) -> tuple[time, time] | None:
    """`21:00-08:00` as its two ends, the first included; None for an empty text. It may go over midnight."""
    if not text.strip():
        return None
    begin, _, end = text.partition("-")
    try:
        hours = time.fromisoformat(begin.strip()), time.fromisoformat(end.strip())
    except ValueError:
        hours = None
    if hours is None or hours[0] == hours[1] or any(each.tzinfo for each in hours):
        raise ImproperlyConfigured(f"CRM_QUIET_HOURS must look like 21:00-08:00 and not {text!r}.")
    return hours


def parse_timeouts(text: str) -> tuple[float, float, float]:
    """`3,10,30` as seconds to connect, to the next byte, and in total."""
    try:
        connect, read, total = (float(part) for part in text.split(","))
    except ValueError:
        raise ImproperlyConfigured(f"CRM_HTTP_TIMEOUTS must look like 3,10,30 and not {text!r}.") from None
    return connect, read, total
