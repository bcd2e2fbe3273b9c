"""The bytes of a file of the library, as answers in which no browser runs anything."""

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from messaging.models import MediaFile


def download(file: MediaFile) -> HttpResponse:
    return _answer(file, as_attachment=True)


def picture(file: MediaFile) -> HttpResponse:
    """An image, to be shown in a page of ours; everything else is a download."""
    answer = _answer(file, as_attachment=file.kind != MediaFile.Kind.IMAGE)
    # A list shows fifty: the bytes of an id never change. Private, for the next reader may not see them.
    answer.headers["Cache-Control"] = "private, max-age=86400, immutable"
    return answer


def _answer(file: MediaFile, *, as_attachment: bool) -> HttpResponse:
    answer = HttpResponse(bytes(file.data), content_type=file.content_type)
    answer.headers["Content-Disposition"] = str(content_disposition_header(as_attachment, file.name))
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer
