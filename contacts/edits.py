"""Editing, handing over and deleting a contact at the provider, where it has calls for that (DingTalk).

The provider is told first and then read again: rows only ever say what it answered.
"""

import logging
from collections.abc import Sequence

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.utils.translation import gettext as _

from contacts.access import require, visible_corps
from contacts.cards import tag_errors
from contacts.models import Contact, Employee
from contacts.reading import PATIENCE_S, read_contact
from crm.connections import can, first_agent, open_provider
from crm.errors import Conflict, FieldError, Invalid
from crm.providers.base import Capability, Provider
from crm.providers.errors import Absent
from crm.providers.records import LIMITS, UNSET, ContactChange, told

log = logging.getLogger("renmai.contacts")

User = AbstractBaseUser | AnonymousUser
TEXTS = ("name", "position", "corp_name", "remark")


def can_edit(contact: Contact) -> bool:
    """Whether the provider has calls for it, and has the contact."""
    has_calls = contact.corp.is_active and can(contact.corp, Capability.EDIT_CONTACT)
    return has_calls and contact.state == Contact.State.ACTIVE


def edit_contact(
    contact: Contact,
    *,
    user: User,
    actor: str,
    name: str | None = None,
    position: str | None = None,
    corp_name: str | None = None,
    remark: str | None = None,
    tags: Sequence[str] | None = None,
    owner: str | None = None,
) -> None:
    """Change what is told (None: leave it) at the provider, and read the contact again.

    `tags` are tag ids; `owner` is the userid of the employee it is handed over to. Raises NotAllowed, Invalid with
    pointers, Conflict (`unsupported`, `inactive`, `outrun`) and ProviderError.
    """
    require(user, "contacts.change_contact")
    if owner is not None:
        require(user, "contacts.transfer_contact")
    provider = _editor(contact)
    texts = {"name": name, "position": position, "corp_name": corp_name, "remark": remark}
    written = {key: value.strip() for key, value in texts.items() if value is not None}
    errors = [error for key, value in written.items() for error in _text_errors(key, value)]
    errors += [] if tags is None else tag_errors(contact.corp, tags)
    errors += [] if owner is None else _owner_errors(contact, user, owner)
    change = ContactChange(
        **written,
        tag_ids=UNSET if tags is None else tuple(dict.fromkeys(tags)),
        owner=UNSET if owner is None else owner,
    )
    if not told(change, tuple(ContactChange.__slots__)):
        errors.append(FieldError("", "required", _("Say what is to be changed.")))
    if errors:
        raise Invalid(_("The contact cannot be changed."), errors=errors)
    provider.update_contact(contact.external_userid, change)
    log.info("contact %s was changed at the provider by %s", contact.pk, actor)
    read_contact(contact.corp, contact.external_userid, actor=actor)


def delete_contact(contact: Contact, *, user: User, actor: str) -> None:
    """Delete the contact at the provider, for everybody there; here it is lost, with its history.

    One that is gone already is only read again. Raises as `edit_contact`.
    """
    require(user, "contacts.delete_contact")
    provider = _editor(contact)
    try:
        provider.delete_contact(contact.external_userid)
    except Absent:
        log.info("contact %s was gone at the provider already", contact.pk)
    log.info("contact %s was deleted at the provider by %s", contact.pk, actor)
    read_contact(contact.corp, contact.external_userid, actor=actor)


def _editor(contact: Contact) -> Provider:
    if not can_edit(contact):
        raise Conflict(_("This contact cannot be changed at the provider."), code="unsupported")
    return open_provider(first_agent(contact.corp), patience_s=PATIENCE_S)


def _text_errors(name: str, value: str) -> list[FieldError]:
    if not value and name == "name":
        return [FieldError("/name", "required", _("A contact needs a name."))]
    if len(value) > LIMITS[name]:
        sentence = _("At most %(limit)d characters.") % {"limit": LIMITS[name]}
        return [FieldError(f"/{name}", "too_long", sentence)]
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
        return [FieldError(f"/{name}", "invalid", _("It holds a character that cannot be stored."))]
    return []


def _owner_errors(contact: Contact, user: User, userid: str) -> list[FieldError]:
    found = Employee.objects.reached_by(user).filter(corp=contact.corp).named([userid])
    if userid in found and visible_corps(user).filter(pk=contact.corp_id).exists():
        return []
    return [FieldError("/owner", "not_found", _("There is no such employee."))]
