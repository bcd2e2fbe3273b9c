"""Deliveries: one recipient's copy each, found by state."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from contacts.admin.filters import ChoiceFilter, CorpFilter
from crm.admin_base import ReadOnlyAdmin
from crm.admin_cells import DASH, moment, person, state_badge
from messaging.admin import waiting
from messaging.admin.messages import ToKindFilter, reason_of, summary_for
from messaging.admin.targets import name_targets
from messaging.models import Delivery
from messaging.waits import Waits


class DeliveryStateFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "state"
    field = "state"
    options = Delivery.State.choices


class DeliveryCorpFilter(CorpFilter):
    path = "message__corp"


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ("recipient_cell", "message_cell", "state_cell", "reason_cell", "attempts", "updated_cell")
    list_filter = (DeliveryStateFilter, ToKindFilter, DeliveryCorpFilter)
    list_select_related = ("message__corp", "contact", "employee")
    ordering = ("-id",)
    sortable_by = ()

    def list_rows(self, rows: QuerySet) -> QuerySet:
        return rows.defer("contact__external_profile")

    def load_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        now = timezone.now()
        for row in rows:
            row.shown_summary = summary_for(request, row.message)
            row.shown_wait = waiting.of_one(Waits(row.message, now).of(row))
        name_targets(rows)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A delivery is read on the page of its message."""
        delivery = self.get_visible(request, object_id)
        url = reverse("admin:messaging_message_change", args=(delivery.message_id,))
        return HttpResponseRedirect(f"{url}#delivery-{delivery.pk}")

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return self.change_view(request, object_id)

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "title": _("No deliveries yet"),
            "text": _("Every recipient of a message has a line here, with what became of it."),
            "buttons": [(_("Choose contacts"), reverse("admin:contacts_contact_changelist"))],
        }

    @admin.display(description=_("recipient"))
    def recipient_cell(self, delivery: Any) -> SafeString:
        who = delivery.contact or delivery.employee or (delivery.target and delivery.target[0])
        return person(str(who or delivery.to), delivery.get_to_kind_display(), seed=delivery.to)

    @admin.display(description=_("message"))
    def message_cell(self, delivery: Any) -> SafeString:
        url = reverse("admin:messaging_message_change", args=(delivery.message_id,))
        return format_html(
            '<a class="rm-link" href="{}"><bdi>{}</bdi></a>',
            url,
            delivery.shown_summary[:60] or delivery.message,
        )

    @admin.display(description=_("state"))
    def state_cell(self, delivery: Delivery) -> SafeString:
        return state_badge(delivery)

    @admin.display(description=_("reason"))
    def reason_cell(self, delivery: Any) -> SafeString:
        told = [words for words in (reason_of(delivery), delivery.shown_wait) if words]
        return format_html('<span class="rm-reason">{}</span>', " ".join(told)) if told else DASH

    @admin.display(description=_("updated"))
    def updated_cell(self, delivery: Delivery) -> SafeString:
        return moment(delivery.updated_at)
