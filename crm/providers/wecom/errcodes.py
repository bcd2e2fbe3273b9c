"""The closed table of WeCom error codes: what each means, and what we make of it.

Source: docs/reference/protocol-wecom.md section 5 (the official table, page 90313, and the calls' pages).
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from crm.providers.errors import (
    Absent,
    AlreadyWelcomed,
    BadCredential,
    CodeExpired,
    ProviderError,
    RateLimited,
    Refused,
    StaleCursor,
    TokenRejected,
    Unavailable,
)

Error = type[ProviderError]


class Entry(NamedTuple):
    """One code. `reaction` is a letter of section 5; `retry_after` seconds; `fix` for people."""

    error: Error
    reaction: str
    meaning: str
    fix: str = ""
    retry_after: float | None = None


TABLE: dict[int, Entry] = {}


def _add(error: Error, reaction: str, codes: int | Iterable[int], meaning: str, fix: str = "") -> None:
    for code in [codes] if isinstance(codes, int) else codes:
        TABLE[code] = Entry(error, reaction, meaning, fix, _PAUSES.get(code))


_PAUSES = {45009: 60.0, 45033: 1.0, 41063: 5.0, 41096: 1.0, 81026: 600.0, 301096: 1.0}
_CONSOLE = "in the WeCom admin console"
_SECRET = "Compare corpid and secret with the app's page " + _CONSOLE + ", then connect again."
_ALLOW_API = f"Add the app under 客户联系 → 可调用接口的应用 {_CONSOLE}."
_RANGE = f"Widen the app's visible range (可见范围) {_CONSOLE}."

# 5.1 system, token, permission
_add(Unavailable, "R", -1, "system busy")
_add(Unavailable, "R", 6000, "data version conflict")
_add(TokenRejected, "T", 40001, "secret invalid, not of this corp, or the app is stopped", _SECRET)
_add(TokenRejected, "T", 40014, "access_token invalid")
_add(TokenRejected, "T", 42001, "access_token expired")
_add(BadCredential, "C", 40013, "corpid invalid", "Correct the corpid.")
_add(BadCredential, "C", 2000002, "corpid does not exist", "Correct the corpid.")
_add(BadCredential, "C", 40091, "the secret belongs to another corp", _SECRET)
_add(BadCredential, "C", 41001, "access_token missing", "This is a fault in the client: please report it.")
_add(BadCredential, "C", (41002, 41004, 41024), "corpid or secret missing", "Enter corpid and secret.")
_add(
    BadCredential,
    "C",
    (40082, 42009),
    "suite_access_token invalid or expired",
    "Use the secret of a self-built app.",
)
_add(BadCredential, "C", 301007, "the corp is dissolved or banned", f"Look at the corp's state {_CONSOLE}.")
_add(
    BadCredential,
    "C",
    45031,
    "the secret is judged unsafe",
    f"Reset the app's secret {_CONSOLE} and connect again.",
)
_add(BadCredential, "C", 48001, "API not granted", f"Grant the app this API {_CONSOLE}.")
_add(BadCredential, "C", 48002, "the app may not call this API", _ALLOW_API)
_add(BadCredential, "C", 48004, "authorisation revoked", f"Authorise the app again {_CONSOLE}.")
_add(BadCredential, "C", 48005, "API retired", "Update Renmai, or choose the other dialect for this corp.")
_add(
    BadCredential,
    "C",
    48006,
    "permission withdrawn after long disuse",
    f"Grant the permission again {_CONSOLE}.",
)
_add(
    BadCredential,
    "C",
    48009,
    "the contacts-sync secret may not read details from a new IP",
    "Use the secret of a self-built app that sees these members.",
)
_add(BadCredential, "C", 50001, "redirect domain not trusted", f"Register the domain {_CONSOLE}.")
_add(BadCredential, "C", (50003, 50006), "the app is disabled", f"Enable the app {_CONSOLE}.")
_add(
    BadCredential,
    "C",
    (60030, 60031),
    "the app may not call APIs",
    f"Enable the app's API access {_CONSOLE}.",
)
_add(
    BadCredential,
    "C",
    60020,
    "the calling IP is not trusted",
    f"Add the server's IP{{ip}} to 企业可信IP on the app's page {_CONSOLE} (acts after about a minute).",
)
_add(
    BadCredential, "C", 301042, "the calling IP is not on the list", f"Add the server's IP{{ip}} {_CONSOLE}."
)
_add(
    BadCredential,
    "C",
    301002,
    "the token's app may not act for this agentid",
    "Correct the agentid of this app.",
)
_add(Refused, "F", 50002, "member outside the permission range", _RANGE)
_add(Refused, "F", 60011, "no right on this member, department or tag", _RANGE)
_add(Refused, "F", 60021, "outside the visible range", _RANGE)
_add(Unavailable, "B", 81026, "feature under maintenance")

# 5.2 frequency
_add(RateLimited, "B", 45009, "too many calls")
_add(RateLimited, "R", 45033, "too many concurrent calls")
_add(Refused, "F", (45029, 81017), "answer too large, or too much requested: ask for less")
_add(Unavailable, "R", 301096, "concurrent creation of a rule")

# 5.3 parameters
_add(Refused, "F", 40003, "userid invalid")
_add(Refused, "F", (*range(40004, 40010), 40011, 40123), "media type, size or content invalid")
_add(Refused, "F", (44001, 45001, 45007, 90405, 90406, 90408), "media type, size or content invalid")
_add(Refused, "F", 40007, "media_id invalid or expired")
_add(Refused, "F", 40008, "msgtype invalid")
_add(Refused, "F", 40031, "userid list invalid")
_add(Refused, "F", 40032, "userid list too long")
_add(Refused, "F", 40033, "illegal characters in the request")
_add(Refused, "F", (40035, 40058, 40063), "parameter invalid, missing, too long or too many")
_add(Refused, "F", (40039, 45034, 40094), "URL invalid, too long or without scheme")
_add(BadCredential, "C", (40056, 41011), "agentid invalid or missing", "Correct the agentid of this app.")
_add(Refused, "F", (40066, 60003, 60123), "department unknown")
_add(Refused, "D", (40068, 41017), "tag id invalid or missing")
_add(Refused, "F", 40070, "all given tag members are invalid")
_add(Refused, "F", (40071, 40072), "tag name exists or has a bad length")
_add(Refused, "F", 40126, "more than 3000 corp tags")
_add(Refused, "F", (40201, 40204, 82004, 85002), "content blocked by WeCom")
_add(Refused, "F", 40206, "request too large")
_add(Refused, "F", (41006, 41009, 41010, 41016, 41033, 41035), "a required field is missing")
_add(Refused, "F", 44004, "empty text")
_add(Refused, "F", 45002, "content too long")
_add(Refused, "F", (45008, 45032), "too many articles, or author too long")
_add(Absent, "F", 46004, "user not found")
_add(StaleCursor, "S", 50100, "paging cursor invalid or expired")
_add(Refused, "F", (81012, 82001), "no receiver given")
_add(Refused, "F", 81013, "no receiver is valid or visible; nothing was sent", _RANGE)
_add(Refused, "F", (82002, 82003), "more than 100 departments or tags")
_add(Refused, "F", 90200, "miniprogram_notice: appid missing")
_add(Refused, "F", 90201, "miniprogram_notice: more than 10 items")
_add(Refused, "F", 90202, "miniprogram_notice: key empty or too long")
_add(Refused, "F", 90203, "miniprogram_notice: value empty or too long")
_add(Refused, "F", 90204, "miniprogram_notice: page invalid")
_add(
    Refused,
    "C",
    range(90206, 90209),
    "mini program not linked, or appid wrong",
    "Link the mini program to this app.",
)
_add(Refused, "F", 42052, "recall after 24 hours")
_add(Refused, "F", 60140, "response_code invalid or expired")

# 5.4 directory
_add(Absent, "D", 60111, "userid does not exist or is not visible")
_add(Refused, "F", range(60102, 60107), "userid, mobile or email exists or is invalid")
_add(Refused, "F", (60110, 60112, 60129, 60132), "member fields invalid")
_add(Refused, "C", 45024, "account cap reached", "Buy more accounts or remove members.")
_add(Refused, "F", 301005, "the creator cannot be deleted")
_add(Refused, "F", 81001, "more than 30 000 nodes in a department")
_add(Refused, "F", 81011, "no right on this tag")

# 5.5 customer contact
_add(Absent, "F", 40096, "external_userid invalid")
_add(Absent, "D", 84061, "no relation between this member and this contact")
_add(Refused, "F", (84074, 84084), "no external-contact right, or no follower", _ALLOW_API)
_add(Refused, "F", range(41037, 41044), "contact way: a field is missing or invalid")
_add(Absent, "F", 41044, "no such contact way")
_add(Refused, "F", 41045, "contact way quota reached")
_add(Refused, "F", (41046, 41047), "mass message id missing or invalid")
_add(Refused, "F", 41048, "no customer to send to")
_add(Refused, "F", 41049, "welcome_code missing")
_add(CodeExpired, "F", 41050, "welcome_code invalid or older than 20 s")
_add(AlreadyWelcomed, "F", 41051, "already chatting, or the welcome was delivered")
_add(Unavailable, "R", 41096, "another send is in progress")
_add(Refused, "F", 41053, "consent to archive chats is missing")
_add(Refused, "F", 41054, "member not activated")
_add(Refused, "F", 41056, "wrong kind of external id")
_add(Unavailable, "B", 41063, "the mass message is still being dispatched")
_add(Refused, "F", (41064, 41065, 41072), "attachments invalid")
_add(Refused, "F", (41093, 41094), "task cancelled, or too many reminders")
_add(Refused, "F", (40097, 40098, 40099, 40100), "transfer not possible for this member now")
_add(Refused, "F", 40128, "more than 2 transfers in 90 days")
_add(Refused, "F", (40129, 40130, 40131, 40143, 40205), "transfer not possible for this contact or member")
_add(Refused, "F", range(90500, 90512), "group chat or its transfer")
_add(Refused, "F", (701008, 701016, 701099), "no valid licence for this member", "Assign interop licences.")

# 5.6 login and chats
_add(Refused, "S", (40029, 42003, 42022), "login code invalid, expired or used")
_add(Refused, "S", (84014, 84015), "user_ticket expired or invalid")
_add(Refused, "F", 43004, "not bound")
_add(Refused, "F", (40050, 86001, 86003, 86215), "chatid invalid, unknown or taken")
_add(Refused, "F", (86006, 86007, 86008, 86207, 86216), "chat members, or a chat of another app")

UNKNOWN = Entry(Refused, "F", "a code this version does not know")
_IP = re.compile(r"from ip:\s*([0-9a-fA-F.:]+[0-9a-fA-F])")


def error_for(errcode: int, errmsg: str, *, api: str = "") -> ProviderError:
    """The error of an answer whose `errcode` is not 0. `errmsg` is already scrubbed.

    Its outcome is always `not_done`: a refusal is an answer; -1 and 6000 say that nothing was carried out.
    """
    if not -(2**31) <= errcode < 2**31:  # no number of theirs, and more than a column holds
        return UNKNOWN.error(f"{errcode}: {errmsg or UNKNOWN.meaning}")
    entry = TABLE.get(errcode, UNKNOWN)
    kind = BadCredential if api == "gettoken" and entry.error is TokenRejected else entry.error
    return kind(
        errmsg or entry.meaning,
        errcode=errcode,
        outcome="not_done",
        retry_after=entry.retry_after,
        fix=fix_for(errcode, errmsg),
    )


def fix_for(errcode: int, errmsg: str = "") -> str:
    """The sentence that tells an administrator what to do; "" when there is nothing to configure."""
    found = _IP.search(errmsg)
    return TABLE.get(errcode, UNKNOWN).fix.replace("{ip}", f" {found.group(1)}" if found else "")
