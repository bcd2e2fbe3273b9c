"""A content as a phone shows it, for admin/messaging/phone.html."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext as _now

from messaging import media
from messaging.forms.attachments import KINDS
from messaging.models import MediaFile, Message

ICONS = {"image": "image", "voice": "mic", "video": "movie", "file": "description"}


class Attached(NamedTuple):
    """An attachment of a mass message: what it is called, and its file or cover in the library."""

    kind: str
    title: str | Promise
    file: MediaFile | None


def shown(content: Mapping[str, Any], corp_id: int) -> dict[str, Any]:
    """The variables of the template: `msgtype`, `kind`, `body`, `file` (of the corp's library), `attachments`."""
    msgtype = content["msgtype"]
    files = MediaFile.objects.filter(corp=corp_id).in_bulk(media.file_ids(content))
    body = content.get(msgtype, {})
    return {
        "msgtype": msgtype,
        "kind": Message.Type(msgtype).label,
        "body": body,
        "file": _file(body, files),
        "attachments": [_attached(each, files) for each in content.get("attachments", ())],
    }


def _attached(told: Mapping[str, Any], files: Mapping[int, MediaFile]) -> Attached:
    kind = told["msgtype"]
    file = _file(told[kind], files)
    title = told[kind].get("title") or (file.name if file else "") or KINDS.get(kind, _now("file"))
    return Attached(kind, title, file)


def _file(inside: Mapping[str, Any], files: Mapping[int, MediaFile]) -> MediaFile | None:
    named = [each.file_id for each in media.named(inside) if each.file_id]
    return files.get(named[0]) if named else None
