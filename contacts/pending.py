"""Contacts that are not at the provider yet: the moves between `pending`, `failed` and `active`."""

from django.utils import timezone

from contacts import history
from contacts.models import Contact
from crm.events import record


def move(
    contact: Contact, old: str, new: str, *, actor: str, error: str = "", external_userid: str = ""
) -> bool:
    """One conditional UPDATE that names the state it leaves, and its event, in the caller's transaction."""
    rows = Contact.objects.filter(pk=contact.pk, state=old)
    changes = {"state": [old, new]}
    fields = {"state": new, "create_error": error}
    if external_userid and external_userid != contact.external_userid:
        changes["external_userid"] = [contact.external_userid, external_userid]
        fields["external_userid"] = external_userid
    if not rows.update(**fields, updated_at=timezone.now()):
        return False
    record([history.of_contact("contact.updated", contact, actor=actor, changes=changes)])
    return True
