"""Contact ways: the QR codes by which people become contacts of the corp, and who came by them."""

import secrets

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from contacts.models.contacts import Contact, FollowUser, Tag
from contacts.models.people import Employee, Team
from contacts.querysets import ContactWayQuerySet
from crm.models import Corp

TOKEN_PREFIX = "rm_"


def new_token() -> str:
    """A way's `state` at the provider: 30 characters at most there, and nobody guesses another way's."""
    return TOKEN_PREFIX + secrets.token_hex(13)


class ContactWay(models.Model):
    """A QR code. Who scans it becomes a contact of one of its employees, whose relation bears `token` as its state.

    `due_at` is set while the provider has yet to hear something: that it shall be made, changed or removed. It is the
    bell's backstop and the lease of the worker that speaks. `config_id` is set while the code stands at the provider.
    """

    class State(models.TextChoices):
        PENDING = "pending", _("being made")
        ACTIVE = "active", _("in use")
        FAILED = "failed", _("could not be made")
        DELETED = "deleted", _("deleted")
        EXPIRED = "expired", _("expired")

    class Type(models.IntegerChoices):
        ONE = 1, _("of one employee")
        SEVERAL = 2, _("of several")

    ENDED = (State.DELETED, State.EXPIRED)

    corp = models.ForeignKey(
        Corp, on_delete=models.CASCADE, related_name="contact_ways", db_index=False, verbose_name=_("corp")
    )
    campaign = models.CharField(
        _("campaign"), max_length=64, help_text=_("What the code is for: people here see this name.")
    )
    remark = models.CharField(
        _("remark at the provider"), max_length=30, blank=True, help_text=_("At most 30 characters.")
    )
    token = models.CharField(max_length=30, default=new_token, editable=False)
    # The provider settles it when the code is made: a code of one employee never leads to another one besides.
    type = models.PositiveSmallIntegerField(_("type"), choices=Type, default=Type.ONE, editable=False)
    config_id = models.CharField(max_length=64, blank=True, editable=False)
    qr_code = models.CharField(_("address of the QR code"), max_length=512, blank=True, editable=False)
    # The picture behind `qr_code`: fetched by the worker, so that no page sends a reader's browser to the provider.
    picture = models.BinaryField(null=True, editable=False)
    employees = models.ManyToManyField(
        Employee, related_name="contact_ways", blank=True, verbose_name=_("employees")
    )
    teams = models.ManyToManyField(Team, related_name="contact_ways", blank=True, verbose_name=_("teams"))
    tags = models.ManyToManyField(
        Tag,
        related_name="contact_ways",
        blank=True,
        verbose_name=_("tags"),
        help_text=_("Set on everybody who comes by this code."),
    )
    skip_verify = models.BooleanField(
        _("connects at once"),
        default=True,
        help_text=_("The person is connected by scanning; otherwise the employee accepts each one."),
    )
    expires_at = models.DateTimeField(
        _("ends at"),
        null=True,
        blank=True,
        help_text=_("The code stops working then. Empty: it works until it is deleted."),
    )
    contact = models.OneToOneField(
        Contact,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="contact_way",
        verbose_name=_("made for"),
    )
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.PENDING)
    error = models.CharField(_("error"), max_length=500, blank=True, editable=False)
    revision = models.PositiveIntegerField(default=0, editable=False)
    told_revision = models.PositiveIntegerField(default=0, editable=False)  # what the provider knows
    # When the call that makes it was first spoken without a certain answer: from then on we look before we make.
    asked_at = models.DateTimeField(null=True, editable=False)
    tries = models.PositiveIntegerField(default=0, editable=False)
    due_at = models.DateTimeField(null=True, editable=False, default=timezone.now)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now, editable=False)

    objects = ContactWayQuerySet.as_manager()

    class Meta:
        verbose_name = _("contact way")
        verbose_name_plural = _("contact ways")
        ordering = ("-id",)
        constraints = (models.UniqueConstraint(fields=("corp", "token"), name="way_unique_per_corp"),)
        indexes = (
            models.Index(fields=("due_at",), name="way_due", condition=Q(due_at__isnull=False)),
            models.Index(
                fields=("expires_at",),
                name="way_expires",
                condition=Q(expires_at__isnull=False, state__in=["pending", "active"]),
            ),
        )

    def __str__(self) -> str:
        return self.campaign


class Arrival(models.Model):
    """A person who came by a way: the relation it made, and the tags that are still to be set on it.

    `due_at` is set while tags are to be marked at the provider.
    """

    way = models.ForeignKey(
        ContactWay,
        on_delete=models.CASCADE,
        related_name="arrivals",
        db_index=False,
        verbose_name=_("contact way"),
    )
    follow_user = models.ForeignKey(
        FollowUser, on_delete=models.CASCADE, related_name="arrivals", verbose_name=_("follow user")
    )
    createtime = models.BigIntegerField(null=True, editable=False)  # another one: they left and came again
    tagged_at = models.DateTimeField(_("tags set at"), null=True, blank=True)
    error = models.CharField(_("error"), max_length=500, blank=True)
    tries = models.PositiveIntegerField(default=0, editable=False)
    due_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(_("came at"), default=timezone.now)

    class Meta:
        verbose_name = _("arrival")
        verbose_name_plural = _("arrivals")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("way", "follow_user"), name="arrival_once_per_relation"),
        )
        indexes = (models.Index(fields=("due_at",), name="arrival_due", condition=Q(due_at__isnull=False)),)

    def __str__(self) -> str:
        return f"{self.way} → {self.follow_user}"
