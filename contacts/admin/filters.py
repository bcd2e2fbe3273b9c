"""Filters of the lists. Their choices are as narrow as the rows: a choice must not tell what the list hides.

Found the hard way: guarantees F7.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib.admin import SimpleListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter

from contacts.access import visible_corps
from contacts.models import Contact, ContactWay, Employee, FollowUser, Tag, Team
from crm.admin_forms import ChoicesSelect, is_id


class ChoiceFilter(DropdownFilter):
    """A dropdown over one column of the list's own model."""

    field = ""
    options: Any = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return list(self.options)

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        known = {str(value) for value, _label in self.options}
        if not self.value():
            return queryset
        return queryset.filter(**{self.field: self.value()}) if self.value() in known else queryset.none()


class CorpFilter(DropdownFilter):
    """By corpid, among the corps within reach. Left out where there is only one."""

    title = _("corp")
    parameter_name = "corp"
    path = "corp"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(corp.corpid, str(corp)) for corp in visible_corps(request.user)]

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(**{f"{self.path}__corpid": self.value()}) if self.value() else queryset


class PickFilter(SimpleListFilter):
    """A filter whose one choice is found by typing; `rows` are those a person may pick from."""

    template = "unfold/filters/filters_field.html"
    url_name = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self.request = request
        return []

    def has_output(self) -> bool:
        return True

    def rows(self, request: HttpRequest) -> QuerySet:
        raise NotImplementedError

    def picked(self) -> Any:
        value = str(self.value() or "")
        return self.rows(self.request).filter(pk=int(value)).first() if is_id(value) else None

    def choices(self, changelist: Any) -> Iterator[Any]:
        form = PickFilter.Form({str(self.parameter_name): self.value() or ""})
        label = _(" By %(filter_title)s ") % {"filter_title": self.title}
        field = forms.ModelChoiceField(label=label, queryset=self.rows(self.request), required=False)
        field.widget = ChoicesSelect(self.url_name)
        field.widget.choices = field.choices
        form.fields[str(self.parameter_name)] = field
        yield {"form": form}

    class Form(forms.Form):
        Media = ChoicesSelect.Media

    form_class = Form


class EmployeeFilter(PickFilter):
    title = _("employee")
    parameter_name = "employee"
    url_name = "admin:contacts_employee_choices"

    def rows(self, request: HttpRequest) -> QuerySet:
        return Employee.objects.visible_to(request.user)

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if not self.value():
            return queryset
        employee = self.picked()
        return self.narrow(queryset, employee) if employee else queryset.none()

    def narrow(self, queryset: Any, employee: Employee) -> QuerySet:
        return queryset.followed_by(employee)


class FollowEmployeeFilter(EmployeeFilter):
    def rows(self, request: HttpRequest) -> QuerySet:
        return Employee.objects.reached_by(request.user)

    def narrow(self, queryset: Any, employee: Employee) -> QuerySet:
        return queryset.filter(employee=employee)


class TagFilter(PickFilter):
    title = _("tag")
    parameter_name = "tag"
    url_name = "admin:contacts_tag_choices"

    def rows(self, request: HttpRequest) -> QuerySet:
        return Tag.objects.filter(corp__in=visible_corps(request.user), deleted_at__isnull=True)

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet:
        if not self.value():
            return queryset
        tag = self.picked()
        return queryset.filter(corp=tag.corp_id).tagged(tag.tag_id) if tag else queryset.none()


class StateFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "state"
    field = "state"
    options = Contact.State.choices


class WayFilter(DropdownFilter):
    """By the contact way they came by, the latest ones first."""

    title = _("came by")
    parameter_name = "way"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self.rows = ContactWay.objects.visible_to(request.user)
        found = self.rows.filter(contact__isnull=True).order_by("-pk").values_list("pk", "campaign")
        return [(str(pk), campaign) for pk, campaign in found[:200]]

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet:
        value = str(self.value() or "")
        if not value:
            return queryset
        return queryset.came_by(self.rows.filter(pk=int(value))) if is_id(value) else queryset.none()


class TypeFilter(ChoiceFilter):
    title = _("type")
    parameter_name = "type"
    field = "type"
    options = Contact.Type.choices


class ContactStageFilter(ChoiceFilter):
    title = _("stage")
    parameter_name = "stage"
    options = FollowUser.Stage.choices

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet:
        return queryset.in_stage(self.value()) if self.value() else queryset


class StageFilter(ChoiceFilter):
    title = _("stage")
    parameter_name = "stage"
    field = "stage"
    options = FollowUser.Stage.choices


class DueFilter(DropdownFilter):
    title = _("next follow-up")
    parameter_name = "due"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("overdue", _("overdue")),
            ("today", _("today")),
            ("week", _("within 7 days")),
            ("none", _("no date")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        now = timezone.localtime()
        tonight = now.replace(hour=23, minute=59, second=59, microsecond=0)
        narrowed: dict[Any, dict[str, Any]] = {
            "overdue": {"next_follow_up_at__lt": now},
            "today": {"next_follow_up_at__gte": now, "next_follow_up_at__lte": tonight},
            "week": {"next_follow_up_at__gte": now, "next_follow_up_at__lt": now + timedelta(days=7)},
            "none": {"next_follow_up_at__isnull": True},
        }
        return queryset.filter(**narrowed[self.value()]) if self.value() in narrowed else queryset


class EndedFilter(DropdownFilter):
    """Current relations unless asked otherwise."""

    title = _("relation")
    parameter_name = "ended"
    all_option = ("", _("current"))

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("true", _("ended")), ("all", _("all"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() == "all":
            return queryset
        return queryset.filter(ended_at__isnull=self.value() != "true")


class EmployeeStatusFilter(ChoiceFilter):
    title = _("status")
    parameter_name = "status"
    field = "status"
    options = Employee.Status.choices


class TeamFilter(DropdownFilter):
    title = _("team")
    parameter_name = "team"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = Team.objects.filter(corp__in=visible_corps(request.user), absent_since__isnull=True)
        return [(str(team.pk), str(team)) for team in rows[:500]]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        known = {value for value, _label in self.lookup_choices}
        if not self.value():
            return queryset
        return queryset.filter(teams=self.value()) if self.value() in known else queryset.none()
