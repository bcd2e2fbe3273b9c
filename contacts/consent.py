"""Whether a contact may be written to: a person's word, which no sync touches."""

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.utils import timezone

from contacts import history
from contacts.access import get_visible, require
from contacts.models import Contact
from crm.events import record


@transaction.atomic
def set_opted_out(
    contact: Contact, *, opted_out: bool, user: AbstractBaseUser | AnonymousUser, actor: str
) -> bool:
    """Note that the contact asked not to be written to, or may be again; whether that changed anything.

    What waits in the queue is not sent: senders look again just before they speak (guarantees M9).
    """
    require(user, "contacts.change_contact")
    get_visible(user, Contact.objects.all(), contact.pk)
    held = Contact.objects.select_for_update().only("opted_out_at", "corp_id").get(pk=contact.pk)
    if (held.opted_out_at is not None) == opted_out:
        return False
    now = timezone.now()
    old, new = held.opted_out_at, now if opted_out else None
    Contact.objects.filter(pk=held.pk).update(opted_out_at=new, updated_at=now)
    changes = {"opted_out_at": [each and each.isoformat() for each in (old, new)]}
    record([history.of_contact("contact.updated", held, actor=actor, changes=changes)])
    return True
