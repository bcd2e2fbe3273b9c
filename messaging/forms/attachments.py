"""What a mass message carries beside its text: up to nine attachments, one small form each."""

from typing import Any, Final

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from crm.admin_forms import StyledForm
from crm.errors import CrmError
from crm.providers.records import Problem
from messaging import wording
from messaging.forms.library import FileChoice, Keep, choose, newest
from messaging.media import reference
from messaging.models import MediaFile

KINDS: Final[dict[str, str | Promise]] = {
    "image": _("image"),
    "link": _("link"),
    "miniprogram": _("Mini program"),
    "video": _("video"),
    "file": _("file"),
}
OF_FILES: Final = ("image", "video", "file")
# What each kind asks for; the page hides the rest.
ASKED: Final = {
    "picked": (*OF_FILES, "miniprogram"),
    "upload": (*OF_FILES, "miniprogram"),
    "title": ("link", "miniprogram"),
    "url": ("link",),
    "desc": ("link",),
    "appid": ("miniprogram",),
    "page": ("miniprogram",),
}
_ALIASES: Final = {"media_id": "picked", "pic_media_id": "picked"}


class AttachmentForm(StyledForm):
    kind = forms.ChoiceField(label=_("Attachment"), required=False)
    picked = FileChoice(
        label=_("From the library"), queryset=MediaFile.objects.none(), required=False, empty_label=_("None")
    )
    upload = forms.FileField(label=_("Or a new file"), required=False, allow_empty_file=True)
    title = forms.CharField(label=_("Title"), required=False)
    url = forms.CharField(label=pgettext_lazy("of a link", "Address"), required=False)
    desc = forms.CharField(label=_("Description"), required=False)
    appid = forms.CharField(
        label=_("Mini program"), required=False, help_text=_("Its appid: wx and 16 characters.")
    )
    page = forms.CharField(label=_("Page"), required=False)

    def __init__(
        self,
        data: QueryDict | None,
        *,
        stored: dict[str, Any],
        files_kept: QuerySet[MediaFile],
        **kwargs: Any,
    ) -> None:
        kind = stored.get("msgtype", "")
        inside = stored.get(kind, {})
        chosen = str(inside.get("media_id") or inside.get("pic_media_id") or "").rpartition(":")[2]
        super().__init__(data, initial={**inside, "kind": kind, "picked": chosen}, **kwargs)
        self.fields["kind"].choices = [("", _("None")), *KINDS.items()]  # type: ignore[attr-defined]
        self.fields["picked"].queryset = newest(files_kept, *OF_FILES)  # type: ignore[attr-defined]

    @property
    def asked(self) -> list[tuple[Any, str]]:
        """(field, the kinds that ask for it) for the page."""
        return [(self[name], " ".join(kinds)) for name, kinds in ASKED.items()]

    @property
    def is_filled(self) -> bool:
        return bool(self["kind"].value())

    def clean(self) -> dict[str, Any]:
        told = super().clean() or {}
        if told.get("kind") in ASKED["picked"] and not told.get("upload") and not told.get("picked"):
            self.add_error("picked", _("Choose a file, or upload one."))
        return told

    def keep_upload(self, keep: Keep) -> None:
        told = self.cleaned_data
        upload, kind = told["upload"], told["kind"]
        if not upload or kind not in ASKED["upload"]:
            return
        try:
            told["picked"] = keep(
                kind=kind if kind in OF_FILES else "image", name=upload.name, data=upload.read()
            )
        except CrmError as error:
            self.refuse(error, {"/": "upload"})
        else:
            choose(self, "picked", told["picked"])

    def made(self) -> dict[str, Any]:
        """The JSON form of the attachment."""
        told = self.cleaned_data
        kind = told["kind"]
        if kind in OF_FILES:
            return {"msgtype": kind, kind: {"media_id": reference(told["picked"])}}
        names = [name for name, kinds in ASKED.items() if kind in kinds and name not in ("picked", "upload")]
        inside = {name: told[name] for name in names}
        if kind == "miniprogram":
            inside["pic_media_id"] = reference(told["picked"])
        return {"msgtype": kind, kind: inside}

    def complain(self, problem: Problem) -> None:
        name = problem.pointer.rpartition("/")[2]
        name = _ALIASES.get(name, name)
        self.add_error(name if name in self.fields else "kind", wording.sentence(problem))
