"""What people tell an app: the messages they write, and the buttons of cards they press. No network, no rows.

Source: docs/reference/protocol-wecom.md, callbacks. `message` is the plaintext of a genuine call; one that cannot be
read says nothing.
"""

import math
from contextlib import suppress

from crm.providers.records import Forged, Press, Said
from crm.providers.wecom.callback import root_of, told_in


def read_said(message: str) -> Said:
    fields = _fields(message)
    return Said(
        text=fields.get("Content", ""),
        media_id=fields.get("MediaId", ""),
        title=fields.get("Title", ""),
        description=fields.get("Description", ""),
        url=fields.get("Url", ""),
        label=fields.get("Label", ""),
        latitude=_degrees(fields.get("Location_X", "")),
        longitude=_degrees(fields.get("Location_Y", "")),
    )


def read_press(message: str) -> Press:
    fields = _fields(message)
    return Press(
        task_id=fields.get("TaskId", ""),
        key=fields.get("EventKey", ""),
        response_code=fields.get("ResponseCode", ""),
        selected=_selected(message),
    )


def _fields(message: str) -> dict[str, str]:
    with suppress(Forged):
        return told_in(message.encode())
    return {}


def _degrees(text: str) -> float | None:
    with suppress(ValueError):
        value = float(text)
        return value if math.isfinite(value) else None
    return None


def _selected(message: str) -> dict[str, list[str]]:
    with suppress(Forged):
        items = root_of(message.encode()).iterfind("SelectedItems/SelectedItem")
        return {
            (item.findtext("QuestionKey") or "").strip(): [
                (option.text or "").strip() for option in item.iterfind("OptionIds/OptionId")
            ]
            for item in items
        }
    return {}
