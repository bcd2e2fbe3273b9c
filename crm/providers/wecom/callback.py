"""A callback of WeCom: is it genuine, is it for us, and what does it say. No network, no rows.

Source: docs/reference/protocol-wecom.md, callbacks. Whatever is wrong raises the same Forged: who may not call learns
nothing from the answer (guarantees C1).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

import orjson
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import XMLParser

from crm.providers.records import CallbackKeys, Forged, Notice
from crm.providers.wecom.crypto import Undecipherable, decrypt, is_signed

WINDOW_S: Final = 300  # clocks differ, and a call may be a retry
DEEPEST: Final = 20
# The names under which an event says whom it is about.
_USERID, _EXTERNAL_USERID = "UserID", "ExternalUserID"


def open_echo(
    query: str, keys: Sequence[CallbackKeys], *, corpid: str, now: float, is_encrypted: bool = True
) -> bytes:
    """What to answer, byte for byte, to the call that verifies the address."""
    told = _single(query)
    echo = told.get("echostr", "")
    if not is_encrypted:
        _authentic(told, keys, now, "signature")
        return echo.encode()
    return _message(told, echo, keys, corpid=corpid, now=now)


def open_event(
    query: str, body: bytes, keys: Sequence[CallbackKeys], *, corpid: str, agentid: str, now: float
) -> Notice:
    """What an encrypted call says; its `identity` is the message itself: a retry has another ciphertext."""
    outer = fields_of(body)
    if outer.get("ToUserName") != corpid or outer.get("AgentID", agentid) != agentid:
        raise Forged("for another corp or app")
    told = _single(query)
    text = _message(told, outer.get("Encrypt", ""), keys, corpid=corpid, now=now)
    fields = fields_of(text)
    if fields.get("ToUserName") != corpid:
        raise Forged("for another corp inside")
    return _notice(text, fields, identity=text, told_at=int(told["timestamp"]))


def open_signed_event(
    query: str, body: bytes, keys: Sequence[CallbackKeys], *, corpid: str, now: float
) -> Notice:
    """What a call in the mode of document 004 says. Its signature does not cover the body, so a nonce counts once."""
    told = _single(query)
    _authentic(told, keys, now, "signature")
    fields = told_in(body)
    if fields.get("ToUserName", corpid) != corpid:
        raise Forged("for another corp")
    identity = f"{told['timestamp']} {told['nonce']}".encode()
    return _notice(body, fields, identity=identity, told_at=int(told["timestamp"]))


def _single(query: str) -> dict[str, str]:
    """The parameters; one that comes twice is read differently by different programs."""
    pairs = parse_qsl(query, keep_blank_values=True)
    told = dict(pairs)
    if len(told) != len(pairs):
        raise Forged("a parameter comes twice")
    return told


def _message(
    told: Mapping[str, str], encrypted: str, keys: Sequence[CallbackKeys], *, corpid: str, now: float
) -> bytes:
    mine = _authentic(told, keys, now, "msg_signature", encrypted)
    try:
        message, receiveid = decrypt(encrypted, aes_key=mine.aes_key)
    except Undecipherable:
        raise Forged("undecipherable") from None
    if receiveid != corpid:
        raise Forged("for another receiver")
    return message


def _authentic(
    told: Mapping[str, str], keys: Sequence[CallbackKeys], now: float, name: str, *signed: str
) -> CallbackKeys:
    """The keys with which the call is signed."""
    timestamp, nonce, signature = (told.get(each, "") for each in ("timestamp", "nonce", name))
    if not nonce or not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise Forged("no nonce or timestamp")
    fitting = [each for each in keys if is_signed(signature, each.token, timestamp, nonce, *signed)]
    if not fitting:
        raise Forged("not signed by us")
    if abs(now - int(timestamp)) > WINDOW_S:
        raise Forged("too old, or one of the clocks is wrong")
    return fitting[0]


def told_in(message: bytes) -> dict[str, str]:
    """What stands right in a message, which is XML, or JSON in the mode of document 004."""
    return _json_fields(message) if message.lstrip()[:1] == b"{" else fields_of(message)


def fields_of(xml: bytes) -> dict[str, str]:
    """{name: text} of the elements right below the root."""
    return {each.tag: (each.text or "").strip() for each in root_of(xml)}


def root_of(xml: bytes) -> Element:
    if b"\0" in xml:
        raise Forged("not UTF-8")
    parser = XMLParser(target=_Shallow(), forbid_dtd=True)
    try:
        parser.feed(xml)
        root: Element = parser.close()
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        raise Forged("not XML that we read") from None
    return root


class _Shallow(TreeBuilder):
    """A tree of a few levels: a deep one is only made to exhaust its reader."""

    depth = 0

    def start(self, *told: Any) -> Element:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Forged("too deep")
        return super().start(*told)

    def end(self, tag: str) -> Element:
        self.depth -= 1
        return super().end(tag)


def _json_fields(body: bytes) -> dict[str, str]:
    try:
        told = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Forged("not JSON") from None
    return {name: str(value) for name, value in told.items() if isinstance(value, str | int)}


def _notice(text: bytes, fields: Mapping[str, str], *, identity: bytes, told_at: int) -> Notice:
    try:
        words = text.decode()
    except UnicodeDecodeError:
        raise Forged("not UTF-8") from None
    parts = (fields.get("MsgType", ""), fields.get("Event", ""), fields.get("ChangeType", ""))
    kind = ".".join(part for part in parts[parts[0] == "event" :] if part)
    about = fields.get(_USERID) or _sender(fields.get("FromUserName", ""))
    return Notice(kind, about, fields.get(_EXTERNAL_USERID, ""), words, identity, dict(fields), told_at)


def _sender(userid: str) -> str:
    return "" if userid == "sys" else userid
