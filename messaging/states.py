"""The one place where a delivery changes state and a message ends."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, Final, TypeVar

from django.db import transaction
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.utils import timezone

from crm.events import Line, event, record
from messaging.models import Delivery, Message

State = Delivery.State
Row = TypeVar("Row")
Key = TypeVar("Key", bound=Hashable)

# The picture of it is in docs/explanation/architecture.md; nothing else may happen to a delivery.
EDGES: Final[dict[State, frozenset[State]]] = {
    State.QUEUED: frozenset({State.SENDING, State.CANCELLED, State.EXPIRED}),
    State.SENDING: frozenset({State.ACCEPTED, State.QUEUED, State.FAILED, State.UNCERTAIN}),
    State.ACCEPTED: frozenset({State.DELIVERED, State.REFUSED}),
    State.UNCERTAIN: frozenset({State.ACCEPTED, State.FAILED, State.QUEUED}),  # by a person's word, or found
}

# A delivery of which something is still to be heard (contract C9).
OPEN: Final = Q(state__in=(State.QUEUED, State.SENDING)) | Q(state=State.ACCEPTED, is_last_word=False)


def move(
    rows: Sequence[Delivery],
    *,
    leaving: State,
    to: State,
    actor: str = "worker",
    reason: str = "",
    **fields: Any,
) -> None:
    """Move `rows` in one UPDATE that names the state they leave, setting `fields`.

    Accepted or ended is an event, and so is a person's word on an uncertain one, with its `reason`.

    The caller holds the rows: it locked them or won their attempt in the current transaction. Their `message`
    must be loaded.
    """
    if to not in EDGES.get(leaving, frozenset()):
        raise ValueError(f"a delivery cannot go from {leaving} to {to}")
    if not rows:
        return
    mine = Delivery.objects.filter(pk__among=[row.pk for row in rows], state=leaving)
    mine.update(state=to, updated_at=timezone.now(), **fields)
    if to == State.ACCEPTED or to in Delivery.FINAL or leaving == State.UNCERTAIN:
        record(_lines(rows, leaving, to, actor, fields | {"reason": reason}))


def _lines(
    rows: Iterable[Delivery], leaving: State, to: State, actor: str, fields: dict[str, Any]
) -> list[Line]:
    reasons = {
        name: [None, fields[name]] for name in ("code", "errcode", "errmsg", "reason") if fields.get(name)
    }
    changes = {"state": [str(leaving), str(to)], **reasons}
    return [
        event(
            f"delivery.{to}",
            "delivery",
            row.pk,
            actor=actor,
            corp_id=row.message.corp_id,
            contact_id=row.contact_id,
            changes=changes,
        )
        for row in rows
    ]


def locked(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """`rows`, locked in the order in which everybody locks deliveries: another one would be a deadlock."""
    return rows.select_for_update(of=("self",)).order_by("pk")


def update_locked(rows: QuerySet[Delivery], **fields: Any) -> None:
    """Set `fields`; a bare UPDATE would lock `rows` in any order."""
    with transaction.atomic():
        ids = list(locked(rows).values_list("pk", flat=True))
        Delivery.objects.filter(pk__among=ids).update(**fields)


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """`rows` by what `key` says of them, for one statement each."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def close_ended(messages: QuerySet[Message]) -> int:
    """End those of `messages` that wait for nothing more: `cancelled` if all deliveries are, else `done`.

    Call it after the transaction that moved a delivery: of two that move the last two at once, neither would
    see the other's.
    """
    copies = Delivery.objects.filter(message=OuterRef("pk"))
    ended = messages.filter(~Exists(copies.filter(OPEN)), state=Message.State.OPEN)
    ids = list(ended.values_list("pk", flat=True))
    if not ids:
        return 0
    sent = Exists(copies.exclude(state=State.CANCELLED))
    done, cancelled = Value(Message.State.DONE), Value(Message.State.CANCELLED)
    state = Case(When(sent, then=done), default=cancelled)
    # Asked again: meanwhile a person may have let one be sent once more.
    still = Message.objects.filter(~Exists(copies.filter(OPEN)), pk__in=ids, state=Message.State.OPEN)
    return still.update(state=state)
