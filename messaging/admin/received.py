"""Messages from people: what employees wrote and sent to an app, read as a conversation, and answered."""

from contextlib import suppress
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from django.contrib import admin
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter

from contacts.access import visible_corps
from contacts.admin.filters import ChoiceFilter, CorpFilter, EmployeeFilter
from contacts.models import Employee
from crm.admin_base import ReadOnlyAdmin
from crm.admin_cells import DASH, HIDDEN, bdi, moment, person
from crm.admin_words import provider_sentence
from crm.connections import can
from crm.errors import CrmError
from crm.models import Agent
from crm.providers.base import Capability
from crm.providers.records import Said
from messaging import received
from messaging.admin.library import THUMBNAIL_BYTES
from messaging.admin.messages import hides_body
from messaging.admin.phone import ICONS
from messaging.downloads import download_received, picture_received
from messaging.models import ReceivedFile, ReceivedMessage

MOST_WORDS: Final = 2048  # what WeCom lets a person write
Standing = ReceivedFile.Standing


class KindFilter(ChoiceFilter):
    title = _("kind")
    parameter_name = "kind"
    field = "kind"
    options = ReceivedMessage.Kind.choices


class WriterFilter(EmployeeFilter):
    def rows(self, request: HttpRequest) -> QuerySet:
        return Employee.objects.reached_by(request.user)

    def narrow(self, queryset: Any, employee: Employee) -> QuerySet:
        return queryset.filter(corp=employee.corp_id, userid=employee.userid)


class AgentFilter(DropdownFilter):
    """By app. Left out where there is only one."""

    title = _("app")
    parameter_name = "agent"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        rows = Agent.objects.filter(corp__in=visible_corps(request.user)).select_related("corp")
        return [(str(agent.pk), str(agent)) for agent in rows.order_by("corp", "pk")]

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if not self.value():
            return queryset
        known = {value for value, _label in self.lookup_choices}
        return queryset.filter(agent=self.value()) if self.value() in known else queryset.none()


class DayFilter(DropdownFilter):
    """By day, on the clock of the reader."""

    title = _("received")
    parameter_name = "day"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("today", _("today")), ("yesterday", _("yesterday")), ("week", _("in the last 7 days"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
        day = timedelta(days=1)
        narrowed: dict[Any, dict[str, Any]] = {
            "today": {"received_at__gte": midnight},
            "yesterday": {"received_at__gte": midnight - day, "received_at__lt": midnight},
            "week": {"received_at__gte": midnight - 6 * day},
        }
        if not self.value():
            return queryset
        return queryset.filter(**narrowed[self.value()]) if self.value() in narrowed else queryset.none()


@admin.register(ReceivedMessage)
class ReceivedMessageAdmin(ReadOnlyAdmin):
    list_display = ("who_cell", "said_cell", "app_cell", "received_cell", "answer_cell")
    list_display_links = None
    list_filter = (KindFilter, WriterFilter, AgentFilter, CorpFilter, DayFilter)
    list_select_related = ("corp", "agent__corp", "file")
    ordering = ("-id",)
    sortable_by = ()

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path(
                "<int:pk>/content/",
                wrap(self.content_view, cacheable=True),
                name="messaging_receivedmessage_content",
            ),
            path("<int:pk>/download/", wrap(self.download_view), name="messaging_receivedmessage_download"),
            *super().get_urls(),
        ]

    def list_rows(self, rows: QuerySet) -> QuerySet:
        return rows.defer("file__data")

    def load_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        writers = Employee.objects.filter(
            corp__in={row.corp_id for row in rows}, userid__in={row.userid for row in rows}
        )
        known = {(each.corp_id, each.userid): each for each in writers}
        may_write = request.user.has_perm("messaging.add_message")
        for row in rows:
            row.shown_writer = known.get((row.corp_id, row.userid))
            row.shown_said = None if hides_body(request) else received.said(row)
            row.may_answer = may_write and _can_be_answered(row)

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "title": _("No messages from people"),
            "text": _(
                "What employees write and send to an app shows here for 30 days, once the app's callback address is"
                " set at the provider."
            ),
            "buttons": [],
        }

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A message is read in the list, among those before and after it."""
        self.get_visible(request, object_id)
        return HttpResponseRedirect(self.url("changelist"))

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return self.change_view(request, object_id)

    # --- the file of a message
    def content_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._hand_out(request, pk, picture_received)

    def download_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._hand_out(request, pk, download_received)

    def _hand_out(self, request: HttpRequest, pk: int, answer: Any) -> HttpResponse:
        if not request.user.has_perm("messaging.view_receivedfile"):
            raise Http404
        try:
            return answer(self.get_visible(request, pk))
        except CrmError as error:
            raise Http404(str(error)) from None

    # --- the cells
    @admin.display(description=_("who"))
    def who_cell(self, row: Any) -> SafeString:
        writer = row.shown_writer
        if writer is None:
            return person(row.userid)
        address = reverse("admin:contacts_employee_change", args=(writer.pk,))
        shown = person(str(writer), row.userid if str(writer) != row.userid else "", seed=row.userid)
        return format_html('<a class="rm-plain" href="{}">{}</a>', address, shown)

    @admin.display(description=_("message"))
    def said_cell(self, row: Any) -> SafeString:
        if row.shown_said is None:
            title = _("Your role does not show what a message says.")
            return format_html('<span class="rm-said" title="{}">{}</span>', title, HIDDEN[0])
        return format_html('<div class="rm-said">{}</div>', self._said(row, row.shown_said))

    def _said(self, row: ReceivedMessage, said: Said) -> SafeString:
        if row.kind == ReceivedMessage.Kind.LOCATION:
            return _place(said)
        if row.kind == ReceivedMessage.Kind.LINK:
            return _link(said)
        if (file := received.file_of(row)) is not None:
            return self._file(row, file)
        words = Truncator(said.text).chars(MOST_WORDS)
        return format_html('<bdi class="rm-bubble">{}</bdi>', words) if words else DASH

    def _file(self, row: ReceivedMessage, file: ReceivedFile) -> SafeString:
        icon = _icon(ICONS[row.kind])
        kind = ReceivedMessage.Kind(row.kind).label
        if file.standing == Standing.FETCHING:
            return format_html("{} {} · {}", icon, kind, _("is being fetched from the provider"))
        if file.standing == Standing.GONE:
            return format_html("{} {} · {}", icon, kind, _why_gone(file))
        content, download = self.url("content", row.pk), self.url("download", row.pk)
        link = format_html(
            '<a class="rm-link" href="{}">{} ({})</a>', download, _("Download"), filesizeformat(file.size)
        )
        if file.content_type in received.PICTURES and file.size <= THUMBNAIL_BYTES:
            picture = '<img class="rm-said__picture" src="{}" alt="{}" loading="lazy">'
            shown = format_html(picture, content, kind)
            return format_html('<a href="{}" target="_blank" rel="noopener">{}</a> {}', content, shown, link)
        return format_html("{} {} · {}", icon, kind, link)

    @admin.display(description=_("app"))
    def app_cell(self, row: ReceivedMessage) -> SafeString:
        return bdi(row.agent)

    @admin.display(description=_("received at"))
    def received_cell(self, row: ReceivedMessage) -> SafeString:
        return moment(row.received_at)

    @admin.display(description="")
    def answer_cell(self, row: Any) -> SafeString:
        """To that employee, through the app that was written to."""
        if not row.may_answer:
            return DASH
        start = reverse("admin:messaging_message_start", args=("text",))
        query = urlencode({"employee": row.shown_writer.pk, "agent": row.agent.agentid})
        return format_html(
            '<a class="rm-button rm-button--small" href="{}?{}">{}</a>', start, query, _("Answer")
        )


def _can_be_answered(row: Any) -> bool:
    writer = row.shown_writer
    is_here = writer is not None and writer.status == Employee.Status.ACTIVE and row.corp.is_active
    return is_here and can(row.corp, Capability.MESSAGE_EMPLOYEE)


def _icon(name: str) -> SafeString:
    return format_html('<span class="material-symbols-outlined" aria-hidden="true">{}</span>', name)


def _place(said: Said) -> SafeString:
    at = "" if said.latitude is None or said.longitude is None else f"{said.latitude}, {said.longitude}"
    return format_html(
        '{} <bdi>{}</bdi> <span class="rm-note rm-said__more">{}</span>', _icon("location_on"), said.label, at
    )


def _link(said: Said) -> SafeString:
    """Its title leads there where that is a web address; what else a browser may open stays text."""
    host, title = _host(said.url), said.title or said.url
    shown = format_html("<bdi>{}</bdi>", title)
    if host:
        link = '<a class="rm-link" href="{}" target="_blank" rel="noopener noreferrer nofollow">{}</a>'
        shown = format_html(link, said.url, shown)
    more = " · ".join(part for part in (said.description, host or said.url) if part)
    return format_html(
        '{} {} <bdi class="rm-note rm-said__more">{}</bdi>', _icon("link"), shown, Truncator(more).chars(300)
    )


def _host(url: str) -> str:
    """ "" for what is no web address."""
    with suppress(ValueError):
        parts = urlsplit(url)
        return parts.netloc if parts.scheme in ("http", "https") else ""
    return ""


def _why_gone(file: ReceivedFile) -> str:
    if file.errcode == received.GONE:
        return _now("the provider keeps a file for three days, and no longer has this one")
    told = provider_sentence(file.code, file.errcode, file.errmsg) if file.code or file.errcode else ""
    return _now("the provider did not hand it out.") + f" {told}"
