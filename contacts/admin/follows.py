"""Follow users: the relations of the employees within reach, with stage and next date set in the list itself."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from contacts.admin import filters, words
from contacts.admin.contact_page import instant
from contacts.follow_up import plan_follow_up
from contacts.models import Employee, FollowUser
from crm.admin_base import ScopedAdmin, actor_of
from crm.admin_cells import DASH, badge, moment, person, two_lines
from crm.errors import CrmError


class PlanRowForm(forms.ModelForm):
    """One row of the list: small inputs, the browser's own date picker."""

    next_follow_up_at = forms.DateTimeField(
        label=_("next follow-up"),
        required=False,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput({"type": "datetime-local", "class": "rm-input"}, format="%Y-%m-%dT%H:%M"),
    )

    class Meta:
        model = FollowUser
        fields = ("stage", "next_follow_up_at")
        widgets = {"stage": forms.Select({"class": "rm-input"})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            return
        for name in {"stage", "next_follow_up_at"} & self.fields.keys():
            field = self.fields[name]
            field.widget.attrs["aria-label"] = f"{capfirst(field.label)}: {self.instance}"


@admin.register(FollowUser)
class FollowUserAdmin(ScopedAdmin):
    list_display = (
        "contact_cell",
        "employee_cell",
        "stage",
        "next_follow_up_at",
        "last_cell",
        "added_cell",
        "ended_cell",
    )
    list_editable = ("stage", "next_follow_up_at")
    list_filter = (
        filters.FollowEmployeeFilter,
        filters.StageFilter,
        filters.DueFilter,
        filters.EndedFilter,
        type("FollowCorpFilter", (filters.CorpFilter,), {"path": "contact__corp"}),
    )
    list_select_related = ("contact__corp", "employee")
    search_fields = ("contact__name", "contact__corp_name", "contact__external_userid")
    search_help_text = _("Name, company or id of the contact")
    sortable_by = ("next_follow_up_at", "added_cell")
    form = PlanRowForm
    fields = (
        "contact_link",
        "employee",
        "remark",
        "channel",
        "stage",
        "next_follow_up_at",
        "last_follow_up_at",
        "ended_cell",
    )
    readonly_fields = ("contact_link", "employee", "remark", "channel", "last_follow_up_at", "ended_cell")

    def reach(self, request: HttpRequest, rows: QuerySet) -> QuerySet:
        """One's own relations, a manager's those of the led teams (contract C12)."""
        reached = Employee.objects.reached_by(request.user)
        return rows.visible_to(request.user).filter(employee__in=reached).defer("raw")  # type: ignore[attr-defined]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        may = self.has_change_permission(request, obj)
        return [name for name in self.fields if may or name != "remark"]  # an auditor reads no free text

    def get_changelist_form(self, request: HttpRequest, **kwargs: Any) -> Any:
        return PlanRowForm

    def save_model(self, request: HttpRequest, obj: FollowUser, form: Any, change: bool) -> None:
        try:
            plan_follow_up(
                obj,
                user=request.user,
                actor=actor_of(request),
                stage=obj.stage,
                next_follow_up_at=obj.next_follow_up_at,
            )
        except CrmError as error:
            messages.error(request, f"{obj.contact}: {error}")

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None  # the event of plan_follow_up is the history

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "title": _("No relations yet"),
            "text": _("A relation says which employee follows which contact; the sync brings them."),
            "buttons": [(_("Contacts"), reverse("admin:contacts_contact_changelist"))],
        }

    @admin.display(description=_("contact"))
    def contact_cell(self, follow: FollowUser) -> SafeString:
        contact = follow.contact
        return person(str(contact), contact.corp_name, seed=contact.external_userid)

    @admin.display(description=_("contact"))
    def contact_link(self, follow: FollowUser) -> SafeString:
        url = reverse("admin:contacts_contact_change", args=(follow.contact_id,))
        return format_html('<a class="rm-link" href="{}"><bdi>{}</bdi></a>', url, follow.contact)

    @admin.display(description=_("followed by"))
    def employee_cell(self, follow: FollowUser) -> str:
        return str(follow.employee)

    @admin.display(description=_("last follow-up"))
    def last_cell(self, follow: FollowUser) -> SafeString:
        return moment(follow.last_follow_up_at)

    @admin.display(description=_("added"), ordering="createtime")
    def added_cell(self, follow: FollowUser) -> SafeString:
        return two_lines(
            moment(instant(follow.createtime)), words.add_way(follow.add_way) if follow.add_way else ""
        )

    @admin.display(description=_("relation"))
    def ended_cell(self, follow: FollowUser) -> SafeString:
        if follow.ended_at:
            return badge(_("ended"), "ended", title=follow.get_ended_source_display())
        late = follow.next_follow_up_at is not None and follow.next_follow_up_at < timezone.now()
        return badge(_("overdue"), "failed") if late else badge(_("current"), "active")

    @admin.display(description=_("channel"))
    def channel(self, follow: FollowUser) -> SafeString:
        return format_html("<bdi>{}</bdi>", follow.state) if follow.state else DASH
