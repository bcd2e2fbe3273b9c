"""The pages that change, hand over and delete a contact at the provider, where it has calls for that."""

from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from contacts import edits
from contacts.admin import slots
from contacts.forms import EditContactForm
from contacts.models import Contact
from crm.admin_base import actor_of
from crm.admin_words import provider_sentence
from crm.errors import CrmError
from crm.providers.errors import ProviderError

if TYPE_CHECKING:
    from contacts.admin.contacts import ContactAdmin

POINTERS = {
    "/name": "name",
    "/position": "position",
    "/corp_name": "corp_name",
    "/remark": "remark",
    "/tags": "tags",
    "/owner": "owner",
}


def buttons(request: HttpRequest, contact: Contact) -> list[slots.Button]:
    """The buttons of the contact's page that lead here."""
    if not edits.can_edit(contact):
        return []
    offered = []
    if request.user.has_perm("contacts.change_contact"):
        offered.append(
            slots.Button(_("Edit"), reverse("admin:contacts_contact_edit", args=[contact.pk]), "edit")
        )
    if request.user.has_perm("contacts.delete_contact"):
        url = reverse("admin:contacts_contact_delete_there", args=[contact.pk])
        offered.append(slots.Button(_("Delete at the provider"), url, "delete"))
    return offered


slots.CONTACT_BUTTONS.append(buttons)


def edit_view(admin: "ContactAdmin", request: HttpRequest, pk: int) -> HttpResponse:
    contact = _editable(admin, request, pk, "contacts.change_contact")
    form = EditContactForm(request.POST or None, contact=contact, user=request.user)
    if request.method == "POST" and form.is_valid():
        refusal = _try(
            lambda: edits.edit_contact(contact, user=request.user, actor=actor_of(request), **form.changes())
        )
        if refusal is None:
            messages.success(request, _now("It is changed at the provider."))
            return _back(admin, request, pk)
        form.refuse(refusal, POINTERS)
    return admin.page(
        request,
        "admin/contacts/edit.html",
        title=_("Edit %(name)s") % {"name": contact},
        form=form,
        back=admin.url("change", pk),
        media=form.media,
    )


def delete_view(admin: "ContactAdmin", request: HttpRequest, pk: int) -> HttpResponse:
    contact = _editable(admin, request, pk, "contacts.delete_contact")
    if request.method == "POST":
        refusal = _try(lambda: edits.delete_contact(contact, user=request.user, actor=actor_of(request)))
        if refusal is None:
            messages.success(request, _now("It is deleted at the provider. What is known of it stays here."))
        else:
            messages.error(request, str(refusal))
        return _back(admin, request, pk)
    response: HttpResponse = admin.confirm_page(
        request,
        title=_("Delete %(name)s at the provider") % {"name": contact},
        text=_(
            "The contact is deleted for everybody who sees it there. Here it stays, as lost, with its history."
        ),
        button=_("Delete at the provider"),
        fields={},
        back=admin.url("change", pk),
    )
    return response


def _editable(admin: "ContactAdmin", request: HttpRequest, pk: int, permission: str) -> Contact:
    if not request.user.has_perm(permission):
        raise PermissionDenied
    contact: Contact = admin.get_visible(request, pk)
    return contact


def _try(work: Any) -> CrmError | None:
    """What stands against it; the provider's word as one of ours."""
    try:
        work()
    except ProviderError as error:
        return CrmError(provider_sentence(error.code, error.errcode, error.errmsg, fix=error.fix))
    except CrmError as error:
        return error
    return None


def _back(admin: "ContactAdmin", request: HttpRequest, pk: int) -> HttpResponse:
    is_reached = admin.get_queryset(request).filter(pk=pk).exists()
    return HttpResponseRedirect(admin.url("change", pk) if is_reached else admin.url("changelist"))
