"""Contact ways: the codes one hands out, who came by each, and making one."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from contacts import ways
from contacts.admin import filters
from contacts.admin.contact_page import provider_error
from contacts.downloads import qr_picture
from contacts.models import Arrival, Contact, ContactWay
from contacts.way_forms import WayForm
from crm.admin_base import ScopedAdmin, actor_of
from crm.admin_cells import DASH, chips, link, moment, state_badge, two_lines
from crm.errors import CrmError

SHOWN = 50  # arrivals on the page of a way
POINTERS = {f"/{name}": name for name in WayForm.base_fields}


class WayStateFilter(filters.ChoiceFilter):
    title = _("state")
    parameter_name = "state"
    field = "state"
    options = ContactWay.State.choices


class MadeForFilter(filters.ChoiceFilter):
    title = _("made for")
    parameter_name = "for"
    options = (("campaign", _("a campaign")), ("contact", _("one contact")))

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        if self.value() not in {"campaign", "contact"}:
            return queryset
        return queryset.filter(contact__isnull=self.value() == "campaign")


class WayEmployeeFilter(filters.EmployeeFilter):
    def narrow(self, queryset: Any, employee: Any) -> QuerySet:
        return queryset.filter(employees=employee)


@admin.register(ContactWay)
class ContactWayAdmin(ScopedAdmin):
    list_display = (
        "campaign_cell",
        "state_cell",
        "people_cell",
        "arrivals_cell",
        "ends_cell",
        "created_cell",
    )
    list_filter = (WayStateFilter, filters.CorpFilter, WayEmployeeFilter, MadeForFilter)
    list_select_related = ("corp", "contact")
    search_fields = ("campaign", "remark")
    search_help_text = _("Campaign or remark")
    sortable_by = ()
    add_label = _("Make a code")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/edit/", wrap(self.edit_view), name="contacts_contactway_edit"),
            path("<int:pk>/end/", wrap(self.end_view), name="contacts_contactway_end"),
            path("<int:pk>/retry/", wrap(self.retry_view), name="contacts_contactway_retry"),
            path("<int:pk>/qr/", wrap(self.qr_view), name="contacts_contactway_qr"),
            path("<int:pk>/download/", wrap(self.download_view), name="contacts_contactway_download"),
            *super().get_urls(),
        ]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # it has its own form: what is asked for is told to the provider

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("contacts.add_contactway"))

    def reach(self, request: HttpRequest, rows: QuerySet) -> QuerySet:
        return super().reach(request, rows).defer("picture")

    def list_rows(self, rows: QuerySet) -> QuerySet:
        return rows.with_people()  # type: ignore[attr-defined]

    def load_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        counted = ContactWay.objects.filter(pk__in=[row.pk for row in rows]).with_arrivals(request.user)
        counts = {row.pk: row for row in counted.defer("picture")}
        for row in rows:
            row.seen_arrivals = getattr(counts[row.pk], "seen_arrivals")  # noqa: B009

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        if not ways.making_corps(request.user).exists():
            text = _("Only official WeCom corps have QR codes by which people become contacts.")
            return {"title": _("No contact ways here"), "text": text, "buttons": []}
        may_add = self.has_add_permission(request)
        return {
            "title": _("No contact ways yet"),
            "text": _("Make a QR code, hand it out, and whoever scans it becomes a contact with your tags."),
            "buttons": [(_("Make a code"), self.url("add"))] if may_add else [],
        }

    # --- the cells
    @admin.display(description=_("campaign"))
    def campaign_cell(self, way: ContactWay) -> SafeString:
        below = (
            _now("for one contact") if way.contact_id else way.remark if way.remark != way.campaign else ""
        )
        return two_lines(way.campaign, below)

    @admin.display(description=_("state"))
    def state_cell(self, way: ContactWay) -> SafeString:
        return state_badge(way)

    @admin.display(description=_("leads to"))
    def people_cell(self, way: ContactWay) -> SafeString:
        return chips([*map(str, way.employees.all()), *map(str, way.teams.all())], most=2)

    @admin.display(description=_("people came"))
    def arrivals_cell(self, way: Any) -> SafeString:
        if not way.seen_arrivals:
            return format_html('<span class="rm-note">{}</span>', _now("nobody yet"))
        people = ngettext("%(n)d person", "%(n)d people", way.seen_arrivals) % {"n": way.seen_arrivals}
        return link(f"{reverse('admin:contacts_contact_changelist')}?way={way.pk}", people)

    @admin.display(description=_("ends"))
    def ends_cell(self, way: ContactWay) -> SafeString:
        return moment(way.expires_at) if way.expires_at else DASH

    @admin.display(description=_("made"))
    def created_cell(self, way: ContactWay) -> SafeString:
        return format_html("{} · {}", way.created_by or DASH, moment(way.created_at))

    # --- the page of one
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method != "GET":
            raise PermissionDenied
        way = self.get_visible(request, object_id)
        arrivals = Arrival.objects.filter(way=way).select_related(
            "follow_user__contact", "follow_user__employee"
        )
        arrivals = arrivals.defer("follow_user__raw", "follow_user__contact__external_profile")
        seen = arrivals.filter(follow_user__contact__in=Contact.objects.visible_to(request.user))
        is_ended = way.state in ContactWay.ENDED
        keeps = ways.may_keep(way, request.user, "contacts.change_contactway")
        made_for = Contact.objects.visible_to(request.user).filter(pk=way.contact_id).first()
        return self.page(
            request,
            "admin/contacts/way.html",
            title=way.campaign,
            obj=way,
            way=way,
            has_picture=ContactWay.objects.filter(pk=way.pk, picture__isnull=False).exists(),
            made_for=made_for,
            error=provider_error(way.error),
            people=[*way.employees.order_by("name"), *way.teams.all()],
            tags=[str(tag) for tag in way.tags.all()],
            arrivals=seen[:SHOWN],
            arrivals_count=seen.count(),
            may_edit=keeps and not is_ended,
            may_end=not is_ended and ways.may_keep(way, request.user, "contacts.delete_contactway"),
            may_retry=keeps and bool(way.error) and way.due_at is None,
            is_settling=way.due_at is not None and not way.error,
            is_removing=is_ended and way.due_at is not None,
        )

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", self.get_visible(request, object_id).pk))

    def qr_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._picture(request, pk, as_attachment=False)

    def download_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._picture(request, pk, as_attachment=True)

    def _picture(self, request: HttpRequest, pk: int, *, as_attachment: bool) -> HttpResponse:
        answer = qr_picture(self.get_visible(request, pk), as_attachment=as_attachment)
        if answer is None:
            raise Http404
        return answer

    # --- making, changing, ending
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        corps = ways.making_corps(request.user)
        form = WayForm(request.POST or None, user=request.user, corps=corps)
        if request.method == "POST" and form.is_valid():
            try:
                made = ways.create(user=request.user, actor=actor_of(request), **form.asked())
            except CrmError as error:
                form.refuse(error, POINTERS)
            else:
                messages.success(request, _now("The code is being made at the provider."))
                return HttpResponseRedirect(self.url("change", made.pk))
        return self._form_page(request, form, title=_("Make a code"), has_corp=corps.exists())

    def edit_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        way = self.get_visible(request, pk)
        if not ways.may_keep(way, request.user, "contacts.change_contactway"):
            raise PermissionDenied
        form = WayForm(request.POST or None, user=request.user, corps=None, way=way)
        if request.method == "POST" and form.is_valid():
            try:
                ways.change(way, user=request.user, actor=actor_of(request), **form.asked())
            except CrmError as error:
                form.refuse(error, POINTERS)
            else:
                messages.success(request, _now("Saved."))
                return HttpResponseRedirect(self.url("change", pk))
        return self._form_page(request, form, title=way.campaign, has_corp=True, way=way)

    def _form_page(
        self,
        request: HttpRequest,
        form: WayForm,
        *,
        title: Any,
        has_corp: bool,
        way: ContactWay | None = None,
    ) -> HttpResponse:
        return self.page(
            request,
            "admin/contacts/way_form.html",
            title=title,
            obj=way,
            way=way,
            form=form,
            has_corp=has_corp,
            media=form.media,
            back=self.url("change", way.pk) if way else self.url("changelist"),
        )

    def end_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        way = self.get_visible(request, pk)
        if not ways.may_keep(way, request.user, "contacts.delete_contactway"):
            raise PermissionDenied
        if request.method == "POST":
            try:
                ways.delete(way, user=request.user, actor=actor_of(request))
                messages.success(request, _now("The code is deleted. It opens nothing any more in a moment."))
            except CrmError as error:
                messages.error(request, str(error))
            return HttpResponseRedirect(self.url("change", pk))
        number = Arrival.objects.filter(way=way).count()
        came = ngettext("%(n)d person came by it and stays.", "%(n)d people came by it and stay.", number)
        lines = [came % {"n": number}] if number else []
        if way.contact and way.contact.state == Contact.State.PENDING:
            words = _now("%(name)s has not scanned it yet and will not become a contact by it.")
            lines.append(words % {"name": way.contact})
        return self.confirm_page(
            request,
            title=_now("Delete the code %(name)s") % {"name": way.campaign},
            text=_(
                "Whoever scans it from now on reaches nobody, printed copies included. This cannot be undone."
            ),
            lines=lines,
            button=_("Delete the code"),
            tone="danger",
            back=self.url("change", pk),
        )

    def retry_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        way = self.get_visible(request, pk)
        try:
            ways.retry(way, user=request.user, actor=actor_of(request))
            messages.info(request, _now("It is tried again."))
        except CrmError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(self.url("change", pk))
