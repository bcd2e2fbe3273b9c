"""What a callback says: the inner XML of each event, field for field (protocol reference, section 4.5)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm.simulator.exchange import JsonObject

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CHAT_CHANGES = ("create", "update", "dismiss")
# What an ordered message or app event says unless the order says otherwise.
_MESSAGES: dict[str, JsonObject] = {
    "text": {"Content": "你好"},
    "image": {"PicUrl": "http://img.example/1.png", "MediaId": "media-image"},
    "voice": {"MediaId": "media-voice", "Format": "amr"},
    "video": {"MediaId": "media-video", "ThumbMediaId": "media-thumb"},
    "location": {"Location_X": 30.2741, "Location_Y": 120.1551, "Scale": 16, "Label": "杭州市西湖区"},
    "link": {"Title": "标题", "Description": "说明", "Url": "http://a.example/", "PicUrl": ""},
}
_APP_EVENTS: dict[str, JsonObject] = {
    "enter_agent": {"EventKey": ""},
    "click": {"EventKey": "menu-1"},
    "view": {"EventKey": "http://a.example/"},
    "subscribe": {},
    "unsubscribe": {},
    "template_card_event": {
        "EventKey": "button-1",
        "TaskId": "task-1",
        "CardType": "button_interaction",
        "ResponseCode": "response-1",
        "SelectedItems": {"SelectedItem": [{"QuestionKey": "q1", "OptionIds": {"OptionId": ["yes"]}}]},
    },
}
KINDS = (*_MESSAGES, *_APP_EVENTS, "change_external_chat")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing to tell; `fields` follow the sender and the time. Those of the directory name no agent."""

    at: int
    fields: JsonObject
    sender: str = "sys"
    names_agent: bool = True

    def xml(self, corp_id: str) -> str:
        """The message as it is encrypted, on one line."""
        head = {"ToUserName": corp_id, "FromUserName": self.sender, "CreateTime": self.at}
        return f"<xml>{_elements(head | self.fields)}</xml>"


def _elements(fields: Mapping[str, Any]) -> str:
    return "".join(_element(name, value) for name, value in fields.items())


def _element(name: str, value: Any) -> str:
    if isinstance(value, list):
        return "".join(_element(name, each) for each in value)
    if isinstance(value, Mapping):
        return f"<{name}>{_elements(value)}</{name}>"
    return f"<{name}>{value if isinstance(value, (int, float)) else cdata(value)}</{name}>"


def cdata(text: object) -> str:
    """Text inside CDATA, without the characters that no XML may hold."""
    return f"<![CDATA[{_NOT_XML.sub('', str(text)).replace(']]>', ']]]]><![CDATA[>')}]]>"


def _event(at: int, event: str, change: str, fields: JsonObject, *, names_agent: bool = True) -> Event:
    told = {"MsgType": "event", "Event": event, "ChangeType": change}
    return Event(at, told | {name: value for name, value in fields.items() if value}, names_agent=names_agent)


def customer(change: str, at: int, *, userid: str, external_userid: str, **more: str) -> Event:
    """change_external_contact; of `more` (State, WelcomeCode, Source, FailReason) only what is not empty."""
    fields = {"UserID": userid, "ExternalUserID": external_userid} | more
    return _event(at, "change_external_contact", change, fields)


def tag(change: str, at: int, *, id: str, kind: str = "") -> Event:
    """change_external_tag of a tag or a tag_group; a shuffle names the group only."""
    return _event(at, "change_external_tag", change, {"Id": id, "TagType": kind})


def member(
    change: str, at: int, *, userid: str, new_userid: str = "", department: list[int] | None = None
) -> Event:
    """change_contact of a member: since August 2022 only the ids and the departments are told."""
    departments = ",".join(map(str, department or []))
    fields = {"UserID": userid, "NewUserID": new_userid, "Department": departments}
    return _event(at, "change_contact", change, fields, names_agent=False)


def party(change: str, at: int, fields: JsonObject) -> Event:
    """change_contact of a department."""
    return _event(at, "change_contact", change, fields, names_agent=False)


def on_order(told: Mapping[str, Any], at: int, *, agentid: int, number: int) -> Event:
    """A message or app event of a member, or a change of a customer group. Raises ValueError, KeyError."""
    kind, fields = told["kind"], dict(told.get("fields") or {})
    if kind == "change_external_chat":
        change = told.get("change", "create")
        if change not in _CHAT_CHANGES:
            raise ValueError(f"change must be one of {', '.join(_CHAT_CHANGES)}")
        detail = {"UpdateDetail": "add_member", "MemChangeCnt": 1} if change == "update" else {}
        return _event(at, kind, change, {"ChatId": told.get("chat_id", "wrChat1")} | detail | fields)
    if kind in _MESSAGES:
        said = {"MsgType": kind} | _MESSAGES[kind] | fields | {"MsgId": number, "AgentID": agentid}
    elif kind in _APP_EVENTS:
        said = {"MsgType": "event", "Event": kind} | _APP_EVENTS[kind] | fields | {"AgentID": agentid}
    else:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}")
    return Event(at, said, sender=told["userid"])
