"""The way of a message through the admin: form, confirmation that shows who gets it, compose."""

import hashlib
from functools import partial
from typing import Any

import orjson
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from contacts.access import reached_teams, visible_corps
from contacts.models import Contact, Employee
from crm.admin_base import actor_of
from crm.admin_forms import is_id
from crm.connections import can
from crm.errors import CrmError
from crm.models import Agent, Corp
from crm.providers.base import Capability
from crm.providers.content import MiniprogramNotice
from messaging import control, library, outbox, wording
from messaging.admin import drafts
from messaging.admin.drafts import Draft
from messaging.admin.phone import ICONS, shown
from messaging.admin.templates import offered
from messaging.forms import FORMS, MEDIA_KINDS, ContentForm, TimesForm
from messaging.models import MediaFile, Message, Template
from messaging.outbox import Preview

SHOWN = 200


class SendingMixin:
    """`send/start/<msgtype>/?contact=…` → `send/<token>/` → `send/<token>/confirm/` → the message's page."""

    def sending_urls(self: Any) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("send/start/<slug:msgtype>/", wrap(self.start_view), name="messaging_message_start"),
            path("send/<slug:token>/", wrap(self.write_view), name="messaging_message_write"),
            path("send/<slug:token>/confirm/", wrap(self.confirm_view), name="messaging_message_confirm"),
        ]

    def start_view(self: Any, request: HttpRequest, msgtype: str) -> HttpResponse:
        """Begin a message to one contact, employee or department, or to everybody of a corp, named in the address."""
        _require(request)
        draft = _named(request, msgtype)
        if msgtype not in FORMS or draft is None:
            raise Http404
        return HttpResponseRedirect(self.url("write", drafts.keep(request, draft)))

    def start_selected(
        self: Any, request: HttpRequest, msgtype: str, to_kind: str, rows: list[tuple[int, Any]]
    ) -> Any:
        """Begin a message to the selected rows, (corp, id) pairs; stays on the list when that cannot be."""
        _require(request)
        corp_id = drafts.one_corp([corp for corp, _id in rows])
        most = outbox.most_recipients(request.user)
        if len(rows) > most:
            messages.error(
                request, _now("At most %(n)d at a time: narrow the list with filters.") % {"n": most}
            )
            return None
        if corp_id is None:
            messages.error(request, _now("Choose recipients of one corp: filter the list by corp first."))
            return None
        token = drafts.keep(request, Draft(msgtype, to_kind, corp_id, [each for _corp, each in rows]))
        return HttpResponseRedirect(self.url("write", token))

    def write_view(self: Any, request: HttpRequest, token: str) -> HttpResponse:
        _require(request)
        draft = drafts.find(request, token)
        if draft is None:
            return self._without_draft(request, token)
        if request.method == "GET" and "template" in request.GET:
            return self._begin_from(request, token, draft, request.GET["template"])
        if request.method == "GET" and "kind" in request.GET:
            return self._turn_into(request, token, draft, request.GET["kind"])
        form = form_of(request, draft)
        if request.method == "POST" and form.is_valid() and self._accepts(request, draft, form):
            drafts.keep(request, draft, token)
            return HttpResponseRedirect(self.url("confirm", token))
        return self.page(
            request,
            form.write_page,
            title=form.heading,
            form=form,
            draft=draft,
            corp=draft.corp(),
            is_mass=is_mass(draft),
            count=len(draft.ids),
            templates=offered(request, draft.corp_id, draft.msgtype),
            icon=ICONS.get(draft.msgtype),
            kinds=[(kind, Message.Type(kind).label) for kind in MEDIA_KINDS],
            media=form.media,
        )

    def _begin_from(self: Any, request: HttpRequest, token: str, draft: Draft, pk: str) -> HttpResponse:
        """Fill the form from a template; none empties it."""
        rows = Template.objects.visible_to(request.user).active().filter(corp=draft.corp_id)
        found = rows.filter(pk=int(pk), msgtype=draft.msgtype).first() if is_id(pk) else None
        if pk and not found:
            messages.error(request, _now("There is no such template in this corp."))
        else:
            draft.begin_from(found)
            drafts.keep(request, draft, token)
        return HttpResponseRedirect(self.url("write", token))

    def _turn_into(self: Any, request: HttpRequest, token: str, draft: Draft, kind: str) -> HttpResponse:
        """Send a file of another kind instead."""
        if not {kind, draft.msgtype} <= set(MEDIA_KINDS):
            raise Http404
        draft.msgtype, draft.content = kind, {}
        drafts.keep(request, draft, token)
        return HttpResponseRedirect(self.url("write", token))

    def _accepts(self, request: HttpRequest, draft: Draft, form: ContentForm) -> bool:
        form.keep_uploads(partial(library.add, user=request.user, actor=actor_of(request), corp=draft.corp()))
        if not form.is_valid():
            return False
        content = form.made()
        draft.variables = form.given()
        try:
            preview = draft.preview(request.user, content)
        except CrmError as error:
            form.refuse_variables(error)
            return False
        form.complain(preview.problems)
        draft.content = content.as_json()
        return form.is_valid()

    def confirm_view(self: Any, request: HttpRequest, token: str) -> HttpResponse:
        """Who gets it and who cannot, before anything is sent. Submitted twice, it is sent once."""
        _require(request)
        draft = drafts.find(request, token)
        if draft is None or not draft.content or drafts.sent_as(request, token):
            return self._without_draft(request, token)
        try:
            preview = draft.preview(request.user, draft.parsed)
        except CrmError as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(self.url("write", token))
        times = TimesForm(request.POST if request.method == "POST" else None)
        me = myself(request, draft)
        if request.method == "POST" and "to_me" in request.POST and me:
            self._send_to_me(request, token, draft, preview, me)
            return HttpResponseRedirect(self.url("confirm", token))
        if request.method == "POST" and preview.recipients:
            if not times.is_valid():
                messages.error(request, _now("This is not a date and time."))
            elif sent := self._send(request, token, draft, preview, times.cleaned_data):
                return HttpResponseRedirect(self._after(request, sent, preview.texts))
        return self.page(
            request,
            "admin/messaging/confirm_send.html",
            title=_("Who will get it"),
            draft=draft,
            token=token,
            corp=draft.corp(),
            is_mass=is_mass(draft),
            preview=preview,
            recipients=preview.recipients[:SHOWN],
            count=len(preview.recipients) if preview.people is None else preview.people,
            excluded=preview.excluded[:SHOWN],
            shown=SHOWN,
            companies=companies(preview),
            **shown(preview.content.as_json(), draft.corp_id),
            warnings=[wording.sentence(problem) for problem in preview.problems],
            blocked=any(not problem.warning for problem in preview.problems),
            write_url=self.url("write", token),
            times=times,
            me=me,
            may_be_urgent=settings.CRM_QUIET_HOURS and request.user.has_perm(control.APPROVE),
        )

    def _send_to_me(
        self, request: HttpRequest, token: str, draft: Draft, preview: Preview, me: Employee
    ) -> None:
        """What the first recipient would get, to the reader's own phone; the same content once."""
        told = orjson.dumps(preview.content.as_json(), option=orjson.OPT_SORT_KEYS)
        trial = f"{token}-{hashlib.sha256(told).hexdigest()[:16]}"
        try:
            drafts.send_once(
                request,
                trial,
                lambda: outbox.compose(
                    user=request.user,
                    actor=actor_of(request),
                    corp=draft.corp(),
                    employees=[me.userid],
                    content=preview.content,
                    agent=draft.agent,
                ),
            )
            messages.success(request, _now("It is on its way to your own phone."))
        except CrmError as error:
            for sentence in dict.fromkeys(fault.detail for fault in error.errors) or [str(error)]:
                messages.error(request, sentence)

    def _after(self: Any, request: HttpRequest, sent: int, texts: int) -> str:
        """The page of the message; the list where it became several."""
        if texts == 1:
            return str(self.url("change", sent))
        messages.success(request, _now("%(n)d different texts go out, each as a message.") % {"n": texts})
        return str(self.url("changelist"))

    def _send(
        self, request: HttpRequest, token: str, draft: Draft, preview: Preview, times: dict[str, Any]
    ) -> int | None:
        to = draft.chosen_among(preview.recipients)
        try:
            return drafts.send_once(
                request,
                token,
                lambda: draft.compose(user=request.user, actor=actor_of(request), **to, **times),
            )
        except CrmError as error:
            for sentence in dict.fromkeys(fault.detail for fault in error.errors) or [str(error)]:
                messages.error(request, sentence)
            return None

    def _without_draft(self: Any, request: HttpRequest, token: str) -> HttpResponse:
        sent = drafts.sent_as(request, token)
        if sent is not None:
            return HttpResponseRedirect(self.url("change", sent))
        messages.warning(request, _now("This draft is no longer there. Begin again from the contact."))
        return HttpResponseRedirect(self.url("changelist"))


def _require(request: HttpRequest) -> None:
    if not request.user.has_perm("messaging.add_message"):
        raise PermissionDenied


def _named(request: HttpRequest, msgtype: str) -> Draft | None:
    """A draft to whom the address names; None when that is nobody within reach."""
    if "everybody" in request.GET:
        pk = request.GET["everybody"]
        found = everybody_of(request).filter(pk=int(pk)).first() if is_id(pk) else None
        return Draft(msgtype, Message.ToKind.EVERYBODY, found.pk, []) if found else None
    kinds: dict[str, tuple[str, str, Any]] = {
        "employee": (Message.ToKind.EMPLOYEE, "userid", Employee.objects.reached_by(request.user)),
        "department": (Message.ToKind.DEPARTMENT, "department_id", reached_teams(request.user)),
        "contact": (Message.ToKind.CONTACT, "pk", Contact.objects.visible_to(request.user)),
    }
    for name, (to_kind, field, rows) in kinds.items():
        if is_id(pk := request.GET.get(name, "")):
            row = rows.filter(pk=int(pk)).values_list("corp_id", field).first()
            return _through(request, Draft(msgtype, to_kind, row[0], [row[1]])) if row else None
    return None


def _through(request: HttpRequest, draft: Draft) -> Draft | None:
    """`draft`, to go through the app that the address names; None where the corp has no such app."""
    draft.agent = request.GET.get("agent")
    has_it = draft.agent is None or Agent.objects.filter(corp=draft.corp_id, agentid=draft.agent).exists()
    return draft if has_it else None


def everybody_of(request: HttpRequest) -> QuerySet[Corp]:
    """The corps to all of whose employees the person may write at once."""
    if not request.user.has_perm("messaging.broadcast_message"):
        return Corp.objects.none()
    return visible_corps(request.user).filter(is_active=True)


def myself(request: HttpRequest, draft: Draft) -> Employee | None:
    """The reader's own employee, where a trial of this message can be sent."""
    return Employee.objects.filter(user=request.user.pk, corp=draft.corp_id).first()


def is_mass(draft: Draft) -> bool:
    """Whether it goes out as a mass send, in the name of employees who must confirm it."""
    corp = draft.corp()
    return draft.to_kind == Message.ToKind.CONTACT and not can(corp, Capability.MESSAGE_CONTACT)


def form_of(request: HttpRequest, draft: Draft) -> ContentForm:
    stored = draft.content or last_notice(request, draft)
    return FORMS[draft.msgtype](
        request.POST if request.method == "POST" else None,
        mass=is_mass(draft),
        stored=stored,
        variables=draft.variables,
        files=request.FILES or None,
        files_kept=MediaFile.objects.visible_to(request.user).active().filter(corp=draft.corp_id),
    )


def last_notice(request: HttpRequest, draft: Draft) -> dict[str, Any]:
    """The mini program one used last in this corp: nobody types an appid twice."""
    if draft.msgtype != MiniprogramNotice.msgtype:
        return {}
    rows = Message.objects.visible_to(request.user).filter(corp=draft.corp_id, msgtype=draft.msgtype)
    last = rows.order_by("-pk").values_list("content", flat=True).first() or {}
    return {draft.msgtype: {"appid": last.get(draft.msgtype, {}).get("appid", "")}}


def companies(preview: Preview) -> dict[int, str]:
    ids = [each.contact_id for each in preview.recipients[:SHOWN] if each.contact_id]
    return dict(Contact.objects.filter(pk__in=ids).values_list("pk", "corp_name"))
