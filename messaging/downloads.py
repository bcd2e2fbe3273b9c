"""The bytes of files, as answers in which no browser runs anything."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from messaging.models import MediaFile, ReceivedMessage
from messaging.received import PICTURES, kept_file, name_of


def download(file: MediaFile) -> HttpResponse:
    return _answer(bytes(file.data), file.content_type, file.name, as_attachment=True)


def picture(file: MediaFile) -> HttpResponse:
    """An image, to be shown in a page of ours; everything else is a download."""
    is_shown = file.kind == MediaFile.Kind.IMAGE
    return _lasting(_answer(bytes(file.data), file.content_type, file.name, as_attachment=not is_shown))


def download_received(message: ReceivedMessage) -> HttpResponse:
    """What an employee sent. Raises NotFound, Conflict (messaging.received)."""
    file = kept_file(message)
    return _answer(file.data, file.content_type, name_of(message, file), as_attachment=True)


def picture_received(message: ReceivedMessage) -> HttpResponse:
    """The same, to be shown in a page of ours if its bytes are those of a picture."""
    file = kept_file(message)
    is_shown = file.content_type in PICTURES
    return _lasting(_answer(file.data, file.content_type, name_of(message, file), as_attachment=not is_shown))


def _answer(data: bytes, content_type: str, name: str, *, as_attachment: bool) -> HttpResponse:
    answer = HttpResponse(data, content_type=content_type)
    answer.headers["Content-Disposition"] = str(content_disposition_header(as_attachment, name))
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer


def _lasting(answer: HttpResponse) -> HttpResponse:
    """A list shows fifty: the bytes of an id never change. Private, for the next reader may not see them."""
    answer.headers["Cache-Control"] = "private, max-age=86400, immutable"
    return answer
