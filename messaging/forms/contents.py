"""The forms of a text and of a mini-program notice, and what is asked beside a message."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from django import forms
from django.db.models import QuerySet
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from crm.admin_forms import StyledForm, restyle
from crm.errors import CrmError
from crm.providers import content as contents
from crm.providers.content import Content, MiniprogramNotice
from crm.providers.records import Problem
from crm.providers.wecom import messages as limits
from crm.providers.wecom.attachments import ATTACHMENTS
from messaging import wording
from messaging.forms.attachments import AttachmentForm
from messaging.forms.library import Keep
from messaging.models import MediaFile

FIRST_ROWS = 3
UNIT_NAMES = {"bytes": _("bytes"), "characters": _("characters")}


def limited(limit: int, unit: str) -> dict[str, Any]:
    """Attributes that make admin.js count a field against its limit."""
    return {"data-limit": limit, "data-unit": unit, "data-unit-name": UNIT_NAMES[unit]}


class ContentForm(StyledForm):
    """Makes one kind of content. `mass`: to contacts by add_msg_template, where other limits hold.

    `stored` is the JSON form of a content made before, to go on with. `variables`, {name: value}, are those of a
    template that the sender gives. `files_kept` is the part of the library to choose from, where files can be sent.
    """

    heading: ClassVar[Promise]
    msgtype: ClassVar[str]
    write_page: ClassVar[str]
    aliases: ClassVar[dict[str, str]] = {}  # members of the content whose field has another name

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        mass: bool,
        stored: dict[str, Any],
        variables: Mapping[str, str] = MappingProxyType({}),
        files_kept: QuerySet[MediaFile] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data, initial=dict(stored.get(self.msgtype, {})), **kwargs)
        self.mass = mass
        self.asked = {f"variable_{n}": name for n, name in enumerate(variables)}
        for key, name in self.asked.items():
            self.fields[key] = forms.CharField(label=name, required=False, initial=variables[name])
            restyle(self.fields[key])
        for name, attrs in self.attributes().items():
            self.fields[name].widget.attrs.update(attrs)

    def attributes(self) -> dict[str, dict[str, Any]]:
        raise NotImplementedError

    def made(self) -> Content:
        raise NotImplementedError

    def keep_uploads(self, keep: Keep) -> None:
        """Put what was uploaded with the form into the library; says beside its field what cannot be kept."""

    @property
    def variable_fields(self) -> list[Any]:
        return [self[key] for key in self.asked]

    def given(self) -> dict[str, str]:
        """{variable: value} as typed; whether one is needed, the rules say."""
        return {name: self.cleaned_data[key] for key, name in self.asked.items()}

    def refuse_variables(self, error: CrmError) -> None:
        self.refuse(error, {f"/variables/{name}": key for key, name in self.asked.items()})

    def complain(self, problems: list[Problem]) -> None:
        """Put what blocks beside its field; warnings wait for the confirmation page."""
        for problem in problems:
            if not problem.warning:
                name = problem.pointer.removeprefix(f"/{self.msgtype}/").split("/")[0]
                name = self.aliases.get(name, name)
                self.add_error(name if name in self.fields else None, wording.sentence(problem))


class TextForm(ContentForm):
    """A text; as a mass message with up to nine attachments, and then possibly empty."""

    heading = _("Send text")
    write_page = "admin/messaging/write_text.html"
    msgtype = "text"

    content = forms.CharField(label=_("Text"), widget=forms.Textarea, strip=False)

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        mass: bool,
        stored: dict[str, Any],
        files_kept: QuerySet[MediaFile] | None = None,
        files: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data, mass=mass, stored=stored, **kwargs)
        self.attachments: list[AttachmentForm] = []
        # A template's page has no place for them: they stay as they are.
        self._carried = [] if files_kept is not None else list(stored.get("attachments", ()))
        if mass and files_kept is not None:
            kept = [*stored.get("attachments", ()), *[{}] * ATTACHMENTS][:ATTACHMENTS]
            self.attachments = [
                AttachmentForm(
                    data, files=files, stored=each, files_kept=files_kept, prefix=f"attachment_{n}"
                )
                for n, each in enumerate(kept)
            ]
            self.fields["content"].required = self.fields["content"].widget.is_required = False

    def is_valid(self) -> bool:
        return all([super().is_valid(), *(each.is_valid() for each in self.attachments)])

    @property
    def _attached(self) -> list[AttachmentForm]:
        return [each for each in self.attachments if each.is_filled]

    def keep_uploads(self, keep: Keep) -> None:
        for each in self._attached:
            each.keep_upload(keep)

    def attributes(self) -> dict[str, dict[str, Any]]:
        limit = limits.MASS_TEXT_BYTES if self.mass else limits.TEXT_BYTES
        return {"content": {**limited(limit, "bytes"), "rows": 8, "autofocus": True, "data-shows": "content"}}

    def made(self) -> Content:
        content = self.cleaned_data["content"].replace("\r\n", "\n").replace("\r", "\n")
        told = {"msgtype": self.msgtype, self.msgtype: {"content": content}}
        attached = [each.made() for each in self._attached] or self._carried
        return contents.parse({**told, "attachments": attached} if attached else told)

    def complain(self, problems: list[Problem]) -> None:
        own = []
        for problem in problems:
            _empty, place, *where = problem.pointer.split("/")
            if place == "attachments" and where and not problem.warning:
                self._attached[int(where[0])].complain(problem)
            else:
                own.append(problem)
        super().complain(own)


class NoticeForm(ContentForm):
    """Items are pairs of inputs `key_0`, `value_0` …: three to begin with, up to ten."""

    heading = _("Send mini-program notice")
    write_page = "admin/messaging/write_miniprogram_notice.html"
    msgtype = "miniprogram_notice"

    appid = forms.CharField(
        label=_("Mini program"),
        max_length=64,
        help_text=_("Its appid: wx and 16 characters. It must be linked to the app."),
    )
    title = forms.CharField(label=_("Title"), help_text=_("4 to 12 characters."))
    page = forms.CharField(
        label=_("Page"),
        required=False,
        help_text=_("Where a tap leads, with parameters. Empty: the notice cannot be tapped."),
    )
    description = forms.CharField(label=_("Description"), required=False, help_text=_("4 to 12 characters."))
    emphasis_first_item = forms.BooleanField(label=_("Show the first line large"), required=False)

    def __init__(self, data: QueryDict | None = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.item_errors: dict[int, str] = {}
        self.rows = self._rows_of(data) if data is not None else self._stored_rows()
        if self.mass:
            self._become_card()

    def _become_card(self) -> None:
        """A mass message carries a mini-program card, which has a title and a page and nothing else to fill in."""
        title, page = self.fields["title"], self.fields["page"]
        title.help_text = _("At most 64 bytes: 21 Chinese characters, or 64 letters.")
        page.required = page.widget.is_required = True
        page.help_text = _("The page of the mini program that a tap opens, with parameters.")
        for name in ("description", "emphasis_first_item"):
            del self.fields[name]
        self.rows = []

    def attributes(self) -> dict[str, dict[str, Any]]:
        title = (
            limited(limits.MASS_TITLE_BYTES, "bytes")
            if self.mass
            else limited(limits.TITLE_LENGTH[1], "characters")
        )
        return {
            "appid": {"placeholder": "wx", "spellcheck": "false", "autocomplete": "off"},
            "title": {**title, "data-shows": "title"},
            "page": {
                **limited(limits.PAGE_BYTES, "bytes"),
                "placeholder": "pages/order/view?id=7",
                "spellcheck": "false",
            },
            "description": {**limited(limits.TITLE_LENGTH[1], "characters"), "data-shows": "description"},
        }

    def _stored_rows(self) -> list[tuple[str, str]]:
        items = self.initial.get("content_item", [])
        rows = [(item["key"], item["value"]) for item in items]
        return rows + [("", "")] * (FIRST_ROWS - len(rows))

    def _rows_of(self, data: QueryDict) -> list[tuple[str, str]]:
        rows = [
            (data.get(f"key_{n}", "").strip(), data.get(f"value_{n}", "").strip())
            for n in range(limits.ITEMS)
        ]
        while len(rows) > FIRST_ROWS and not any(rows[-1]):
            rows.pop()
        return rows

    @property
    def items(self) -> list[dict[str, Any]]:
        """What the template draws: each row with its number and what is wrong with it."""
        return [
            {"n": n, "key": key, "value": value, "error": self.item_errors.get(n, "")}
            for n, (key, value) in enumerate(self.rows)
        ]

    def made(self) -> Content:
        values = self.cleaned_data
        return MiniprogramNotice(
            appid=values["appid"],
            title=values["title"],
            page=values["page"],
            description=values.get("description", ""),
            emphasis_first_item=values.get("emphasis_first_item", False),
            content_item=tuple(pair for pair in self.rows if any(pair)),
        )

    def complain(self, problems: list[Problem]) -> None:
        filled = [n for n, pair in enumerate(self.rows) if any(pair)]
        own = []
        for problem in problems:
            at, _slash, number = problem.pointer.removeprefix(f"/{self.msgtype}/").partition("/")
            if at == "content_item" and number and not problem.warning:
                sentence = wording.sentence(problem)
                self.item_errors[filled[int(number.split("/")[0])]] = sentence
                self.add_error(None, sentence)
            else:
                own.append(problem)
        super().complain(own)


class TimesForm(forms.Form):
    """When a message may go out, asked beside the button that sends it. `urgent`: in quiet hours too."""

    not_before = forms.DateTimeField(required=False, widget=forms.DateTimeInput({"type": "datetime-local"}))
    expires_at = forms.DateTimeField(required=False, widget=forms.DateTimeInput({"type": "datetime-local"}))
    urgent = forms.BooleanField(required=False)


class ResolveForm(StyledForm):
    """A person's word on an uncertain delivery (see `messaging.control.WORDS`)."""

    word = forms.ChoiceField(
        label=_("what became of it"),
        choices=[
            ("accepted", _("It arrived")),
            ("failed", _("It did not arrive, and is not sent again")),
            ("resend", _("It did not arrive: send it again")),
        ],
    )
    reason = forms.CharField(
        label=_("why"), max_length=500, help_text=_("How you know it. It is kept in the history.")
    )
