"""The forms of an image, a voice message, a video and a file: chosen from the library, or uploaded on the spot."""

from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from crm.errors import CrmError
from crm.providers import content as contents
from crm.providers.content import Content
from crm.providers.wecom import articles as limits
from messaging.forms.contents import ContentForm, limited
from messaging.forms.library import FileChoice, Keep, choose, newest
from messaging.media import reference
from messaging.models import MediaFile

TAKEN = {
    "image": _("JPG or PNG, at most 10 MiB."),
    "voice": _("AMR, at most 60 seconds and 2 MiB."),
    "video": _("MP4, at most 10 MiB."),
    "file": _("Any file, at most 20 MiB."),
}
ACCEPTED = {"image": "image/png,image/jpeg", "voice": ".amr,audio/amr", "video": "video/mp4"}


class MediaForm(ContentForm):
    write_page = "admin/messaging/write_media.html"
    aliases: ClassVar[dict[str, str]] = {"media_id": "picked"}

    picked = FileChoice(
        label=_("From the library"), queryset=MediaFile.objects.none(), required=False, empty_label=_("None")
    )
    upload = forms.FileField(label=_("Or a new file"), required=False, allow_empty_file=True)

    def __init__(
        self, data: QueryDict | None = None, *, files_kept: QuerySet[MediaFile], **kwargs: Any
    ) -> None:
        super().__init__(data, files_kept=files_kept, **kwargs)
        self.fields["picked"].queryset = newest(files_kept, self.msgtype)  # type: ignore[attr-defined]
        self.fields["upload"].help_text = TAKEN[self.msgtype]
        self.initial["picked"] = self.initial.get("media_id", "").rpartition(":")[2]

    def attributes(self) -> dict[str, dict[str, Any]]:
        accepted = {"accept": ACCEPTED[self.msgtype]} if self.msgtype in ACCEPTED else {}
        return {"picked": {"data-shows-file": ""}, "upload": {"data-shows-file": "", **accepted}}

    def clean(self) -> dict[str, Any]:
        told = super().clean() or {}
        if not self.errors and not told.get("upload") and not told.get("picked"):
            self.add_error("picked", _("Choose a file, or upload one."))
        return told

    def keep_uploads(self, keep: Keep) -> None:
        upload = self.cleaned_data["upload"]
        if not upload:
            return
        try:
            kept = keep(kind=self.msgtype, name=upload.name, data=upload.read())
        except CrmError as error:
            self.refuse(error, {"/": "upload"})
        else:
            self.cleaned_data["picked"] = kept
            choose(self, "picked", kept)

    def inside(self) -> dict[str, Any]:
        """The members of the content beside its media_id."""
        return {}

    def made(self) -> Content:
        told = {"media_id": reference(self.cleaned_data["picked"]), **self.inside()}
        return contents.parse({"msgtype": self.msgtype, self.msgtype: told})


class ImageForm(MediaForm):
    heading = _("Send image")
    msgtype = "image"


class VoiceForm(MediaForm):
    heading = _("Send voice message")
    msgtype = "voice"


class VideoForm(MediaForm):
    heading = _("Send video")
    msgtype = "video"

    title = forms.CharField(label=_("Title"), required=False)
    description = forms.CharField(label=_("Description"), required=False)

    def attributes(self) -> dict[str, dict[str, Any]]:
        title = {**limited(limits.SHOWN_TITLE_BYTES, "bytes"), "data-shows": "title"}
        description = {**limited(limits.SHOWN_DESCRIPTION_BYTES, "bytes"), "data-shows": "description"}
        return {**super().attributes(), "title": title, "description": description}

    def inside(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("title", "description")}


class FileForm(MediaForm):
    heading = _("Send file")
    msgtype = "file"


MEDIA_FORMS: tuple[type[MediaForm], ...] = (ImageForm, VoiceForm, VideoForm, FileForm)
