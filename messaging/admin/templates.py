"""Templates: written as a message is, tried on a real contact, retired rather than deleted."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from contacts.access import visible_corps
from contacts.admin.filters import ChoiceFilter, CorpFilter
from contacts.models import Contact
from crm.admin_base import ScopedAdmin, actor_of
from crm.admin_cells import DASH, badge, moment, two_lines
from crm.admin_forms import StyledForm, is_id
from crm.connections import can
from crm.errors import CrmError
from crm.models import Corp
from crm.providers import content as contents
from crm.providers.base import Capability
from messaging import letters, templates
from messaging.admin import phone
from messaging.forms import FORMS, ContentForm
from messaging.models import Template

OFFERED = 20  # contacts to try a template on


class TemplateForm(StyledForm):
    """What a template has beside its content; the corp is chosen once."""

    name = forms.CharField(label=_("name"), max_length=64)
    corp = forms.ModelChoiceField(label=_("corp"), queryset=Corp.objects.none(), empty_label=None)
    is_active = forms.BooleanField(
        label=_("in use"), required=False, help_text=_("Off: it is no longer offered when one writes.")
    )

    def __init__(self, data: Any = None, *, corps: QuerySet[Corp] | None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        if corps is None:
            del self.fields["corp"]
        else:
            self.fields["corp"].queryset = corps  # type: ignore[attr-defined]
            del self.fields["is_active"]


class TypeFilter(ChoiceFilter):
    title = _("type")
    parameter_name = "msgtype"
    field = "msgtype"
    options = Template.Type.choices


class ActiveFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "active"
    field = "is_active"
    options = (("1", _("in use")), ("0", _("retired")))


@admin.register(Template)
class TemplateAdmin(ScopedAdmin):
    list_display = ("name_cell", "variables_cell", "corp", "state_cell", "updated_cell")
    list_filter = (TypeFilter, ActiveFilter, CorpFilter)
    list_select_related = ("corp",)
    search_fields = ("name",)
    sortable_by = ()
    add_label = _("New template")

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        may_add = self.has_add_permission(request)
        return {
            "title": _("No templates yet"),
            "text": _("A template is written once and sent in the words for each recipient."),
            "buttons": [(_("New template"), self.url("add"))] if may_add else [],
        }

    # --- the cells
    @admin.display(description=_("name"))
    def name_cell(self, template: Template) -> SafeString:
        return two_lines(template.name, template.get_msgtype_display())

    @admin.display(description=_("variables"))
    def variables_cell(self, template: Template) -> SafeString:
        names = templates.variables_of(contents.parse(template.content))
        return format_html_join(" ", "<code>{{{}}}</code>", ((name,) for name in names)) or DASH

    @admin.display(description=_("state"))
    def state_cell(self, template: Template) -> SafeString:
        return badge(_("in use"), "active") if template.is_active else badge(_("retired"))

    @admin.display(description=_("updated"))
    def updated_cell(self, template: Template) -> SafeString:
        return moment(template.updated_at)

    # --- the pages
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        msgtype = request.GET.get("msgtype", Template.Type.TEXT.value)
        if msgtype not in Template.Type.values:
            raise Http404
        return self._edit(request, None, msgtype)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        template = self.get_visible(request, object_id)
        if self.has_change_permission(request, template):
            return self._edit(request, template, template.msgtype)
        if request.method != "GET":
            raise PermissionDenied
        return self.page(
            request,
            "admin/messaging/template.html",
            title=template.name,
            obj=template,
            **tried(request, template),
        )

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", self.get_visible(request, object_id).pk))

    def _edit(self, request: HttpRequest, template: Template | None, msgtype: str) -> HttpResponse:
        corps = visible_corps(request.user)
        corp = template.corp if template else corps.first()
        data = request.POST if request.method == "POST" else None
        stored = {"name": template.name, "is_active": template.is_active} if template else {"corp": corp}
        about = TemplateForm(data, corps=None if template else corps, initial=stored)
        is_mass = msgtype == "text" and corp is not None and not can(corp, Capability.MESSAGE_CONTACT)
        form = FORMS[msgtype](data, mass=is_mass, stored=template.content if template else {})
        if about.is_valid() and form.is_valid() and (kept := _keep(request, template, about, form)):
            messages.success(request, _now("The template is kept."))
            return HttpResponseRedirect(self.url("change", kept.pk))
        return self.page(
            request,
            "admin/messaging/template_form.html",
            title=template.name if template else _("New template"),
            obj=template,
            write_page=f"admin/messaging/write_{msgtype}.html",
            form=form,
            about=about,
            other=None if template else next(kind for kind in Template.Type if kind != msgtype),
            media=form.media + about.media,
            back=self.url("changelist"),
            **(tried(request, template) if template else {}),
        )


def _keep(
    request: HttpRequest, template: Template | None, about: TemplateForm, form: ContentForm
) -> Template | None:
    """The template, saved; None when something stands against it, which is then said beside its field."""
    told = about.cleaned_data
    who: dict[str, Any] = {"user": request.user, "actor": actor_of(request)}
    try:
        if template is None:
            return templates.create(corp=told["corp"], name=told["name"], content=form.made(), **who)
        return templates.change(
            template, name=told["name"], content=form.made(), is_active=told["is_active"], **who
        )
    except CrmError as error:
        if any(fault.pointer in {"/name", "/corp"} for fault in error.errors):
            about.refuse(error, {"/name": "name", "/corp": "corp"})
        else:
            at = f"/content/{form.msgtype}"
            form.refuse(error, {f"{at}/{name}": name for name in form.fields})
        return None


def tried(request: HttpRequest, template: Template, *, sender: str = "") -> dict[str, Any]:
    """What one contact of the reader's reach would get: the one asked for, else the first.

    `sender` stands for an employee where the reader is none.
    """
    rows = Contact.objects.visible_to(request.user).filter(corp=template.corp_id, state=Contact.State.ACTIVE)
    rows = rows.only("external_userid", "name", "corp_name")
    offered = list(rows.order_by("pk")[:OFFERED])
    asked = request.GET.get("contact", "")
    found = rows.filter(pk=int(asked)).first() if is_id(asked) else None
    contact = found or next(iter(offered), None)
    content = contents.parse(template.content)
    shown = letters.tried_on(content, contact, user=request.user, corp=template.corp) if contact else content
    if sender:
        shown = templates.render(shown, {templates.EMPLOYEE_NAME: sender})
    return {
        "kept": template,
        "contact": contact,
        "offered": [contact, *offered] if found and found not in offered else offered,
        **phone.shown(shown.as_json(), template.corp_id),
    }


def offered(request: HttpRequest, corp_id: int, msgtype: str) -> list[Template]:
    """The templates to begin a message of this type from."""
    if not request.user.has_perm("messaging.view_template"):
        return []
    rows = Template.objects.visible_to(request.user).active()
    return list(rows.filter(corp=corp_id, msgtype=msgtype).defer("content"))
