"""Messages: what was sent, to whom, and what became of it."""

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib import messages as flash
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from contacts.admin.filters import ChoiceFilter, CorpFilter
from crm import roles
from crm.admin_base import ReadOnlyAdmin, actor_of
from crm.admin_cells import badge, moment, state_badge, two_lines
from crm.admin_words import provider_sentence
from crm.errors import CrmError
from messaging import control, errands, figures
from messaging.admin import waiting
from messaging.admin.approval import ApprovalFilter, ApprovalMixin
from messaging.admin.phone import shown
from messaging.admin.pressed import pressed
from messaging.admin.sending import SendingMixin, everybody_of
from messaging.admin.targets import name_targets
from messaging.admin.usage import UsageMixin, may_see_usage, tally_badges
from messaging.forms import ResolveForm
from messaging.models import Delivery, Errand, MediaFile, Message
from messaging.waits import Waits

SHOWN = 500
ERRANDS = {
    Errand.Kind.RECALL: (
        _("Take it back"),
        _("It disappears from the employees' WeCom. What they have read they have read."),
        "danger",
    ),
    Errand.Kind.REMIND: (
        _("Remind the employees"),
        _("WeCom asks those who have not confirmed the mass send once more: at most 3 times in 24 hours."),
        "primary",
    ),
    Errand.Kind.STOP: (
        _("Stop the mass send"),
        _("Who has not confirmed it cannot any more. What was confirmed stays sent."),
        "danger",
    ),
}


class MessageStateFilter(ChoiceFilter):
    title = _("state")
    parameter_name = "state"
    field = "state"
    options = Message.State.choices


class MessageTypeFilter(ChoiceFilter):
    title = _("type")
    parameter_name = "msgtype"
    field = "msgtype"
    options = Message.Type.choices


class ToKindFilter(ChoiceFilter):
    title = _("to")
    parameter_name = "to"
    field = "to_kind"
    options = Message.ToKind.choices


@admin.register(Message)
class MessageAdmin(SendingMixin, ApprovalMixin, UsageMixin, ReadOnlyAdmin):
    list_display = ("summary_cell", "state_cell", "counts_cell", "corp", "sender_cell", "created_cell")
    list_filter = (MessageStateFilter, ApprovalFilter, MessageTypeFilter, ToKindFilter, CorpFilter)
    list_select_related = ("corp", "created_by")
    list_before_template = "admin/messaging/messages_before.html"
    sortable_by = ()

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            *self.sending_urls(),
            *self.approval_urls(),
            *self.usage_urls(),
            path("<int:pk>/live/", wrap(self.live_view), name="messaging_message_live"),
            path("<int:pk>/cancel/", wrap(self.cancel_view), name="messaging_message_cancel"),
            path("<int:pk>/pause/", wrap(self.pause_view), name="messaging_message_pause"),
            path("<int:pk>/resume/", wrap(self.resume_view), name="messaging_message_resume"),
            *(
                path(
                    f"<int:pk>/{kind}/",
                    wrap(self.errand_view),
                    {"kind": kind.value},
                    name=f"messaging_message_{kind}",
                )
                for kind in Errand.Kind
            ),
            path(
                "<int:pk>/resolve/<int:delivery_id>/",
                wrap(self.resolve_view),
                name="messaging_message_resolve",
            ),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        before: dict[str, Any] = {"everybody_of": list(everybody_of(request))}
        if may_see_usage(request):
            before["usage_url"] = self.url("usage")
        return super().changelist_view(request, before | (extra_context or {}))

    def load_rows(self, request: HttpRequest, rows: list[Any]) -> None:
        tally: dict[int, list[tuple[str, int]]] = {}
        counted = Delivery.objects.filter(message__in=[row.pk for row in rows]).order_by("state")
        for message_id, state, n in counted.values_list("message", "state").annotate(n=Count("pk")):
            tally.setdefault(message_id, []).append((state, n))
        names = _file_names(rows)
        for row in rows:
            row.tally = tally.get(row.pk, [])
            row.shown_summary = summary_for(request, row) or names.get(row.pk, "")

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "title": _("No messages yet"),
            "text": _(
                "Open a contact and press Send text, or select several in the list and choose an action."
            ),
            "buttons": [(_("Choose contacts"), reverse("admin:contacts_contact_changelist"))],
        }

    # --- the page of one message
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method != "GET":
            raise PermissionDenied
        message = self.get_visible(request, object_id)
        context = message_context(request, message) | {"back": only_recipient(message)}
        return self.page(request, "admin/messaging/message.html", title=str(message), obj=message, **context)

    def live_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return render(
            request,
            "admin/messaging/message_live.html",
            message_context(request, self.get_visible(request, pk)),
        )

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        return HttpResponseRedirect(self.url("change", self.get_visible(request, object_id).pk))

    def cancel_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        message = self.get_visible(request, pk)
        if not request.user.has_perm("messaging.add_message"):
            raise PermissionDenied
        back = self.url("change", message.pk)
        if request.method == "POST":
            try:
                n = control.cancel(message, user=request.user, actor=actor_of(request))
                told = ngettext("%(n)d delivery is cancelled.", "%(n)d deliveries are cancelled.", n)
                flash.success(request, told % {"n": n})
            except CrmError as error:
                flash.error(request, str(error))
            return HttpResponseRedirect(back)
        return self.confirm_page(
            request,
            title=_("Cancel message %(n)s") % {"n": message.pk},
            text=_("What still waits is not sent. What is on its way or arrived cannot be taken back here."),
            button=_("Cancel the rest"),
            tone="danger",
            obj=message,
            back=back,
        )

    def pause_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._act(request, pk, control.pause, _now("What is queued waits until it is resumed."))

    def resume_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        return self._act(request, pk, control.resume, _now("It goes on."))

    def _act(self, request: HttpRequest, pk: int, act: Callable[..., object], told: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        message = self.get_visible(request, pk)
        try:
            act(message, user=request.user, actor=actor_of(request))
            flash.success(request, told)
        except CrmError as error:
            flash.error(request, str(error))
        return HttpResponseRedirect(self.url("change", pk))

    def told_of(self, request: HttpRequest, message: Message) -> list[str]:
        """What a person decides about, where only the message's number is in the title."""
        count = message.deliveries.count()
        to = ngettext("To %(n)d recipient", "To %(n)d recipients", count) % {"n": count}
        return [summary_for(request, message), to, _now("Sent by %(name)s") % {"name": author(message)}]

    def errand_view(self, request: HttpRequest, pk: int, kind: str) -> HttpResponse:
        """Take back, remind, stop: asked first, then left to a worker."""
        message = self.get_visible(request, pk)
        if not request.user.has_perm(control.SEND):
            raise PermissionDenied
        if request.method == "POST":
            ask = partial(errands.ask, kind=Errand.Kind(kind))
            return self._act(request, pk, ask, _now("The provider is asked; the page says what it answers."))
        title, text, tone = ERRANDS[Errand.Kind(kind)]
        return self.confirm_page(
            request, title=title, text=text, button=title, tone=tone, obj=message, back=self.url("change", pk)
        )

    def resolve_view(self, request: HttpRequest, pk: int, delivery_id: int) -> HttpResponse:
        """What became of a delivery whose answer was lost: a person looked, and says so."""
        message = self.get_visible(request, pk)
        delivery = message.deliveries.filter(pk=delivery_id).select_related("contact", "employee").first()
        if delivery is None:
            raise Http404
        name_targets([delivery])
        if not request.user.has_perm(control.RESOLVE):
            raise PermissionDenied
        back = self.url("change", pk)
        form = ResolveForm(request.POST or None)
        if delivery.state != Delivery.State.UNCERTAIN:
            flash.info(request, _now("This delivery is not uncertain."))
            return HttpResponseRedirect(back)
        if request.method == "POST" and form.is_valid():
            try:
                control.resolve(delivery, **form.cleaned_data, user=request.user, actor=actor_of(request))
                flash.success(request, _now("Saved."))
            except CrmError as error:
                flash.error(request, str(error))
            return HttpResponseRedirect(back)
        return self.page(
            request,
            "admin/messaging/resolve.html",
            title=_("What became of it?"),
            obj=message,
            form=form,
            delivery=delivery,
            message=message,
            **shown(message.content, message.corp_id),
            is_hidden=hides_body(request),
            back=back,
        )

    # --- cells
    @admin.display(description=_("message"))
    def summary_cell(self, message: Any) -> SafeString:
        return two_lines(message.shown_summary, f"#{message.pk} · {message.get_msgtype_display()}")

    @admin.display(description=_("state"))
    def state_cell(self, message: Message) -> SafeString:
        shown = badge(_("paused"), "held") if is_held(message) else state_badge(message)
        if not control.is_unapproved(message):
            return shown
        return format_html(
            '<span class="rm-chips">{}{}</span>', shown, badge(_("waits for approval"), "held")
        )

    @admin.display(description=_("deliveries"))
    def counts_cell(self, message: Any) -> SafeString:
        return tally_badges(message.tally)

    @admin.display(description=_("sent by"))
    def sender_cell(self, message: Message) -> str:
        return author(message)

    @admin.display(description=_("created at"))
    def created_cell(self, message: Message) -> SafeString:
        return moment(message.created_at)


def _offers(request: HttpRequest, message: Message) -> list[tuple[str, Any]]:
    """(address, label) of what can still be asked of the provider about it."""
    if not request.user.has_perm(control.SEND):
        return []
    return [
        (reverse(f"admin:messaging_message_{kind}", args=(message.pk,)), title)
        for kind, (title, _text, _tone) in ERRANDS.items()
        if errands.may(message, kind)
    ]


def _file_names(messages: list[Any]) -> dict[int, str]:
    """{message id: the file it carries}: an image has no words to be recognised by."""
    carried = MediaFile.messages.through.objects.filter(message__in=[each.pk for each in messages])
    return dict(carried.values_list("message_id", "mediafile__name"))


def is_held(message: Message) -> bool:
    return message.paused_at is not None and message.state == Message.State.OPEN


def author(row: Message | MediaFile) -> str:
    return name_of(row.created_by)


def name_of(user: Any) -> str:
    return (user.get_full_name() or user.get_username()) if user else "–"


def hides_body(request: HttpRequest) -> bool:
    """An auditor sees that something was sent and what became of it, never what it said."""
    return roles.role_of(request.user) == roles.AUDITOR


def summary_for(request: HttpRequest, message: Message) -> str:
    return "•••" if hides_body(request) else message.summary[:200]


def reason_of(delivery: Delivery) -> str:
    """Why a delivery stands where it stands, in words; "" when there is nothing to say."""
    if delivery.state == Delivery.State.ACCEPTED and delivery.sender and not delivery.is_last_word:
        return _now("The employee has to confirm it in WeCom.")
    if not (delivery.code or delivery.errcode or delivery.errmsg):
        return ""
    return provider_sentence(delivery.code, delivery.errcode or None, delivery.errmsg)


def only_recipient(message: Message) -> tuple[str, str] | None:
    """Name and page of whom alone a message is for: where its writer came from and goes back to."""
    rows = list(message.deliveries.select_related("contact", "employee", "message").order_by("pk")[:2])
    if len(rows) != 1:
        return None
    name_targets(rows)
    target: tuple[str, str] | None = rows[0].target  # type: ignore[attr-defined]
    if target is not None:
        return target if target[1] else None
    if not (who := rows[0].contact or rows[0].employee):
        return None
    return str(who), reverse(f"admin:contacts_{who._meta.model_name}_change", args=(who.pk,))


def message_context(request: HttpRequest, message: Message) -> dict[str, Any]:
    rows: QuerySet = message.deliveries.select_related("contact", "employee").order_by("pk")
    deliveries = list(rows[: SHOWN + 1])
    name_targets(deliveries)
    tally = sorted(Delivery.objects.filter(message=message).counts().items())
    waits = Waits(message, timezone.now())
    return {
        "message": message,
        "author": author(message),
        **({} if hides_body(request) else shown(message.content, message.corp_id)),
        "is_hidden": hides_body(request),
        "tally": tally_badges(tally),
        "total": sum(n for _state, n in tally),
        "deliveries": [
            # What holds all of them is said once, above.
            {
                "row": row,
                "reason": reason_of(row),
                "wait": "" if waits.of_all else waiting.of_one(waits.of(row)),
            }
            for row in deliveries[:SHOWN]
        ],
        "waits": waiting.of_all(waits.counted()),
        "is_restored": is_held(message) and message.pause_reason == Message.PauseReason.RESTORE,
        "is_unapproved": control.is_unapproved(message),
        "may_approve": control.may_approve(message, user=request.user),
        "approver": name_of(message.urgent_approved_by),
        "has_more": len(deliveries) > SHOWN,
        "mass": figures.mass_progress(message),
        "is_held": is_held(message),
        "is_open": message.state == Message.State.OPEN,
        "clicks": pressed(message, is_hidden=hides_body(request)),
        "errands": list(message.errands.all()),
        "offers": _offers(request, message),
        "may_resolve": request.user.has_perm(control.RESOLVE),
        "may_pause": request.user.has_perm(control.SEND)
        and (
            is_held(message) or any(s in (Delivery.State.QUEUED, Delivery.State.SENDING) for s, _n in tally)
        ),
        "may_cancel": request.user.has_perm("messaging.add_message")
        and any(s == Delivery.State.QUEUED for s, _n in tally),
    }
