"""What the page of a card says about the buttons that employees pressed."""

from typing import Any, Final

from crm.admin_cells import HIDDEN
from crm.admin_words import provider_sentence
from messaging import clicks
from messaging.models import CardClick, Message

SHOWN: Final = 200


def pressed(message: Message, *, is_hidden: bool) -> list[dict[str, Any]]:
    """The latest first: `row`; `button`, `chosen` and `now` in the words of the card; `reason` why it stayed."""
    if not message.task_id:
        return []
    rows = message.clicks.select_related("employee", "message").order_by("-pk")[:SHOWN]
    return [_shown(row, is_hidden=is_hidden) for row in rows]


def _shown(row: CardClick, *, is_hidden: bool) -> dict[str, Any]:
    button, chosen = (HIDDEN[0], []) if is_hidden else clicks.words(row)
    now = "" if is_hidden else clicks.replaced_by(row)
    reason = provider_sentence(row.code, row.errcode or None, row.errmsg) if row.errmsg else ""
    return {"row": row, "button": button, "chosen": chosen, "now": now, "reason": reason}
