"""What a page of rows needs besides its rows, each in one query however long the page."""

from collections.abc import Iterable, Sequence

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db.models import OuterRef, Subquery
from django.utils.translation import gettext as _

from contacts.access import visible_corps
from contacts.models import Contact, FollowUser, Tag
from crm.errors import FieldError, Invalid
from crm.models import Corp, Event


def tags_of(follows: Iterable[FollowUser]) -> dict[tuple[int, str], Tag]:
    """{(corp id, tag id): tag} of every corp tag that `follows` carry; no query when they carry none."""
    wanted = {(follow.employee.corp_id, tag_id) for follow in follows for tag_id in follow.tag_ids}
    if not wanted:
        return {}
    corps, ids = {corp for corp, _id in wanted}, {tag_id for _corp, tag_id in wanted}
    return {(tag.corp_id, tag.tag_id): tag for tag in Tag.objects.filter(corp__in=corps, tag_id__in=ids)}


def last_seqs(contacts: Sequence[Contact]) -> dict[int, int]:
    """{contact id: the highest seq of its timeline}, contacts without history left out."""
    history = Event.objects.filter(contact_id=OuterRef("pk")).order_by("-seq").values("seq")
    rows = Contact.objects.filter(pk__in=[contact.pk for contact in contacts])
    found = rows.order_by().values_list("pk", Subquery(history[:1]))
    return {pk: seq for pk, seq in found if seq is not None}


def corp_named(user: AbstractBaseUser | AnonymousUser, corpid: str) -> Corp:
    """The corp of a body, within reach; Invalid otherwise, whether it exists or not (contract C6)."""
    corp = visible_corps(user).filter(corpid=corpid).first()
    if corp is None:
        raise Invalid(errors=[FieldError("/corp", "not_found", _("There is no such corp."))])
    return corp
