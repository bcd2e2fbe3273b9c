"""One id per request, on every answer: accepted from upstream when well-formed, made here otherwise."""

import re
import uuid
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestId:
    """Middleware; stands first so that what later ones answer carries the id too."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        told = request.headers.get(HEADER, "")
        request.request_id = told if WELL_FORMED.fullmatch(told) else uuid.uuid4().hex  # type: ignore[attr-defined]
        response = self.get_response(request)
        response.headers[HEADER] = request_id(request)
        return response


def request_id(request: HttpRequest) -> str:
    return str(getattr(request, "request_id", ""))
