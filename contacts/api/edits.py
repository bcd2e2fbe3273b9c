"""contacts/{id}/card/: the contact as the provider keeps it, changed and deleted there."""

from collections.abc import Callable
from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from contacts import edits
from contacts.access import get_visible
from contacts.api import serializers
from contacts.api.contacts import ContactApi
from contacts.models import Contact
from crm.admin_words import provider_sentence
from crm.errors import Conflict
from crm.providers.errors import ProviderError


class Card(ContactApi):
    """The contact at the provider. Both calls may be repeated: the same change twice is one."""

    required_scopes: ClassVar = {"PATCH": "contacts:write", "DELETE": "contacts:write"}
    required_permissions: ClassVar = {
        "PATCH": ("contacts.change_contact",),
        "DELETE": ("contacts.delete_contact",),
    }

    @extend_schema(
        operation_id="contacts_card_partial_update",
        tags=["contacts"],
        request=serializers.CardSerializer,
        responses={200: serializers.ContactSerializer},
        description="Changes the contact at the provider, or hands it over, and reads it again. DingTalk only: "
        "409 `unsupported` elsewhere, `provider_refused` when the provider says no.",
    )
    def patch(self, request: Request, pk: str) -> Response:
        contact = get_visible(request.user, self.get_queryset(), pk)
        body = self.read(serializers.CardSerializer)
        caller = self.caller
        _told(lambda: edits.edit_contact(contact, user=caller.user, actor=caller.actor, **body))
        row = Contact.objects.select_related("corp").with_followers().get(pk=contact.pk)
        return Response(self.show([row])[0])

    @extend_schema(
        operation_id="contacts_card_destroy",
        tags=["contacts"],
        responses={204: None},
        description="Deletes the contact at the provider for everybody; here it is lost, with its history.",
    )
    def delete(self, request: Request, pk: str) -> Response:
        contact = get_visible(request.user, self.get_queryset(), pk)
        caller = self.caller
        _told(lambda: edits.delete_contact(contact, user=caller.user, actor=caller.actor))
        return Response(status=204)


def _told(work: Callable[[], None]) -> None:
    """What the provider says against it, as a conflict."""
    try:
        work()
    except ProviderError as error:
        words = provider_sentence(error.code, error.errcode, error.errmsg, fix=error.fix)
        code = "provider_refused" if error.outcome == "not_done" else "provider_silent"
    else:
        return
    raise Conflict(words, code=code)
