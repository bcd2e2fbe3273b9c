"""The one body we read: JSON of at most 1 MiB (contract C19)."""

from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.http import UnreadablePostError
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser

MAX_BYTES = 1024 * 1024
# What is too long is still read up to here: a server that hangs up early makes clients see a reset, not the 413.
DRAINED_BYTES = 16 * MAX_BYTES


class BodyTooLarge(APIException):
    status_code = 413
    default_code = "body_too_large"


class CappedJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            body = stream.read(MAX_BYTES + 1)
            if len(body) > MAX_BYTES:
                _drain(stream)
                raise BodyTooLarge(_("The body is larger than 1 MiB."))
        except UnreadablePostError:
            raise ParseError(_("The body ended early.")) from None
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError(_("The body is not JSON: %s") % error) from None


def _drain(stream: IO[bytes]) -> None:
    left = DRAINED_BYTES
    while left > 0 and (chunk := stream.read(64 * 1024)):
        left -= len(chunk)
