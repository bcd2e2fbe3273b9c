"""The gate: a verb (Django permission) times the reach (`visible_to`). Faces and actions ask here and nowhere else."""

from collections.abc import Iterable
from typing import TypeVar

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.utils.translation import gettext as _

from contacts.models import Contact, Employee, Tag, Team
from contacts.querysets import led_team_ids, sees_everything
from crm import roles
from crm.errors import NotAllowed, NotFound
from crm.models import Corp

User = AbstractBaseUser | AnonymousUser
Row = TypeVar("Row", bound=models.Model)


def require(user: User, permission: str) -> None:
    """Raise NotAllowed unless `user` holds `permission`, such as `contacts.add_contact`."""
    if not user.has_perm(permission):  # type: ignore[union-attr]
        raise NotAllowed(_("Your role does not allow this."))


def get_visible(user: User, rows: models.QuerySet[Row], pk: int | str) -> Row:
    """The row `pk` of `rows` if `user` reaches it; NotFound otherwise, whether it exists or not."""
    try:
        return rows.visible_to(user).get(pk=pk)  # type: ignore[attr-defined, no-any-return]
    except (ObjectDoesNotExist, ValueError):
        raise NotFound(_("There is no such record.")) from None


def visible_corps(user: User) -> models.QuerySet[Corp]:
    """The corps a person works in: all for who sees everything, else those of the reached employees."""
    reached = Employee.objects.visible_to(user)
    if not reached.query.where:
        return Corp.objects.all()
    return Corp.objects.filter(pk__in=reached.values("corp_id"))


def visible_contacts(user: User, ids: Iterable[int]) -> dict[int, Contact]:
    """{id: contact} of those among `ids` that `user` reaches."""
    return Contact.objects.visible_to(user).select_related("corp").in_bulk(list(ids))


def visible_teams(user: User) -> models.QuerySet[Team]:
    """All teams for who sees everything, else those one leads, with their sub-teams."""
    return Team.objects.all() if sees_everything(user) else Team.objects.filter(pk__in=led_team_ids(user))


def reached_teams(user: User) -> models.QuerySet[Team]:
    """The teams whose people, those of sub-teams included, `user` reaches one and all."""
    return Team.objects.none() if roles.role_of(user) == roles.SALES else visible_teams(user)


def visible_tags(user: User) -> models.QuerySet[Tag]:
    return Tag.objects.filter(corp__in=visible_corps(user))
