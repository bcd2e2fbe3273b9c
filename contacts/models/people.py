"""Who is in the corp: teams, employees, and who is in which team."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from contacts.querysets import EmployeeQuerySet
from crm.models import Corp
from crm.providers.records import LIMITS


class Team(models.Model):
    """A department of the corp. Its leaders see what its members, and those of its sub-teams, follow."""

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="teams", verbose_name=_("corp"))
    department_id = models.BigIntegerField(_("department id"))
    name = models.CharField(_("name"), max_length=LIMITS["team_name"], blank=True)
    parent = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="sub_teams",
        verbose_name=_("parent"),
    )
    order = models.BigIntegerField(_("order"), default=0)
    managers = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        blank=True,
        related_name="managed_teams",
        verbose_name=_("managers"),
        help_text=_("People who lead this team here without being its leader at the provider."),
    )
    absent_since = models.DateTimeField(_("absent since"), null=True, blank=True)

    class Meta:
        verbose_name = _("team")
        verbose_name_plural = _("teams")
        ordering = ("-order", "department_id")
        constraints = (
            models.UniqueConstraint(fields=("corp", "department_id"), name="team_unique_per_corp"),
        )

    def __str__(self) -> str:
        return self.name or str(self.department_id)


class Employee(models.Model):
    """A member of the corp, by `userid`; may be linked to one login."""

    class Status(models.TextChoices):
        ACTIVE = "active", _("active")
        INACTIVE = "inactive", _("not activated")
        DISABLED = "disabled", _("disabled")
        LEFT = "left", _("left")

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="employees", verbose_name=_("corp"))
    userid = models.CharField(_("userid"), max_length=LIMITS["userid"])
    name = models.CharField(pgettext_lazy("person", "name"), max_length=LIMITS["name"], blank=True)
    alias = models.CharField(_("alias"), max_length=LIMITS["name"], blank=True)
    position = models.CharField(_("position"), max_length=LIMITS["position"], blank=True)
    avatar = models.CharField(_("avatar"), max_length=LIMITS["avatar"], blank=True)
    status = models.CharField(_("status"), max_length=16, choices=Status, default=Status.ACTIVE)
    is_listed = models.BooleanField(
        _("contacts are read"),
        default=False,
        help_text=_("The provider lets this app list the employee's contacts."),
    )
    teams = models.ManyToManyField(
        Team, through="TeamMembership", related_name="employees", verbose_name=_("teams")
    )
    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="employee",
        verbose_name=_("login"),
    )
    created_at = models.DateTimeField(_("first seen"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now)

    objects = EmployeeQuerySet.as_manager()

    class Meta:
        verbose_name = _("employee")
        verbose_name_plural = _("employees")
        ordering = ("corp", "userid")
        # userids are unique whatever their case (wecom.md 1).
        constraints = (models.UniqueConstraint("corp", Lower("userid"), name="employee_unique_per_corp"),)

    def __str__(self) -> str:
        return self.name or self.userid


class TeamMembership(models.Model):
    """An employee in a team, perhaps as its leader."""

    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("team")
    )
    employee = models.ForeignKey(
        Employee, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("employee")
    )
    is_leader = models.BooleanField(_("leader"), default=False)

    class Meta:
        verbose_name = _("team membership")
        verbose_name_plural = _("team memberships")
        constraints = (models.UniqueConstraint(fields=("team", "employee"), name="membership_unique"),)

    def __str__(self) -> str:
        return f"{self.employee} / {self.team}"
