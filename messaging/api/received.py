"""received-messages/: what employees wrote and sent to an app."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.access import get_visible
from crm.api.views import Api, ListApi
from messaging import received
from messaging.api.filters import ReceivedFilters
from messaging.downloads import download_received
from messaging.models import ReceivedFile, ReceivedMessage

READ = ("messaging.view_receivedmessage",)
READ_FILE = ("messaging.view_receivedfile",)


class ReceivedFileSerializer(serializers.ModelSerializer[ReceivedFile]):
    state = serializers.ChoiceField(
        source="standing",
        choices=ReceivedFile.Standing.choices,
        help_text="`fetching` until we have it; `gone` when the provider did not hand it out within its 3 days.",
    )

    class Meta:
        model = ReceivedFile
        fields = ("state", "content_type", "size")
        read_only_fields = fields


class SaidSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(help_text="of a text")
    title = serializers.CharField(help_text="of a link")
    description = serializers.CharField(help_text="of a link")
    url = serializers.CharField(help_text="of a link, as the employee sent it")
    label = serializers.CharField(help_text="of a location")  # type: ignore[assignment]
    latitude = serializers.FloatField(allow_null=True, help_text="of a location")
    longitude = serializers.FloatField(allow_null=True, help_text="of a location")


class ReceivedMessageSerializer(serializers.ModelSerializer[ReceivedMessage]):
    corp = serializers.CharField(source="corp.corpid", help_text="corpid")
    agent = serializers.CharField(source="agent.agentid", help_text="agentid of the app")
    kind = serializers.ChoiceField(choices=ReceivedMessage.Kind.choices)
    userid = serializers.CharField(help_text="Who wrote it.")
    content = serializers.SerializerMethodField(help_text="null for an auditor")
    file = serializers.SerializerMethodField(help_text="Of an image, a voice message and a video; else null.")

    class Meta:
        model = ReceivedMessage
        fields = ("id", "corp", "agent", "kind", "userid", "content", "file", "received_at")
        read_only_fields = fields

    @extend_schema_field(SaidSerializer(allow_null=True))
    def get_content(self, message: ReceivedMessage) -> Any:
        return SaidSerializer(received.said(message)).data if self.context["caller"].reads_free_text else None

    @extend_schema_field(ReceivedFileSerializer(allow_null=True))
    def get_file(self, message: ReceivedMessage) -> Any:
        file = received.file_of(message)
        return ReceivedFileSerializer(file).data if file else None


class ReceivedApi(Api):
    queryset = ReceivedMessage.objects.all()
    serializer_class = ReceivedMessageSerializer

    def get_queryset(self) -> QuerySet[ReceivedMessage]:
        rows = ReceivedMessage.objects.visible_to(self.request.user).with_files()
        return rows.select_related("corp", "agent", "file")


class ReceivedMessages(ReceivedApi, ListApi):
    """What the employees within reach wrote in the last 30 days, newest first."""

    filterset_class = ReceivedFilters
    required_scopes: ClassVar = {"GET": "messages:read"}
    required_permissions: ClassVar = {"GET": READ}

    @extend_schema(operation_id="received_messages_list", tags=["received messages"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class OneReceivedMessage(ReceivedApi):
    """One of them; its id is that of its event `message.received`."""

    required_scopes: ClassVar = {"GET": "messages:read"}
    required_permissions: ClassVar = {"GET": READ}

    @extend_schema(operation_id="received_messages_retrieve", tags=["received messages"])
    def get(self, request: Request, pk: str) -> Response:
        return self.answer_one(get_visible(request.user, self.get_queryset(), pk))


class ReceivedContent(ReceivedApi):
    """The bytes of its picture, voice message or video."""

    required_scopes: ClassVar = {"GET": "messages:read"}
    required_permissions: ClassVar = {"GET": READ_FILE}

    @extend_schema(
        operation_id="received_messages_content",
        tags=["received messages"],
        responses={(200, "*/*"): OpenApiTypes.BINARY},
        description="409 `not_fetched` while we fetch it, `gone` when the provider did not hand it out.",
    )
    def get(self, request: Request, pk: str) -> HttpResponse:
        return download_received(get_visible(request.user, self.get_queryset(), pk))
