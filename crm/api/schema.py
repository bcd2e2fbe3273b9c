"""What drf-spectacular cannot see by itself: the two ways to be known, the one shape of errors, Idempotency-Key."""

from typing import Any, Literal

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiParameter

from crm.api.exceptions import MEDIA_TYPE

STRING = {"type": "string"}
PROBLEM = {
    "type": "object",
    "description": "RFC 9457. `code` is stable; `errors` name each fault by a JSON pointer.",
    "required": ["type", "title", "status", "detail", "instance", "code", "errors", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": STRING,
        "status": {"type": "integer"},
        "detail": STRING,
        "instance": {"type": "string", "format": "uri"},
        "code": STRING,
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code", "detail"],
                "properties": {"pointer": STRING, "code": STRING, "detail": STRING},
            },
        },
        "request_id": STRING,
        "run": {"type": "integer", "description": "With `already_running`: the run that is."},
    },
}
REFUSALS = {
    "400": "The request cannot be accepted; `errors` say where.",
    "401": "No key, or not a usable one.",
    "403": "The key lacks the scope, or the role forbids it.",
    "404": "Not there, or out of reach: the two are not told apart.",
    "409": "The state of things forbids it now.",
    "413": "The body is larger than 1 MiB (an upload: 21 MiB).",
    "415": "The body is not application/json (an upload: multipart/form-data).",
    "422": "The Idempotency-Key was used with another body.",
    "429": "Too many requests in this minute; see Retry-After.",
}
ALWAYS = ("400", "401", "403", "429")
WITH_BODY = {"POST": ("409", "413", "415", "422"), "PATCH": ("409", "413", "415")}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="1 to 255 visible ASCII characters. The same key and body get the same answer for 24 hours.",
)


class ProblemSchema(AutoSchema):
    """AutoSchema with the problem answers, and with `Idempotency-Key` where a POST has an effect.

    A view whose POST changes nothing says `idempotent = False`.
    """

    def get_override_parameters(self) -> list[Any]:
        given = list(super().get_override_parameters())
        if self.method == "POST" and getattr(self.view, "idempotent", True):
            given.append(IDEMPOTENCY_KEY)
        return given

    def _get_response_bodies(self, direction: Literal["request", "response"] = "response") -> dict[str, Any]:
        answers = dict(super()._get_response_bodies(direction))
        statuses = [*ALWAYS, *WITH_BODY.get(self.method, ())]
        if "{" in self.path:
            statuses.append("404")
        for status in sorted(statuses):
            answers.setdefault(status, self._problem(status))
        return answers

    def _problem(self, status: str) -> dict[str, Any]:
        component = ResolvedComponent(  # type: ignore[no-untyped-call]
            name="Problem", type=ResolvedComponent.SCHEMA, schema=PROBLEM, object="Problem"
        )
        self.registry.register_on_missing(component)
        return {"description": REFUSALS[status], "content": {MEDIA_TYPE: {"schema": component.ref}}}


class KeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "crm.api.authentication.KeyAuthentication"
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "description": "`renmai_<prefix>.<secret>`"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "crm.api.authentication.Session"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "A login of the web admin.",
        }
