"""The bodies we read: JSON of at most 1 MiB (contract C19), and uploads."""

from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.http import UnreadablePostError
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser, MultiPartParser

from crm.uploads import MOST_BYTES

MAX_BYTES = 1024 * 1024
# What is too long is still read up to here: a server that hangs up early makes clients see a reset, not the 413.
DRAINED_BYTES = 16 * MAX_BYTES
UPLOAD_BYTES = MOST_BYTES + MAX_BYTES  # a file, and the form around it


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
                _drain(stream, DRAINED_BYTES)
                raise BodyTooLarge(_("The body is larger than 1 MiB."))
        except UnreadablePostError:
            raise ParseError(_("The body ended early.")) from None
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ParseError(_("The body is not JSON: %s") % error) from None


class UploadParser(MultiPartParser):
    """multipart/form-data, with a cap of its own."""

    def parse(
        self,
        stream: IO[bytes],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        try:
            if int((parser_context or {})["request"].META["CONTENT_LENGTH"]) > UPLOAD_BYTES:
                _drain(stream, UPLOAD_BYTES + DRAINED_BYTES)
                raise BodyTooLarge(_("The body is larger than %s MiB.") % (UPLOAD_BYTES // MAX_BYTES))
            return super().parse(stream, media_type, parser_context)
        except UnreadablePostError:
            raise ParseError(_("The body ended early.")) from None


def _drain(stream: IO[bytes], most: int) -> None:
    left = most
    while left > 0 and (chunk := stream.read(64 * 1024)):
        left -= len(chunk)
