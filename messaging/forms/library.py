"""A file of the library: chosen in a form, added, changed."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext_lazy as _

from crm.admin_forms import StyledForm
from crm.errors import CrmError
from crm.models import Corp
from messaging import library
from messaging.models import MediaFile

OFFERED = 100  # files to choose from, the newest
Keep = Callable[..., MediaFile]


class FileChoice(forms.ModelChoiceField):
    """A file of the library, by name, kind and size."""

    def label_from_instance(self, file: Any) -> str:
        return f"{file.name} · {file.get_kind_display()} · {filesizeformat(file.size)}"


def newest(files: QuerySet[MediaFile], *kinds: str) -> QuerySet[MediaFile]:
    """Those to choose from. The slice stands in a subquery: of a sliced queryset no choice can be looked up."""
    recent = files.filter(kind__in=kinds).order_by("-pk").values("pk")[:OFFERED]
    return MediaFile.objects.filter(pk__in=recent)


def choose(form: forms.Form, name: str, file: MediaFile) -> None:
    """Have `file` chosen when the page is shown again: what was uploaded is uploaded once."""
    data: Any = form.data
    form.data = data.copy()
    form.data[form.add_prefix(name)] = str(file.pk)  # type: ignore[index]


class UploadForm(StyledForm):
    """A new file of the library."""

    corp = forms.ModelChoiceField(label=_("corp"), queryset=Corp.objects.none(), empty_label=None)
    kind = forms.ChoiceField(label=_("sent as"), choices=MediaFile.Kind.choices)
    file = forms.FileField(label=_("file"), allow_empty_file=True)
    name = forms.CharField(
        label=_("name"),
        required=False,
        max_length=library.NAME_LENGTH,
        help_text=_("What receivers of a file see. Empty: the file's own name."),
    )

    def __init__(self, data: Any = None, *, corps: QuerySet[Corp], **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.fields["corp"].queryset = corps  # type: ignore[attr-defined]

    def keep(self, **who: Any) -> MediaFile | None:
        """The file, kept; None when something stands against it, which is then said beside its field."""
        told = self.cleaned_data
        try:
            return library.add(
                corp=told["corp"],
                kind=told["kind"],
                name=told["name"] or told["file"].name,
                data=told["file"].read(),
                **who,
            )
        except CrmError as error:
            self.refuse(error, {"/file": "file", "/name": "name", "/corp": "corp"})
            return None


class MediaFileForm(StyledForm):
    """What can be changed of a file."""

    name = forms.CharField(label=_("name"), max_length=library.NAME_LENGTH)
    is_active = forms.BooleanField(
        label=_("in use"), required=False, help_text=_("Off: no new message can carry it.")
    )
