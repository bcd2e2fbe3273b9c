"""What every form of the admin shares: unfold's inputs on plain forms, and our refusals beside the fields they name."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.db.models import Model, QuerySet
from django.forms import widgets as plain
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import reverse
from django.utils.text import capfirst
from unfold import widgets

from crm.errors import CrmError

_WIDGETS: Mapping[type[forms.Widget], type[forms.Widget]] = {
    plain.TextInput: widgets.UnfoldAdminTextInputWidget,
    plain.Textarea: widgets.UnfoldAdminTextareaWidget,
    plain.Select: widgets.UnfoldAdminSelectWidget,
    plain.CheckboxInput: widgets.UnfoldBooleanSwitchWidget,
    plain.EmailInput: widgets.UnfoldAdminEmailInputWidget,
    plain.NumberInput: widgets.UnfoldAdminIntegerFieldWidget,
    plain.PasswordInput: widgets.UnfoldAdminPasswordWidget,
    plain.DateTimeInput: widgets.UnfoldAdminTextInputWidget,
}


class StyledForm(forms.Form):
    """A plain form whose inputs look like those of the admin's own forms."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.label = capfirst(field.label)
            restyle(field)

    def refuse(self, error: CrmError, fields: Mapping[str, str]) -> None:
        """Put each refusal beside its field; `fields` maps a JSON pointer (or its beginning) to a field name."""
        for fault in error.errors:
            name = next(
                (fields[p] for p in sorted(fields, reverse=True) if fault.pointer.startswith(p)), None
            )
            self.add_error(name if name in self.fields else None, fault.detail)
        if not error.errors:
            self.add_error(None, str(error))


def restyle(field: forms.Field) -> None:
    styled = _WIDGETS.get(type(field.widget))
    if styled is None:
        return
    attrs = {key: value for key, value in field.widget.attrs.items() if key != "class"}
    old, field.widget = field.widget, styled(attrs)
    field.widget.is_required = field.required
    if isinstance(old, plain.Select):
        field.widget.choices = old.choices


class SecretInput(widgets.UnfoldAdminPasswordWidget):
    """A secret goes in and never comes back: nothing is rendered, and blank keeps what is stored."""

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        super().__init__({"autocomplete": "new-password", "spellcheck": "false", **(attrs or {})})


def is_id(text: str) -> bool:
    """Whether `text` can be a primary key: digits that fit its column."""
    return text.isascii() and text.isdigit() and len(text) < 19


class ChoicesSelect(widgets.UnfoldAdminAutocompleteModelChoiceFieldWidget):
    """A select that asks `url_name` for its options as one types. Only the chosen ones are rendered."""

    option_template_name = "django/forms/widgets/select_option.html"

    def __init__(self, url_name: str, query: str = "", attrs: dict[str, Any] | None = None) -> None:
        super().__init__(attrs)
        self.url_name, self.query = url_name, query

    def build_attrs(
        self, base_attrs: dict[str, Any], extra_attrs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        url = reverse(self.url_name) + (f"?{self.query}" if self.query else "")
        return {**super().build_attrs(base_attrs, extra_attrs), "data-ajax--url": url}

    def optgroups(self, name: str, value: list[str], attrs: dict[str, Any] | None = None) -> list[Any]:
        chosen = {str(one) for one in value if one}
        groups: list[Any] = [] if self.allow_multiple_selected else [(None, [self._blank(name)], 0)]
        if not chosen:
            return groups
        rows = self.choices.queryset.filter(pk__in=[one for one in chosen if is_id(one)])
        for n, row in enumerate(rows, start=1):
            groups.append((None, [self.create_option(name, row.pk, str(row), True, n)], n))
        return groups

    def _blank(self, name: str) -> Any:
        return self.create_option(name, "", "", False, 0)


class ChoicesSelectMultiple(ChoicesSelect, widgets.UnfoldAdminMultipleAutocompleteModelChoiceFieldWidget):
    """The same for several."""

    allow_multiple_selected = True

    def build_attrs(
        self, base_attrs: dict[str, Any], extra_attrs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        # Each choice has its own cross; select2 would draw the one for all inside the list, where no reader finds it.
        return {**super().build_attrs(base_attrs, extra_attrs), "data-allow-clear": "false"}


def choices_answer(request: HttpRequest, rows: QuerySet[Model], *, per_page: int = 20) -> JsonResponse:
    """What ChoicesSelect asks for: one page of options, of rows already narrowed to the reach."""
    try:
        page = max(int(request.GET.get("page", 1)), 1)
    except ValueError:
        raise Http404 from None
    found = list(rows[(page - 1) * per_page : page * per_page + 1])
    options = [{"id": str(row.pk), "text": str(row)} for row in found[:per_page]]
    return JsonResponse({"results": options, "pagination": {"more": len(found) > per_page}})
