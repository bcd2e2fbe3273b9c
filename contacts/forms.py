"""The forms of the contacts' admin."""

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.widgets import UnfoldAdminSelectMultipleWidget

from contacts.access import visible_corps
from contacts.cards import has_cards, living_tags
from contacts.models import Contact, Employee, FollowUser, Tag
from crm.admin_forms import ChoicesSelectMultiple, StyledForm
from crm.connections import can
from crm.models import Corp
from crm.providers.base import Capability
from crm.providers.records import LIMITS

User = AbstractBaseUser | AnonymousUser


def creating_corps(user: User) -> list[Corp]:
    """The corps within reach in which a person can be created: by API, or by a contact way."""
    return list(visible_corps(user).filter(is_active=True))


def by_way(corps: Iterable[Corp]) -> list[Corp]:
    """Those of `corps` in which creating a person makes a QR code for them to scan."""
    return [corp for corp in corps if not can(corp, Capability.CREATE_CONTACT)]


TOLD_BY_PROVIDER = ("nickname", "gender", "type", "corp_name", "position")


class CreateContactForm(StyledForm):
    """Field names are those of `POST /api/v1/contacts/`.

    Where a person scans to become a contact, the provider tells all but the name they are called here until then.
    """

    corp = forms.ModelChoiceField(label=_("corp"), queryset=Corp.objects.none(), empty_label=None)
    name = forms.CharField(label=pgettext_lazy("person", "name"), max_length=LIMITS["name"])
    follow_users = forms.ModelMultipleChoiceField(
        label=_("followed by"),
        queryset=Employee.objects.none(),
        help_text=_("The employees who will look after this contact. Type to find one."),
    )
    nickname = forms.CharField(label=_("nickname"), max_length=LIMITS["nickname"], required=False)
    gender = forms.TypedChoiceField(label=_("gender"), choices=Contact.Gender.choices, coerce=int, initial=0)
    type = forms.TypedChoiceField(label=_("type"), choices=Contact.Type.choices, coerce=int, initial=1)
    corp_name = forms.CharField(label=_("company"), max_length=LIMITS["corp_name"], required=False)
    position = forms.CharField(label=_("position"), max_length=LIMITS["position"], required=False)

    mobile = forms.CharField(
        label=_("phone"),
        max_length=64,
        required=False,
        help_text=_("For DingTalk, which knows a contact by it: 13900000001, or +86-13900000001."),
    )
    tags = forms.ModelMultipleChoiceField(
        label=_("labels"),
        queryset=Tag.objects.none(),
        required=False,
        widget=UnfoldAdminSelectMultipleWidget,
        help_text=_("For DingTalk: 1 to 20. Labels are made in its admin console only."),
    )
    remark = forms.CharField(label=_("remark"), max_length=LIMITS["remark"], required=False)

    def __init__(self, *args: Any, user: User, corps: list[Corp], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._offer_cards(corps)
        self.fields["corp"].queryset = Corp.objects.filter(pk__in=[corp.pk for corp in corps])  # type: ignore[attr-defined]
        people = self.fields["follow_users"]
        people.queryset = Employee.objects.reached_by(user).filter(corp__in=corps)  # type: ignore[attr-defined]
        query = "&".join(["reach=1", *(f"corp={corp.pk}" for corp in corps)])
        people.widget = ChoicesSelectMultiple("admin:contacts_employee_choices", query)
        people.widget.choices = people.choices  # type: ignore[attr-defined]
        if len(by_way(corps)) == len(corps):
            for name in TOLD_BY_PROVIDER:
                self.fields.pop(name, None)
        own = Employee.objects.filter(user=user.pk, corp__in=corps).first()
        if own is not None:
            self.fields["follow_users"].initial = [own.pk]
            self.fields["corp"].initial = own.corp_id

    def _offer_cards(self, corps: list[Corp]) -> None:
        """Ask for what the providers of these corps keep, and for nothing else."""
        with_cards = [corp for corp in corps if has_cards(corp)]
        of_cards, of_wecom = ("mobile", "tags", "remark"), ("nickname", "gender", "type")
        for name in (() if with_cards else of_cards) + (of_wecom if with_cards == corps else ()):
            self.fields.pop(name, None)
        if with_cards:
            self.fields["tags"].queryset = living_tags(with_cards)  # type: ignore[attr-defined]
            self.fields["follow_users"].help_text = _(
                "The employees who will look after this contact; in DingTalk exactly one, its owner. Type to find one."
            )
        for name in ("mobile", "tags"):
            if with_cards == corps and name in self.fields:
                self.fields[name].required = True


class EditContactForm(StyledForm):
    """What can be changed of a contact at the provider; who may not hand it over is not asked for an owner."""

    name = forms.CharField(label=pgettext_lazy("person", "name"), max_length=LIMITS["name"])
    owner = forms.ModelChoiceField(
        label=pgettext_lazy("follow user", "owner"), queryset=Employee.objects.none()
    )
    tags = forms.ModelMultipleChoiceField(
        label=_("labels"), queryset=Tag.objects.none(), widget=UnfoldAdminSelectMultipleWidget
    )
    corp_name = forms.CharField(label=_("company"), max_length=LIMITS["corp_name"], required=False)
    position = forms.CharField(label=_("position"), max_length=LIMITS["position"], required=False)
    remark = forms.CharField(label=_("remark"), max_length=LIMITS["remark"], required=False)

    def __init__(self, *args: Any, contact: Contact, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rows = contact.follow_users.current().select_related("employee").defer("raw")
        owner = rows.filter(role=FollowUser.Role.OWNER, absent_since=None).first() or rows.first()
        self.fields["tags"].queryset = living_tags([contact.corp])  # type: ignore[attr-defined]
        people = Employee.objects.reached_by(user).filter(corp=contact.corp)
        self.fields["owner"].queryset = people  # type: ignore[attr-defined]
        if not user.has_perm("contacts.transfer_contact"):  # type: ignore[union-attr]
            del self.fields["owner"]
        self.initial.update({name: getattr(contact, name) for name in ("name", "corp_name", "position")})
        if owner is not None:
            labels = living_tags([contact.corp]).filter(tag_id__in=owner.tag_ids)
            self.initial.update({"remark": owner.remark, "owner": owner.employee_id})
            self.initial.update({"tags": list(labels.values_list("pk", flat=True))})

    def changes(self) -> dict[str, Any]:
        """What differs from what is known."""
        told = {name: self.cleaned_data[name] for name in self.changed_data}
        if "tags" in told:
            told["tags"] = [tag.tag_id for tag in told["tags"]]
        if "owner" in told:
            told["owner"] = told["owner"].userid
        return told


class PlanForm(forms.Form):
    """Stage and next date of one relation, as it stands on the contact page."""

    stage = forms.ChoiceField(choices=FollowUser.Stage.choices)
    next_follow_up_at = forms.DateTimeField(
        required=False, input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
    )
