"""Template cards: what each of the five kinds must have and how much of it, a press of a button, and what follows."""

import re
from collections.abc import Mapping
from typing import Any

from crm.simulator.events import Event, on_order
from crm.simulator.records import CardCode, Message
from crm.simulator.wecom.call import Call, Refused, ok
from crm.simulator.world import Corp

INTERACTIVE = ("button_interaction", "vote_interaction", "multiple_interaction")
_CARD_TYPES = ("text_notice", "news_notice", *INTERACTIVE)
_AT_MOST = {
    "horizontal_content_list": 6,
    "jump_list": 3,
    "vertical_content_list": 4,
    "button_list": 6,
    "select_list": 3,
}
_TASK_ID = re.compile(r"[0-9A-Za-z_\-@]{1,128}")


def check_card(card: Mapping[str, Any]) -> None:
    """Raises Refused. Which numbers WeCom answers here is not documented: those of missing and bad parameters."""
    kind = card.get("card_type")
    if not kind:
        raise Refused(40063, "card_type missing")
    if kind not in _CARD_TYPES:
        raise Refused(40058, f"card_type {kind}")
    if kind not in INTERACTIVE and not card.get("card_action"):
        raise Refused(40063, "card_action missing")
    _check_task_id(card, is_needed=kind in INTERACTIVE or bool(card.get("action_menu")))
    for name, most in _AT_MOST.items():
        if len(_list(card, name)) > most:
            raise Refused(40058, f"{name} holds more than {most}")
    if kind == "vote_interaction" or card.get("checkbox"):
        _check_options(card.get("checkbox"))


def _check_task_id(card: Mapping[str, Any], *, is_needed: bool) -> None:
    task_id = card.get("task_id") or ""
    if not task_id and is_needed:
        raise Refused(40063, "task_id missing")
    if task_id and not _TASK_ID.fullmatch(str(task_id)):
        raise Refused(40058, "task_id")


def _check_options(checkbox: Any) -> None:
    if not isinstance(checkbox, dict):
        raise Refused(40063, "checkbox missing")
    if not 1 <= len(_list(checkbox, "option_list")) <= 20:
        raise Refused(40058, "option_list holds 1 to 20")


def _list(told: Mapping[str, Any], name: str) -> list[Any]:
    value = told.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise Refused(40035, f"{name} must be a list of objects")
    return value


def buttons_of(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(key, words) of what a member can press on the card; none once it was replaced."""
    if "replaced" in card:
        return []
    told = [*_list(card, "button_list"), *_list(card.get("action_menu") or {}, "action_list")]
    told += [card["submit_button"]] if isinstance(card.get("submit_button"), dict) else []
    return [(str(each["key"]), str(each.get("text", ""))) for each in told if each.get("key")]


def press(corp: Corp, message: Message, key: str, selected: Mapping[str, list[str]], *, at: int) -> Event:
    """The member whose phone it is presses a button of the card. Raises ValueError where there is no such button."""
    card = message.content
    if message.msgtype != "template_card" or message.recalled:
        raise ValueError("there is no card to press")
    if key not in dict(buttons_of(card)):
        raise ValueError(f"the card has no button {key!r} to press")
    code = f"press{corp.next_n()}"
    corp.card_codes[code] = CardCode(message.msgid, at, message.to)
    items = [{"QuestionKey": name, "OptionIds": {"OptionId": ids}} for name, ids in selected.items()]
    told = {"EventKey": key, "TaskId": card.get("task_id", ""), "CardType": card["card_type"]}
    told |= {"ResponseCode": code, "SelectedItems": {"SelectedItem": items}}
    order = {"kind": "template_card_event", "userid": message.to, "fields": told}
    return on_order(order, at, agentid=corp.spec.agentid, number=corp.next_n())


def update_template_card(call: Call) -> bytes:
    """POST message/update_template_card: the button of the card turns grey and says something else."""
    if call.number("agentid", 0) != call.corp.spec.agentid:
        raise Refused(301002)
    userids = call.strings("userids", at_most=1000)
    name = call.record("button").get("replace_name")
    if not isinstance(name, str) or not name:
        raise Refused(40063, "replace_name missing")
    code = call.corp.card_codes.get(call.text("response_code", missing=40063))
    if code is None or code.is_used or call.clock.now() - code.at > call.switches.response_code_seconds:
        raise Refused(60140)
    known = {member.userid for member in map(call.corp.employee, userids) if member is not None}
    if not known:
        raise Refused(81013)
    code.is_used = True
    for message in call.corp.messages:
        if message.msgid == code.msgid and message.to in known & {code.userid or message.to}:
            message.content = message.content | {"replaced": name}
    call.corp.changed()
    return ok(invaliduser=[each for each in userids if call.corp.employee(each) is None])
