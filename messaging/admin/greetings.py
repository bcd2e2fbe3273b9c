"""Greetings: each time a welcome was to be said, to whom, by whom, and what became of it."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from contacts.admin.filters import ChoiceFilter, CorpFilter
from contacts.admin.slots import TIMELINE, Entry
from contacts.models import Contact
from crm.admin_base import ReadOnlyAdmin
from crm.admin_cells import DASH, link, moment, person, state_badge, two_lines
from crm.admin_words import provider_sentence
from messaging.admin.messages import hides_body
from messaging.models import Greeting


class StateFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "state"
    field = "state"
    options = Greeting.State.choices


@admin.register(Greeting)
class GreetingAdmin(ReadOnlyAdmin):
    list_display = ("contact_cell", "employee_cell", "said_cell", "state_cell", "reason_cell", "added_cell")
    list_display_links = None
    list_filter = (StateFilter, CorpFilter)
    list_select_related = ("corp", "contact", "employee", "welcome")
    lookups = ("welcome",)
    ordering = ("-id",)
    sortable_by = ()

    def list_rows(self, rows: QuerySet) -> QuerySet:
        return rows.defer("contact__external_profile")

    def load_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        hides, opens = hides_body(request), request.user.has_perm("messaging.view_welcome")
        contacts = Contact.objects.visible_to(request.user).filter(pk__in=[row.contact_id for row in rows])
        reached = set(contacts.values_list("pk", flat=True))
        for row in rows:
            row.shown_words = "•••" if hides else row.summary
            row.links_welcome = opens
            row.links_contact = row.contact_id in reached

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Everything there is to see of it stands in the list."""
        self.get_visible(request, object_id)
        return HttpResponseRedirect(self.url("changelist"))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return self.change_view(request, object_id)

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        may_see = request.user.has_perm("messaging.view_welcome")
        url = reverse("admin:messaging_welcome_changelist")
        return {
            "title": _("Nobody was welcomed yet"),
            "text": _(
                "Who adds an employee is welcomed within 20 seconds, once there is a welcome message and the"
                " callback address is set at the provider. WeCom tells us nothing where its own console has one."
            ),
            "buttons": [(_("Welcome messages"), url)] if may_see else [],
        }

    @admin.display(description=_("contact"))
    def contact_cell(self, row: Any) -> SafeString:
        name = str(row.contact or row.external_userid)
        shown = person(name, "", seed=row.external_userid)
        if not row.links_contact:
            return shown
        return link(reverse("admin:contacts_contact_change", args=(row.contact_id,)), shown)

    @admin.display(description=_("employee"))
    def employee_cell(self, row: Greeting) -> SafeString:
        return format_html("<bdi>{}</bdi>", row.employee or row.userid)

    @admin.display(description=_("welcome message"))
    def said_cell(self, row: Any) -> SafeString:
        if not row.links_welcome:
            return two_lines(row.welcome, row.shown_words[:60])
        url = reverse("admin:messaging_welcome_change", args=(row.welcome_id,))
        return two_lines(link(url, row.welcome), row.shown_words[:60])

    @admin.display(description=_("state"))
    def state_cell(self, row: Greeting) -> SafeString:
        return state_badge(row)

    @admin.display(description=_("reason"))
    def reason_cell(self, row: Greeting) -> SafeString:
        told = reason_of(row)
        return format_html('<span class="rm-reason">{}</span>', told) if told else DASH

    @admin.display(description=_("added at"))
    def added_cell(self, row: Greeting) -> SafeString:
        return moment(row.created_at)


def reason_of(row: Greeting) -> str:
    """Why it stands where it stands, in words; "" when there is nothing to say."""
    if not (row.code or row.errcode or row.errmsg):
        return ""
    return provider_sentence(row.code, row.errcode or None, row.errmsg)


def greetings_of(request: HttpRequest, contact: Contact, limit: int) -> Iterable[Entry]:
    """What was said to the contact when it came; the words only to whom may read them."""
    if not request.user.has_perm("messaging.view_greeting"):
        return
    rows = Greeting.objects.visible_to(request.user).filter(contact=contact).select_related("employee")
    for row in rows.order_by("-pk")[:limit]:
        text = "" if hides_body(request) else format_html("<bdi>{}</bdi>", row.summary[:120])
        reason = reason_of(row)
        yield Entry(
            at=row.created_at,
            icon="waving_hand",
            what=format_html(
                str(_("Welcomed by {}")), format_html("<bdi>{}</bdi>", row.employee or row.userid)
            ),
            more=format_html("{}{}{}", text, SafeString("<br>") if text and reason else "", reason),
            badge=state_badge(row),
        )


TIMELINE.append(greetings_of)
