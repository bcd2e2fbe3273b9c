"""From the bytes of an answer to a JSON object, or to the error that says why not; and clean error texts."""

import codecs
import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from crm.providers.errors import Malformed, Outcome, ProviderError, RateLimited, Unavailable
from crm.providers.records import LIMITS, BadItem, ContactRecord

RATE_PAUSE_S = 60.0  # an HTTP 429 without Retry-After; WeCom's minute window (wecom.md 6)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came over the line."""

    status: int
    body: bytes
    retry_after: float | None = None


class Reply(NamedTuple):
    """A decoded answer. `clean` promises that no text in `data` holds NUL or a lone surrogate.

    `items` are those of a listing that was read as one (see `listed`): records, or the digests of known ones.
    """

    data: dict[str, Any]
    clean: bool
    items: list[ContactRecord | BadItem | bytes] | None = None


def whole(body: bytes) -> Reply:
    """The JSON object `body`. Raises Unavailable or Malformed with code `not_json` or `truncated`."""
    data, clean = _parse(body)
    if not isinstance(data, dict):
        raise Malformed("The answer is JSON, but no object.", code="not_json", outcome="unknown")
    return Reply(data, clean)


def reply(answer: Answer, read: Callable[[bytes], Reply] = whole) -> Reply:
    """What `read` makes of an HTTP 200 answer.

    Raises RateLimited, Unavailable or Malformed with code `http_status`, or what `read` raises. Their outcome
    is `unknown` unless the status says that the request was not carried out (4xx, RFC 9110 15.5).
    """
    if answer.status != 200:
        raise status_error(answer)
    return read(answer.body.removeprefix(codecs.BOM_UTF8))


def status_error(answer: Answer) -> ProviderError:
    """The error for an HTTP status that is not 200."""
    status = answer.status
    text = f"The provider answered HTTP {status}."
    outcome: Outcome = "not_done" if 400 <= status < 500 and status != 408 else "unknown"
    if status == 429:
        return RateLimited(text, code="http_status", retry_after=answer.retry_after or RATE_PAUSE_S)
    if status >= 500 or status == 408:
        return Unavailable(text, code="http_status", outcome=outcome, retry_after=answer.retry_after)
    if 300 <= status < 400:
        text += " Redirects are not followed."
    return Malformed(text, code="http_status", outcome=outcome)


def _parse(body: bytes) -> tuple[Any, bool]:
    try:
        return orjson.loads(body), is_clean(body)
    except orjson.JSONDecodeError:
        pass
    try:
        return second_reading(body), False
    except (ValueError, RecursionError) as error:
        cut = _is_cut(body, error)
    # Raised outside the handlers: a decoding error carries the whole answer, which is personal data.
    if cut:
        raise Unavailable("The answer was cut off.", code="truncated", outcome="unknown")
    raise Unavailable("The answer is not JSON.", code="not_json", outcome="unknown")


def is_clean(body: bytes) -> bool:
    """Whether no text in `body` holds NUL or a lone surrogate, given that orjson parses it."""
    return b"\\" not in body or b"\\u0000" not in body  # one byte is found a hundred times faster than six


def second_reading(body: bytes) -> Any:
    """Python's own reader takes lone surrogates and raw NULs: one bad record must not cost its neighbours.

    Numbers are those of the first reading. Raises ValueError or RecursionError.
    """
    return json.loads(
        body.decode("utf-8", "surrogatepass"),
        strict=False,
        parse_constant=_finite,
        parse_float=_finite,
        parse_int=_whole_number,
    )


def _is_cut(body: bytes, error: Exception) -> bool:
    if not body.lstrip().startswith((b"{", b"[")):
        return False
    if isinstance(error, UnicodeDecodeError):
        return error.reason == "unexpected end of data"
    return not body.rstrip().endswith((b"}", b"]")) or (
        isinstance(error, json.JSONDecodeError) and error.pos >= len(error.doc.rstrip())
    )


def _whole_number(digits: str) -> int | float:
    """An int where 64 bits hold it, else a float, as orjson reads it."""
    if len(digits) <= 20 and -(2**63) <= (value := int(digits)) < 2**64:
        return value
    return _finite(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("not a JSON number")
    return value


_IN_URL = re.compile(
    r"""((?:access_token|corpsecret|appsecret|secret)["']?\s*[=:]\s*["']?)[^\s&"',]+""", re.IGNORECASE
)
_UNPRINTABLE = re.compile("[\0-\x1f\x7f\ud800-\udfff]+")


def scrub(errmsg: Any, *secrets: str) -> str:
    """An `errmsg` that may be stored and shown: no secret, no control character, bounded."""
    text = errmsg if isinstance(errmsg, str) else str(errmsg if errmsg is not None else "")
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
    text = _UNPRINTABLE.sub(" ", _IN_URL.sub(r"\1***", text))
    return text.strip()[: LIMITS["errmsg"]]
