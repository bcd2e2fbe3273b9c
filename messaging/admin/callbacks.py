"""What the provider called to say, and what employees wrote to the app: looked at, and worked out again."""

from contextlib import suppress
from typing import Any, Final

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from contacts.admin.filters import ChoiceFilter, CorpFilter
from contacts.models import Contact, Employee
from crm.admin_base import OversightMixin, ReadOnlyAdmin, is_administrator
from crm.admin_cells import DASH, badge, moment, two_lines
from crm.admin_words import provider_sentence
from crm.providers.records import Forged
from crm.providers.wecom.callback import told_in
from messaging import inbox
from messaging.models import Callback
from messaging.models.callbacks import FROM_PEOPLE

KINDS: Final = {
    "change_external_contact.add_external_contact": _("contact added"),
    "change_external_contact.edit_external_contact": _("contact edited"),
    "change_external_contact.add_half_external_contact": _("contact added, not added back yet"),
    "change_external_contact.del_external_contact": _("employee removed a contact"),
    "change_external_contact.del_follow_user": _("contact removed an employee"),
    "change_external_contact.transfer_fail": _("hand-over failed"),
    "change_external_tag": _("tags changed"),
    "change_external_chat": _("customer group changed"),
    "change_contact": _("directory changed"),
    "enter_agent": _("app opened"),
    "click": _("menu item pressed"),
    "view": _("menu link opened"),
    "subscribe": _("joined the app"),
    "unsubscribe": _("left the app"),
    "template_card_event": _("button of a card pressed"),
    "text": _("text"),
    "image": _("image"),
    "voice": _("voice message"),
    "video": _("video"),
    "location": _("location"),
    "link": _("link"),
}

MOST_WORDS: Final = 600
TELLING: Final = ("Content", "Title", "Label", "EventKey", "State")
STATES: Final = dict(Callback.State.choices) | {Callback.State.QUEUED.value: _("not worked out yet")}


class KindFilter(ChoiceFilter):
    """By the first word of the kind; `people` are the messages that employees wrote."""

    title = _("what")
    parameter_name = "about"
    options = [
        ("people", _("messages from employees")),
        (inbox.CONTACT, _("contacts")),
        (inbox.TAGS, _("tags")),
        (inbox.DIRECTORY, _("directory")),
    ]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        about = self.value()
        if about == "people":
            return queryset.filter(kind__in=FROM_PEOPLE)
        return queryset.filter(kind__startswith=about) if about in dict(self.options) else queryset


class StateFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "state"
    field = "state"
    options = list(STATES.items())


@admin.register(Callback)
class CallbackAdmin(OversightMixin, ReadOnlyAdmin):
    list_display = ("kind_cell", "about_cell", "words_cell", "state_cell", "reason_cell", "received_cell")
    list_display_links = None
    list_filter = (KindFilter, StateFilter, CorpFilter)
    list_select_related = ("corp",)
    ordering = ("-id",)
    sortable_by = ()
    actions = ("replay",)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("messaging.change_callback")

    @admin.action(description=_("Work out again"), permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet) -> HttpResponse | None:
        number = inbox.replay(queryset)
        text = ngettext("%(n)d is worked out again.", "%(n)d are worked out again.", number)
        messages.success(request, text % {"n": number})
        return None

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Everything there is to see of it stands in the list."""
        self.get_visible(request, object_id)
        return HttpResponseRedirect(self.url("changelist"))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return self.change_view(request, object_id)

    def load_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        corps = {row.corp_id for row in rows}
        contacts = Contact.objects.filter(
            corp__in=corps, external_userid__in={row.external_userid for row in rows}
        )
        employees = Employee.objects.filter(corp__in=corps, userid__in={row.userid for row in rows})
        names = {
            (each.corp_id, each.external_userid): str(each) for each in contacts.defer("external_profile")
        }
        people = {(each.corp_id, each.userid): str(each) for each in employees}
        for row in rows:
            row.shown_contact = names.get((row.corp_id, row.external_userid), row.external_userid)
            row.shown_employee = people.get((row.corp_id, row.userid), row.userid)
            row.shown_words = words_of(row) if is_administrator(request) else ""

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "title": _("The provider has not called yet"),
            "text": _(
                "Set the callback address of an app at the provider: changes then show here within seconds."
            ),
            "buttons": [(_("Agents"), reverse("admin:crm_agent_changelist"))],
        }

    @admin.display(description=_("what"))
    def kind_cell(self, row: Any) -> SafeString:
        name = KINDS.get(row.kind) or KINDS.get(row.kind.partition(".")[0])
        return two_lines(name or row.kind, row.kind if name and row.kind not in FROM_PEOPLE else "")

    @admin.display(description=_("about"))
    def about_cell(self, row: Any) -> SafeString:
        return two_lines(row.shown_contact or row.shown_employee, row.shown_contact and row.shown_employee)

    @admin.display(description=_("words"))
    def words_cell(self, row: Any) -> SafeString:
        words = Truncator(row.shown_words).chars(MOST_WORDS)
        return format_html('<bdi class="rm-words">{}</bdi>', words) if words else DASH

    @admin.display(description=_("state"))
    def state_cell(self, row: Callback) -> SafeString:
        return badge(STATES[row.state], row.state)

    @admin.display(description=_("reason"))
    def reason_cell(self, row: Callback) -> SafeString:
        told = provider_sentence(row.code, row.errcode, row.errmsg) if row.code else ""
        return format_html('<span class="rm-words">{}</span>', told) if told else DASH

    @admin.display(description=_("received at"))
    def received_cell(self, row: Callback) -> SafeString:
        return moment(row.received_at)


def words_of(row: Callback) -> str:
    """What a person wrote or pressed, or the `state` with which a contact came."""
    with suppress(Forged):
        fields = told_in(row.body.encode())
        return next((fields[name] for name in TELLING if fields.get(name)), "")
    return ""
