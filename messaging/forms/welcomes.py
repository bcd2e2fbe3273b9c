"""What a welcome message is: its template, for whom it is, and what stands for a name that does not come."""

from typing import Any

from django import forms
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from contacts.models import ContactWay, Employee
from contacts.querysets import User
from crm.admin_forms import ChoicesSelect, ChoicesSelectMultiple, StyledForm
from crm.models import Corp
from messaging import welcomes
from messaging.models import Template, Welcome

FIELDS = ("name", "template", "instead_of_name", "scope", "employees", "way", "is_active")


class WelcomeForm(StyledForm):
    """Its choices are within the reach of `user`; what was chosen before stays one."""

    name = forms.CharField(
        label=_("name"), max_length=welcomes.NAME_LENGTH, help_text=_("Only people here see it.")
    )
    template = forms.ModelChoiceField(label=_("template"), queryset=Template.objects.none())
    instead_of_name = forms.CharField(
        label=_("instead of the name"),
        max_length=welcomes.SPARE_LENGTH,
        required=False,
        help_text=_(
            "Stands where the contact's name would, if WeCom does not tell it in time: the welcome must be out"
            " within 20 seconds."
        ),
    )
    scope = forms.ChoiceField(
        label=_("for"),
        choices=Welcome.Scope,
        help_text=_(
            "Who comes by a contact way gets its own welcome, else the one of the employee, else that for everybody."
        ),
    )
    employees = forms.ModelMultipleChoiceField(
        label=_("employees"),
        queryset=Employee.objects.none(),
        required=False,
        help_text=_("Where it is for some employees."),
    )
    way = forms.ModelChoiceField(
        label=_("contact way"),
        queryset=ContactWay.objects.none(),
        required=False,
        help_text=_("Where it is for one contact way."),
    )
    is_active = forms.BooleanField(
        label=_("in use"), required=False, initial=True, help_text=_("Off: it is not said.")
    )

    def __init__(
        self, data: Any = None, *, user: User, corp: Corp, welcome: Welcome | None, **kwargs: Any
    ) -> None:
        super().__init__(data, **kwargs)
        scopes = welcomes.scopes_of(user)
        self.fields["scope"].choices = [each for each in Welcome.Scope.choices if each[0] in scopes]  # type: ignore[attr-defined]
        kept = Q(welcomes=welcome) if welcome else Q(pk__in=())
        usable = Q(is_active=True) | kept
        self._offer("template", Template.objects.visible_to(user).filter(usable, corp=corp).distinct())
        reached = Q(pk__in=Employee.objects.reached_by(user).values("pk"))
        self._offer("employees", Employee.objects.filter(reached | kept, corp=corp).distinct())
        ways = ContactWay.objects.visible_to(user).standing().values("pk")
        self._offer(
            "way", ContactWay.objects.filter(Q(pk__in=ways) | kept, corp=corp).defer("picture").distinct()
        )
        self._ask_for_choices("employees", "admin:contacts_employee_choices", f"corp={corp.pk}&reach=1")
        self._ask_for_choices("way", "admin:messaging_welcome_ways", f"corp={corp.pk}")

    def _offer(self, name: str, rows: Any) -> None:
        self.fields[name].queryset = rows  # type: ignore[attr-defined]

    def _ask_for_choices(self, name: str, url_name: str, query: str) -> None:
        field: Any = self.fields[name]
        kind = ChoicesSelectMultiple if name == "employees" else ChoicesSelect
        field.widget = kind(url_name, query)
        field.widget.choices = field.choices
        field.widget.is_required = False

    def told(self) -> dict[str, Any]:
        """What `welcomes.create` and `.change` take. What is not for this scope does not count."""
        told = {name: self.cleaned_data[name] for name in FIELDS}
        scope = told["scope"]
        told["employees"] = list(told["employees"]) if scope == Welcome.Scope.EMPLOYEES else []
        told["way"] = told["way"] if scope == Welcome.Scope.WAY else None
        return told


def stored(welcome: Welcome) -> dict[str, Any]:
    """The initial values of the form for what is kept."""
    return {name: getattr(welcome, name) for name in FIELDS} | {"employees": list(welcome.employees.all())}
