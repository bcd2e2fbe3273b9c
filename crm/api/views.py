"""What every view of the API shares: who asks, JSON whatever was accepted, lists, one row, POSTs that happen once."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException
from rest_framework.generics import GenericAPIView
from rest_framework.mixins import ListModelMixin
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from crm.api.authentication import Caller
from crm.api.filters import refuse_unknown
from crm.api.idempotency import once


class AlwaysJSON(DefaultContentNegotiation):
    """There is one representation: asking for another is no reason to answer less (`Accept` and `?format=`)."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class LengthRequired(APIException):
    status_code = 411
    default_code = "length_required"


class Api(GenericAPIView[Any]):
    """A view: declares per method its scope, its permissions and the serializer that describes the answer."""

    required_scopes: ClassVar[dict[str, str]] = {}
    required_permissions: ClassVar[dict[str, tuple[str, ...]]] = {}
    content_negotiation_class = AlwaysJSON

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        # Django reads no body without a length: it would look empty, and a PATCH would do nothing and say 200.
        if "chunked" in request.headers.get("Transfer-Encoding", "").lower():
            raise LengthRequired(_("Send the body with a Content-Length."))

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """People's data stays out of every cache on the way."""
        answer: Response = super().finalize_response(request, response, *args, **kwargs)
        answer.headers.setdefault("Cache-Control", "no-store")
        return answer

    @property
    def caller(self) -> Caller:
        return Caller.of(self.request)

    def get_serializer_context(self) -> dict[str, Any]:
        return {"caller": self.caller}

    def show(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """`rows` as the answer shows them. Views override it to look up for all rows at once what rows lack."""
        return list(self.get_serializer(rows, many=True).data)

    def answer_one(self, row: Any) -> Response:
        """The bare object. Unknown parameters come after 404 (contract C7)."""
        refuse_unknown(self.request, ())
        return Response(self.show([row])[0])

    def read(self, serializer: type[Serializer[Any]]) -> dict[str, Any]:
        """The body, valid; raises 400 with every fault named."""
        refuse_unknown(self.request, ())
        body = serializer(data=self.request.data, context=self.get_serializer_context())
        body.is_valid(raise_exception=True)
        return dict(body.validated_data)

    def once(self, work: Callable[[], Response]) -> Response:
        return once(self.request, work)


class ListApi(ListModelMixin, Api):
    """GET of a list: `get_queryset` (404 here for a parent out of reach), filters, one keyset page."""

    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        rows: QuerySet[Any] = self.filter_queryset(self.get_queryset())
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(self.show(page or []))
