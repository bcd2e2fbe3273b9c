"""The ground's tables: corps and their credentials, API keys, the append-only history, shared pace and tokens."""

import uuid
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.fields import EncryptedTextField


class Corp(models.Model):
    """One company tenant at a provider. Everywhere outside it is named by its `corpid`."""

    class Provider(models.TextChoices):
        WECOM = "wecom", _("WeCom")
        DINGTALK = "dingtalk", _("DingTalk")

    class Dialect(models.TextChoices):
        DIRECT = "direct", _("direct (externalcontact/list)")
        OFFICIAL = "official", _("official")
        DINGTALK = "dingtalk", _("DingTalk")

    corpid = models.CharField(_("corp id"), max_length=64, unique=True)
    name = models.CharField(_("name"), max_length=255, blank=True)
    provider = models.CharField(_("provider"), max_length=16, choices=Provider)
    dialect = models.CharField(_("dialect"), max_length=16, choices=Dialect)
    base_url = models.CharField(
        _("provider address"),
        max_length=255,
        default="https://qyapi.weixin.qq.com",
        validators=[URLValidator(schemes=["https", "http"])],
        help_text=_("Scheme, host and port only; change it for a private deployment."),
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("An inactive corp is neither synced nor written to.")
    )
    is_sending_paused = models.BooleanField(
        _("sending paused"),
        default=False,
        db_default=False,
        help_text=_("Messages wait in the queue; the mirror is kept fresh."),
    )
    time_zone = models.CharField(
        _("time zone"),
        max_length=64,
        blank=True,
        db_default="",
        help_text=_(
            "In which quiet hours are counted, such as Asia/Tokyo. Empty: the time zone of this system."
        ),
    )
    created_at = models.DateTimeField(_("connected at"), auto_now_add=True)

    class Meta:
        verbose_name = _("corp")
        verbose_name_plural = _("corps")
        ordering = ("id",)
        constraints = (
            models.CheckConstraint(
                condition=Q(dialect__in=("direct", "official", "dingtalk")), name="corp_dialect_known"
            ),
        )

    def __str__(self) -> str:
        return self.name or self.corpid

    def clean(self) -> None:
        if self.time_zone and self.time_zone not in available_timezones():
            raise ValidationError({"time_zone": _("There is no such time zone.")})

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone or settings.TIME_ZONE)


class Agent(models.Model):
    """One app credential of a corp. Sync and sending use the one connected first (contract F11)."""

    class CallbackMode(models.TextChoices):
        ENCRYPTED = "encrypted", _("encrypted")
        SIGNATURE = "signature", _("signature only (compatibility)")

    corp = models.ForeignKey(Corp, on_delete=models.PROTECT, related_name="agents", verbose_name=_("corp"))
    agentid = models.CharField(_("agent id"), max_length=64)
    name = models.CharField(_("name"), max_length=255, blank=True)
    app_key = models.CharField(
        _("app key"),
        max_length=64,
        blank=True,
        db_default="",
        help_text=_("AppKey (Client ID) of a DingTalk app; empty for WeCom."),
    )
    secret = EncryptedTextField(_("secret"))
    callback_token = EncryptedTextField(_("callback token"), blank=True)
    callback_aes_key = EncryptedTextField(_("callback AES key"), blank=True)
    callback_mode = models.CharField(
        _("callback mode"), max_length=16, choices=CallbackMode, default=CallbackMode.ENCRYPTED
    )
    # What was configured before: the provider goes on with it until somebody changes it there, too.
    previous_callback_token = EncryptedTextField(blank=True, db_default="", editable=False)
    previous_callback_aes_key = EncryptedTextField(blank=True, db_default="", editable=False)
    previous_callback_until = models.DateTimeField(null=True, blank=True, editable=False)
    uuid = models.UUIDField(_("callback address"), default=uuid.uuid4, unique=True, editable=False)
    created_at = models.DateTimeField(_("connected at"), auto_now_add=True)

    class Meta:
        verbose_name = _("agent")
        verbose_name_plural = _("agents")
        ordering = ("id",)
        constraints = (models.UniqueConstraint(fields=("corp", "agentid"), name="agent_unique_per_corp"),)

    def __str__(self) -> str:
        return self.name or f"{self.corp} / {self.agentid}"

    @property
    def callback_url(self) -> str:
        return f"{settings.CRM_PUBLIC_URL}/callbacks/{self.uuid}/"


class AccessToken(models.Model):
    """The provider's token of an agent, shared by all processes; `generation` tells an old one from its successor."""

    agent = models.OneToOneField(
        Agent, on_delete=models.CASCADE, primary_key=True, related_name="access_token"
    )
    value = EncryptedTextField(blank=True)
    generation = models.PositiveBigIntegerField(default=0)
    expires_at = models.DateTimeField(null=True)
    refreshing_until = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)
    failed_at = models.DateTimeField(null=True)
    last_errcode = models.IntegerField(null=True)
    last_errmsg = models.CharField(max_length=500, blank=True)


class Pace(models.Model):
    """A token bucket shared by all processes: `tat` is the theoretical arrival time of the next call (GCRA).

    `share` is the part of the configured rate in use since the provider last refused a call, at `refused_at`.
    Instants are seconds since 1970 by the database's clock.
    """

    key = models.CharField(max_length=200, primary_key=True)
    tat = models.FloatField(default=0)
    blocked_until = models.FloatField(default=0)
    share = models.FloatField(default=1, db_default=1)
    refused_at = models.FloatField(default=0, db_default=0)


class Heartbeat(models.Model):
    """When a task last ran through scheduler, queue and worker; /readyz and doctor read it."""

    name = models.CharField(max_length=40, primary_key=True)
    at = models.DateTimeField()


class ApiKey(models.Model):
    """A key of the REST API: shown once, kept as a digest, never wider than its user."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="api_keys", verbose_name=_("user")
    )
    name = models.CharField(_("name"), max_length=100, blank=True)
    prefix = models.CharField(_("prefix"), max_length=16, unique=True)
    digest = models.CharField(max_length=64, editable=False)
    scopes = models.JSONField(_("scopes"), default=list)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"renmai_{self.prefix}"

    def is_usable(self) -> bool:
        expired = self.expires_at is not None and self.expires_at <= timezone.now()
        return self.revoked_at is None and not expired and self.user.is_active


class IdempotentAnswer(models.Model):
    """What a POST with an `Idempotency-Key` answered, for 24 hours; `status` is null while it is in flight."""

    principal = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(null=True)
    body = EncryptedTextField(blank=True)
    headers = models.JSONField(default=dict)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=("principal", "key"), name="idempotent_answer_unique"),)


class Event(models.Model):
    """One append-only line of history. Audit, timeline and outbound webhooks are views of this table.

    `changes` is {field: [old, new]}; personal values (phones) stand masked. `contact_id` joins what concerns a
    contact (its follows, messages and deliveries too) into its timeline.
    """

    seq = models.BigAutoField(primary_key=True)
    at = models.DateTimeField(_("at"), default=timezone.now)
    # Without a constraint, like `contact_id`: the database would look the corp up again for every line of history.
    corp = models.ForeignKey(
        Corp,
        on_delete=models.PROTECT,
        null=True,
        related_name="events",
        db_constraint=False,
        db_index=False,
        verbose_name=_("corp"),
    )
    verb = models.CharField(_("verb"), max_length=40)
    subject_type = models.CharField(_("subject"), max_length=20)
    subject_id = models.CharField(_("subject id"), max_length=64)
    contact_id = models.BigIntegerField(null=True)
    actor = models.CharField(_("actor"), max_length=64)
    changes = models.JSONField(_("changes"), default=dict)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ("-seq",)
        indexes = (
            models.Index(
                fields=("contact_id", "-seq"), name="event_timeline", condition=Q(contact_id__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return f"{self.seq} {self.verb}"
