"""Files of the library inside contents: written `library:<id>` where a media_id is expected.

The reference is checked when a message is accepted, and becomes a media_id right before the send. WeCom forgets a
media_id after three days, so an older copy is uploaded again, by one worker for all.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from contacts.querysets import User
from crm.models import Corp
from crm.providers import content as contents
from crm.providers.base import Provider
from crm.providers.content import Content
from crm.providers.errors import ProviderError, Refused, Unavailable
from crm.providers.records import Problem
from messaging.models import MediaFile, Message

PREFIX: Final = "library:"
LIVES: Final = timedelta(days=3)
RENEWED_AFTER: Final = timedelta(days=2, hours=12)  # a send waits in queues, and clocks differ
JUST_UPLOADED: Final = timedelta(minutes=1)  # what is refused so young, another upload does not mend
PATIENCE_S: Final = 20.0  # for another worker's upload
EXPIRED: Final = 40007
_PICTURES: Final = ("thumb_media_id", "pic_media_id")


class Named(NamedTuple):
    """A media_id, or a reference, in the JSON form of a content."""

    pointer: str
    kind: str
    media_id: str

    @property
    def file_id(self) -> int | None:
        """The file it refers to: None for a media_id of the provider, 0 for what no file can have."""
        if not self.media_id.startswith(PREFIX):
            return None
        number = self.media_id.removeprefix(PREFIX)
        return int(number) if number.isascii() and number.isdigit() and len(number) < 19 else 0


def reference(file: MediaFile) -> str:
    """What stands for `file` in a content."""
    return f"{PREFIX}{file.pk}"


def named(value: Any, at: str = "", inside: str = "") -> Iterator[Named]:
    """Every place of a media_id in the JSON form of a content, with the kind of file it takes."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "media_id" or key in _PICTURES:
                yield Named(f"{at}/{key}", "image" if key in _PICTURES else inside, inner)
            else:
                yield from named(inner, f"{at}/{key}", key)
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from named(inner, f"{at}/{n}", inside)


def file_ids(content: Mapping[str, Any]) -> set[int]:
    """The files of the library in the JSON form of a content."""
    return {each.file_id for each in named(content) if each.file_id}


# --- At acceptance ------------------------------------------------------------------------------------------------


def problems(content: Content, *, user: User, corp: Corp, not_before: datetime | None) -> list[Problem]:
    """What stands against the files of `content`, and what will have expired when it may go out."""
    told = list(named(content.as_json()))
    ids = {each.file_id for each in told if each.file_id}
    files = MediaFile.objects.visible_to(user).filter(corp=corp).in_bulk(ids) if ids else {}
    is_late = not_before is not None and not_before > timezone.now() + LIVES
    found: list[Problem] = []
    for each in told:
        if each.file_id is not None:
            found += _problem(each, files.get(each.file_id))
        elif each.media_id and is_late:
            found.append(Problem(each.pointer, "media_expires", warning=True))
    return found


def _problem(each: Named, file: MediaFile | None) -> Iterator[Problem]:
    if file is None:
        yield Problem(each.pointer, "not_found")
    elif not file.is_active:
        yield Problem(each.pointer, "inactive")
    elif file.kind != each.kind:
        yield Problem(each.pointer, "wrong_kind", {"kind": each.kind})


def note_uses(messages: Iterable[Message]) -> None:
    """Remember which files these new messages carry."""
    use = MediaFile.messages.through
    uses = [
        use(mediafile_id=file_id, message_id=message.pk)
        for message in messages
        for file_id in file_ids(message.content)
    ]
    if uses:
        use.objects.bulk_create(uses)


# --- Before a send ------------------------------------------------------------------------------------------------


def with_fresh_media(
    content: Content, provider: Provider, corp: Corp, *, patience_s: float = PATIENCE_S
) -> Content:
    """`content` with a media_id that the provider still knows in place of each reference; may use the network.

    Raises ProviderError: nothing was sent then. `uploading` where another worker takes longer than `patience_s`.
    """
    told = content.as_json()
    fresh = {
        f"{PREFIX}{pk}": _fresh_media_id(pk, provider, corp, patience_s) for pk in sorted(file_ids(told))
    }
    return contents.parse(_replaced(told, fresh)) if fresh else content


def _replaced(value: Any, fresh: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: fresh.get(inner, inner) if key == "media_id" or key in _PICTURES else _replaced(inner, fresh)
            for key, inner in value.items()
        }
    return [_replaced(inner, fresh) for inner in value] if isinstance(value, list) else value


def _fresh_media_id(pk: int, provider: Provider, corp: Corp, patience_s: float) -> str:
    deadline = time.monotonic() + patience_s
    while True:
        file = MediaFile.objects.only("media_id", "uploaded_at", "uploading_until").get(pk=pk, corp=corp)
        now = timezone.now()
        if file.media_id and file.uploaded_at and file.uploaded_at > now - RENEWED_AFTER:
            return str(file.media_id)
        if until := _claim(pk, now):
            return _upload(pk, provider, until)
        if time.monotonic() > deadline:
            raise Unavailable("Another worker is still uploading the file.", code="uploading")
        time.sleep(0.2)


def _claim(pk: int, now: datetime) -> datetime | None:
    """The end of our turn to upload; None while another has its turn, or has just finished.

    A lease, not a lock: nobody keeps a transaction open while talking to the provider.
    """
    until = now + timedelta(seconds=settings.CRM_SEND_LEASE_SECONDS)
    free = Q(uploading_until__isnull=True) | Q(uploading_until__lte=now)
    stale = Q(media_id="") | Q(uploaded_at__lte=now - RENEWED_AFTER)
    claimed = MediaFile.objects.filter(free, stale, pk=pk).update(uploading_until=until)
    return until if claimed else None


def _upload(pk: int, provider: Provider, until: datetime) -> str:
    began = timezone.now()
    file = MediaFile.objects.defer(None).get(pk=pk)
    mine = MediaFile.objects.filter(pk=pk, uploading_until=until)
    try:
        media_id = provider.upload_media(file.kind, file.name, bytes(file.data))
    except BaseException:
        mine.update(uploading_until=None)
        raise
    mine.update(media_id=media_id, uploaded_at=began, uploading_until=None)
    return media_id


def mended(error: Refused, content: Mapping[str, Any], corp: Corp, body: bytes) -> ProviderError:
    """`error`, or where the provider has forgotten a file of `body` early, one after which it is uploaded again."""
    if error.errcode != EXPIRED or not _forget(file_ids(content), corp, body):
        return error
    return Unavailable(error.errmsg, code="media_expired", errcode=error.errcode)


def _forget(ids: Iterable[int], corp: Corp, body: bytes) -> bool:
    """Drop the copies that `body` named; whether another try will name others."""
    files = MediaFile.objects.filter(corp=corp, pk__in=ids).only("media_id")
    named_in_body = [each for each in files if each.media_id and each.media_id.encode() in body]
    is_renewed = len(named_in_body) < len(files)  # by another worker, since
    grown = MediaFile.objects.filter(uploaded_at__lt=timezone.now() - JUST_UPLOADED)
    dropped = [
        grown.filter(pk=each.pk, media_id=each.media_id).update(media_id="", uploaded_at=None)
        for each in named_in_body
    ]
    return is_renewed or any(dropped)
