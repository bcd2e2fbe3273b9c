"""Employees, teams and tags: the mirror of the company, read-only."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from contacts.access import reached_teams, visible_corps
from contacts.admin import filters, slots
from contacts.models import Employee, FollowUser, Tag, Team
from contacts.teams import people_below
from crm.admin_base import ReadOnlyAdmin
from crm.admin_cells import DASH, badge, chips, link, person, state_badge, two_lines
from crm.admin_forms import choices_answer, is_id


class PickableAdmin(ReadOnlyAdmin):
    """A read-only admin whose rows other forms pick from by typing: `choices/` answers one page of them."""

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_choices"
        return [
            path("choices/", self.admin_site.admin_view(self.choices_view), name=name),
            *super().get_urls(),
        ]

    def choices_view(self, request: HttpRequest) -> JsonResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        rows, _distinct = self.get_search_results(request, self.choices(request), request.GET.get("term", ""))
        return choices_answer(request, rows)

    def choices(self, request: HttpRequest) -> QuerySet:
        return self.get_queryset(request)


@admin.register(Employee)
class EmployeeAdmin(PickableAdmin):
    list_display = ("person_cell", "teams_cell", "status_cell", "contacts_cell", "login_cell", "listed_cell")
    list_filter = (filters.CorpFilter, filters.TeamFilter, filters.EmployeeStatusFilter)
    list_select_related = ("corp", "user")
    search_fields = ("name", "userid", "alias")
    search_help_text = _("Name, alias or userid")

    def has_send_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("messaging.add_message"))

    def choices(self, request: HttpRequest) -> QuerySet:
        """Of `corp` parameters, if given; with `reach=1` only the employees in whose name the person may act."""
        rows = self.get_queryset(request)
        if "reach" in request.GET:
            rows = rows.reached_by(request.user).exclude(status=Employee.Status.LEFT)  # type: ignore[attr-defined]
        corps = [pk for pk in request.GET.getlist("corp") if is_id(pk)]
        return (rows.filter(corp__in=corps) if corps else rows).order_by("name", "userid")

    def list_rows(self, rows: QuerySet) -> QuerySet:
        return rows.prefetch_related("teams")

    def load_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        reached = Employee.objects.reached_by(request.user).filter(pk__in=[row.pk for row in rows])
        counts = current_contacts(reached.values("pk"))  # how much a colleague has is not for everybody
        for row in rows:
            row.contacts_count = counts.get(row.pk, 0)

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "title": _("No employees yet"),
            "text": _("The first sync reads who is in the company."),
            "buttons": [],
        }

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method != "GET":
            raise PermissionDenied
        employee = self.get_visible(request, object_id)
        reached = Employee.objects.reached_by(request.user).filter(pk=employee.pk).exists()
        return self.page(
            request,
            "admin/contacts/employee.html",
            title=str(employee),
            obj=employee,
            employee=employee,
            memberships=employee.memberships.select_related("team"),
            is_reached=reached,
            contacts_count=current_contacts([employee.pk]).get(employee.pk, 0) if reached else None,
            buttons=slots.buttons(slots.EMPLOYEE_BUTTONS, request, employee) if reached else [],
        )

    @admin.display(description=_("employee"), ordering="name")
    def person_cell(self, employee: Employee) -> SafeString:
        return person(str(employee), employee.position or employee.userid, seed=employee.userid)

    @admin.display(description=_("teams"))
    def teams_cell(self, employee: Employee) -> SafeString:
        return chips(employee.teams.all())

    @admin.display(description=_("status"), ordering="status")
    def status_cell(self, employee: Employee) -> SafeString:
        return state_badge(employee, "status")

    @admin.display(description=_("current contacts"))
    def contacts_cell(self, employee: Any) -> SafeString:
        if not employee.contacts_count:
            return DASH
        return link(
            f"{reverse('admin:contacts_contact_changelist')}?employee={employee.pk}", employee.contacts_count
        )

    @admin.display(description=_("login"))
    def login_cell(self, employee: Employee) -> SafeString:
        return format_html("{}", employee.user.get_username()) if employee.user else DASH

    @admin.display(description=_("contacts are read"), ordering="is_listed")
    def listed_cell(self, employee: Employee) -> SafeString:
        return badge(_("yes"), "active") if employee.is_listed else badge(_("no"), "left")


def current_contacts(employee_ids: Any) -> dict[int, int]:
    """{employee: number of contacts followed now}, one query."""
    rows = FollowUser.objects.current().filter(employee__in=employee_ids).order_by()
    return dict(rows.values_list("employee").annotate(n=Count("pk")))


@admin.register(Team)
class TeamAdmin(ReadOnlyAdmin):
    list_display = ("name_cell", "parent", "leaders_cell", "members_cell", "state_cell")
    list_filter = (filters.CorpFilter,)
    list_select_related = ("corp", "parent")
    search_fields = ("name",)

    def has_send_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("messaging.add_message"))

    def reach(self, request: HttpRequest, rows: QuerySet) -> QuerySet:
        return rows.filter(corp__in=visible_corps(request.user))

    def get_queryset(self, request: HttpRequest) -> QuerySet:
        return super().get_queryset(request).prefetch_related("memberships__employee", "managers")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method != "GET" or not self.has_view_permission(request):
            raise PermissionDenied
        team = self.get_visible(request, object_id)
        is_reached = reached_teams(request.user).filter(pk=team.pk).exists()
        return self.page(
            request,
            "admin/contacts/team.html",
            title=str(team),
            obj=team,
            team=team,
            state=self.state_cell(team),
            members=self.members_cell(team),
            people=len(people_below(team.corp, [team.pk])[team.pk]),
            leaders=self.leaders_cell(team),
            managers=self.managers_cell(team),
            buttons=slots.buttons(slots.TEAM_BUTTONS, request, team) if is_reached else [],
        )

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        return {"title": _("No teams yet"), "text": _("The first sync reads the departments."), "buttons": []}

    @admin.display(description=_("team"), ordering="name")
    def name_cell(self, team: Team) -> SafeString:
        return two_lines(str(team), str(team.corp))

    @admin.display(description=_("leaders"))
    def leaders_cell(self, team: Team) -> SafeString:
        return chips([one.employee for one in team.memberships.all() if one.is_leader])

    @admin.display(description=_("members"))
    def members_cell(self, team: Team) -> SafeString:
        return link(
            f"{reverse('admin:contacts_employee_changelist')}?team={team.pk}", len(team.memberships.all())
        )

    @admin.display(description=_("managers"))
    def managers_cell(self, team: Team) -> SafeString:
        return chips([user.get_username() for user in team.managers.all()])

    @admin.display(description=_("state"))
    def state_cell(self, team: Team) -> SafeString:
        return badge(_("gone"), "left") if team.absent_since else badge(_("active"), "active")


@admin.register(Tag)
class TagAdmin(PickableAdmin):
    list_display = ("name_cell", "group_name", "type_cell", "contacts_cell", "state_cell")
    list_filter = (filters.CorpFilter,)
    list_select_related = ("corp",)
    search_fields = ("name", "group_name")
    fields = ("name", "group_name", "corp", "tag_id", "type", "deleted_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    def reach(self, request: HttpRequest, rows: QuerySet) -> QuerySet:
        return rows.filter(corp__in=visible_corps(request.user))

    def choices(self, request: HttpRequest) -> QuerySet:
        corps = [pk for pk in request.GET.getlist("corp") if is_id(pk)]
        rows = self.get_queryset(request).filter(deleted_at__isnull=True)
        return rows.filter(corp__in=corps) if corps else rows

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "title": _("No tags yet"),
            "text": _("Customer tags of the company come with the sync, where the provider has them."),
            "buttons": [],
        }

    @admin.display(description=_("tag"), ordering="name")
    def name_cell(self, tag: Tag) -> SafeString:
        return format_html('<bdi class="rm-strong">{}</bdi>', tag.name or tag.tag_id)

    @admin.display(description=_("type"), ordering="type")
    def type_cell(self, tag: Tag) -> str:
        return tag.get_type_display()

    @admin.display(description=_("contacts"))
    def contacts_cell(self, tag: Tag) -> SafeString:
        return link(f"{reverse('admin:contacts_contact_changelist')}?tag={tag.pk}", _("show"))

    @admin.display(description=_("state"))
    def state_cell(self, tag: Tag) -> SafeString:
        return badge(_("deleted"), "left") if tag.deleted_at else badge(_("in use"), "active")
