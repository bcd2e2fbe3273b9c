"""Sync runs: start one, watch it live, believe its report, and decide about a held one."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404, render
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from contacts import runs as sync_runs
from contacts.access import visible_corps
from contacts.admin import actors, filters
from contacts.admin.run_drift import drift_of
from contacts.admin.run_page import corp_cards, is_quiet, run_context
from contacts.admin.run_trend import trend_of
from contacts.models import SyncRun
from crm.admin_base import ReadOnlyAdmin, actor_of
from crm.admin_cells import DASH, moment, state_badge, two_lines
from crm.admin_words import advice
from crm.errors import Conflict


class RunStateFilter(filters.ChoiceFilter):
    title = _("state")
    parameter_name = "state"
    field = "state"
    options = SyncRun.State.choices


class TriggerFilter(filters.ChoiceFilter):
    title = _("trigger")
    parameter_name = "trigger"
    field = "trigger"
    options = SyncRun.Trigger.choices


@admin.register(SyncRun)
class SyncRunAdmin(ReadOnlyAdmin):
    list_display = (
        "run_cell",
        "state_cell",
        "starter_cell",
        "counts_cell",
        "errors_cell",
        "started_cell",
        "took_cell",
    )
    list_filter = (RunStateFilter, filters.CorpFilter, TriggerFilter)
    list_select_related = ("corp",)
    list_before_template = "admin/contacts/runs_before.html"
    sortable_by = ()

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("start/<int:corp_id>/", wrap(self.start_view), name="contacts_syncrun_start"),
            path("<int:pk>/live/", wrap(self.live_view), name="contacts_syncrun_live"),
            path("<int:pk>/found/", wrap(self.found_view), name="contacts_syncrun_found"),
            path("<int:pk>/confirm/", wrap(self.confirm_view), name="contacts_syncrun_confirm"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        context = {"corp_cards": corp_cards(request), **(extra_context or {})}
        return super().changelist_view(request, context)

    def load_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        names = actors.names_of(run.actor for run in rows)
        for run in rows:
            run.starter = actors.starter(run, names)

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        text = _("Press Sync now above: a worker reads every contact of the corp, page by page.")
        return {"title": _("No sync has run yet"), "text": text, "buttons": []}

    # --- starting
    def start_view(self, request: HttpRequest, corp_id: int) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("contacts.run_sync"):
            raise PermissionDenied
        corp = get_object_or_404(visible_corps(request.user), pk=corp_id)
        return self._go(
            request,
            lambda: sync_runs.ask_for_run(corp, trigger=SyncRun.Trigger.ADMIN, actor=actor_of(request)),
        )

    def _go(self, request: HttpRequest, ask: Any) -> HttpResponse:
        try:
            run = ask()
        except sync_runs.AlreadyRunning as refusal:
            run = refusal.run
            messages.info(request, _now("Run %(n)d is already working on this: here it is.") % {"n": run.pk})
        except Conflict as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(self.url("changelist"))
        return HttpResponseRedirect(self.url("change", run.pk))

    # --- watching
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method != "GET":
            raise PermissionDenied
        run = self.get_visible(request, object_id)
        return self.page(
            request,
            "admin/contacts/run.html",
            title=_("Sync run %(n)s") % {"n": run.pk},
            obj=run,
            trend=trend_of(run),
            **run_context(request, run),
        )

    def live_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The part of the page that changes while the run works; asked for every second."""
        run = self.get_visible(request, pk)
        return render(request, "admin/contacts/run_live.html", run_context(request, run))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", self.get_visible(request, object_id).pk))

    # --- what it found, and deciding about a held one
    def found_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.method != "GET":
            return HttpResponseNotAllowed(["GET"])
        run = self.get_visible(request, pk)
        return self._drift_page(request, run, title=_("What run %(n)s found") % {"n": run.pk}, asks=False)

    def confirm_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        run = self.get_visible(request, pk)
        if not request.user.has_perm("contacts.run_sync"):
            raise PermissionDenied
        try:
            sync_runs.check_confirmable(run)
        except Conflict as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(self.url("change", run.pk))
        if request.method == "POST":
            return self._go(request, lambda: sync_runs.confirm(run, actor=actor_of(request)))
        title = _("Confirm the removals of run %(n)s") % {"n": run.pk}
        return self._drift_page(request, run, title=title, asks=True)

    def _drift_page(self, request: HttpRequest, run: SyncRun, *, title: str, asks: bool) -> HttpResponse:
        found = drift_of(request, run)
        return self.page(
            request, "admin/contacts/run_drift.html", title=title, obj=run, run=run, asks=asks, **found
        )

    # --- cells
    @admin.display(description=_("run"))
    def run_cell(self, run: SyncRun) -> SafeString:
        return two_lines(f"#{run.pk} {run.corp}", run.userid)

    @admin.display(description=_("state"))
    def state_cell(self, run: SyncRun) -> SafeString:
        return state_badge(run)

    @admin.display(description=_("started by"))
    def starter_cell(self, run: Any) -> SafeString:
        return two_lines(*run.starter)

    @admin.display(description=_("result"))
    def counts_cell(self, run: SyncRun) -> SafeString:
        told = {
            "new": _now("%(n)d new"),
            "changed": _now("%(n)d changed"),
            "absent": _now("%(n)d absent"),
            "ended": _now("%(n)d ended"),
        }
        changed = [text % {"n": getattr(run, name)} for name, text in told.items() if getattr(run, name)]
        read = _now("%(seen)d seen in %(pages)d pages") % vars(run) if run.seen else ""
        if is_quiet(run):
            seen = _now("%(n)d seen") % {"n": run.seen}
            return format_html('<span class="rm-note rm-nowrap">{} · {}</span>', _now("no changes"), seen)
        return two_lines(" · ".join(changed), read) if changed else two_lines(read, "")

    @admin.display(description=_("trouble"))
    def errors_cell(self, run: SyncRun) -> SafeString:
        parts = []
        if run.errors:
            parts.append(ngettext("%(n)d error", "%(n)d errors", len(run.errors)) % {"n": len(run.errors)})
        if run.quarantined:
            parts.append(_now("%(n)d quarantined") % {"n": run.quarantined})
        if not parts:
            return DASH
        first = advice(run.errors[0].get("code", ""), run.errors[0].get("errcode")) if run.errors else ""
        return two_lines(" · ".join(parts), first)

    @admin.display(description=_("started"))
    def started_cell(self, run: SyncRun) -> SafeString:
        return moment(run.started_at or run.created_at)

    @admin.display(description=_("took"))
    def took_cell(self, run: SyncRun) -> str:
        return "–" if run.seconds is None else _now("%(n).1f s") % {"n": run.seconds}
