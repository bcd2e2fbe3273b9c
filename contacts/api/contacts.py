"""contacts/ and what hangs under one contact, and the assignments: follow-users/."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.access import get_visible
from contacts.actions import create_contact
from contacts.api import serializers
from contacts.api.filters import ContactFilters, FollowUserFilters
from contacts.api.lookups import corp_named, last_seqs, tags_of
from contacts.consent import set_opted_out
from contacts.follow_up import plan_follow_up, require_planner
from contacts.models import Contact, FollowUser
from crm.api.history import EventSerializer
from crm.api.views import Api, ListApi
from crm.models import Event

VIEW = ("contacts.view_contact",)
ID = OpenApiParameter("id", int, OpenApiParameter.PATH, description="id of the contact")
# What a new contact leaves out, the action fills.
TAKEN = (
    "external_userid", "name", "nickname", "gender", "position", "corp_name", "type", "mobile", "tags", "remark",
)  # fmt: skip


class ContactApi(Api):
    """What the views of contacts share: their shape, and what a page of them needs looked up."""

    queryset = Contact.objects.all()
    serializer_class = serializers.ContactSerializer

    def get_queryset(self) -> QuerySet[Contact]:
        rows = Contact.objects.visible_to(self.request.user)
        rows = rows.select_related("corp", "contact_way")
        return rows.defer("external_profile", "contact_way__picture").with_followers()

    def show(self, rows: Sequence[Contact]) -> list[dict[str, Any]]:
        follows = [follow for contact in rows for follow in contact.follow_users.all()]
        context = {**self.get_serializer_context(), "tags": tags_of(follows), "seqs": last_seqs(rows)}
        return list(serializers.ContactSerializer(rows, many=True, context=context).data)


class Contacts(ContactApi, ListApi):
    """External contacts, newest first."""

    filterset_class = ContactFilters
    orderings: ClassVar = {
        "id": "pk",
        "-id": "-pk",
        "created_at": "created_at",
        "-created_at": "-created_at",
        "updated_at": "updated_at",
        "-updated_at": "-updated_at",
    }
    required_scopes: ClassVar = {"GET": "contacts:read", "POST": "contacts:write"}
    required_permissions: ClassVar = {"GET": VIEW, "POST": ("contacts.add_contact",)}

    @extend_schema(operation_id="contacts_list", tags=["contacts"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="contacts_create",
        tags=["contacts"],
        request=serializers.NewContactSerializer,
        responses={201: serializers.ContactSerializer},
        description=(
            "Creates the contact here as `pending`; a worker then creates it at the provider. In a corp of dialect"
            " `official` nobody can be created: a QR code is made (`contact_way`), and the contact becomes real when"
            " the person scans it."
        ),
    )
    def post(self, request: Request) -> Response:
        return self.once(self._create)

    def _create(self) -> Response:
        body = self.read(serializers.NewContactSerializer)
        caller = self.caller
        made = create_contact(
            user=caller.user,
            actor=caller.actor,
            corp=corp_named(caller.user, body["corp"]),
            follow_user=body["follow_users"],
            **{name: body[name] for name in TAKEN if name in body},
        )
        rows = Contact.objects.select_related("corp", "contact_way").defer("contact_way__picture")
        row = rows.with_followers().get(pk=made.pk)
        return Response(
            self.show([row])[0], 201, headers={"Location": reverse("api:contact", args=[made.pk])}
        )


class OneContact(ContactApi):
    """One contact with everybody who follows it."""

    required_scopes: ClassVar = {"GET": "contacts:read", "PATCH": "contacts:write"}
    required_permissions: ClassVar = {"GET": VIEW, "PATCH": ("contacts.change_contact",)}

    @extend_schema(operation_id="contacts_retrieve", tags=["contacts"])
    def get(self, request: Request, pk: str) -> Response:
        return self.answer_one(get_visible(request.user, self.get_queryset(), pk))

    @extend_schema(
        operation_id="contacts_partial_update",
        tags=["contacts"],
        request=serializers.ContactPatchSerializer,
        description="Takes CRM-owned fields only.",
    )
    def patch(self, request: Request, pk: str) -> Response:
        contact = get_visible(request.user, self.get_queryset(), pk)
        body = self.read(serializers.ContactPatchSerializer)
        if "opted_out" in body:
            set_opted_out(contact, **body, user=self.caller.user, actor=self.caller.actor)
        return self.answer_one(self.get_queryset().get(pk=contact.pk))


class FollowUserApi(Api):
    queryset = FollowUser.objects.all()
    serializer_class = serializers.AssignmentSerializer

    def get_queryset(self) -> QuerySet[FollowUser]:
        rows = FollowUser.objects.visible_to(self.request.user)
        return rows.select_related("contact__corp", "employee").defer("raw", "contact__external_profile")

    def show(self, rows: Sequence[FollowUser]) -> list[dict[str, Any]]:
        context = {**self.get_serializer_context(), "tags": tags_of(rows)}
        return list(serializers.AssignmentSerializer(rows, many=True, context=context).data)


class FollowUsers(FollowUserApi, ListApi):
    """The assignments "employee follows contact", current and ended."""

    filterset_class = FollowUserFilters
    required_scopes: ClassVar = {"GET": "contacts:read"}
    required_permissions: ClassVar = {"GET": ("contacts.view_followuser",)}

    @extend_schema(operation_id="follow_users_list", tags=["follow-users"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class FollowUsersOfContact(FollowUsers):
    """Who follows this contact, and who did."""

    def get_queryset(self) -> QuerySet[FollowUser]:
        contact = get_visible(self.request.user, Contact.objects.all(), self.kwargs["pk"])
        return super().get_queryset().filter(contact=contact)

    @extend_schema(operation_id="contacts_follow_users_list", tags=["contacts"], parameters=[ID])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class OneFollowUser(FollowUserApi):
    """One assignment; PATCH plans its follow-up."""

    required_scopes: ClassVar = {"GET": "contacts:read", "PATCH": "contacts:write"}
    required_permissions: ClassVar = {
        "GET": ("contacts.view_followuser",),
        "PATCH": ("contacts.change_followuser",),
    }

    @extend_schema(operation_id="follow_users_retrieve", tags=["follow-users"])
    def get(self, request: Request, pk: str) -> Response:
        return self.answer_one(get_visible(request.user, self.get_queryset(), pk))

    @extend_schema(
        operation_id="follow_users_partial_update",
        tags=["follow-users"],
        request=serializers.FollowUpSerializer,
    )
    def patch(self, request: Request, pk: str) -> Response:
        rows = self.get_queryset()
        follow = get_visible(request.user, rows, pk)
        require_planner(follow, user=request.user)
        body = self.read(serializers.FollowUpSerializer)
        plan_follow_up(follow, user=request.user, actor=self.caller.actor, **body)
        return self.answer_one(rows.get(pk=follow.pk))


class Timeline(ListApi):
    """What happened to this contact and to its follow users and messages, newest first."""

    queryset = Event.objects.all()
    serializer_class = EventSerializer
    required_scopes: ClassVar = {"GET": "contacts:read"}
    required_permissions: ClassVar = {"GET": VIEW}

    def get_queryset(self) -> QuerySet[Event]:
        contact = get_visible(self.request.user, Contact.objects.all(), self.kwargs["id"])
        return Event.objects.filter(contact_id=contact.pk).select_related("corp")

    @extend_schema(operation_id="contacts_timeline_list", tags=["contacts"], parameters=[ID])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)
