"""What employees write and send to an app: read from the callback that told it, its file fetched while it exists."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from django.utils.translation import gettext as _

from crm.errors import Conflict, NotFound
from crm.providers.base import Provider
from crm.providers.file_types import AMR, content_type_of
from crm.providers.records import Said
from crm.providers.wecom.said import read_said
from crm.queue import ring
from messaging.models import Callback, ReceivedFile, ReceivedMessage
from messaging.results import LANE

FORGOTTEN_AFTER: Final = timedelta(days=3)  # wecom.md 3.11
GONE: Final = 40007
PICTURES: Final = frozenset({"image/jpeg", "image/png"})
_ENDINGS: Final = {"image/jpeg": "jpg", "image/png": "png", AMR: "amr", "video/mp4": "mp4"}


def said(message: Callback) -> Said:
    return read_said(message.body)


def expect_file(message: Callback, fields: Mapping[str, str]) -> None:
    """Note, in the caller's transaction, that a message just received has a file, if it has one."""
    if media_id := fields.get("MediaId", ""):
        ReceivedFile.objects.create(callback=message, media_id=media_id)
        ring("messaging.tasks.do_chores", message.corp_id, lane=LANE)


def fetch(provider: Provider, file: ReceivedFile) -> dict[str, Any]:
    """The columns that keep the file."""
    data = provider.download_media(file.media_id)
    return {"data": data, "size": len(data), "content_type": content_type_of(data)}


def file_of(message: ReceivedMessage) -> ReceivedFile | None:
    """The file that came with a message; one query unless the message was read with it."""
    return getattr(message, "file", None)


def kept_file(message: ReceivedMessage) -> ReceivedFile:
    """The file of `message`, to be handed out. NotFound when it has none; Conflict `not_fetched` or `gone`."""
    file = file_of(message)
    if file is None:
        raise NotFound(_("This message has no file."))
    if file.standing == ReceivedFile.Standing.KEPT:
        return file
    if file.standing == ReceivedFile.Standing.FETCHING:
        raise Conflict(_("The file is being fetched from the provider."), code="not_fetched")
    raise Conflict(_("The provider did not hand the file out, or keeps it no more."), code="gone")


def name_of(message: ReceivedMessage, file: ReceivedFile) -> str:
    """`image-17.jpg`: the provider tells no name."""
    return f"{message.kind}-{message.pk}.{_ENDINGS.get(file.content_type, 'bin')}"
