"""contact-ways/: QR codes by which people become contacts."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts import ways
from contacts.access import get_visible
from contacts.api.filters import ContactWayFilters
from contacts.api.lookups import corp_named
from contacts.api.serializers import FollowTagSerializer
from contacts.downloads import qr_picture
from contacts.models import ContactWay
from crm.api.filters import refuse_unknown
from crm.api.serializers import Strict
from crm.api.views import Api, ListApi
from crm.errors import NotFound
from crm.providers.records import LIMITS

VIEW = ("contacts.view_contactway",)


class ContactWaySerializer(serializers.ModelSerializer[ContactWay]):
    corp = serializers.CharField(source="corp.corpid", help_text="corpid")
    type = serializers.IntegerField(help_text="1 of one employee, 2 of several")
    qr_code = serializers.CharField(help_text="The provider's address of the picture; `qr/` has the picture.")
    employees = serializers.SerializerMethodField(help_text="userids")
    teams = serializers.SerializerMethodField(help_text="department ids")
    tags = serializers.SerializerMethodField()
    contact = serializers.IntegerField(
        source="contact_id", allow_null=True, help_text="id of the contact it was made for"
    )
    arrivals = serializers.IntegerField(
        source="seen_arrivals", help_text="How many within reach came by it, ended relations included."
    )
    created_by = serializers.SerializerMethodField(help_text="username")

    class Meta:
        model = ContactWay
        fields = (
            "id",
            "corp",
            "campaign",
            "remark",
            "type",
            "state",
            "error",
            "qr_code",
            "employees",
            "teams",
            "tags",
            "skip_verify",
            "expires_at",
            "contact",
            "arrivals",
            "created_by",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def get_employees(self, way: ContactWay) -> list[str]:
        return [each.userid for each in way.employees.all()]

    def get_teams(self, way: ContactWay) -> list[int]:
        return [each.department_id for each in way.teams.all()]

    @extend_schema_field(FollowTagSerializer(many=True))
    def get_tags(self, way: ContactWay) -> list[dict[str, Any]]:
        return [
            {"id": tag.tag_id, "name": tag.name, "group": tag.group_name, "type": tag.type}
            for tag in way.tags.all()
        ]

    def get_created_by(self, way: ContactWay) -> str | None:
        return way.created_by.get_username() if way.created_by else None


class ContactWayChangeSerializer(Strict):
    """The body of PATCH contact-ways/{id}/; lists replace what was."""

    campaign = serializers.CharField(max_length=ways.CAMPAIGN, required=False)
    remark = serializers.CharField(max_length=ways.REMARK, required=False, allow_blank=True)
    employees = serializers.ListField(
        child=serializers.CharField(max_length=LIMITS["userid"]),
        required=False,
        max_length=ways.MOST_PEOPLE,
        help_text="userids",
    )
    teams = serializers.ListField(
        child=serializers.IntegerField(min_value=0, max_value=2**53),
        required=False,
        max_length=ways.MOST_PEOPLE,
        help_text="department ids",
    )
    tags = serializers.ListField(
        child=serializers.CharField(max_length=LIMITS["tag_id"]),
        required=False,
        max_length=100,
        help_text="The provider's tag ids, set on everybody who comes by the code.",
    )
    skip_verify = serializers.BooleanField(
        required=False, help_text="false: the employee accepts each person."
    )
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="The code stops working then; null: it does not."
    )


class NewContactWaySerializer(ContactWayChangeSerializer):
    """The body of POST contact-ways/."""

    corp = serializers.CharField(max_length=64, help_text="corpid")
    campaign = serializers.CharField(max_length=ways.CAMPAIGN)


class ContactWayApi(Api):
    queryset = ContactWay.objects.all()
    serializer_class = ContactWaySerializer

    def get_queryset(self) -> QuerySet[ContactWay]:
        user = self.request.user
        return ContactWay.objects.visible_to(user).defer("picture").with_people().with_arrivals(user)


class ContactWays(ContactWayApi, ListApi):
    """The contact ways that lead to people within reach, newest first."""

    filterset_class = ContactWayFilters
    required_scopes: ClassVar = {"GET": "contacts:read", "POST": "contacts:write"}
    required_permissions: ClassVar = {"GET": VIEW, "POST": ("contacts.add_contactway",)}

    @extend_schema(operation_id="contact_ways_list", tags=["contact-ways"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="contact_ways_create",
        tags=["contact-ways"],
        request=NewContactWaySerializer,
        responses={201: ContactWaySerializer},
        description="Writes the way as `pending`; a worker then has it made at the provider.",
    )
    def post(self, request: Request) -> Response:
        return self.once(self._create)

    def _create(self) -> Response:
        body, caller = self.read(NewContactWaySerializer), self.caller
        corp = corp_named(caller.user, body.pop("corp"))
        made = ways.create(user=caller.user, actor=caller.actor, corp=corp, **body)
        shown = self.show([self.get_queryset().get(pk=made.pk)])[0]
        return Response(shown, 201, headers={"Location": reverse("api:contact-way", args=[made.pk])})


class OneContactWay(ContactWayApi):
    """One contact way."""

    required_scopes: ClassVar = {
        "GET": "contacts:read",
        "PATCH": "contacts:write",
        "DELETE": "contacts:write",
    }
    required_permissions: ClassVar = {
        "GET": VIEW,
        "PATCH": ("contacts.change_contactway",),
        "DELETE": ("contacts.delete_contactway",),
    }

    @extend_schema(operation_id="contact_ways_retrieve", tags=["contact-ways"])
    def get(self, request: Request, pk: str) -> Response:
        return self.answer_one(get_visible(request.user, self.get_queryset(), pk))

    @extend_schema(
        operation_id="contact_ways_partial_update", tags=["contact-ways"], request=ContactWayChangeSerializer
    )
    def patch(self, request: Request, pk: str) -> Response:
        way = get_visible(request.user, self.get_queryset(), pk)
        body = self.read(ContactWayChangeSerializer)
        ways.change(way, user=request.user, actor=self.caller.actor, **body)
        return self.answer_one(self.get_queryset().get(pk=way.pk))

    @extend_schema(
        operation_id="contact_ways_destroy",
        tags=["contact-ways"],
        responses={204: None},
        description="The code opens nothing any more; the people who came by it stay. The way is kept as `deleted`.",
    )
    def delete(self, request: Request, pk: str) -> Response:
        way = get_visible(request.user, self.get_queryset(), pk)
        refuse_unknown(request, ())
        ways.delete(way, user=request.user, actor=self.caller.actor)
        return Response(status=204)


class QrCode(ContactWayApi):
    """The picture of the QR code. 404 until it is there."""

    required_scopes: ClassVar = {"GET": "contacts:read"}
    required_permissions: ClassVar = {"GET": VIEW}

    @extend_schema(
        operation_id="contact_ways_qr",
        tags=["contact-ways"],
        responses={(200, "image/png"): OpenApiTypes.BINARY, (200, "image/jpeg"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, pk: str) -> HttpResponse:
        way = get_visible(request.user, ContactWay.objects.all(), pk)
        refuse_unknown(request, ())
        answer = qr_picture(way, as_attachment=True)
        if answer is None:
            raise NotFound(_("This code has no picture."))
        return answer
