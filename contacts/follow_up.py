"""Planning the follow-up of one relation: its stage and its next date, which are ours and no sync's."""

from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts import history
from contacts.access import require
from contacts.models import Contact, Employee, FollowUser
from crm.errors import Conflict, NotAllowed
from crm.events import record

PLANNED = ("stage", "next_follow_up_at")


@transaction.atomic
def plan_follow_up(
    follow: FollowUser, *, user: AbstractBaseUser | AnonymousUser, actor: str, **changes: Any
) -> FollowUser:
    """Set `stage` and `next_follow_up_at`, what is given of them. Nothing changed: nothing is written.

    Raises NotAllowed as `require_planner` does, Conflict `ended` for a past relation.
    """
    require_planner(follow, user=user)
    if unknown := set(changes) - set(PLANNED):
        raise ValueError(f"not ours to change: {unknown}")
    # The contact before the relation, as a sync does: the other way round they would wait for each other.
    Contact.objects.select_for_update(no_key=True).only("pk").get(pk=follow.contact_id)
    follow = FollowUser.objects.select_for_update().get(pk=follow.pk)
    if not follow.is_current:
        raise Conflict(_("This employee no longer follows the contact."), code="ended")
    changed = {
        name: [getattr(follow, name), value]
        for name, value in changes.items()
        if getattr(follow, name) != value
    }
    if changed:
        _write(follow, changed, actor=actor)
    return follow


def require_planner(follow: FollowUser, *, user: AbstractBaseUser | AnonymousUser) -> None:
    """Raise NotAllowed for a colleague's relation: it is visible, but neither one's own nor of a led team."""
    require(user, "contacts.change_followuser")
    if not Employee.objects.reached_by(user).filter(pk=follow.employee_id).exists():
        raise NotAllowed(_("Only this employee, or who leads them, plans their follow-up."))


def _write(follow: FollowUser, changed: dict[str, list[Any]], *, actor: str) -> None:
    now = timezone.now()
    for name, (_old, new) in changed.items():
        setattr(follow, name, new)
    follow.updated_at = now
    follow.save(update_fields=[*changed, "updated_at"])
    # A change of a current relation makes the contact changed (contract F12).
    Contact.objects.filter(pk=follow.contact_id).update(updated_at=now)
    changes = {name: [_plain(old), _plain(new)] for name, (old, new) in changed.items()}
    record([history.of_follow("follow.updated", follow, actor=actor, changes=changes)])


def _plain(value: Any) -> Any:
    return timezone.localtime(value).isoformat() if isinstance(value, datetime) else value
