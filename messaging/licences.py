"""Who has lately been without a licence: what goes to them, or in their name, may not arrive."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from django.db.models import F, Max, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts.models import SyncRun
from contacts.walk import NO_LICENCE
from crm.models import Corp
from messaging.models import Delivery, Message
from messaging.recipients import Exclusion, Recipient
from messaging.states import State

LATELY: Final = timedelta(days=7)  # a licence may be bought any time: so long the provider's word is repeated


def doubtful(corp: Corp, recipients: Sequence[Recipient]) -> list[Exclusion]:
    """The recipients it may not reach, with the reason. They are written to all the same."""
    if not recipients:
        return []
    if recipients[0].to_kind == Message.ToKind.EMPLOYEE:
        refused = _refused(corp, [each.to for each in recipients])
        words = _("The provider said lately that this employee has no licence: it may not arrive.")
        return [_of(each, words) for each in recipients if each.to in refused]
    unread = _unread(corp) if recipients[0].sender else set()
    words = _("%(name)s, in whose name it goes out, has no licence for customers: it may not go out.")
    return [_of(each, words % {"name": each.sender_name}) for each in recipients if each.sender in unread]


def _of(each: Recipient, words: str) -> Exclusion:
    return Exclusion(each.to, each.name, "unlicensed", words, each.position)


def _refused(corp: Corp, userids: Sequence[str]) -> set[str]:
    """Who of `userids` was refused as `unlicensed` and has got nothing since."""
    rows = Delivery.objects.filter(
        to__among=userids,
        to_kind=Message.ToKind.EMPLOYEE,
        message__corp=corp,
        updated_at__gt=timezone.now() - LATELY,
    )
    refused = Max("updated_at", filter=Q(state=State.FAILED, code="unlicensed"))
    reached = Max("updated_at", filter=Q(state=State.ACCEPTED))
    last = rows.order_by().values("to").annotate(refused=refused, reached=reached)
    still = last.filter(Q(reached__isnull=True) | Q(reached__lt=F("refused")), refused__isnull=False)
    return set(still.values_list("to", flat=True))


def _unread(corp: Corp) -> set[str]:
    """Whose customers the last sync could not read for want of a licence."""
    runs = SyncRun.objects.filter(corp=corp, userid="").exclude(state__in=SyncRun.ACTIVE)
    errors = runs.order_by("-pk").values_list("errors", flat=True).first() or []
    return {each["userid"] for each in errors if each.get("errcode") == NO_LICENCE and each.get("userid")}
