"""Keyset pages: they cost the same however deep, and stay put while rows are inserted.

A cursor is signed and carries the ordering's last value, so it can be neither guessed nor bent; it remembers the
filters it was made under, and with other filters it is refused rather than silently meaning something else.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

from django.core import signing
from django.db.models import Model, Q, QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crm.errors import FieldError, Invalid

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
PAGING: Final = frozenset({"limit", "cursor"})
SALT: Final = "crm.api.cursor"


@dataclass(frozen=True, slots=True)
class Position:
    """A place between two rows, and the way to read on from it."""

    value: Any
    pk: int
    backwards: bool


class CursorPagination(BasePagination):
    """`ordering` of a view is its field, `-` first for descending; `orderings` is what `?ordering=` may ask for."""

    names = PAGING

    def paginate_queryset(  # type: ignore[override]
        self, queryset: QuerySet[Any], request: Request, view: APIView | None = None
    ) -> list[Any]:
        self._request = request
        limit = read_limit(request)
        self._ordering = _read_ordering(request, view)
        field, descending = self._ordering.lstrip("-"), self._ordering.startswith("-")
        position = self._read_cursor(request)
        backwards = position is not None and position.backwards
        if position is not None:
            queryset = queryset.filter(_beyond(field, position, smaller=descending != backwards))
        sign = "-" if descending != backwards else ""
        order = [f"{sign}{field}"] if field == "pk" else [f"{sign}{field}", f"{sign}pk"]
        rows = list(queryset.order_by(*order)[: limit + 1])
        more = len(rows) > limit
        rows = rows[:limit]
        if backwards:
            rows.reverse()
        self._next = self._link(rows[-1:], backwards=False) if more or backwards else None
        self._previous = self._link(rows[:1], backwards=True) if (more if backwards else position) else None
        return rows

    def get_paginated_response(self, data: Any) -> Response:
        return envelope(data, following=self._next, preceding=self._previous)

    def _read_cursor(self, request: Request) -> Position | None:
        text = request.query_params.get("cursor")
        if text is None:
            return None
        try:
            value, pk, backwards, digest = signing.loads(text, salt=SALT)
        except (signing.BadSignature, ValueError, TypeError):
            raise _refusal("cursor", "invalid", _("This is not a cursor of this list.")) from None
        if digest != self._digest():
            raise _refusal(
                "cursor", "filters_changed", _("The filters changed: start again without a cursor.")
            )
        moment = parse_datetime(value) if isinstance(value, str) else None
        return Position(moment or value, pk, backwards)

    def _link(self, edge: Sequence[Model], *, backwards: bool) -> str | None:
        if not edge:
            return None
        row, field = edge[0], self._ordering.lstrip("-")
        value = getattr(row, field)
        if isinstance(value, datetime):
            value = value.isoformat()
        cursor = signing.dumps([value, row.pk, backwards, self._digest()], salt=SALT)
        return address(self._request, cursor=cursor)

    def _digest(self) -> str:
        """Stands for the list and everything that decides which rows it holds in which order."""
        asked = sorted((k, v) for k, vs in self._request.query_params.lists() if k not in PAGING for v in vs)
        return hashlib.sha256(repr((self._request.path, asked)).encode()).hexdigest()[:16]

    def get_schema_operation_parameters(self, view: APIView) -> list[dict[str, Any]]:
        limits = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
        found = [
            _parameter("limit", limits, "Rows per page."),
            _parameter("cursor", {"type": "string"}, "From `next` or `previous`; opaque."),
        ]
        if orderings := getattr(view, "orderings", ()):
            found.append(
                _parameter("ordering", {"type": "string", "enum": list(orderings)}, "`-`: descending.")
            )
        return found

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["results", "next", "previous"],
            "properties": {"results": schema, "next": link, "previous": link},
        }


def _beyond(field: str, position: Position, *, smaller: bool) -> Q:
    """The rows past `position`. The first condition is implied by the second; it lets an index do the work."""
    sign = "lt" if smaller else "gt"
    if field == "pk":
        return Q(**{f"pk__{sign}": position.pk})
    tie = Q(**{field: position.value, f"pk__{sign}": position.pk})
    return Q(**{f"{field}__{sign}e": position.value}) & (Q(**{f"{field}__{sign}": position.value}) | tie)


def read_limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT_LIMIT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= limit <= MAX_LIMIT:
        raise _refusal("limit", "out_of_range", _("limit must be 1 to %d.") % MAX_LIMIT)
    return limit


def _read_ordering(request: Request, view: APIView | None) -> str:
    default: str = getattr(view, "ordering", "-pk")
    orderings: Mapping[str, str] = getattr(view, "orderings", {})
    asked = request.query_params.get("ordering")
    if asked is None:
        return default
    if asked not in orderings:
        raise _refusal("ordering", "invalid_choice", _("ordering must be one of %s.") % ", ".join(orderings))
    return orderings[asked]


def _refusal(name: str, code: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError(f"/{name}", code, detail)])


def address(request: Request, **changed: object) -> str:
    """The absolute address of this list with all its filters, some parameters set anew."""
    kept = [(k, v) for k, vs in request.query_params.lists() if k not in changed for v in vs]
    return request.build_absolute_uri(f"{request.path}?{urlencode([*kept, *changed.items()])}")


def envelope(data: Any, *, following: str | None, preceding: str | None) -> Response:
    """`{"results", "next", "previous"}`, the links in a Link header too."""
    links = [f'<{url}>; rel="{rel}"' for url, rel in ((following, "next"), (preceding, "previous")) if url]
    headers = {"Link": ", ".join(links)} if links else {}
    return Response({"results": data, "next": following, "previous": preceding}, headers=headers)


def _parameter(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": description}
