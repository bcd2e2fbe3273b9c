"""Events: the append-only history, for those who must be able to say who did what."""

import json
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter

from crm import roles
from crm.admin_base import OversightMixin, ReadOnlyAdmin
from crm.admin_cells import moment, shown_changes
from crm.events import SUBJECTS, VERBS
from crm.models import Corp, Event


class SubjectFilter(DropdownFilter):
    title = _("subject")
    parameter_name = "subject"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(subject, subject) for subject in sorted(SUBJECTS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(subject_type=self.value()) if self.value() else queryset


class VerbFilter(DropdownFilter):
    title = _("verb")
    parameter_name = "verb"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(verb, verb) for verb in sorted(VERBS)]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(verb=self.value()) if self.value() else queryset


class CorpFilter(DropdownFilter):
    title = _("corp")
    parameter_name = "corp"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(corp.corpid, str(corp)) for corp in Corp.objects.all()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        return queryset.filter(corp__corpid=self.value()) if self.value() else queryset


@admin.register(Event)
class EventAdmin(OversightMixin, ReadOnlyAdmin):
    list_display = ("seq_cell", "at_cell", "verb", "subject_cell", "actor_cell", "corp", "changes_cell")
    list_filter = (VerbFilter, SubjectFilter, CorpFilter)
    list_select_related = ("corp",)
    list_display_links = ("verb",)
    sortable_by = ()
    waits_for_corp = False
    fields = ("seq_cell", "at", "verb", "subject_cell", "actor", "corp", "changes_full")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        event = super().get_object(request, object_id, from_field)
        if event is not None:
            reads_free_text = roles.role_of(request.user) != roles.AUDITOR
            event.changes = shown_changes(event.changes, reads_free_text=reads_free_text)
        return event

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "title": _("Nothing has happened yet"),
            "text": _("The first sync fills the history."),
            "buttons": [],
        }

    @admin.display(description=_("number"))
    def seq_cell(self, event: Event) -> int:
        return event.seq

    @admin.display(description=_("at"))
    def at_cell(self, event: Event) -> SafeString:
        return moment(event.at)

    @admin.display(description=_("subject"))
    def subject_cell(self, event: Event) -> str:
        return f"{event.subject_type} {event.subject_id}"

    @admin.display(description=_("actor"))
    def actor_cell(self, event: Event) -> SafeString:
        return format_html("<bdi>{}</bdi>", event.actor)

    @admin.display(description=_("changes"))
    def changes_cell(self, event: Event) -> str:
        return ", ".join(event.changes) or "–"

    @admin.display(description=_("changes"))
    def changes_full(self, event: Event) -> SafeString:
        text = json.dumps(event.changes, ensure_ascii=False, indent=2)
        return format_html('<code class="rm-code rm-code--block"><bdi>{}</bdi></code>', text)
