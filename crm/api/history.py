"""Lines of history as the API shows them: the change feed here, a contact's timeline in contacts/api."""

from typing import Any, ClassVar

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.api.filters import whole, words
from crm.api.pagination import CursorPagination, address, read_limit
from crm.api.views import ListApi
from crm.events import readable
from crm.feed import settled
from crm.models import Event


class EventSerializer(serializers.ModelSerializer[Event]):
    corp = serializers.SerializerMethodField(help_text="corpid")
    contact = serializers.IntegerField(
        source="contact_id", allow_null=True, help_text="Whose timeline it is in."
    )
    changes = serializers.SerializerMethodField(
        help_text="{field: [old, new]}; phones and unionids stand masked."
    )

    class Meta:
        model = Event
        fields = ("seq", "at", "verb", "subject_type", "subject_id", "actor", "changes", "corp", "contact")
        read_only_fields = fields

    def get_corp(self, event: Event) -> str | None:
        return event.corp.corpid if event.corp else None

    def get_changes(self, event: Event) -> dict[str, Any]:
        return readable(event.changes, reads_free_text=self.context["caller"].reads_free_text)


class EventFilters(django_filters.FilterSet):
    after = whole("seq", lookup_expr="gt", about="Events past this seq.")
    corp = words("corp__corpid")
    verb = words("verb")


class FeedPagination(CursorPagination):
    """Oldest first; `next` goes on with `after=`, and a poller keeps the last `seq` it has seen."""

    names = frozenset({"limit"})

    def paginate_queryset(  # type: ignore[override]
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        limit = read_limit(request)
        rows = settled(queryset, limit=limit + 1)
        self._next = address(request, after=rows[limit - 1].seq) if len(rows) > limit else None
        self._previous = None
        return rows[:limit]

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        return [p for p in super().get_schema_operation_parameters(view) if p["name"] in self.names]


class Events(ListApi):
    """The change feed: everything that happened, tombstones included. Ask again with the last `seq` you have."""

    queryset = Event.objects.select_related("corp")
    serializer_class = EventSerializer
    filterset_class = EventFilters
    pagination_class = FeedPagination
    required_scopes: ClassVar = {"GET": "events:read"}
    required_permissions: ClassVar = {"GET": ("crm.view_event",)}

    @extend_schema(operation_id="events_list", tags=["events"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)
