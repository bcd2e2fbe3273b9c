"""Contacts: the list one works from, the page of one person, and creating one."""

from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from contacts import actions
from contacts.admin import filters
from contacts.admin.contact_page import page_of
from contacts.admin.editing import delete_view, edit_view
from contacts.consent import set_opted_out
from contacts.follow_up import plan_follow_up
from contacts.forms import CreateContactForm, PlanForm, by_way, creating_corps
from contacts.models import Contact, FollowUser, Tag
from crm.admin_base import ScopedAdmin, actor_of
from crm.admin_cells import DASH, badge, chips, moment, person, state_badge, two_lines
from crm.admin_words import provider_sentence
from crm.errors import CrmError
from crm.providers.errors import ProviderError

CREATE_POINTERS = {
    "/corp": "corp",
    "/name": "name",
    "/follow_users": "follow_users",
    "/nickname": "nickname",
    "/gender": "gender",
    "/type": "type",
    "/corp_name": "corp_name",
    "/position": "position",
    "/mobile": "mobile",
    "/tags": "tags",
    "/remark": "remark",
}


@admin.register(Contact)
class ContactAdmin(ScopedAdmin):
    list_display = (
        "person_cell",
        "company_cell",
        "state_cell",
        "followers_cell",
        "stage_cell",
        "dates_cell",
        "tags_cell",
        "updated_cell",
    )
    list_filter = (
        filters.StateFilter,
        filters.CorpFilter,
        filters.EmployeeFilter,
        filters.TagFilter,
        filters.ContactStageFilter,
        filters.TypeFilter,
        filters.WayFilter,
    )
    search_fields = ("name", "nickname", "corp_name", "external_userid")
    search_help_text = _("Name, nickname, company or id")
    list_select_related = ("corp",)
    add_label = _("Create contact")

    # --- who may
    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # mirrored fields are the provider's; what is ours has its own small forms

    def has_send_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("messaging.add_message"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("contacts.add_contact"))

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:pk>/plan/<int:follow_id>/", wrap(self.plan_view), name="contacts_contact_plan"),
            path("<int:pk>/retry/", wrap(self.retry_view), name="contacts_contact_retry"),
            path("<int:pk>/opt-out/", wrap(self.opt_out_view), name="contacts_contact_opt_out"),
            path("<int:pk>/read/", wrap(self.read_view), name="contacts_contact_read"),
            path("<int:pk>/edit/", wrap(partial(edit_view, self)), name="contacts_contact_edit"),
            path(
                "<int:pk>/delete-there/",
                wrap(partial(delete_view, self)),
                name="contacts_contact_delete_there",
            ),
            *super().get_urls(),
        ]

    # --- the list
    def list_rows(self, rows: QuerySet) -> QuerySet:
        return rows.defer("external_profile").with_followers()  # type: ignore[attr-defined]

    def load_rows(self, request: HttpRequest, rows: list[Contact]) -> None:
        current = {row.pk: [f for f in row.follow_users.all() if f.ended_at is None] for row in rows}
        wanted = {tag_id for follows in current.values() for follow in follows for tag_id in follow.tag_ids}
        tags = Tag.objects.filter(corp__in={row.corp_id for row in rows}, tag_id__in=wanted) if wanted else ()
        names = {(tag.corp_id, tag.tag_id): tag.name for tag in tags}
        for row in rows:
            follows = current[row.pk]
            follows.sort(key=lambda follow: follow.employee.user_id != request.user.pk)  # one's own first
            row.follows = follows  # type: ignore[attr-defined]
            row.main_follow = follows[0] if follows else None  # type: ignore[attr-defined]
            found = [names.get((row.corp_id, tag_id)) for follow in follows for tag_id in follow.tag_ids]
            personal = [tag for follow in follows for tag in follow.personal_tags]
            row.tag_names = list(dict.fromkeys(filter(None, [*found, *personal])))  # type: ignore[attr-defined]

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        may = request.user.has_perm("contacts.run_sync")
        return {
            "title": _("No contacts yet"),
            "text": _("They appear here as soon as a sync has read them, or when one is created here.")
            if may
            else _("You see the contacts that you, or the teams you lead, follow. None is followed yet."),
            "buttons": [(_("Sync now"), reverse("admin:contacts_syncrun_changelist"))] if may else [],
        }

    @admin.display(description=_("contact"), ordering="name")
    def person_cell(self, contact: Contact) -> SafeString:
        return person(contact.name or contact.external_userid, contact.nickname, seed=contact.external_userid)

    @admin.display(description=_("company"), ordering="corp_name")
    def company_cell(self, contact: Contact) -> SafeString:
        return two_lines(contact.corp_name, contact.position)

    @admin.display(description=_("state"), ordering="state")
    def state_cell(self, contact: Contact) -> SafeString:
        if contact.opted_out_at is None:
            return state_badge(contact)
        return format_html("{} {}", state_badge(contact), badge(_now("do not write"), "held"))

    @admin.display(description=_("followed by"))
    def followers_cell(self, contact: Any) -> SafeString:
        return chips([str(follow.employee) for follow in contact.follows], most=1)

    @admin.display(description=_("tags"))
    def tags_cell(self, contact: Any) -> SafeString:
        return chips(contact.tag_names, most=1)

    @admin.display(description=_("stage"))
    def stage_cell(self, contact: Any) -> SafeString:
        return state_badge(contact.main_follow, "stage") if contact.main_follow else DASH

    @admin.display(description=_("next / last"))
    def dates_cell(self, contact: Any) -> SafeString:
        follow = contact.main_follow
        if follow is None or not (follow.last_follow_up_at or follow.next_follow_up_at):
            return DASH
        due, last = follow.next_follow_up_at, follow.last_follow_up_at
        late = due is not None and due < timezone.now()
        before = (
            format_html('<span class="rm-two__below">{} {}</span>', _now("last"), moment(last))
            if last
            else ""
        )
        return format_html(
            '<span class="rm-two">{}{}</span>', moment(due, overdue=late) if due else "", before
        )

    @admin.display(description=_("updated"), ordering="updated_at")
    def updated_cell(self, contact: Contact) -> SafeString:
        return moment(contact.updated_at)

    # --- the page of one contact
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method != "GET":
            raise PermissionDenied
        contact = self.get_visible(request, object_id)
        context = page_of(request, contact)
        return self.page(request, "admin/contacts/contact.html", title=str(contact), obj=contact, **context)

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", self.get_visible(request, object_id).pk))

    def plan_view(self, request: HttpRequest, pk: int, follow_id: int) -> HttpResponse:
        """The small form on a follower's card."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        contact = self.get_visible(request, pk)
        follow = FollowUser.objects.filter(pk=follow_id, contact=contact).first()
        if follow is None:
            raise Http404
        form = PlanForm(request.POST)
        if not form.is_valid():
            messages.error(request, _now("This is not a date and time."))
        else:
            try:
                plan_follow_up(follow, user=request.user, actor=actor_of(request), **form.cleaned_data)
                messages.success(request, _now("Saved."))
            except CrmError as error:
                messages.error(request, str(error))
        return HttpResponseRedirect(self.url("change", contact.pk))

    def read_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask the provider for this contact now, instead of waiting for the next sync."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not request.user.has_perm("contacts.change_contact"):
            raise PermissionDenied
        contact = self.get_visible(request, pk)
        try:
            actions.read_again(contact, user=request.user, actor=actor_of(request))
            messages.success(request, _now("It was read again and is up to date."))
        except ProviderError as error:
            reason = provider_sentence(error.code, error.errcode, error.errmsg, fix=error.fix)
            text = _now("It was not read again, and nothing was changed. %(reason)s")
            messages.error(request, text % {"reason": reason})
        except CrmError as error:
            messages.error(request, str(error))
        if self.get_queryset(request).filter(pk=pk).exists():
            return HttpResponseRedirect(self.url("change", pk))
        messages.warning(
            request, _now("Nobody whom you can see follows %(name)s any more.") % {"name": contact}
        )
        return HttpResponseRedirect(self.url("changelist"))

    def opt_out_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """The contact asked not to be written to any more, or may be again."""
        contact = self.get_visible(request, pk)
        if not request.user.has_perm("contacts.change_contact"):
            raise PermissionDenied
        opted_out = contact.opted_out_at is None
        if request.method == "POST":
            if request.POST.get("opted_out") not in ("0", "1"):
                return HttpResponseBadRequest()
            wanted = request.POST["opted_out"] == "1"
            set_opted_out(contact, opted_out=wanted, user=request.user, actor=actor_of(request))
            told = _now("Nothing more is sent to them.") if wanted else _now("They can be written to again.")
            messages.success(request, told)
            return HttpResponseRedirect(self.url("change", pk))
        return self.confirm_page(
            request,
            title=_("Do not write to %(name)s") % {"name": contact}
            if opted_out
            else _("Write to %(name)s again") % {"name": contact},
            text=_("What waits for them is not sent, and nobody can send them anything new from here.")
            if opted_out
            else _("Only when they have agreed. It is noted in their history who allowed it."),
            button=_("Do not write to them") if opted_out else _("They have agreed"),
            fields={"opted_out": int(opted_out)},
            back=self.url("change", pk),
        )

    # --- creating one
    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        corps = creating_corps(request.user)
        form = CreateContactForm(request.POST or None, user=request.user, corps=corps)
        if request.method == "POST" and form.is_valid() and (contact := self._create(request, form)):
            told = _now("%(name)s is being created at the provider.")
            if by_way([contact.corp]):
                told = _now("The QR code for %(name)s is being made.")
            messages.success(request, told % {"name": contact})
            return HttpResponseRedirect(self.url("change", contact.pk))
        with_way = by_way(corps)
        return self.page(
            request,
            "admin/contacts/create.html",
            title=_("Create contact"),
            form=form,
            corps=corps,
            with_way=with_way,
            makes_directly=len(with_way) < len(corps),
            media=form.media,
        )

    def _create(self, request: HttpRequest, form: CreateContactForm) -> Contact | None:
        values = dict(form.cleaned_data)
        follow_user = [employee.userid for employee in values.pop("follow_users")]
        values["tags"] = [tag.tag_id for tag in values.pop("tags", ())]
        strangers = {e.corp_id for e in form.cleaned_data["follow_users"]} - {values["corp"].pk}
        if strangers:
            form.add_error("follow_users", _now("Choose employees of the same corp."))
            return None
        try:
            return actions.create_contact(
                user=request.user, actor=actor_of(request), follow_user=follow_user, **values
            )
        except CrmError as error:
            form.refuse(error, CREATE_POINTERS)
            return None

    def retry_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        contact = self.get_visible(request, pk)
        try:
            actions.retry_create(contact, user=request.user, actor=actor_of(request))
            messages.info(request, _now("It is tried again."))
        except CrmError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(self.url("change", contact.pk))
