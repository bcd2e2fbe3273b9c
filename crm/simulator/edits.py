"""How an op of /_sim/world/ writes fields on a record."""

from collections.abc import Mapping
from typing import Any

from crm.simulator.records import Card
from crm.simulator.world import Corp


def set_fields(record: object, names: tuple[str, ...], fields: Mapping[str, Any]) -> None:
    """Write those of `names` that are told. Raises ValueError for a value of another kind."""
    for name in names:
        if name in fields:
            if type(fields[name]) is not type(getattr(record, name)):
                raise ValueError(
                    f"{name} cannot be {fields[name]!r}; hostile values go through /_sim/poison/"
                )
            setattr(record, name, fields[name])


def set_card(corp: Corp, card: Card, fields: Mapping[str, Any]) -> None:
    """What DingTalk keeps of the contact itself, also where the change is said of a relation."""
    set_fields(card, ("state_code", "mobile", "remark", "address", "email"), fields)
    for phone in fields.get("remark_mobiles", ()):
        state_code, _, card.mobile = phone.rpartition("-")
        card.state_code = state_code.lstrip("+") or "86"
    if "tags" in fields:
        labels = tuple(each for each in map(tag_id_of, fields["tags"]) if each)
        if not labels or any(each not in corp.tags for each in labels):
            raise ValueError("a contact of DingTalk has one known label at least")
        card.labels = labels


def tag_id_of(told: Any) -> str:
    """The id of a tag that is told as an id or as an object."""
    return told if isinstance(told, str) else str(told.get("tag_id") or "")
