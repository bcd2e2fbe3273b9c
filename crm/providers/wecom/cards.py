"""The limits of a template card (docs/reference/protocol-wecom.md 3.9)."""

import re
from collections.abc import Iterator

from crm.providers.content import TemplateCard
from crm.providers.records import Problem
from crm.providers.wecom.measuring import advised_characters, most_bytes, most_entries, required

TITLE_LENGTH, DESC_LENGTH = 36, 44  # advised
TASK_ID_BYTES = 128
REPLACE_BYTES = 128  # ours: the provider names no limit
ENTRIES = {
    "horizontal_content_list": 6,
    "jump_list": 3,
    "vertical_content_list": 4,
    "button_list": 6,
    "select_list": 3,
}
OPTIONS = 20
# What makes a card of its kind: without it there is nothing to tap, or nothing to answer.
ESSENTIAL = {
    "text_notice": "card_action",
    "news_notice": "card_action",
    "button_interaction": "button_list",
    "vote_interaction": "checkbox",
    "multiple_interaction": "select_list",
}
INTERACTIVE = ("button_interaction", "vote_interaction", "multiple_interaction")

_TASK_ID = re.compile(r"[0-9A-Za-z_\-@]*")


def card_problems(card: TemplateCard) -> Iterator[Problem]:
    at = "/template_card"
    yield from required(at, card, ESSENTIAL[card.card_type])
    if card.card_type in INTERACTIVE or card.action_menu is not None:
        yield from required(at, card, "task_id")
    yield from most_bytes(f"{at}/task_id", card.task_id, TASK_ID_BYTES)
    if not _TASK_ID.fullmatch(card.task_id):
        yield Problem(f"{at}/task_id", "bad_task_id")
    if card.main_title is not None:
        yield from advised_characters(f"{at}/main_title/title", card.main_title.title, TITLE_LENGTH)
        yield from advised_characters(f"{at}/main_title/desc", card.main_title.desc, DESC_LENGTH)
    if card.replace_text and card.card_type not in INTERACTIVE:
        yield Problem(f"{at}/replace_text", "unsupported_option")
    yield from most_bytes(f"{at}/replace_text", card.replace_text, REPLACE_BYTES)
    for name, limit in ENTRIES.items():
        yield from most_entries(f"{at}/{name}", getattr(card, name), limit)
    if card.checkbox is not None:
        yield from required(f"{at}/checkbox", card.checkbox, "option_list")
        yield from most_entries(f"{at}/checkbox/option_list", card.checkbox.option_list, OPTIONS)
