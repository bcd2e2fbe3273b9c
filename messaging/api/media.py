"""media/: the library of files that contents name as `library:<id>`."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import HttpResponse
from django.urls import reverse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.access import get_visible
from contacts.api.lookups import corp_named
from crm.api.parsers import UploadParser
from crm.api.serializers import Strict
from crm.api.views import Api, ListApi
from messaging import library, media
from messaging.api.filters import MediaFilters
from messaging.downloads import download
from messaging.models import MediaFile

READ = ("messaging.view_mediafile",)


class MediaFileSerializer(serializers.ModelSerializer[MediaFile]):
    corp = serializers.CharField(source="corp.corpid", help_text="corpid")
    reference = serializers.SerializerMethodField(
        help_text="What stands for it where a media_id is expected."
    )
    uploaded_at = serializers.DateTimeField(
        allow_null=True, help_text="When the provider got its present copy."
    )
    created_by = serializers.SerializerMethodField(help_text="username")

    class Meta:
        model = MediaFile
        fields = (
            "id",
            "corp",
            "kind",
            "name",
            "reference",
            "content_type",
            "size",
            "sha256",
            "is_active",
            "uploaded_at",
            "created_by",
            "created_at",
        )
        read_only_fields = fields

    def get_reference(self, file: MediaFile) -> str:
        return media.reference(file)

    def get_created_by(self, file: MediaFile) -> str | None:
        return file.created_by.get_username() if file.created_by else None


class UploadSerializer(Strict):
    """The form of POST media/."""

    corp = serializers.CharField(max_length=64, help_text="corpid")
    kind = serializers.ChoiceField(choices=MediaFile.Kind.choices)
    file = serializers.FileField(allow_empty_file=True)
    name = serializers.CharField(
        max_length=library.NAME_LENGTH, required=False, help_text="What receivers see; else the file's own."
    )


class MediaFileChangeSerializer(Strict):
    """The body of PATCH media/{id}/."""

    name = serializers.CharField(max_length=library.NAME_LENGTH, required=False)
    is_active = serializers.BooleanField(required=False, help_text="false: no new message can name it.")


class MediaApi(Api):
    queryset = MediaFile.objects.all()
    serializer_class = MediaFileSerializer

    def get_queryset(self) -> QuerySet[MediaFile]:
        return MediaFile.objects.visible_to(self.request.user).select_related("corp", "created_by")


class Media(MediaApi, ListApi):
    """The files of the corps one works in, newest first."""

    filterset_class = MediaFilters
    parser_classes = (UploadParser,)
    required_scopes: ClassVar = {"GET": "messages:read", "POST": "messages:send"}
    required_permissions: ClassVar = {"GET": READ, "POST": ("messaging.add_mediafile",)}

    @extend_schema(operation_id="media_list", tags=["media"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="media_create",
        tags=["media"],
        request={"multipart/form-data": UploadSerializer},
        responses={201: MediaFileSerializer},
        description=(
            "multipart/form-data, 21 MiB at most. What the file is, is told by its bytes: an image is a JPG or PNG"
            " of 10 MiB, a voice message AMR of 2 MiB and 60 seconds, a video MP4 of 10 MiB, a file anything of"
            " 20 MiB."
        ),
    )
    def post(self, request: Request) -> Response:
        return self.once(self._keep)

    def _keep(self) -> Response:
        body, caller = self.read(UploadSerializer), self.caller
        made = library.add(
            user=caller.user,
            actor=caller.actor,
            corp=corp_named(caller.user, body["corp"]),
            kind=body["kind"],
            name=body.get("name") or body["file"].name,
            data=body["file"].read(),
        )
        shown = self.show([self.get_queryset().get(pk=made.pk)])[0]
        return Response(shown, 201, headers={"Location": reverse("api:media-file", args=[made.pk])})


class OneMediaFile(MediaApi):
    """One file of the library; its bytes never change."""

    required_scopes: ClassVar = {"GET": "messages:read", "PATCH": "messages:send"}
    required_permissions: ClassVar = {"GET": READ, "PATCH": ("messaging.change_mediafile",)}

    @extend_schema(operation_id="media_retrieve", tags=["media"])
    def get(self, request: Request, pk: str) -> Response:
        return self.answer_one(get_visible(request.user, self.get_queryset(), pk))

    @extend_schema(operation_id="media_partial_update", tags=["media"], request=MediaFileChangeSerializer)
    def patch(self, request: Request, pk: str) -> Response:
        file = get_visible(request.user, self.get_queryset(), pk)
        body = self.read(MediaFileChangeSerializer)
        library.change(file, user=request.user, actor=self.caller.actor, **body)
        return self.answer_one(file)


class MediaContent(MediaApi):
    """The bytes."""

    required_scopes: ClassVar = {"GET": "messages:read"}
    required_permissions: ClassVar = {"GET": READ}

    @extend_schema(
        operation_id="media_content", tags=["media"], responses={(200, "*/*"): OpenApiTypes.BINARY}
    )
    def get(self, request: Request, pk: str) -> HttpResponse:
        return download(get_visible(request.user, self.get_queryset(), pk))
