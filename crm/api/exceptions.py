"""Every error answer has one shape: application/problem+json (RFC 9457) with `code`, `errors` and `request_id`."""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views import defaults
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler, set_rollback

from crm.api.request_id import request_id
from crm.errors import Conflict, CrmError, FieldError, Invalid, NotAllowed, NotFound

MEDIA_TYPE = "application/problem+json"
STATUS: Mapping[type[CrmError], int] = {Invalid: 400, NotAllowed: 403, NotFound: 404, Conflict: 409}
# Where DRF's word and ours differ (contract C7).
CODES = {"permission_denied": "forbidden", "invalid": "validation_error"}


class Unprocessable(CrmError):
    """Well-formed, and yet it cannot be: an idempotency key that stands for another body."""

    code = "unprocessable"


def problem(
    request: HttpRequest,
    status: int,
    *,
    code: str,
    detail: str,
    errors: Iterable[FieldError] = (),
    members: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of an error answer; `code` is stable and untranslated, `detail` is for people."""
    ident = request_id(request)
    return {
        "type": f"urn:renmai:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": f"urn:request:{ident}",
        "code": code,
        "errors": [{"pointer": e.pointer, "code": e.code, "detail": str(e.detail)} for e in errors],
        "request_id": ident,
        **(members or {}),
    }


def problem_handler(exc: Exception, context: Mapping[str, Any]) -> Response | None:
    """DRF's hook. None for what is not a refusal but a fault of ours: that becomes handler500."""
    request: HttpRequest = context["request"]
    if isinstance(exc, CrmError):
        return _refused(request, exc)
    answer = exception_handler(exc, dict(context))
    if answer is None:
        return None
    if isinstance(exc, exceptions.ValidationError):
        errors = list(field_errors(exc.detail))
        return _answer(request, 400, code="validation_error", detail=_summary(errors), errors=errors)
    headers = {
        name: answer.headers[name] for name in ("WWW-Authenticate", "Retry-After") if name in answer.headers
    }
    code, detail = _word(exc)
    return _answer(request, answer.status_code, code=code, detail=detail, headers=headers)


def _refused(request: HttpRequest, exc: CrmError) -> Response:
    set_rollback()
    status = 422 if isinstance(exc, Unprocessable) else _status_of(exc)
    members = {"run": exc.run.pk} if hasattr(exc, "run") else {}
    headers = {"Retry-After": str(exc.retry_after)} if hasattr(exc, "retry_after") else {}
    detail = str(exc.message) or _summary(exc.errors)
    return _answer(
        request, status, code=exc.code, detail=detail, errors=exc.errors, members=members, headers=headers
    )


def _status_of(exc: CrmError) -> int:
    return next((status for kind, status in STATUS.items() if isinstance(exc, kind)), 400)


def _word(exc: Exception) -> tuple[str, str]:
    """The code and the sentence of an error that names no fields."""
    if isinstance(exc, Http404):
        return "not_found", _("There is no such record.")
    if isinstance(exc, PermissionDenied):
        return "forbidden", _("Your role does not allow this.")
    assert isinstance(exc, exceptions.APIException)
    code = str(exc.get_codes())
    return CODES.get(code, code), str(exc.detail)


def _answer(
    request: HttpRequest, status: int, *, headers: Mapping[str, str] | None = None, **parts: Any
) -> Response:
    return Response(
        problem(request, status, **parts), status=status, headers=dict(headers or {}), content_type=MEDIA_TYPE
    )


def _summary(errors: Iterable[FieldError]) -> str:
    """One sentence for those who read only `detail`."""
    return " ".join(f"{e.pointer.lstrip('/')}: {e.detail}" if e.pointer else str(e.detail) for e in errors)


def field_errors(detail: Any, pointer: str = "") -> Iterator[FieldError]:
    """DRF's nested dicts and lists of messages as flat errors with JSON pointers."""
    if isinstance(detail, Mapping):
        for key, inner in detail.items():
            own = key in {"non_field_errors", "__all__"}
            yield from field_errors(inner, pointer if own else f"{pointer}/{_escaped(key)}")
    elif isinstance(detail, list):
        for n, inner in enumerate(detail):
            is_message = isinstance(inner, exceptions.ErrorDetail)
            yield from field_errors(inner, pointer if is_message else f"{pointer}/{n}")
    else:
        yield FieldError(pointer, getattr(detail, "code", "invalid"), str(detail))


def _escaped(key: object) -> str:
    return str(key).replace("~", "~0").replace("/", "~1")


# --- What Django answers before or instead of a view: crm/urls.py names these four ---------------------------------


def _is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith("/api/")


def _plain(request: HttpRequest, status: int, code: str, detail: str) -> HttpResponse:
    return JsonResponse(
        problem(request, status, code=code, detail=detail), status=status, content_type=MEDIA_TYPE
    )


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _is_api(request):
        return defaults.bad_request(request, exception)
    return _plain(request, 400, "bad_request", _("The request is malformed."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not _is_api(request):
        return defaults.permission_denied(request, exception)
    return _plain(request, 403, "forbidden", _("Your role does not allow this."))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    if not _is_api(request):
        return defaults.page_not_found(request, exception or Http404())
    hint = "" if request.path_info.endswith("/") else " " + _("Addresses end with a slash.")
    return _plain(request, 404, "not_found", _("There is nothing at this address.") + hint)


def server_error(request: HttpRequest) -> HttpResponse:
    """The request id and nothing else: the log has the rest under it."""
    if not _is_api(request):
        return defaults.server_error(request)
    return _plain(
        request, 500, "internal_error", _("Something went wrong on our side; quote the request id.")
    )
