"""Writes people ask for. They check the gate, write rows and history in one transaction, and ring the worker."""

import logging
import secrets
from collections.abc import Sequence
from datetime import timedelta

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts import history, ways
from contacts.access import require, visible_corps
from contacts.cards import Card, read_card
from contacts.models import Contact, ContactWay, Employee, FollowUser
from contacts.models.ways import new_token
from contacts.pending import move
from contacts.reading import read_contact
from crm.connections import can, first_agent, open_provider
from crm.errors import Conflict, FieldError, Invalid
from crm.events import record
from crm.models import Corp
from crm.providers.base import Capability
from crm.providers.errors import ProviderError
from crm.providers.records import LIMITS, NewContact
from crm.queue import ring

log = logging.getLogger("renmai.contacts")

TRY_AGAIN_AFTER = timedelta(seconds=15)
GIVE_UP_AFTER = timedelta(minutes=10)


@transaction.atomic
def create_contact(
    *,
    user: AbstractBaseUser | AnonymousUser,
    actor: str,
    corp: Corp,
    name: str,
    follow_user: Sequence[str],
    external_userid: str = "",
    nickname: str = "",
    gender: int = 0,
    position: str = "",
    corp_name: str = "",
    type: int = 1,
    mobile: str = "",
    tags: Sequence[str] = (),
    remark: str = "",
) -> Contact:
    """Write the contact as `pending` with its followers, and ring the worker that pushes it to the provider.

    Where people cannot be created, it is written with a contact way (a QR code) and becomes real when the person scans
    it. `mobile`, `tags` (their ids) and `remark` are for a corp whose contacts have a card, see `contacts.cards`.
    Raises NotAllowed, and Invalid with pointers as in `POST contacts/`.
    """
    require(user, "contacts.add_contact")
    texts = {
        "name": name.strip(),
        "external_userid": external_userid.strip(),
        "nickname": nickname.strip(),
        "position": position.strip(),
        "corp_name": corp_name.strip(),
    }
    followers, errors = _followers(user, corp, follow_user)
    errors += _text_errors({**texts, "remark": remark.strip()})
    of_wecom = {
        "nickname": nickname,
        "gender": gender,
        "type": type != Contact.Type.WECHAT,
        "external_userid": external_userid,
    }
    card, card_errors = read_card(
        corp, owners=followers, mobile=mobile, tags=tags, remark=remark.strip(), others=of_wecom
    )
    errors += card_errors
    by_way = not can(corp, Capability.CREATE_CONTACT)
    if by_way and texts["external_userid"]:
        sentence = _("The provider gives the id when the person scans the code: leave it out.")
        errors.append(FieldError("/external_userid", "unsupported", sentence))
    if by_way and len(followers) > ways.MOST_PEOPLE:
        sentence = _("At most %(limit)d employees.") % {"limit": ways.MOST_PEOPLE}
        errors.append(FieldError("/follow_users", "too_many", sentence))
    if not corp.is_active:
        errors.append(FieldError("/corp", "inactive", _("This corp is switched off.")))
    if texts["external_userid"] and corp.contacts.filter(external_userid=texts["external_userid"]).exists():
        errors.append(_exists())
    if errors:
        raise Invalid(_("The contact cannot be created."), errors=errors)
    token = new_token()
    made_id = f"pending-{token}" if by_way else f"wm{secrets.token_hex(15)}"
    texts["external_userid"] = texts["external_userid"] or made_id
    try:
        with transaction.atomic():
            contact = Contact.objects.create(
                corp=corp,
                gender=gender,
                type=type,
                state=Contact.State.PENDING,
                created_by_id=user.pk,
                **texts,
            )
    except IntegrityError:  # somebody else wrote it since we looked
        raise Invalid(_("The contact cannot be created."), errors=[_exists()]) from None
    follows = [FollowUser(contact=contact, employee=employee, **card.fields()) for employee in followers]
    FollowUser.objects.bulk_create(follows)
    _record_creation(contact, follows, actor=actor)
    if by_way:
        ways.for_contact(contact, followers, token=token, actor=actor)
    else:
        ring("contacts.tasks.push_contact", contact.pk)
    return contact


def _exists() -> FieldError:
    sentence = _("There is a contact with this external userid already.")
    return FieldError("/external_userid", "exists", sentence)


def _followers(
    user: AbstractBaseUser | AnonymousUser, corp: Corp, userids: Sequence[str]
) -> tuple[list[Employee], list[FieldError]]:
    found = Employee.objects.reached_by(user).filter(corp=corp).named(userids)
    errors = [
        FieldError(f"/follow_users/{n}", "not_found", _("There is no such employee."))
        for n, userid in enumerate(userids)
        if userid not in found
    ]
    if not userids:
        errors.append(
            FieldError("/follow_users", "required", _("Name at least one employee who follows the contact."))
        )
    if not visible_corps(user).filter(pk=corp.pk).exists():
        errors = [FieldError("/corp", "not_found", _("There is no such corp."))]
    named = [found[userid] for userid in userids if userid in found]
    return list({employee.pk: employee for employee in named}.values()), errors


def _text_errors(texts: dict[str, str]) -> list[FieldError]:
    errors = []
    if not texts["name"]:
        errors.append(FieldError("/name", "required", _("A contact needs a name.")))
    for field, value in texts.items():
        if len(value) > LIMITS[field]:
            sentence = _("At most %(limit)d characters.") % {"limit": LIMITS[field]}
            errors.append(FieldError(f"/{field}", "too_long", sentence))
        if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
            errors.append(
                FieldError(f"/{field}", "invalid", _("It holds a character that cannot be stored."))
            )
    return errors


def _record_creation(contact: Contact, follows: list[FollowUser], *, actor: str) -> None:
    lines = [history.of_contact("contact.created", contact, actor=actor)]
    for follow in follows:
        changes = {"userid": [None, follow.employee.userid]}
        lines.append(history.of_follow("follow.started", follow, actor=actor, changes=changes))
    record(lines)


def retry_create(contact: Contact, *, user: AbstractBaseUser | AnonymousUser, actor: str) -> None:
    """Try a failed creation again. Raises Conflict when there is nothing to retry."""
    require(user, "contacts.add_contact")
    with transaction.atomic():
        if not move(contact, Contact.State.FAILED, Contact.State.PENDING, actor=actor):
            raise Conflict(_("This contact is not waiting for a retry."), code="not_failed")
        way = ContactWay.objects.filter(contact=contact).defer("picture").first()
        if way is None:
            ring("contacts.tasks.push_contact", contact.pk)
        elif not ways.open_again(way, actor=actor):
            words = _("The old code is still being removed. Try again in a moment.")
            raise Conflict(words, code="not_ready")


def read_again(contact: Contact, *, user: AbstractBaseUser | AnonymousUser, actor: str) -> None:
    """Read the contact at the provider now, with all its followers.

    Raises NotAllowed; Conflict `inactive`, and `outrun` as `read_contact`; ProviderError, `Unsupported` where the
    dialect has no such read.
    """
    require(user, "contacts.change_contact")
    if not contact.corp.is_active:
        raise Conflict(_("This corp is switched off."), code="inactive")
    read_contact(contact.corp, contact.external_userid, actor=actor)


def unpushed() -> QuerySet[Contact]:
    """Pending contacts whose push was not tried lately: what a lost bell or an outage left."""
    return Contact.objects.filter(
        state=Contact.State.PENDING,
        updated_at__lt=timezone.now() - TRY_AGAIN_AFTER,
        corp__is_active=True,
        contact_way__isnull=True,
    )


def push_contact(contact_id: int) -> None:
    """Create the pending contact at the provider. Safe to repeat: the call is an upsert of the id we chose."""
    contact = (
        Contact.objects.select_related("corp")
        .filter(pk=contact_id, state=Contact.State.PENDING, corp__is_active=True, contact_way__isnull=True)
        .first()
    )
    if contact is None:
        return
    Contact.objects.filter(pk=contact_id).update(updated_at=timezone.now())
    follows = list(
        contact.follow_users.filter(ended_at__isnull=True).select_related("employee").order_by("pk")
    )
    card = Card.of(follows)
    record = NewContact(
        external_userid=contact.external_userid,
        name=contact.name,
        follow_user=tuple(follow.employee.userid for follow in follows),
        nickname=contact.nickname,
        gender=contact.gender,
        position=contact.position,
        corp_name=contact.corp_name,
        type=contact.type,
        mobile=card.mobile,
        tag_ids=card.tags,
        remark=card.remark,
    )
    try:
        made = open_provider(first_agent(contact.corp)).create_contact(record)
    except ProviderError as error:
        _note_failure(contact, error)
        return
    _note_success(contact, external_userid=made)


def _note_success(contact: Contact, *, external_userid: str) -> None:
    """The provider has it, under the id it answered: mostly the one we chose."""
    pending, active, failed = Contact.State.PENDING, Contact.State.ACTIVE, Contact.State.FAILED
    try:
        with transaction.atomic():
            move(contact, pending, active, actor="worker", external_userid=external_userid)
    except IntegrityError:
        error = f"id_taken: it was made as {external_userid}"
        log.warning("contact %s: %s", contact.pk, error)
        with transaction.atomic():
            move(contact, pending, failed, actor="worker", error=error[:500])


def _note_failure(contact: Contact, error: ProviderError) -> None:
    log.warning("contact %s was not created: %s", contact.pk, error)
    may_pass = error.retryable or error.outcome == "unknown"
    if may_pass and contact.created_at > timezone.now() - GIVE_UP_AFTER:
        Contact.objects.filter(pk=contact.pk, state=Contact.State.PENDING).update(
            create_error=str(error)[:500]
        )
        return
    with transaction.atomic():
        move(contact, Contact.State.PENDING, Contact.State.FAILED, actor="worker", error=str(error)[:500])
