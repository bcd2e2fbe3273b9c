"""Template cards: what each of the five kinds must have, and how much of it."""

import re
from collections.abc import Mapping
from typing import Any

from crm.simulator.wecom.call import Refused

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
