"""The reading vocabulary of the mirror. Every face reads through `visible_to`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Self

from django.apps import apps
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import connections, models
from django.db.models import Exists, F, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, Lower

from crm import roles

if TYPE_CHECKING:
    from contacts.models import Contact, ContactWay, Employee, FollowUser, SyncRun  # noqa: F401  (in string annotations)

User = AbstractBaseUser | AnonymousUser


def sees_everything(user: User) -> bool:
    return roles.role_of(user) in {roles.ADMINISTRATOR, roles.AUDITOR}


def led_team_ids(user: User) -> set[int]:
    """The teams `user` leads (at the provider, or here by a manager's link), with all their sub-teams."""
    if not hasattr(user, "_led_team_ids"):
        # A request has its own user object, so nothing is remembered beyond the request.
        setattr(user, "_led_team_ids", _find_led_teams(user))  # noqa: B010
    return getattr(user, "_led_team_ids")  # type: ignore[no-any-return]  # noqa: B009


def _find_led_teams(user: User) -> set[int]:
    teams = apps.get_model("contacts", "Team").objects
    led = set(teams.filter(Q(managers=user.pk) | leads(user)).values_list("pk", flat=True))
    if not led:
        return led
    return sub_teams(teams.filter(corp__teams__in=led).values_list("pk", "parent_id").distinct(), led)


def sub_teams(parents: Iterable[tuple[int, int | None]], roots: set[int]) -> set[int]:
    """`roots` and all teams below them, by the (id, parent's id) pairs of their corps."""
    children: dict[int | None, list[int]] = {}
    for pk, parent_id in parents:
        children.setdefault(parent_id, []).append(pk)
    reached, waiting = set(roots), list(roots)
    while waiting:
        found = [pk for pk in children.get(waiting.pop(), ()) if pk not in reached]
        reached.update(found)
        waiting.extend(found)
    return reached


def leads(user: User) -> Q:
    return Q(memberships__employee__user=user.pk, memberships__is_leader=True)


class EmployeeQuerySet(models.QuerySet["Employee"]):
    def reached_by(self, user: User) -> Self:
        """The employees whose follows `user` may see: everyone, the led teams and oneself, or oneself."""
        role = roles.role_of(user)
        if sees_everything(user):
            return self
        if role == roles.MANAGER:
            memberships = apps.get_model("contacts", "TeamMembership").objects
            members = memberships.filter(team__in=led_team_ids(user)).values("employee_id")
            return self.filter(Q(pk__in=members) | Q(user=user.pk))
        if role == roles.SALES:
            return self.filter(user=user.pk)
        return self.none()

    def named(self, userids: Iterable[str]) -> dict[str, Employee]:
        """{userid as asked for: employee}. The provider ignores the case of userids; an exact match goes first."""
        wanted = {userid for userid in userids if "\0" not in userid}
        lowered = {userid.lower() for userid in wanted}
        rows = self.annotate(lowered=Lower("userid")).filter(Q(userid__in=wanted) | Q(lowered__in=lowered))
        exact = {row.userid: row for row in rows}
        alike = {row.userid.lower(): row for row in exact.values()}
        found = {userid: exact.get(userid) or alike.get(userid.lower()) for userid in wanted}
        return {userid: row for userid, row in found.items() if row is not None}

    def visible_to(self, user: User) -> Self:
        """The employees a person may look up: colleagues of one's own corp, so that a follow can be named."""
        if sees_everything(user):
            return self
        own = type(self)(self.model).reached_by(user).values("corp_id")
        return self.filter(corp__in=own)


class ContactQuerySet(models.QuerySet["Contact"]):
    def visible_to(self, user: User) -> Self:
        """The contacts that an employee within the reach of `user` follows now (contract C13)."""
        if sees_everything(user):
            return self
        return self.filter(Exists(_current_follows().filter(employee__in=_reach(user))))

    def followed_by(self, employee: Employee) -> Self:
        return self.filter(Exists(_current_follows().filter(employee=employee)))

    def tagged(self, tag_id: str) -> Self:
        """Contacts with a current follower who set the corp tag `tag_id`."""
        return self.filter(Exists(_current_follows().tagged(tag_id)))

    def in_stage(self, stage: str) -> Self:
        return self.filter(Exists(_current_follows().filter(stage=stage)))

    def came_by(self, ways: models.QuerySet[ContactWay]) -> Self:
        """Contacts who came by one of `ways`."""
        arrivals = apps.get_model("contacts", "Arrival").objects.filter(way__in=ways)
        return self.filter(Exists(arrivals.filter(follow_user__contact=OuterRef("pk"))))

    def with_followers(self) -> Self:
        """Prefetch the follow users with their employees: two queries, however many rows."""
        follows = (
            _follows()
            .select_related("employee")
            .defer("raw")
            .order_by(F("ended_at").asc(nulls_first=True), "pk")
        )
        return self.prefetch_related(models.Prefetch("follow_users", queryset=follows))


class FollowUserQuerySet(models.QuerySet["FollowUser"]):
    def current(self) -> Self:
        return self.filter(ended_at__isnull=True)

    def visible_to(self, user: User) -> Self:
        """All follow users of the contacts that `user` may see: colleagues stand side by side."""
        if sees_everything(user):
            return self
        return self.filter(Exists(_current_follows("contact").filter(employee__in=_reach(user))))

    def tagged(self, tag_id: str) -> Self:
        # SQLite has no JSON containment; an id of a tag holds no quote, so its quoted form is found exactly.
        if connections[self.db].vendor == "postgresql":
            return self.filter(tag_ids__contains=[tag_id])
        return self.filter(tag_ids__icontains=f'"{tag_id}"')


class SyncRunQuerySet(models.QuerySet["SyncRun"]):
    def visible_to(self, user: User) -> Self:
        """All runs for who sees everything; a manager sees those of the corps of the led teams; sales none."""
        if sees_everything(user):
            return self
        if roles.role_of(user) == roles.MANAGER:
            corps = (
                apps.get_model("contacts", "Team").objects.filter(pk__in=led_team_ids(user)).values("corp_id")
            )
            return self.filter(corp__in=corps)
        return self.none()

    def active(self) -> Self:
        return self.filter(state__in=self.model.ACTIVE)


class ContactWayQuerySet(models.QuerySet["ContactWay"]):
    def visible_to(self, user: User) -> Self:
        """The ways that lead to an employee whom `user` reaches, by name or by team, and those one made."""
        if sees_everything(user):
            return self
        if not roles.role_of(user):
            return self.none()
        way = self.model
        reached = _reach(user)
        named = way.employees.through.objects.filter(contactway=OuterRef("pk"), employee__in=reached)
        teams = way.teams.through.objects.filter(contactway=OuterRef("pk"), team__in=led_team_ids(user))
        return self.filter(Exists(named) | Exists(teams) | Q(created_by=user.pk))

    def with_people(self) -> Self:
        """Its corp, and its employees, teams and tags: four queries, however many rows."""
        rows = self.select_related("corp", "created_by")
        return rows.prefetch_related(
            models.Prefetch("employees", apps.get_model("contacts", "Employee").objects.order_by("userid")),
            models.Prefetch("teams", apps.get_model("contacts", "Team").objects.order_by("department_id")),
            models.Prefetch("tags", apps.get_model("contacts", "Tag").objects.order_by("tag_id")),
        )

    def with_arrivals(self, user: User) -> Self:
        """`seen_arrivals`: how many contacts that `user` may see came by it."""
        contacts = apps.get_model("contacts", "Contact").objects.visible_to(user)
        rows = apps.get_model("contacts", "Arrival").objects.filter(way=OuterRef("pk"))
        if not sees_everything(user):
            rows = rows.filter(follow_user__contact__in=contacts.values("pk"))
        number = models.Count("follow_user__contact", distinct=True)
        counted = rows.order_by().values("way").annotate(n=number).values("n")
        return self.annotate(seen_arrivals=Coalesce(Subquery(counted), 0))

    def standing(self) -> Self:
        """Those whose end nobody has asked for."""
        return self.exclude(state__in=self.model.ENDED)


def _follows() -> FollowUserQuerySet:
    return apps.get_model("contacts", "FollowUser").objects.all()


def _current_follows(contact: str = "pk") -> FollowUserQuerySet:
    """Live follows of the outer query's contact, for Exists."""
    return _follows().filter(contact=OuterRef(contact), ended_at__isnull=True)


def _reach(user: User) -> Subquery:
    return Subquery(apps.get_model("contacts", "Employee").objects.reached_by(user).values("pk"))
