"""The media library: files kept to be sent, judged by their bytes when they come."""

import hashlib
import unicodedata
from collections.abc import Mapping
from typing import Any, Final

from django.db import transaction
from django.utils.translation import gettext as _

from contacts.access import require
from contacts.querysets import User
from crm.errors import FieldError, Invalid
from crm.events import event, record
from crm.models import Corp
from crm.providers import DIALECTS
from crm.providers.file_types import content_type_of
from messaging import wording
from messaging.models import MediaFile

NAME_LENGTH: Final = 128


def add(*, user: User, actor: str, corp: Corp, kind: str, name: str, data: bytes) -> MediaFile:
    """Keep a file; the same one from the same person is kept once, so a double click leaves one.

    Raises NotAllowed, or Invalid whose errors point at `/file`, `/name` and `/corp`.
    """
    require(user, "messaging.add_mediafile")
    errors = [*_name_errors(name), *_file_errors(corp, kind, data)]
    if errors:
        raise Invalid(_("The file cannot be kept."), errors=errors)
    made = MediaFile(
        corp=corp,
        kind=kind,
        name=tidy(name),
        content_type=content_type_of(data),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        created_by_id=user.pk,
        data=data,
    )
    told = {each: [None, getattr(made, each)] for each in ("name", "kind", "size", "sha256")}
    with transaction.atomic():
        # Of two clicks the second sees the file of the first.
        Corp.objects.select_for_update(no_key=True).get(pk=corp.pk)
        if kept := _alike(made):
            return kept
        made.save()
        _note("media_file.created", made, actor, told)
    return made


def _alike(file: MediaFile) -> MediaFile | None:
    same = {each: getattr(file, each) for each in ("corp", "kind", "name", "sha256", "created_by_id")}
    return MediaFile.objects.filter(is_active=True, **same).first()


def change(
    file: MediaFile, *, user: User, actor: str, name: str | None = None, is_active: bool | None = None
) -> MediaFile:
    """Change what is given. A retired file is offered no more; messages that were accepted with it go out."""
    require(user, "messaging.change_mediafile")
    if name is not None and (errors := _name_errors(name)):
        raise Invalid(_("The file cannot be kept."), errors=errors)
    asked = {"name": None if name is None else tidy(name), "is_active": is_active}
    changes = {
        field: [getattr(file, field), new]
        for field, new in asked.items()
        if new is not None and new != getattr(file, field)
    }
    if not changes:
        return file
    for field, (_old, new) in changes.items():
        setattr(file, field, new)
    columns = [*changes]
    if "name" in changes:  # receivers see the name it was uploaded with; an upload on its way has the old one
        file.media_id, file.uploaded_at, file.uploading_until = "", None, None
        columns += ["media_id", "uploaded_at", "uploading_until"]
    with transaction.atomic():
        file.save(update_fields=columns)
        _note("media_file.updated", file, actor, changes)
    return file


def tidy(name: str) -> str:
    """The last part of a path, without characters that nobody sees (one of them turns `exe.pdf` around)."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return "".join(each for each in last if unicodedata.category(each)[0] != "C").strip()


def _name_errors(name: str) -> list[FieldError]:
    length = len(tidy(name))
    if not length:
        return [FieldError("/name", "required", _("The file needs a name."))]
    if length > NAME_LENGTH:
        words = _("Too long: %(length)s characters, at most %(limit)s are allowed.")
        return [FieldError("/name", "too_long", words % {"length": length, "limit": NAME_LENGTH})]
    return []


def _file_errors(corp: Corp, kind: str, data: bytes) -> list[FieldError]:
    dialect = DIALECTS.get(corp.dialect)
    if dialect is None or not corp.is_active:
        return [FieldError("/corp", "inactive", _("This corp is switched off."))]
    return [
        FieldError("/file", each.code, wording.sentence(each)) for each in dialect.check_media(kind, data)
    ]


def _note(verb: str, file: MediaFile, actor: str, changes: Mapping[str, Any]) -> None:
    record([event(verb, "media_file", file.pk, actor=actor, corp_id=file.corp_id, changes=changes)])
