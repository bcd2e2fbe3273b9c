"""What is said to who has just added an employee, and each time it was to be said."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact, ContactWay, Employee
from crm.fields import EncryptedTextField
from crm.models import Corp
from crm.providers.records import LIMITS
from messaging.models.callbacks import Callback
from messaging.models.stock import Template
from messaging.querysets import GreetingQuerySet, WelcomeQuerySet


class Welcome(models.Model):
    """A template that is said to new contacts: of the whole corp, of some employees, or of one contact way.

    Retired, never deleted. Of several that fit, the one for the narrowest group is said (see `for_arrival`).
    """

    class Scope(models.TextChoices):
        CORP = "corp", _("everybody")
        EMPLOYEES = "employees", _("some employees")
        WAY = "way", _("one contact way")

    corp = models.ForeignKey(Corp, on_delete=models.PROTECT, related_name="welcomes", verbose_name=_("corp"))
    name = models.CharField(_("name"), max_length=64)
    template = models.ForeignKey(
        Template, on_delete=models.PROTECT, related_name="welcomes", verbose_name=_("template")
    )
    instead_of_name = models.CharField(_("instead of the name"), max_length=32, blank=True)
    scope = models.CharField(_("for"), max_length=16, choices=Scope, default=Scope.CORP)
    employees = models.ManyToManyField(
        Employee, blank=True, related_name="welcomes", verbose_name=_("employees")
    )
    way = models.ForeignKey(
        ContactWay,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="welcomes",
        verbose_name=_("contact way"),
    )
    is_active = models.BooleanField(_("in use"), default=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now)

    objects = WelcomeQuerySet.as_manager()

    class Meta:
        verbose_name = _("welcome message")
        verbose_name_plural = _("welcome messages")
        ordering = ("name", "id")
        constraints = (
            models.UniqueConstraint(fields=("corp", "name"), name="welcome_name_once_per_corp"),
            models.UniqueConstraint(
                fields=("corp",), name="welcome_one_for_everybody", condition=Q(scope="corp", is_active=True)
            ),
            models.UniqueConstraint(
                fields=("way",), name="welcome_one_per_way", condition=Q(scope="way", is_active=True)
            ),
            models.CheckConstraint(
                condition=Q(scope="way", way__isnull=False) | ~Q(scope="way") & Q(way__isnull=True),
                name="welcome_way_where_it_is_for_one",
            ),
        )

    def __str__(self) -> str:
        return self.name


class Greeting(models.Model):
    """One welcome to one person from one employee: this row makes that it is said once.

    `deadline` is the last moment in which a try may begin. `spoke_at` is set just before a byte may leave, and taken
    back when that try is certain not to have happened. The code opens once, so a try may be repeated until then.
    `next_attempt_at` is when it is due, or while `sending` when the worker that holds it counts as lost.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        SENDING = "sending", _("sending")
        ACCEPTED = "accepted", _("accepted")
        FAILED = "failed", _("failed")
        UNCERTAIN = "uncertain", _("uncertain")
        CANCELLED = "cancelled", _("cancelled")
        EXPIRED = "expired", _("expired")

    OPEN = (State.QUEUED, State.SENDING)

    corp = models.ForeignKey(Corp, on_delete=models.PROTECT, related_name="greetings", verbose_name=_("corp"))
    welcome = models.ForeignKey(
        Welcome, on_delete=models.PROTECT, related_name="greetings", verbose_name=_("welcome message")
    )
    callback = models.ForeignKey(
        Callback, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("callback")
    )
    external_userid = models.CharField(_("external userid"), max_length=LIMITS["external_userid"])
    userid = models.CharField(_("userid"), max_length=LIMITS["userid"])
    contact = models.ForeignKey(
        Contact, on_delete=models.SET_NULL, null=True, related_name="greetings", verbose_name=_("contact")
    )
    employee = models.ForeignKey(
        Employee, on_delete=models.SET_NULL, null=True, related_name="greetings", verbose_name=_("employee")
    )
    welcome_code = EncryptedTextField(blank=True, editable=False)
    code_digest = models.CharField(max_length=64, editable=False)
    content = models.JSONField(_("content"), null=True)
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.QUEUED)
    deadline = models.DateTimeField(_("not after"))
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, default=timezone.now)
    errcode = models.IntegerField(_("errcode"), null=True)
    code = models.CharField(_("code"), max_length=32, blank=True)
    errmsg = models.CharField(_("errmsg"), max_length=500, blank=True)
    spoke_at = models.DateTimeField(_("spoke at"), null=True)
    # Its end stands in the history: at once where the contact is mirrored, else as soon as it is.
    is_told = models.BooleanField(default=False, editable=False)
    created_at = models.DateTimeField(_("asked for at"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    objects = GreetingQuerySet.as_manager()

    class Meta:
        verbose_name = _("greeting")
        verbose_name_plural = _("greetings")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(
                fields=("corp", "external_userid", "userid", "code_digest"), name="greeting_once_per_code"
            ),
        )
        indexes = (
            models.Index(
                fields=("next_attempt_at",),
                name="greeting_open",
                condition=Q(state__in=("queued", "sending")),
            ),
            models.Index(
                fields=("id",),
                name="greeting_untold",
                condition=Q(finished_at__isnull=False, is_told=False),
            ),
        )

    def __str__(self) -> str:
        return f"#{self.pk} {self.userid} → {self.external_userid}"

    @property
    def summary(self) -> str:
        """The words a person recognises it by."""
        told = self.content or {}
        body = told.get(told.get("msgtype", ""), {})
        return str(body.get("content") or body.get("title") or "")
