"""Lines of the history that stand in a contact's timeline."""

from collections.abc import Mapping
from typing import Any

from contacts.models import Contact, FollowUser
from crm.events import Line, event


def of_contact(verb: str, contact: Contact, *, actor: str, changes: Mapping[str, Any] | None = None) -> Line:
    """What happened to the contact itself."""
    return event(
        verb,
        "contact",
        contact.pk,
        actor=actor,
        corp_id=contact.corp_id,
        contact_id=contact.pk,
        changes=changes,
    )


def of_follow(verb: str, follow: FollowUser, *, actor: str, changes: Mapping[str, Any] | None = None) -> Line:
    """What happened to a relation, whose `employee` must be loaded."""
    return event(
        verb,
        "follow_user",
        follow.pk,
        actor=actor,
        corp_id=follow.employee.corp_id,
        contact_id=follow.contact_id,
        changes=changes,
    )
