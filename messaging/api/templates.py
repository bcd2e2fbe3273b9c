"""templates/: contents with variables, to send to many in the words for each."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.access import get_visible
from contacts.api.lookups import corp_named
from crm.api.serializers import Strict
from crm.api.views import Api, ListApi
from crm.providers import content as contents
from messaging import templates
from messaging.api.content_field import TemplateContentField
from messaging.api.filters import TemplateFilters
from messaging.models import Template

READ = ("messaging.view_template",)
CHANGE = "messaging.change_template"


class TemplateSerializer(serializers.ModelSerializer[Template]):
    corp = serializers.CharField(source="corp.corpid", help_text="corpid")
    content = serializers.SerializerMethodField()
    variables = serializers.SerializerMethodField(help_text="Those that the sender gives.")
    created_by = serializers.SerializerMethodField(help_text="username")

    class Meta:
        model = Template
        fields = (
            "id",
            "corp",
            "name",
            "msgtype",
            "content",
            "variables",
            "is_active",
            "created_by",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    @extend_schema_field(TemplateContentField)
    def get_content(self, template: Template) -> Any:
        return template.content

    def get_variables(self, template: Template) -> list[str]:
        return templates.custom_of(contents.parse(template.content))

    def get_created_by(self, template: Template) -> str | None:
        return template.created_by.get_username() if template.created_by else None


class TemplateDraftSerializer(Strict):
    """The body of POST templates/."""

    corp = serializers.CharField(max_length=64, help_text="corpid")
    name = serializers.CharField(max_length=64)
    content = TemplateContentField()


class TemplateChangeSerializer(Strict):
    """The body of PATCH templates/{id}/."""

    name = serializers.CharField(max_length=64, required=False)
    content = TemplateContentField(required=False)
    is_active = serializers.BooleanField(required=False, help_text="false: no longer offered, nor usable.")


class TemplateApi(Api):
    queryset = Template.objects.all()
    serializer_class = TemplateSerializer

    def get_queryset(self) -> QuerySet[Template]:
        return Template.objects.visible_to(self.request.user).select_related("corp", "created_by")


class Templates(TemplateApi, ListApi):
    """Templates of the corps one works in, newest first."""

    filterset_class = TemplateFilters
    required_scopes: ClassVar = {"GET": "messages:read", "POST": "messages:send"}
    required_permissions: ClassVar = {"GET": READ, "POST": ("messaging.add_template",)}

    @extend_schema(operation_id="templates_list", tags=["templates"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="templates_create",
        tags=["templates"],
        request=TemplateDraftSerializer,
        responses={201: TemplateSerializer},
        description=(
            "`{contact.name}`, `{contact.company}` and `{employee.name}` stand for the recipient and the sender,"
            " any other `{name}` for what the sender gives."
        ),
    )
    def post(self, request: Request) -> Response:
        return self.once(self._create)

    def _create(self) -> Response:
        body, caller = self.read(TemplateDraftSerializer), self.caller
        made = templates.create(
            user=caller.user,
            actor=caller.actor,
            corp=corp_named(caller.user, body["corp"]),
            name=body["name"],
            content=body["content"],
        )
        shown = self.show([self.get_queryset().get(pk=made.pk)])[0]
        return Response(shown, 201, headers={"Location": reverse("api:template", args=[made.pk])})


class OneTemplate(TemplateApi):
    """One template; messages that were made from it stay as they are."""

    required_scopes: ClassVar = {
        "GET": "messages:read",
        "PATCH": "messages:send",
        "DELETE": "messages:send",
    }
    required_permissions: ClassVar = {"GET": READ, "PATCH": (CHANGE,), "DELETE": (CHANGE,)}

    @extend_schema(operation_id="templates_retrieve", tags=["templates"])
    def get(self, request: Request, pk: str) -> Response:
        return self.answer_one(get_visible(request.user, self.get_queryset(), pk))

    @extend_schema(
        operation_id="templates_partial_update", tags=["templates"], request=TemplateChangeSerializer
    )
    def patch(self, request: Request, pk: str) -> Response:
        template = get_visible(request.user, self.get_queryset(), pk)
        body = self.read(TemplateChangeSerializer)
        templates.change(template, user=request.user, actor=self.caller.actor, **body)
        return self.answer_one(template)

    @extend_schema(
        operation_id="templates_destroy",
        tags=["templates"],
        description="Sets `is_active` to false: it is no longer offered, and keeps its history.",
    )
    def delete(self, request: Request, pk: str) -> Response:
        template = get_visible(request.user, self.get_queryset(), pk)
        templates.change(template, user=request.user, actor=self.caller.actor, is_active=False)
        return Response(status=204)
