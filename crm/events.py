"""The history: `record` writes lines of the one append-only table, in the caller's transaction."""

from collections.abc import Iterable
from typing import Any, Final

from crm.models import Event

VERBS: Final = frozenset(
    {
        *(f"contact.{what}" for what in ("created", "updated", "lost", "restored", "erased")),
        *(f"follow.{what}" for what in ("started", "updated", "ended", "restored")),
        *(f"tag.{what}" for what in ("created", "updated", "deleted")),
        *(f"employee.{what}" for what in ("created", "updated", "left", "returned")),
        *(f"message.{what}" for what in ("created", "cancelled")),
        *(
            f"delivery.{state}"
            for state in (
                "queued sending accepted delivered refused failed uncertain cancelled expired"
            ).split()
        ),
    }
)
SUBJECTS: Final = frozenset(
    {"contact", "follow_user", "note", "message", "delivery", "tag", "employee", "transfer"}
)


def event(
    verb: str,
    subject_type: str,
    subject_id: object,
    *,
    actor: str,
    corp_id: int | None = None,
    contact_id: int | None = None,
    changes: dict[str, Any] | None = None,
) -> Event:
    """An unsaved line. `actor` is `user:<name>`, `key:<prefix>`, `sync:<run id>`, `worker` or `command`."""
    if verb not in VERBS or subject_type not in SUBJECTS:
        raise ValueError(f"unknown event {verb} of {subject_type}")
    return Event(
        verb=verb,
        subject_type=subject_type,
        subject_id=str(subject_id),
        actor=actor,
        corp_id=corp_id,
        contact_id=contact_id,
        changes=changes or {},
    )


def record(lines: Iterable[Event]) -> None:
    Event.objects.bulk_create(lines, batch_size=1000)


def mask_phone(phone: str) -> str:
    """`139****0042`: first 3 and last 4 characters; all stars when shorter than 8 (contract C14)."""
    return f"{phone[:3]}****{phone[-4:]}" if len(phone) >= 8 else "*" * len(phone)
