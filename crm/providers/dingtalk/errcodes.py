"""The closed table of DingTalk error codes: what each means, and what we make of it.

The key is the effective code: the `sub_code` of an answer whose errcode is 88. Source:
docs/reference/protocol-dingtalk.md.
"""

import re
import time
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Final, NamedTuple

from crm.providers.errors import (
    Absent,
    BadCredential,
    ProviderError,
    RateLimited,
    Refused,
    TokenRejected,
    Unavailable,
)

Error = type[ProviderError]
BANNED: Final = 1111  # the `status` of the answer to an address that called too often
BAN_S: Final = 300.0
WRAPPER: Final = 88
EXISTS: Final = 22005
GONE: Final = frozenset((33012, 60121))  # of an external contact


class Entry(NamedTuple):
    """One code; `retry_after` seconds, `fix` for people."""

    error: Error
    meaning: str
    fix: str = ""
    retry_after: float | None = None


TABLE: dict[int, Entry] = {}


def _add(
    error: Error,
    codes: int | Iterable[int],
    meaning: str,
    fix: str = "",
    *,
    retry_after: float | None = None,
) -> None:
    for code in [codes] if isinstance(codes, int) else codes:
        TABLE[code] = Entry(error, meaning, fix, retry_after)


_CONSOLE = "in the DingTalk developer console"
_REPORT = "This is a fault in the client: please report it."
_KEYS = f"Compare AppKey and AppSecret with the app's page {_CONSOLE}, then connect again."
_SCOPE = f"Widen the app's contact scope (通讯录权限范围) {_CONSOLE}."

_add(Unavailable, (-1, 500, 400001, 34015), "the provider is busy")
_add(Refused, (22, 404), "there is no such call", _REPORT)
_add(TokenRejected, (33001, 40001, 40014, 42001), "the token is not valid (any more)")
_add(BadCredential, 33009, "this kind of token may not call this", _KEYS)
_add(BadCredential, (40089, 40096), "the AppKey and the AppSecret do not belong together", _KEYS)
_add(BadCredential, 41001, "the token is missing", _REPORT)
_add(BadCredential, (40056, 41011, 70003, 70004), "the agent id is wrong", "Correct the agentid of this app.")
_add(BadCredential, 43007, "the app has no permission for this call", f"Grant it {_CONSOLE}.")
_add(
    BadCredential,
    60011,
    "a permission point is not granted",
    f"Grant the permission{{scopes}} to the app {_CONSOLE} (权限管理).",
)
_add(
    BadCredential,
    60020,
    "the calling address is not on the app's list",
    f"Add the server's IP{{ip}} to 服务器出口IP on the app's page {_CONSOLE}.",
)
_add(BadCredential, (50003, 50005, 70001), "the app or the organisation is switched off")
_add(BadCredential, 60205, "the organisation has not switched external contacts on")
_add(Refused, 90020, "the monthly quota of calls is used up", "Wait for the next month, or raise the quota.")
_add(RateLimited, (90002, 90018, 90019), "too many calls in a second", retry_after=1.0)
_add(RateLimited, 45009, "too many calls", retry_after=60.0)
_add(RateLimited, (41047, 41048), "too many messages in a minute", retry_after=60.0)
_add(RateLimited, (90001, *range(90003, 90018)), "calls are banned for a while", retry_after=60.0)
_add(RateLimited, BANNED, "this address is banned for five minutes", retry_after=BAN_S)
_add(Refused, (50002, 50004), "outside the app's contact scope", _SCOPE)
_add(Refused, 60019, "this department cannot be read", _SCOPE)
_add(Refused, EXISTS, "there is an external contact with this phone already")
_add(Refused, 60200, "there is such an external contact already")
_add(Refused, 60203, "the organisation has as many external contacts as it may have")
_add(Refused, 60204, "an external contact needs a label")
_add(Refused, (40104, 60103), "the phone number is not valid")
_add(Refused, 60112, "the name is not valid")
_add(Refused, 40036, "a required field is empty")
_add(Absent, (33012, 60121, 60111), "there is no such person")
_add(Refused, (40003, 40031), "a userid is not valid")
_add(Refused, (40009, 60003), "there is no such department")
_add(Refused, (40000, 40035, 40068, 40069, 41101, 400002, 400043), "a parameter is wrong", _REPORT)
_add(Refused, (34014, 47001, 43001, 43002, 43004), "the request has the wrong form", _REPORT)
_add(Refused, (34004, 40008), "there is no such message type")
_add(Refused, (34016, 45002), "the content is too long")
_add(Refused, (34008, 34009, 34010, 34011), "the message lacks its file or link")
_add(Refused, 44004, "the text is empty")
_add(Refused, (41028, 41045, 41046), "messages to everybody are not allowed, or not this often")
_add(Refused, 41029, "too many receivers")
_add(Refused, (41049, 60022), "the content is forbidden")

UNKNOWN = Entry(Refused, "a code this version does not know")
_CHINA = timezone(timedelta(hours=8))
_LONGEST_PAUSE_S = 120.0
_IP = re.compile(r"request ip\s*=\s*([0-9a-fA-F.:]+[0-9a-fA-F])")
_SCOPES = re.compile(r"requiredScopes=\[([\w.,\s-]+)\]", re.IGNORECASE)
_RELEASE = re.compile(r"will end at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")


def error_for(errcode: int, errmsg: str, *, api: str = "") -> ProviderError:
    """The error of an answer whose effective code is not 0. `errmsg` is already scrubbed.

    Its outcome is always `not_done`: a refusal is an answer.
    """
    if not -(2**31) <= errcode < 2**31:  # no number of theirs, and more than a column holds
        return UNKNOWN.error(f"{errcode}: {errmsg or UNKNOWN.meaning}")
    entry = TABLE.get(errcode, UNKNOWN)
    kind = BadCredential if api == "gettoken" and entry.error is TokenRejected else entry.error
    return kind(
        errmsg or entry.meaning,
        errcode=errcode,
        outcome="not_done",
        retry_after=_pause(entry, errmsg),
        fix=fix_for(errcode, errmsg),
    )


def _pause(entry: Entry, errmsg: str) -> float | None:
    """How long to wait: until the moment a throttle's text names, else what the table says."""
    found = _RELEASE.search(errmsg)
    if entry.retry_after is None or not found:
        return entry.retry_after
    try:
        until = datetime.strptime(found.group(1), "%Y-%m-%d %H:%M:%S").replace(tzinfo=_CHINA)
    except ValueError:
        return entry.retry_after
    left = until.timestamp() - time.time()
    return left if entry.retry_after < left < _LONGEST_PAUSE_S else entry.retry_after


def fix_for(errcode: int, errmsg: str = "") -> str:
    """The sentence that tells an administrator what to do; "" when there is nothing to configure."""
    ip, scopes = _IP.search(errmsg), _SCOPES.search(errmsg)
    fix = TABLE.get(errcode, UNKNOWN).fix
    fix = fix.replace("{ip}", f" {ip.group(1)}" if ip else "")
    return fix.replace("{scopes}", f" {scopes.group(1)}" if scopes else "")
