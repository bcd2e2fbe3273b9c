"""What the traffic adds to other pages: send buttons and actions, and a contact's deliveries in its timeline."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from contacts.admin.contacts import ContactAdmin
from contacts.admin.people import EmployeeAdmin, TeamAdmin
from contacts.admin.slots import (
    CONTACT_BUTTONS,
    EMPLOYEE_BUTTONS,
    TEAM_BUTTONS,
    TIMELINE,
    Button,
    Entry,
    offer_action,
)
from contacts.models import Contact, Employee, Team
from crm.admin_cells import state_badge
from crm.connections import can
from crm.providers.base import Capability
from messaging import outbox
from messaging.admin.messages import author, hides_body, reason_of
from messaging.models import Delivery, Message

LABELS = {"text": _("Send text"), "miniprogram_notice": _("Send mini-program notice")}
# Contacts take files as attachments of a text; the page then offers the other kinds of files.
TO_EMPLOYEES = {**LABELS, "image": _("Send image, video or file")}
BREAK = SafeString("<br>")
ICONS = {
    "text": "chat",
    "miniprogram_notice": "widgets",
    "image": "image",
    "voice": "mic",
    "video": "movie",
    "file": "attach_file",
}


def _buttons(request: HttpRequest, labels: Mapping[str, Any], query: str) -> list[Button]:
    if not request.user.has_perm("messaging.add_message"):
        return []
    return [
        Button(
            label,
            f"{reverse('admin:messaging_message_start', args=(kind,))}?{query}",
            ICONS[kind],
            kind == "text",
        )
        for kind, label in labels.items()
    ]


def contact_buttons(request: HttpRequest, contact: Contact) -> list[Button]:
    can_be_written_to = can(contact.corp, Capability.MESSAGE_CONTACT) or can(
        contact.corp, Capability.MASS_MESSAGE_CONTACT
    )
    is_willing = contact.state == Contact.State.ACTIVE and contact.opted_out_at is None
    may_be_written_to = can_be_written_to and is_willing
    return _buttons(request, LABELS, f"contact={contact.pk}") if may_be_written_to else []


def employee_buttons(request: HttpRequest, employee: Employee) -> list[Button]:
    can_be_written_to = employee.status == Employee.Status.ACTIVE and can(
        employee.corp, Capability.MESSAGE_EMPLOYEE
    )
    return _buttons(request, TO_EMPLOYEES, f"employee={employee.pk}") if can_be_written_to else []


def team_buttons(request: HttpRequest, team: Team) -> list[Button]:
    return _buttons(request, TO_EMPLOYEES, f"department={team.pk}") if team.absent_since is None else []


def deliveries_of(request: HttpRequest, contact: Contact, limit: int) -> Iterable[Entry]:
    """Who wrote to the contact and what became of it; the words only to whom may read the message."""
    rows = (
        Delivery.objects.filter(contact=contact).select_related("message__created_by").order_by("-pk")[:limit]
    )
    deliveries = list(rows)
    ids = {delivery.message_id for delivery in deliveries}
    readable = (
        set(Message.objects.visible_to(request.user).filter(pk__in=ids).values_list("pk", flat=True))
        if ids
        else ()
    )
    for delivery in deliveries:
        may_read = delivery.message_id in readable and not hides_body(request)
        kind = delivery.message.msgtype
        url = reverse("admin:messaging_message_change", args=(delivery.message_id,))
        text = format_html("<bdi>{}</bdi>", delivery.message.summary[:120]) if may_read else ""
        reason = reason_of(delivery)
        yield Entry(
            at=delivery.created_at,
            icon=ICONS.get(kind, "chat"),
            what=format_html("{}", delivery.message.get_msgtype_display().capitalize()),
            more=format_html("{}{}{}", text, BREAK if text and reason else "", reason),
            badge=state_badge(delivery),
            actor=author(delivery.message),
            url=url if delivery.message_id in readable else "",
        )


def _sending(msgtype: str, to_kind: str, field: str) -> Callable[[Any, HttpRequest, QuerySet], Any]:
    @admin.action(description=TO_EMPLOYEES[msgtype], permissions=["send"])
    def send(model_admin: Any, request: HttpRequest, queryset: QuerySet) -> Any:
        most = outbox.most_recipients(request.user)
        rows = list(queryset.order_by("pk").values_list("corp_id", field)[: most + 1])
        sender = model_admin.admin_site._registry[Message]
        return sender.start_selected(request, msgtype, to_kind, rows)

    send.__name__ = f"send_{msgtype}"
    return send


CONTACT_BUTTONS.append(contact_buttons)
EMPLOYEE_BUTTONS.append(employee_buttons)
TEAM_BUTTONS.append(team_buttons)
TIMELINE.append(deliveries_of)
for _msgtype in LABELS:
    offer_action(ContactAdmin, _sending(_msgtype, Message.ToKind.CONTACT, "pk"))
for _msgtype in TO_EMPLOYEES:
    offer_action(EmployeeAdmin, _sending(_msgtype, Message.ToKind.EMPLOYEE, "userid"))
    offer_action(TeamAdmin, _sending(_msgtype, Message.ToKind.DEPARTMENT, "department_id"))
