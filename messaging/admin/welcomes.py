"""Welcome messages: kept, tried on a contact, retired rather than deleted."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from contacts.access import visible_corps
from contacts.admin.filters import ChoiceFilter, CorpFilter
from contacts.models import ContactWay, Employee
from crm.admin_base import ScopedAdmin, actor_of
from crm.admin_cells import badge, chips, link, moment, two_lines
from crm.admin_forms import choices_answer, is_id
from crm.connections import can
from crm.errors import CrmError
from crm.models import Corp
from crm.providers.base import Capability
from messaging import welcomes
from messaging.admin.templates import tried
from messaging.forms.welcomes import FIELDS, WelcomeForm, stored
from messaging.models import Greeting, Template, Welcome

COUNTED = timedelta(days=30)


class ScopeFilter(ChoiceFilter):
    title = _("for")
    parameter_name = "scope"
    field = "scope"
    options = Welcome.Scope.choices


class ActiveFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "active"
    field = "is_active"
    options = (("1", _("in use")), ("0", _("retired")))


@admin.register(Welcome)
class WelcomeAdmin(ScopedAdmin):
    list_display = ("name_cell", "scope_cell", "said_cell", "corp", "state_cell", "updated_cell")
    list_filter = (ScopeFilter, ActiveFilter, CorpFilter)
    list_select_related = ("corp", "template", "way")
    search_fields = ("name",)
    sortable_by = ()
    add_label = _("New welcome message")

    def get_urls(self) -> list[URLPattern]:
        ways = path("ways/", self.admin_site.admin_view(self.ways_view), name="messaging_welcome_ways")
        return [ways, *super().get_urls()]

    def ways_view(self, request: HttpRequest) -> JsonResponse:
        """The contact ways to choose from, by typing."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        corps = [int(pk) for pk in request.GET.getlist("corp") if is_id(pk)]
        rows = ContactWay.objects.visible_to(request.user).standing().defer("picture")
        term = request.GET.get("term", "").replace("\0", "")
        return choices_answer(request, rows.filter(corp__in=corps, campaign__icontains=term))

    def list_rows(self, rows: QuerySet) -> QuerySet:
        return rows.prefetch_related("employees").defer("way__picture")

    def load_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        since = timezone.now() - COUNTED
        said = Greeting.objects.visible_to(request.user).filter(welcome__in=rows, created_at__gt=since)
        said = said.filter(state=Greeting.State.ACCEPTED).order_by()
        counts = dict(said.values_list("welcome").annotate(n=Count("pk")))
        for row in rows:
            row.shown_said = counts.get(row.pk, 0)

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        may_add = self.has_add_permission(request)
        return {
            "title": _("No welcome messages yet"),
            "text": _("A welcome message is said by itself to who adds an employee, within 20 seconds."),
            "buttons": [(_("New welcome message"), self.url("add"))] if may_add else [],
        }

    # --- the cells
    @admin.display(description=_("name"))
    def name_cell(self, welcome: Welcome) -> SafeString:
        return two_lines(welcome.name, welcome.template.name)

    @admin.display(description=_("for"))
    def scope_cell(self, welcome: Welcome) -> SafeString:
        if welcome.scope == Welcome.Scope.EMPLOYEES:
            return chips(each for each in welcome.employees.all())
        return two_lines(welcome.way or welcome.get_scope_display(), welcome.way and _now("contact way"))

    @admin.display(description=_("said"))
    def said_cell(self, welcome: Any) -> SafeString:
        url = reverse("admin:messaging_greeting_changelist")
        text = _now("%(n)d in 30 days") % {"n": welcome.shown_said}
        return link(f"{url}?welcome={welcome.pk}", text)

    @admin.display(description=_("state"))
    def state_cell(self, welcome: Welcome) -> SafeString:
        return badge(_("in use"), "active") if welcome.is_active else badge(_("retired"))

    @admin.display(description=_("updated"))
    def updated_cell(self, welcome: Welcome) -> SafeString:
        return moment(welcome.updated_at)

    # --- the pages
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        corps = [corp for corp in visible_corps(request.user) if can(corp, Capability.WELCOME)]
        if not corps:
            messages.warning(request, _now("None of your corps has a provider with welcome messages."))
            return HttpResponseRedirect(self.url("changelist"))
        asked = request.GET.get("corp", "")
        corp = next((each for each in corps if str(each.pk) == asked), corps[0])
        return self._edit(request, corp, None, [each for each in corps if each != corp])

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        welcome = self.get_visible(request, object_id)
        if welcomes.may_keep(welcome, request.user):
            return self._edit(request, welcome.corp, welcome)
        if request.method != "GET":
            raise PermissionDenied
        return self.page(
            request,
            "admin/messaging/welcome.html",
            title=welcome.name,
            obj=welcome,
            welcome=welcome,
            employees=list(welcome.employees.all()),
            back=self.url("changelist"),
            **_tried(request, welcome.template, welcome),
        )

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", self.get_visible(request, object_id).pk))

    def _edit(
        self, request: HttpRequest, corp: Corp, welcome: Welcome | None, other_corps: Any = ()
    ) -> HttpResponse:
        data = request.POST if request.method == "POST" else None
        picked = _picked(request, corp)
        initial = stored(welcome) if welcome else {"template": picked, "is_active": True}
        form = WelcomeForm(data, user=request.user, corp=corp, welcome=welcome, initial=initial)
        if form.is_valid() and (kept := _keep(request, corp, welcome, form)):
            messages.success(request, _now("The welcome message is kept."))
            return HttpResponseRedirect(self.url("change", kept.pk))
        template = welcome.template if welcome else picked
        may_write = request.user.has_perm("messaging.add_template")
        return self.page(
            request,
            "admin/messaging/welcome_form.html",
            title=welcome.name if welcome else _("New welcome message"),
            obj=welcome,
            form=form,
            other_corps=other_corps,
            media=form.media,
            new_template=reverse("admin:messaging_template_add") if may_write else "",
            back=self.url("changelist"),
            **(_tried(request, template, welcome) if template else {}),
        )


def _picked(request: HttpRequest, corp: Corp) -> Template | None:
    """The template that the address names, to begin with."""
    asked = request.GET.get("template", "")
    rows = Template.objects.visible_to(request.user).active().filter(corp=corp)
    return rows.filter(pk=int(asked)).first() if is_id(asked) else None


def _tried(request: HttpRequest, template: Template, welcome: Welcome | None) -> dict[str, Any]:
    """What the phone shows: in the name of one of its employees, or of a colleague."""
    own = welcome.employees.order_by("pk").first() if welcome else None
    colleagues = Employee.objects.visible_to(request.user).filter(corp=template.corp_id)
    sender = own or colleagues.filter(status=Employee.Status.ACTIVE).order_by("pk").first()
    return tried(request, template, sender=str(sender or ""))


def _keep(request: HttpRequest, corp: Corp, welcome: Welcome | None, form: WelcomeForm) -> Welcome | None:
    """The welcome, saved; None when something stands against it, which is then said beside its field."""
    who: dict[str, Any] = {"user": request.user, "actor": actor_of(request)}
    try:
        if welcome is None:
            return welcomes.create(corp=corp, **form.told(), **who)
        return welcomes.change(welcome, **form.told(), **who)
    except CrmError as error:
        form.refuse(error, {f"/{name}": name for name in FIELDS})
        return None
