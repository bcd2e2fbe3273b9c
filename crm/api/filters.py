"""Query parameters are believed or refused, never ignored: an ignored filter is how a bulk job hits everything."""

import difflib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time
from typing import TYPE_CHECKING, Any

import django_filters
from django import forms
from django.db.models import BigIntegerField, QuerySet
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import is_naive, make_aware
from django.utils.translation import gettext as _
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema_field
from rest_framework.request import Request

from crm.errors import FieldError, Invalid

if TYPE_CHECKING:  # DRF's generic views import this module
    from rest_framework.generics import GenericAPIView

LARGEST_ID = BigIntegerField.MAX_BIGINT


class StrictFilterBackend(DjangoFilterBackend):
    """django-filter that answers 400 to an unknown parameter, a repeated one and a value it cannot read."""

    def filter_queryset(
        self, request: Request, queryset: QuerySet[Any], view: "GenericAPIView[Any]"
    ) -> QuerySet[Any]:
        filterset = self.get_filterset(request, queryset, view)
        names = set(filterset.filters) if filterset else set()
        many = {n for n, f in filterset.filters.items() if isinstance(f, Words)} if filterset else set()
        ordering = {"ordering"} if getattr(view, "orderings", None) else set()
        refuse_unknown(request, names | ordering | getattr(view.paginator, "names", set()), many=many)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            raise Invalid(errors=list(_errors(filterset.errors.as_data())))
        found: QuerySet[Any] = filterset.qs
        return found


def refuse_unknown(request: Request, known: Iterable[str], *, many: Iterable[str] = ()) -> None:
    """Raise Invalid when the request has a query parameter beside `known`, or one twice that is not in `many`."""
    names, asked = sorted(known), request.query_params
    unknown = [
        FieldError(f"/{name}", "unknown_parameter", _no_such(name, names))
        for name in asked
        if name not in names
    ]
    if unknown:
        raise Invalid(code="unknown_parameter", errors=unknown)
    twice = [name for name in asked if name not in many and len(asked.getlist(name)) > 1]
    if twice:
        detail = _("This parameter may be given once.")
        raise Invalid(errors=[FieldError(f"/{name}", "repeated_parameter", detail) for name in twice])


def _no_such(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names, n=3)
    if near:
        return _("There is no parameter %(name)s; did you mean %(near)s?") % {
            "name": name,
            "near": ", ".join(near),
        }
    if names:
        return _("There is no parameter %(name)s; there are %(all)s.") % {
            "name": name,
            "all": ", ".join(names),
        }
    return _("There is no parameter %(name)s; there are none here.") % {"name": name}


def _errors(found: dict[str, list[Any]]) -> Iterable[FieldError]:
    for name, errors in found.items():
        for error in errors:
            for message in error.messages:
                yield FieldError(f"/{name}", error.code or "invalid", message)


class WordsField(forms.Field):
    """Every value a parameter was given, each one of `choices` where there are such."""

    widget = forms.SelectMultiple
    default_error_messages = {"invalid_choice": "", "null": ""}  # noqa: RUF012 - Django's own shape

    def __init__(self, *, words: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.words = words

    def to_python(self, value: Any) -> list[str]:
        return list(value or ())

    def validate(self, value: list[str]) -> None:
        for word in value:
            if self.words and word not in self.words:
                raise forms.ValidationError(
                    _("It must be one of %s.") % ", ".join(self.words), code="invalid_choice"
                )
            if not word or "\x00" in word or len(word) > 255:
                raise forms.ValidationError(_("It must be 1 to 255 characters."), code="invalid")


class Words(django_filters.Filter):
    """A parameter that may be repeated: any of the values fits."""

    field_class = WordsField

    def filter(self, qs: QuerySet[Any], value: list[str]) -> QuerySet[Any]:
        if not value:
            return qs
        return qs.filter(**{f"{self.field_name}__in": value})


def words(
    field_name: str | None = None, *, choices: Sequence[str] = (), about: str = "", **kwargs: Any
) -> Any:
    """A repeatable parameter, described in the schema as an array of strings (of `choices`)."""
    item: dict[str, Any] = {"type": "string", **({"enum": list(choices)} if choices else {})}
    return _described(Words(field_name, words=choices, **kwargs), {"type": "array", "items": item}, about)


def _described(made: Any, schema: dict[str, Any], about: str) -> Any:
    return extend_schema_field({**schema, **({"description": about} if about else {})})(made)


class MomentField(forms.Field):
    """RFC 3339; a date is its midnight. A `+` that a URL turned into a space is read as meant."""

    def to_python(self, value: Any) -> Any:
        if value in self.empty_values:
            return None
        text = str(value)
        if len(text) > 6 and text[-6] == " ":
            text = f"{text[:-6]}+{text[-5:]}"
        try:
            return _instant(text)
        except (ValueError, OverflowError):
            raise forms.ValidationError(
                _("It must be a time such as 2026-01-31T08:00:00+08:00."), code="invalid"
            ) from None


def _instant(text: str) -> datetime:
    """The moment in UTC, where the edge of the calendar may be past: ValueError or OverflowError if it is none."""
    moment = parse_datetime(text) or parse_date(text)
    if moment is None:
        raise ValueError(text)
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time.min)
    return (make_aware(moment) if is_naive(moment) else moment).astimezone(UTC)


class Moment(django_filters.Filter):
    field_class = MomentField


def moment(field_name: str, *, lookup_expr: str, about: str = "") -> Any:
    schema = {"type": "string", "format": "date-time"}
    return _described(Moment(field_name, lookup_expr=lookup_expr), schema, about)


class Whole(django_filters.Filter):
    field_class = forms.IntegerField


def whole(
    field_name: str | None = None,
    *,
    minimum: int = 0,
    maximum: int = LARGEST_ID,
    about: str = "",
    **kwargs: Any,
) -> Any:
    """A whole number within bounds that the database can hold."""
    schema = {"type": "integer", "minimum": minimum, "maximum": maximum}
    return _described(Whole(field_name, min_value=minimum, max_value=maximum, **kwargs), schema, about)


def text(field_name: str | None = None, *, longest: int = 200, about: str = "", **kwargs: Any) -> Any:
    schema = {"type": "string", "maxLength": longest}
    return _described(django_filters.CharFilter(field_name, max_length=longest, **kwargs), schema, about)


class YesNo(django_filters.BooleanFilter):
    """`true` or `false`; Django's own filter takes any other word for "not asked"."""

    class field_class(forms.Field):  # noqa: N801 - the attribute django-filter reads
        def to_python(self, value: Any) -> bool | None:
            if value in self.empty_values:
                return None
            if str(value).lower() not in {"true", "false", "1", "0"}:
                raise forms.ValidationError(_("It must be true or false."), code="invalid")
            return str(value).lower() in {"true", "1"}
