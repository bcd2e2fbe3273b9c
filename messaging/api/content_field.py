"""A content in a body: read by the shapes of crm.providers.content, refused where it is wrong."""

from typing import Any, ClassVar, get_args

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import Direction
from rest_framework import serializers

from crm.providers import content as contents
from crm.providers.content import Content, MiniprogramNotice, Text
from crm.providers.shapes import Envelope
from messaging.api.content_schema import schema_of


class ContentField(serializers.Field[Content, Any, Any, Any]):
    """`{"msgtype": "text", "text": {"content": "…"}}`, or another type of wecom.md 2.4 and 3.9."""

    kinds: ClassVar[tuple[type[Envelope], ...]] = get_args(Content)

    def to_internal_value(self, data: Any) -> Content:
        try:
            return contents.parse(data)
        except contents.ContentError as error:
            raise serializers.ValidationError(_nested(error)) from None

    def to_representation(self, value: Any) -> Any:
        return value


class TemplateContentField(ContentField):
    """A text or a miniprogram_notice."""

    kinds = (Text, MiniprogramNotice)


def _nested(error: contents.ContentError) -> Any:
    """The error where its pointer says, in the shape DRF flattens back into that pointer."""
    found: Any = [serializers.ErrorDetail(error.detail, code=error.code)]
    for step in reversed(error.pointer.split("/")[1:]):
        found = {step.replace("~1", "/").replace("~0", "~"): found}  # RFC 6901
    return found


class ContentSchema(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Each kind of content is a component, described once; a field of contents names those it takes."""

    target_class = ContentField
    match_subclasses = True

    def map_serializer_field(self, auto_schema: Any, direction: Direction) -> dict[str, Any]:
        return {"oneOf": [_component(auto_schema, kind).ref for kind in self.target.kinds]}


def _component(auto_schema: Any, kind: type[Envelope]) -> ResolvedComponent:
    made = ResolvedComponent(  # type: ignore[no-untyped-call]
        name=f"{kind.__name__}Content", type=ResolvedComponent.SCHEMA, schema=schema_of(kind), object=kind
    )
    auto_schema.registry.register_on_missing(made)
    return made
