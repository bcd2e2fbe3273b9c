"""The picture of a contact way's QR code, as an answer in which no browser runs anything."""

from typing import Final

from django.http import HttpResponse
from django.utils.http import content_disposition_header

from contacts.models import ContactWay
from crm.providers.file_types import content_type_of

_ENDINGS: Final = {"image/png": "png", "image/jpeg": "jpg"}


def qr_picture(way: ContactWay, *, as_attachment: bool) -> HttpResponse | None:
    """The picture as the provider drew it, a PNG mostly; None while there is none."""
    if way.picture is None:
        return None
    data = bytes(way.picture)
    kind = content_type_of(data)
    answer = HttpResponse(data, content_type=kind)
    name = f"{way.campaign}.{_ENDINGS.get(kind, 'png')}"
    answer.headers["Content-Disposition"] = str(content_disposition_header(as_attachment, name))
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer
