"""Corps: connect one, see its apps and its last run, switch it off."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import StackedInline

from crm.admin.forms import AgentForm, CorpForm
from crm.admin_base import OversightMixin, ScopedAdmin
from crm.admin_cells import badge, moment, person, two_lines
from crm.connections import forget_token
from crm.models import Agent, Corp


class AgentInline(StackedInline):
    """The first app, asked for together with the corp."""

    model = Agent
    form = AgentForm
    fields = ("name", "agentid", "app_key", "secret")
    extra = 0
    min_num = 1
    max_num = 1
    can_delete = False
    verbose_name_plural = _("The app whose secret is used")


@admin.register(Corp)
class CorpAdmin(OversightMixin, ScopedAdmin):
    form = CorpForm
    list_display = ("person_cell", "dialect_cell", "agents_cell", "state_cell", "connected_cell")
    list_filter = ()
    search_fields = ("name", "corpid")
    fields = ("corpid", "name", "dialect", "base_url", "time_zone", "is_active", "is_sending_paused")
    add_label = _("Connect a corp")
    change_form_outer_after_template = "admin/crm/corp_agents.html"

    def get_inlines(self, request: HttpRequest, obj: Any) -> list[Any]:
        return [] if obj else [AgentInline]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("corpid", "dialect") if obj else ()

    def list_rows(self, rows: Any) -> Any:
        return rows.prefetch_related("agents")

    def save_model(self, request: HttpRequest, obj: Corp, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if "base_url" in form.changed_data:
            for agent in obj.agents.all():
                forget_token(agent)

    @admin.display(description=_("corp"), ordering="name")
    def person_cell(self, corp: Corp) -> SafeString:
        return person(corp.name or corp.corpid, corp.corpid, seed=corp.corpid)

    @admin.display(description=_("dialect"), ordering="dialect")
    def dialect_cell(self, corp: Corp) -> SafeString:
        return two_lines(corp.get_dialect_display(), corp.base_url)

    @admin.display(description=_("apps"))
    def agents_cell(self, corp: Corp) -> str:
        return ", ".join(str(agent.agentid) for agent in corp.agents.all()) or "–"

    @admin.display(description=_("state"), ordering="is_active")
    def state_cell(self, corp: Corp) -> SafeString:
        if not corp.is_active:
            return badge(_("switched off"), "left")
        return badge(_("sending paused"), "held") if corp.is_sending_paused else badge(_("active"), "active")

    @admin.display(description=_("connected at"), ordering="created_at")
    def connected_cell(self, corp: Corp) -> SafeString:
        return moment(corp.created_at)
