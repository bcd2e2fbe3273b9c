"""What lists of the mirror can be asked for. No filter reads a masked field (contract C14)."""

from datetime import timedelta
from typing import Any

import django_filters
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from contacts.models import Contact, ContactWay, Employee, FollowUser, SyncRun
from contacts.querysets import ContactQuerySet, FollowUserQuerySet
from crm.api.filters import YesNo, moment, text, whole, words

LONGEST_SILENCE_DAYS = 36_500


def silent(follows: FollowUserQuerySet, days: int) -> FollowUserQuerySet:
    """Those not followed up for `days`; one never followed up counts from the day it was added."""
    since = timezone.now() - timedelta(days=days)
    added = Q(createtime__lt=since.timestamp()) | Q(createtime__isnull=True, created_at__lt=since)
    return follows.filter(Q(last_follow_up_at__lt=since) | (Q(last_follow_up_at__isnull=True) & added))


class ContactFilters(django_filters.FilterSet):
    """`employee`, `stage`, `tag` and `silent_days` mean one and the same current follow user."""

    corp = words("corp__corpid", about="corpid")
    employee = words(method="of_follow", about="userid of a current follower")
    stage = words(method="of_follow", choices=FollowUser.Stage.values)
    tag = words(method="of_follow", about="The provider's tag id; repeated: all of them.")
    silent_days = whole(
        method="of_follow", maximum=LONGEST_SILENCE_DAYS, about="Not followed up for so many days."
    )
    type = whole("type", about="1 WeChat user, 2 WeCom user")
    state = words("state", choices=Contact.State.values)
    external_userid = words("external_userid")
    created_after = moment("created_at", lookup_expr="gt")
    updated_since = moment(
        "updated_at",
        lookup_expr="gte",
        about="Own fields, state or current relations changed at this time or later.",
    )
    way = whole(method="came_by", about="id of a contact way they came by")
    campaign = words(method="came_for", about="Campaign of a contact way they came by.")
    q = text(method="search", about="Part of name, nickname, company or external_userid.")

    def of_follow(self, rows: QuerySet[Contact], name: str, value: Any) -> QuerySet[Contact]:
        return rows  # all of them together, in filter_queryset

    def came_by(self, rows: ContactQuerySet, name: str, value: int) -> ContactQuerySet:
        return rows.came_by(self._ways().filter(pk=value))

    def came_for(self, rows: ContactQuerySet, name: str, value: list[str]) -> ContactQuerySet:
        return rows.came_by(self._ways().filter(campaign__in=value)) if value else rows

    def _ways(self) -> QuerySet[ContactWay]:
        return ContactWay.objects.visible_to(self.request.user)

    def search(self, rows: QuerySet[Contact], name: str, value: str) -> QuerySet[Contact]:
        fields = ("name", "nickname", "corp_name", "external_userid")
        found = Q()
        for field in fields:
            found |= Q(**{f"{field}__icontains": value})
        return rows.filter(found)

    def filter_queryset(self, queryset: QuerySet[Contact]) -> QuerySet[Contact]:
        rows: QuerySet[Contact] = super().filter_queryset(queryset)
        asked = self.form.cleaned_data
        follows = FollowUser.objects.current()
        if asked["employee"]:
            follows = follows.filter(employee__userid__in=asked["employee"])
        if asked["stage"]:
            follows = follows.filter(stage__in=asked["stage"])
        for tag_id in asked["tag"]:
            follows = follows.tagged(tag_id)
        if asked["silent_days"] is not None:
            follows = silent(follows, asked["silent_days"])
        if not follows_asked(asked):
            return rows
        return rows.filter(Exists(follows.filter(contact=OuterRef("pk"))))


def follows_asked(asked: dict[str, Any]) -> bool:
    return bool(asked["employee"] or asked["stage"] or asked["tag"]) or asked["silent_days"] is not None


class FollowUserFilters(django_filters.FilterSet):
    corp = words("contact__corp__corpid", about="corpid")
    contact = whole("contact_id", about="id of a contact")
    employee = words("employee__userid", about="userid")
    stage = words("stage", choices=FollowUser.Stage.values)
    due_before = moment("next_follow_up_at", lookup_expr="lt")
    silent_days = whole(method="silence", maximum=LONGEST_SILENCE_DAYS)
    ended = YesNo("ended_at", lookup_expr="isnull", exclude=True)

    def silence(self, rows: FollowUserQuerySet, name: str, value: int) -> FollowUserQuerySet:
        return silent(rows, value)


class ContactWayFilters(django_filters.FilterSet):
    corp = words("corp__corpid", about="corpid")
    state = words("state", choices=ContactWay.State.values)
    employee = words(method="of_employee", about="userid of an employee it leads to by name")
    campaign = words("campaign")

    def of_employee(self, rows: QuerySet[ContactWay], name: str, value: list[str]) -> QuerySet[ContactWay]:
        if not value:
            return rows
        named = ContactWay.employees.through.objects.filter(contactway=OuterRef("pk"))
        return rows.filter(Exists(named.filter(employee__userid__in=value)))


class EmployeeFilters(django_filters.FilterSet):
    corp = words("corp__corpid", about="corpid")
    userid = words("userid")
    status = words("status", choices=Employee.Status.values)
    team = whole("memberships__team", about="id of a team")


class TeamFilters(django_filters.FilterSet):
    corp = words("corp__corpid", about="corpid")


class TagFilters(django_filters.FilterSet):
    corp = words("corp__corpid", about="corpid")
    type = whole("type")


class SyncRunFilters(django_filters.FilterSet):
    corp = words("corp__corpid", about="corpid")
    state = words("state", choices=SyncRun.State.values)
