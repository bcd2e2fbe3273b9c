"""What a new contact needs where a contact has a card of its own: one owner, a phone and labels (DingTalk)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from contacts.models import Contact, Employee, FollowUser, Tag
from crm.connections import can
from crm.errors import FieldError
from crm.models import Corp
from crm.providers.base import Capability

MOST_TAGS: Final = 20
HOME_CODE: Final = "86"
_PHONE = re.compile(r"(?:\+(\d{1,4})-)?(\d{5,20})")


@dataclass(frozen=True, slots=True)
class Card:
    """What belongs to the contact itself; empty where a provider has no such thing."""

    mobile: str = ""
    tags: tuple[str, ...] = ()  # tag ids
    remark: str = ""

    @classmethod
    def of(cls, follows: Sequence[FollowUser]) -> "Card":
        """The card of a contact that these follow, the owner first."""
        owner = next((each for each in follows if each.role == FollowUser.Role.OWNER), None)
        if owner is None:
            return cls()
        mobile = str(owner.remark_mobiles[0]) if owner.remark_mobiles else ""
        return cls(mobile, tuple(owner.tag_ids), owner.remark)

    def fields(self) -> dict[str, Any]:
        """The columns of the relation that bear it."""
        if not self.mobile:
            return {}
        return {
            "role": FollowUser.Role.OWNER,
            "remark_mobiles": [self.mobile],
            "tag_ids": list(self.tags),
            "remark": self.remark,
        }


def has_cards(corp: Corp) -> bool:
    return can(corp, Capability.CONTACT_CARD)


def read_card(
    corp: Corp,
    *,
    owners: Sequence[Employee],
    mobile: str,
    tags: Sequence[str],
    remark: str,
    others: dict[str, Any],
) -> tuple[Card, list[FieldError]]:
    """The card of a new contact, and what stands against it; `others` are values that WeCom alone keeps."""
    if not has_cards(corp):
        told = {"mobile": mobile, "tags": tags, "remark": remark}
        return Card(), [_unknown(name) for name, value in told.items() if value]
    number, errors = _number(mobile)
    errors += [_unknown(name) for name, value in others.items() if value]
    errors += tag_errors(corp, tags)
    if len(owners) > 1:
        sentence = _("One employee owns a contact of DingTalk: name exactly one.")
        errors.append(FieldError("/follow_users", "one_owner", sentence))
    if number and _is_known(corp, number):
        errors.append(FieldError("/mobile", "exists", _("A contact of this corp has this phone already.")))
    return Card(number, tuple(dict.fromkeys(tags)), remark), errors


def _unknown(name: str) -> FieldError:
    return FieldError(f"/{name}", "unsupported", _("This provider does not keep that of a contact."))


def _number(mobile: str) -> tuple[str, list[FieldError]]:
    """The phone as the mirror writes it, `+86-13900000001`."""
    written = re.sub(r"[\s()]", "", mobile)
    if not written:
        sentence = _("A contact of DingTalk needs a phone number.")
        return "", [FieldError("/mobile", "required", sentence)]
    found = _PHONE.fullmatch(written)
    if found is None:
        sentence = _("Write a phone as 13900000001, or with a country code as +86-13900000001.")
        return "", [FieldError("/mobile", "invalid", sentence)]
    return f"+{found[1] or HOME_CODE}-{found[2]}", []


def tag_errors(corp: Corp, tags: Sequence[str]) -> list[FieldError]:
    """What stands against giving a contact these labels, and no others."""
    if not tags:
        return [FieldError("/tags", "required", _("A contact of DingTalk needs a label."))]
    if len(tags) > MOST_TAGS:
        return [FieldError("/tags", "too_many", _("At most %(limit)d labels.") % {"limit": MOST_TAGS})]
    known = set(living_tags([corp]).filter(tag_id__in=tags).values_list("tag_id", flat=True))
    sentence = _("There is no such label.")
    return [
        FieldError(f"/tags/{n}", "not_found", sentence) for n, each in enumerate(tags) if each not in known
    ]


def living_tags(corps: Sequence[Corp]) -> QuerySet[Tag]:
    """The labels that a contact of these corps can be given."""
    return Tag.objects.filter(corp__in=corps, deleted_at=None, type=Tag.Type.CORP)


def _is_known(corp: Corp, number: str) -> bool:
    """Whether somebody who is being created here has it; who is at the provider, the provider knows.

    Phones are encrypted, so the database cannot look them up; of these there are few.
    """
    waiting = (Contact.State.PENDING, Contact.State.FAILED)
    rows = FollowUser.objects.current().filter(contact__corp=corp, contact__state__in=waiting)
    return any(number in row.remark_mobiles for row in rows.only("remark_mobiles").order_by())
