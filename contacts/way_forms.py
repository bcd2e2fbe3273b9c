"""The form of a contact way."""

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.widgets import UnfoldAdminSelect2MultipleWidget, UnfoldAdminTextInputWidget

from contacts import ways
from contacts.access import User, reached_teams, visible_tags
from contacts.models import ContactWay, Employee, Tag, Team
from crm.admin_forms import ChoicesSelectMultiple, StyledForm
from crm.models import Corp

LOCAL = "%Y-%m-%dT%H:%M"


class WayForm(StyledForm):
    """Field names are those of `POST /api/v1/contact-ways/`; the corp is chosen once."""

    campaign = forms.CharField(
        label=_("campaign"),
        max_length=ways.CAMPAIGN,
        help_text=_("What the code is for, such as “Autumn fair, stand 4”. People here see this name."),
    )
    corp = forms.ModelChoiceField(label=_("corp"), queryset=Corp.objects.none(), empty_label=None)
    employees = forms.ModelMultipleChoiceField(
        label=_("leads to"),
        queryset=Employee.objects.none(),
        required=False,
        help_text=_("Whoever scans the code is connected to one of them, by turns. Type to find one."),
    )
    teams = forms.ModelMultipleChoiceField(
        label=_("and to the members of"),
        queryset=Team.objects.none(),
        required=False,
        help_text=_("Whoever is in the team when a code is scanned. At most 100 people in all."),
    )
    tags = forms.ModelMultipleChoiceField(
        label=_("tags"),
        queryset=Tag.objects.none(),
        required=False,
        help_text=_("Set in WeCom on everybody who comes by this code."),
    )
    remark = forms.CharField(
        label=_("remark at the provider"),
        max_length=ways.REMARK,
        required=False,
        help_text=_("At most 30 characters, kept beside the code at WeCom."),
    )
    expires_at = forms.DateTimeField(
        label=_("ends at"),
        required=False,
        help_text=_("The code stops working then. Empty: it works until it is deleted."),
    )
    skip_verify = forms.BooleanField(
        label=_("connects at once"),
        required=False,
        initial=True,
        help_text=_("Off: the employee accepts each person who scans."),
    )

    def __init__(
        self,
        data: Any = None,
        *,
        user: User,
        corps: QuerySet[Corp] | None,
        way: ContactWay | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(data, initial=_initial(way) if way else None, **kwargs)
        self.fields["expires_at"].widget = UnfoldAdminTextInputWidget({"type": "datetime-local"})
        own = (
            Corp.objects.filter(pk=way.corp_id)
            if way
            else (corps if corps is not None else Corp.objects.none())
        )
        pks = list(own.values_list("pk", flat=True))
        if way is not None:
            del self.fields["corp"]
        else:
            self.fields["corp"].queryset = own  # type: ignore[attr-defined]
        self._offer(user, pks, way)

    def _offer(self, user: User, corps: list[int], way: ContactWay | None) -> None:
        """The choices, as narrow as the reach, and what the way has already."""
        people = Employee.objects.reached_by(user).filter(corp__in=corps)
        rooms = reached_teams(user).filter(corp__in=corps, absent_since__isnull=True)
        labels = visible_tags(user).filter(corp__in=corps, deleted_at__isnull=True)
        if way is not None:
            people = Employee.objects.filter(pk__in=people.values("pk")) | way.employees.all()
            rooms = Team.objects.filter(pk__in=rooms.values("pk")) | way.teams.all()
            labels = Tag.objects.filter(pk__in=labels.values("pk")) | way.tags.all()
        query = "&".join(["reach=1", *(f"corp={pk}" for pk in corps)])
        for name, rows, place in (("employees", people, "employee"), ("tags", labels, "tag")):
            field: Any = self.fields[name]
            field.queryset = rows.distinct()
            field.widget = ChoicesSelectMultiple(f"admin:contacts_{place}_choices", query)
            field.widget.choices = field.choices
        if rooms.exists():
            teams: Any = self.fields["teams"]
            teams.queryset = rooms.distinct()
            teams.widget = UnfoldAdminSelect2MultipleWidget({"data-allow-clear": "false"})
            teams.widget.choices = teams.choices
        else:
            del self.fields["teams"]
        mine = Employee.objects.filter(user=user.pk, corp__in=corps).first()
        if way is None and mine is not None:
            self.fields["employees"].initial = [mine.pk]
            self.fields["corp"].initial = mine.corp_id

    def asked(self) -> dict[str, Any]:
        """The form as `ways.create` and `ways.change` take it."""
        told = dict(self.cleaned_data)
        told["employees"] = [each.userid for each in told["employees"]]
        told["teams"] = [each.department_id for each in told.get("teams", ())]
        told["tags"] = [each.tag_id for each in told["tags"]]
        return told


def _initial(way: ContactWay) -> dict[str, Any]:
    ends_at = timezone.localtime(way.expires_at).strftime(LOCAL) if way.expires_at else ""
    return {
        "campaign": way.campaign,
        "remark": way.remark,
        "skip_verify": way.skip_verify,
        "expires_at": ends_at,
        "employees": list(way.employees.values_list("pk", flat=True)),
        "teams": list(way.teams.values_list("pk", flat=True)),
        "tags": list(way.tags.values_list("pk", flat=True)),
    }
