"""The history: `record` writes lines of the one append-only table, in the caller's transaction."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from crm import bulk
from crm.models import Event

VERBS: Final = frozenset(
    {
        *(
            f"contact.{what}"
            for what in ("created", "updated", "lost", "restored", "erased", "joined", "merged")
        ),
        *(f"follow.{what}" for what in ("started", "updated", "ended", "restored")),
        *(f"tag.{what}" for what in ("created", "updated", "deleted")),
        *(f"employee.{what}" for what in ("created", "updated", "left", "returned")),
        *(f"message.{what}" for what in ("created", "approved", "cancelled", "paused", "resumed")),
        *(f"message.{what}" for what in ("recalled", "reminded", "stopped", "received", "card_clicked")),
        *(f"contact_way.{what}" for what in ("created", "updated", "made", "failed", "deleted", "expired")),
        *(f"template.{what}" for what in ("created", "updated")),
        *(f"welcome.{what}" for what in ("created", "updated")),
        *(f"greeting.{state}" for state in "accepted failed uncertain cancelled expired".split()),
        *(f"media_file.{what}" for what in ("created", "updated")),
        *(
            f"delivery.{state}"
            for state in (
                "queued sending accepted delivered refused failed uncertain cancelled expired"
            ).split()
        ),
    }
)
SUBJECTS: Final = frozenset(
    {
        "contact",
        "follow_user",
        "note",
        "message",
        "delivery",
        "tag",
        "employee",
        "transfer",
        "template",
        "callback",
        "media_file",
        "welcome",
        "greeting",
        "contact_way",
    }
)
# What an auditor does not read in a contact or a message is not read in their history either.
FREE_TEXT: Final = frozenset({"remark", "description", "content"})
UNTOLD: Final = frozenset({"external_profile"})  # no face shows it


class Line(NamedTuple):
    """One line of history, not written yet."""

    verb: str
    subject_type: str
    subject_id: str
    actor: str
    corp_id: int | None = None
    contact_id: int | None = None
    changes: Mapping[str, Any] = {}


def event(
    verb: str,
    subject_type: str,
    subject_id: object,
    *,
    actor: str,
    corp_id: int | None = None,
    contact_id: int | None = None,
    changes: Mapping[str, Any] | None = None,
) -> Line:
    """A line to record. `actor` is `user:<name>`, `key:<prefix>`, `sync:<run id>`, `worker` or `command`."""
    if verb not in VERBS or subject_type not in SUBJECTS:
        raise ValueError(f"unknown event {verb} of {subject_type}")
    return Line(verb, subject_type, str(subject_id), actor, corp_id, contact_id, changes or {})


def record(lines: Iterable[Line]) -> None:
    bulk.insert_tuples(Event, Line._fields, list(lines))


def mask_phone(phone: str) -> str:
    """`139****0042`: first 3 and last 4 characters; all stars when shorter than 8 (contract C14)."""
    return f"{phone[:3]}****{phone[-4:]}" if len(phone) >= 8 else "*" * len(phone)


def mask_id(ident: str) -> str:
    """A `unionid` as it is shown, by the rule of phones; one that is masked already stays as it is."""
    return mask_phone(ident)


def readable(changes: Mapping[str, Any], *, reads_free_text: bool, hidden: Any = None) -> dict[str, Any]:
    """`changes` as a reader gets them; `hidden` stands for a change whose values are not for this reader.

    No `unionid` is told in clear, not even from a line that holds one.
    """
    kept_back = UNTOLD if reads_free_text else UNTOLD | FREE_TEXT
    told = {name: hidden if name in kept_back else change for name, change in changes.items()}
    if isinstance(change := told.get("unionid"), list):
        told["unionid"] = [mask_id(each) if isinstance(each, str) else each for each in change]
    return told
