"""Buttons of cards that employees press: noted with the message that carried the card, and answered on the card."""

import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists, OuterRef

from contacts.models import Employee
from crm.events import event, record
from crm.providers.base import Provider
from crm.providers.records import Press
from crm.providers.wecom.said import read_press
from crm.queue import ring
from messaging.models import Callback, CardClick, Delivery, Message
from messaging.results import LANE

log = logging.getLogger("renmai.callbacks")

KIND: Final = "template_card_event"
ANSWERED_WITHIN: Final = timedelta(hours=24)  # wecom.md 3.9
USED_UP: Final = 60140
KEY_LENGTH: Final = 1024


def note_click(callback_id: int, *, actor: str) -> bool:
    """Keep what the callback tells; False when it is about no card of ours. Noted twice, it is kept once."""
    told = Callback.objects.get(pk=callback_id)
    press = read_press(told.body)
    message = _carrier(told, press.task_id) if press.task_id else None
    if message is None:
        log.info("a button of a card was pressed that no message here carried (callback %s)", callback_id)
        return False
    is_answered = bool(_card(message).get("replace_text")) and bool(press.response_code)
    with transaction.atomic():
        click, is_new = CardClick.objects.get_or_create(
            callback=told,
            defaults={
                "message": message,
                "userid": told.userid,
                "employee": Employee.objects.filter(corp=told.corp_id).named([told.userid]).get(told.userid),
                "key": press.key.replace("\0", "")[:KEY_LENGTH],
                "selected": press.selected,
                "response_code": press.response_code,
                "created_at": told.received_at,
                **({} if is_answered else {"state": CardClick.State.NONE, "next_attempt_at": None}),
            },
        )
        if is_new:
            _record(click, press, actor)
            if is_answered:
                ring("messaging.tasks.do_chores", told.corp_id, lane=LANE)
    return True


def _carrier(told: Callback, task_id: str) -> Message | None:
    """The message whose card it is: of several under one id that which went to the person, then the newest."""
    copies = Delivery.objects.filter(message=OuterRef("pk"), to__iexact=told.userid)
    cards = Message.objects.filter(corp=told.corp_id, agent=told.agent_id, task_id=task_id)
    return cards.annotate(is_theirs=Exists(copies)).order_by("-is_theirs", "-pk").first()


def _record(click: CardClick, press: Press, actor: str) -> None:
    changes: dict[str, Any] = {"userid": [None, click.userid], "key": [None, click.key]}
    if press.selected:
        changes["selected"] = [None, press.selected]
    line = event(
        "message.card_clicked",
        "message",
        click.message_id,
        actor=actor,
        corp_id=click.message.corp_id,
        changes=changes,
    )
    record([line])


def answer(provider: Provider, click: CardClick) -> dict[str, Any]:
    """Let the button say, to who pressed it, what the sender wanted it to say then."""
    provider.update_card(click.response_code, [click.userid], replaced_by(click))
    return {}


def replaced_by(click: CardClick) -> str:
    """What the button is to say then; "" where it stays as it is."""
    return str(_card(click.message).get("replace_text", ""))


def words(click: CardClick) -> tuple[str, list[str]]:
    """What the pressed button says, and the options chosen with it; their keys where the card has no such."""
    card = _card(click.message)
    button = next((each["text"] for each in _buttons(card) if each.get("key") == click.key), click.key)
    options = dict(_options(card))
    chosen = [
        options.get((question, ident), ident) for question, ids in click.selected.items() for ident in ids
    ]
    return button, chosen


def _card(message: Message) -> dict[str, Any]:
    return message.content.get("template_card") or {}


def _buttons(card: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from card.get("button_list", ())
    yield from card.get("action_menu", {}).get("action_list", ())
    if "submit_button" in card:
        yield card["submit_button"]


def _options(card: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    questions = [*card.get("select_list", ()), card.get("button_selection", {}), card.get("checkbox", {})]
    for question in questions:
        for option in question.get("option_list", ()):
            yield (question.get("question_key", ""), option["id"]), option["text"]
