"""Logins: who they are, which role they have, which employee they are linked to. For administrators."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin as StockUserAdmin
from django.contrib.auth.models import Group
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminPasswordChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget

from contacts.models import Employee
from crm import roles
from crm.admin_base import OversightMixin, ScopedAdmin, is_administrator
from crm.admin_cells import DASH, badge, moment, person
from crm.admin_forms import ChoicesSelect

User = get_user_model()

ROLE_NAMES = {
    roles.SALES: _("sales"),
    roles.MANAGER: _("manager"),
    roles.ADMINISTRATOR: _("administrator"),
    roles.AUDITOR: _("auditor"),
}


class RoleFields(forms.ModelForm):
    """Role and employee of a login. A role is a group; everything it may do is set in code (crm.roles)."""

    role = forms.ChoiceField(label=_("Role"), choices=ROLE_NAMES.items(), widget=UnfoldAdminSelectWidget)
    linked_employee = forms.ModelChoiceField(
        label=_("Employee"),
        queryset=Employee.objects.none(),
        required=False,
        help_text=_("Sales see what this employee follows; leaders of teams see their teams."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "linked_employee" in self.fields:
            field = self.fields["linked_employee"]
            field.queryset = Employee.objects.select_related("corp")  # type: ignore[attr-defined]
            field.widget = ChoicesSelect("admin:contacts_employee_choices")
            field.widget.choices = field.choices  # type: ignore[attr-defined]
        if self.instance.pk:
            self.initial["role"] = roles.role_of(self.instance) or roles.SALES
            self.initial["linked_employee"] = getattr(self.instance, "employee", None)

    def clean_linked_employee(self) -> Employee | None:
        employee: Employee | None = self.cleaned_data["linked_employee"]
        if employee is not None and employee.user_id not in (None, self.instance.pk):
            raise forms.ValidationError(_("This employee is linked to another login already."))
        return employee


class ChangeForm(RoleFields):
    class Meta:
        model = User
        fields = ("first_name", "last_name", "email", "is_active")


class AddForm(RoleFields, UserCreationForm):
    class Meta:
        model = User
        fields = ("username",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)


if admin.site.is_registered(User):
    admin.site.unregister(User)


@admin.register(User)
class UserAdmin(OversightMixin, ScopedAdmin, StockUserAdmin):  # type: ignore[misc]
    form = ChangeForm
    add_form = AddForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("person_cell", "role_cell", "employee_cell", "active_cell", "seen_cell")
    list_filter = ()
    list_select_related = ("employee",)
    search_fields = ("username", "first_name", "last_name")
    filter_horizontal = ()
    waits_for_corp = False
    ordering = ("username",)
    add_label = _("Add a login")
    fieldsets = (
        (None, {"fields": ("username", "role", "linked_employee", "is_active")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "role", "linked_employee", "password1", "password2")}),)
    change_form_outer_after_template = "admin/contacts/user_tools.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return is_administrator(request)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return is_administrator(request)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("username",) if obj else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None and (
            obj.pk == request.user.pk or obj.is_superuser or not self.has_change_permission(request)
        ):
            # Nobody changes or disables themselves; a superuser is made and unmade on the command line only.
            return ((None, {"fields": ("username", "first_name", "last_name", "email")}),)
        return super().get_fieldsets(request, obj)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        """Fields of ours that the fieldsets leave out must not be posted either."""
        form = super().get_form(request, obj, change=change, **kwargs)
        for name in {"role", "linked_employee"} - set(flatten_fieldsets(self.get_fieldsets(request, obj))):
            form.base_fields.pop(name, None)
        return form

    def list_rows(self, rows: QuerySet) -> QuerySet:
        return rows.prefetch_related("groups")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.is_staff = True  # there is no other page than this one
        if change and self._would_lock_out(obj, form):
            messages.error(request, _("The last active administrator stays as they are."))
            return
        super().save_model(request, obj, form, change)
        if "role" in form.cleaned_data:
            obj.groups.set(Group.objects.filter(name=form.cleaned_data["role"]))
            self._link(obj, form.cleaned_data["linked_employee"])

    def _link(self, user: Any, employee: Employee | None) -> None:
        pk = employee.pk if employee else 0
        Employee.objects.filter(user=user).exclude(pk=pk).update(user=None)
        Employee.objects.filter(pk=pk).update(user=user)

    def _would_lock_out(self, obj: Any, form: Any) -> bool:
        stays = form.cleaned_data.get("role", roles.ADMINISTRATOR) == roles.ADMINISTRATOR and obj.is_active
        administrators = User.objects.filter(is_active=True, groups__name=roles.ADMINISTRATOR)
        superusers = User.objects.filter(is_active=True, is_superuser=True)
        was = administrators.filter(pk=obj.pk).exists()
        return (
            was and not stays and not administrators.exclude(pk=obj.pk).exists() and not superusers.exists()
        )

    @admin.display(description=_("login"), ordering="username")
    def person_cell(self, user: Any) -> SafeString:
        return person(
            user.get_full_name() or user.get_username(), user.get_username(), seed=user.get_username()
        )

    @admin.display(description=_("role"))
    def role_cell(self, user: Any) -> SafeString:
        names = {group.name for group in user.groups.all()}
        role = (
            roles.ADMINISTRATOR
            if user.is_superuser
            else next((r for r in reversed(roles.ROLES) if r in names), "")
        )
        return badge(ROLE_NAMES.get(role, _("none")), "contacted" if role else "left")

    @admin.display(description=_("employee"))
    def employee_cell(self, user: Any) -> SafeString:
        employee = getattr(user, "employee", None)
        if employee is None:
            return DASH
        url = reverse("admin:contacts_employee_change", args=(employee.pk,))
        return format_html('<a class="rm-link" href="{}"><bdi>{}</bdi></a>', url, employee)

    @admin.display(description=_("state"), ordering="is_active")
    def active_cell(self, user: Any) -> SafeString:
        return badge(_("active"), "active") if user.is_active else badge(_("disabled"), "disabled")

    @admin.display(description=_("last login"), ordering="last_login")
    def seen_cell(self, user: Any) -> SafeString:
        return moment(user.last_login)
