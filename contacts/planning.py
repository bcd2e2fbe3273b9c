"""What an employee plans with a contact they follow: the stage and the next date. Ours: the sync never writes them."""

from datetime import datetime

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts.access import require
from contacts.models import Employee, FollowUser
from crm import events
from crm.errors import Conflict, FieldError, Invalid, NotFound


@transaction.atomic
def plan_follow(
    follow_id: int,
    *,
    user: AbstractBaseUser | AnonymousUser,
    actor: str,
    stage: str,
    next_follow_up_at: datetime | None,
) -> FollowUser:
    """Set the stage and the next follow-up of a relation of an employee within reach; what changed is an event.

    Raises NotAllowed, NotFound, Conflict `ended`, and Invalid with pointers `/stage`.
    """
    require(user, "contacts.change_followuser")
    rows = FollowUser.objects.visible_to(user).filter(employee__in=Employee.objects.reached_by(user))
    follow = rows.select_for_update(of=("self",)).select_related("contact").filter(pk=follow_id).first()
    if follow is None:
        raise NotFound(_("There is no such record."))
    if follow.ended_at is not None:
        raise Conflict(_("This relation has ended: there is nothing to plan."), code="ended")
    if stage not in FollowUser.Stage.values:
        raise Invalid(
            _("This stage does not exist."), errors=[FieldError("/stage", "invalid", _("Unknown stage."))]
        )
    changes: dict[str, list[str | None]] = {}
    if follow.stage != stage:
        changes["stage"] = [follow.stage, stage]
    if follow.next_follow_up_at != next_follow_up_at:
        changes["next_follow_up_at"] = [_text(follow.next_follow_up_at), _text(next_follow_up_at)]
    if changes:
        follow.stage, follow.next_follow_up_at, follow.updated_at = stage, next_follow_up_at, timezone.now()
        follow.save(update_fields=["stage", "next_follow_up_at", "updated_at"])
        line = events.event(
            "follow.updated",
            "follow_user",
            follow.pk,
            actor=actor,
            corp_id=follow.contact.corp_id,
            contact_id=follow.contact_id,
            changes=changes,
        )
        events.record([line])
    return follow


def _text(at: datetime | None) -> str | None:
    return timezone.localtime(at).isoformat() if at else None
