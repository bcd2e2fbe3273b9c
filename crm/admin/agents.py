"""Agents: one app credential each. Secrets go in and never come out; a test asks the provider who is visible."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from crm.admin.forms import AgentForm
from crm.admin_base import OversightMixin, ScopedAdmin
from crm.admin_cells import badge, moment, two_lines
from crm.admin_words import provider_sentence
from crm.connections import forget_token, keep_replaced_keys, open_provider
from crm.models import Agent
from crm.providers.errors import ProviderError


@admin.register(Agent)
class AgentAdmin(OversightMixin, ScopedAdmin):
    form = AgentForm
    list_display = ("name_cell", "corp", "callback_cell", "token_cell", "connected_cell")
    list_select_related = ("corp", "access_token")
    search_fields = ("name", "agentid")
    add_label = _("Add an app")
    fieldsets = (
        (None, {"fields": ("corp", "name", "agentid", "app_key", "secret")}),
        (_("Callbacks"), {"fields": ("callback_token", "callback_aes_key")}),
    )
    change_form_outer_after_template = "admin/crm/agent_tools.html"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("corp", "agentid") if obj else ()

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if self.has_change_permission(request) or obj is None:
            return self.fieldsets
        return (
            (None, {"fields": ("corp", "name", "agentid")}),
        )  # who may not change it sees no secret's place

    def get_urls(self) -> list[URLPattern]:
        test = path(
            "<path:object_id>/test/", self.admin_site.admin_view(self.test_view), name="crm_agent_test"
        )
        return [test, *super().get_urls()]

    def save_model(self, request: HttpRequest, obj: Agent, form: Any, change: bool) -> None:
        kept = form.kept
        keep_replaced_keys(obj, token=kept["callback_token"], aes_key=kept["callback_aes_key"])
        super().save_model(request, obj, form, change)
        if change and (form.secret_changed or "app_key" in form.changed_data):
            forget_token(obj)

    def test_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask the provider who is visible. Only ever on a POST: no page goes to the network in order to be drawn."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        agent = self.get_object(request, object_id)
        if agent is None:
            raise Http404
        if not self.has_change_permission(request, agent):
            raise PermissionDenied
        self._test(request, agent)
        return HttpResponseRedirect(self.url("change", agent.pk))

    def _test(self, request: HttpRequest, agent: Agent) -> None:
        try:
            directory = open_provider(agent).directory()
        except ProviderError as error:
            messages.error(request, provider_sentence(error.code, error.errcode, error.errmsg, fix=error.fix))
            return
        listed = len(directory.listed)
        text = ngettext(
            "It works: the contacts of %(n)d employee can be read.",
            "It works: the contacts of %(n)d employees can be read.",
            listed,
        )
        if not listed:
            text = _now(
                "The secret is right, but no employee is visible to this app: widen its visible range (可见范围)"
                " and allow it under 客户联系."
            )
        (messages.success if listed else messages.warning)(request, text % {"n": listed})
        for warning in directory.warnings:
            messages.warning(request, provider_sentence(warning.code, warning.errcode, warning.errmsg))

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "title": _("No app yet"),
            "text": _("Each corp needs the credential of one of its apps."),
            "buttons": [],
        }

    @admin.display(description=_("app"), ordering="agentid")
    def name_cell(self, agent: Agent) -> SafeString:
        return two_lines(agent.name or agent.agentid, agent.agentid if agent.name else "")

    @admin.display(description=_("callback"))
    def callback_cell(self, agent: Agent) -> SafeString:
        ready = bool(agent.callback_token and agent.callback_aes_key)
        return badge(_("set up"), "active") if ready else badge(_("not set up"), "left")

    @admin.display(description=_("token"))
    def token_cell(self, agent: Agent) -> SafeString:
        token = getattr(agent, "access_token", None)
        if token is None:
            return badge(_("not asked for yet"), "left")
        if token.failures:
            return badge(
                _("refused"),
                "failed",
                title=provider_sentence("errcode", token.last_errcode, token.last_errmsg),
            )
        return badge(_("good"), "active")

    @admin.display(description=_("connected at"), ordering="created_at")
    def connected_cell(self, agent: Agent) -> SafeString:
        return moment(agent.created_at)
