"""What was asked to be sent, one copy per recipient, each POST that was made, and what was asked about it later."""

from collections.abc import Iterable

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from contacts.models import Contact, Employee
from crm.models import Agent, Corp
from messaging.querysets import DeliveryQuerySet, MessageQuerySet


class Message(models.Model):
    """One content for one or many recipients. Its content never changes after acceptance."""

    class ToKind(models.TextChoices):
        CONTACT = "contact", _("contact")
        EMPLOYEE = "employee", _("employee")
        DEPARTMENT = "department", _("department")
        TAG = "tag", _("member tag")
        EVERYBODY = "everybody", _("everybody")

    class Type(models.TextChoices):
        TEXT = "text", _("text")
        IMAGE = "image", _("image")
        VOICE = "voice", _("voice message")
        VIDEO = "video", _("video")
        FILE = "file", _("file")
        TEXTCARD = "textcard", _("text card")
        NEWS = "news", _("articles")
        MPNEWS = "mpnews", _("hosted articles")
        MARKDOWN = "markdown", _("formatted text")
        MINIPROGRAM_NOTICE = "miniprogram_notice", _("mini-program notice")
        TEMPLATE_CARD = "template_card", _("template card")

    class State(models.TextChoices):
        OPEN = "open", _("open")
        DONE = "done", _("done")
        CANCELLED = "cancelled", _("cancelled")

    class PauseReason(models.TextChoices):
        PERSON = "person", _("a person paused it")
        RESTORE = "restore", _("the database was restored from a backup")

    corp = models.ForeignKey(Corp, on_delete=models.PROTECT, related_name="messages", verbose_name=_("corp"))
    agent = models.ForeignKey(
        Agent, on_delete=models.PROTECT, related_name="messages", verbose_name=_("agent")
    )
    to_kind = models.CharField(_("to"), max_length=16, choices=ToKind)
    msgtype = models.CharField(_("type"), max_length=32, choices=Type)
    content = models.JSONField(_("content"))
    # That of a template card: what a press of its buttons is told with.
    task_id = models.CharField(max_length=128, blank=True, editable=False, db_default="")
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.OPEN)
    not_before = models.DateTimeField(_("not before"), null=True, blank=True)
    expires_at = models.DateTimeField(_("not after"), null=True, blank=True)
    paused_at = models.DateTimeField(_("paused at"), null=True, blank=True)
    pause_reason = models.CharField(
        _("paused because"), max_length=16, choices=PauseReason, blank=True, db_default=""
    )
    # May go out in quiet hours once somebody else has approved it; outside of them it means nothing.
    urgent_requested = models.BooleanField(_("urgent"), default=False, db_default=False)
    urgent_approved_at = models.DateTimeField(_("approved at"), null=True, blank=True)
    urgent_approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("approved by"),
    )
    # A person took it back: what returns to the queue from a failed try is not sent either.
    cancelled_at = models.DateTimeField(_("cancelled at"), null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="messages",
        verbose_name=_("sent by"),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    objects = MessageQuerySet.as_manager()

    class Meta:
        verbose_name = _("message")
        verbose_name_plural = _("messages")
        ordering = ("-id",)
        permissions = (
            ("approve_urgent", "Can mark a message urgent, and approve another's"),
            ("broadcast_message", "Can write to everybody and to member tags"),
        )
        # What the sweep looks for every few seconds, however many messages have ended.
        indexes = (
            models.Index(fields=("id",), name="message_open", condition=Q(state="open")),
            models.Index(fields=("task_id",), name="message_card", condition=~Q(task_id="")),
        )

    def __str__(self) -> str:
        return f"#{self.pk} {self.get_msgtype_display()}"

    @property
    def is_urgent(self) -> bool:
        """Whether quiet hours do not hold it."""
        return self.urgent_approved_at is not None

    @property
    def summary(self) -> str:
        """The words a person recognises the message by."""
        body = self.content.get(self.msgtype, {})
        inner = next(iter(body.get("articles", ())), body.get("main_title", {}))
        return str(body.get("content") or body.get("title") or inner.get("title") or "")


class Attempt(models.Model):
    """One POST to the provider, with the exact bytes, written before it is made.

    `spoke_at` is set just before the first byte may leave: a lapsed lease without it is certain not to have
    happened, with it the outcome is `uncertain`. Until `repeat_until` the provider swallows the same bytes, so that
    they may be posted again to learn what became of them.
    """

    message = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="tries", verbose_name=_("message")
    )
    sender = models.CharField(_("sender"), max_length=64, blank=True)
    to = models.JSONField(_("to"))
    body = models.BinaryField(_("body"))
    lease_token = models.UUIDField(editable=False)
    lease_until = models.DateTimeField(editable=False)
    started_at = models.DateTimeField(_("started at"), default=timezone.now)
    spoke_at = models.DateTimeField(_("spoke at"), null=True)
    repeat_until = models.DateTimeField(_("may be repeated until"), null=True)
    repeats = models.PositiveSmallIntegerField(_("repeats"), default=0, db_default=0)
    finished_at = models.DateTimeField(_("finished at"), null=True)
    outcome = models.CharField(_("outcome"), max_length=16, blank=True)
    errcode = models.IntegerField(_("errcode"), null=True)
    errmsg = models.CharField(_("errmsg"), max_length=500, blank=True)
    msgid = models.CharField(_("msgid"), max_length=255, blank=True)

    class Meta:
        verbose_name = _("attempt")
        verbose_name_plural = _("attempts")
        ordering = ("id",)
        indexes = (
            models.Index(fields=("lease_until",), name="attempt_open", condition=Q(finished_at__isnull=True)),
            models.Index(fields=("started_at",), name="attempt_started"),
        )

    def __str__(self) -> str:
        return f"#{self.pk} {self.message}"


class Delivery(models.Model):
    """One recipient's copy of a message, who may be a department, a tag or everybody: the provider tells them apart.

    `to` is an external_userid, a userid, the number of a department or of a tag, or `@all`.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        SENDING = "sending", _("sending")
        ACCEPTED = "accepted", _("accepted")
        DELIVERED = "delivered", _("delivered")
        REFUSED = "refused", _("refused")
        FAILED = "failed", _("failed")
        UNCERTAIN = "uncertain", _("uncertain")
        CANCELLED = "cancelled", _("cancelled")
        EXPIRED = "expired", _("expired")

    FINAL: Iterable[str] = (
        State.DELIVERED,
        State.REFUSED,
        State.FAILED,
        State.UNCERTAIN,
        State.CANCELLED,
        State.EXPIRED,
    )

    message = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("message")
    )
    to_kind = models.CharField(_("kind"), max_length=16, choices=Message.ToKind)
    to = models.CharField(_("to"), max_length=64)
    contact = models.ForeignKey(
        Contact, on_delete=models.SET_NULL, null=True, related_name="deliveries", verbose_name=_("contact")
    )
    employee = models.ForeignKey(
        Employee, on_delete=models.SET_NULL, null=True, related_name="deliveries", verbose_name=_("employee")
    )
    # The employee in whose name a mass send goes out (dialect official); "" elsewhere.
    sender = models.CharField(_("sender"), max_length=64, blank=True)
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.QUEUED)
    # True where the provider tells nothing after `accepted` (contract C9).
    is_last_word = models.BooleanField(_("last word"), default=False)
    errcode = models.IntegerField(_("errcode"), null=True, blank=True)
    code = models.CharField(_("code"), max_length=32, blank=True)
    errmsg = models.CharField(_("errmsg"), max_length=500, blank=True)
    warning = models.BooleanField(_("warning"), default=False)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    attempt = models.ForeignKey(
        Attempt,
        on_delete=models.SET_NULL,
        null=True,
        related_name="deliveries",
        verbose_name=_("last attempt"),
    )
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True)
    recalled_at = models.DateTimeField(_("taken back at"), null=True, blank=True)
    msgid = models.CharField(_("msgid"), max_length=255, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ("id",)
        constraints = (
            models.UniqueConstraint(fields=("message", "to", "sender"), name="delivery_once_per_recipient"),
        )
        permissions = (("resolve_delivery", "Can say what became of an uncertain delivery"),)
        indexes = (
            models.Index(fields=("message", "id"), name="delivery_queued", condition=Q(state="queued")),
            models.Index(fields=("to", "updated_at"), name="delivery_recipient"),
            models.Index(fields=("attempt",), name="delivery_uncertain", condition=Q(state="uncertain")),
            models.Index(
                fields=("msgid",), name="delivery_polled", condition=Q(state="accepted", is_last_word=False)
            ),
        )

    def __str__(self) -> str:
        return f"#{self.pk} {self.to}"


class Errand(models.Model):
    """Something a person asks of the provider about a message it already took, done once by a worker."""

    class Kind(models.TextChoices):
        RECALL = "recall", _("take back")
        REMIND = "remind", _("remind the employee")
        STOP = "stop", _("stop the mass send")

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    message = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="errands", verbose_name=_("message")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    # One call of the provider: the message may have gone out in several.
    msgid = models.CharField(_("msgid"), max_length=255)
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), default=timezone.now)
    code = models.CharField(_("code"), max_length=32, blank=True)
    errcode = models.IntegerField(_("errcode"), null=True, blank=True)
    errmsg = models.CharField(_("errmsg"), max_length=500, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    actor = models.CharField(_("asked by"), max_length=64)
    created_at = models.DateTimeField(_("asked at"), default=timezone.now)
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        verbose_name = _("errand")
        verbose_name_plural = _("errands")
        ordering = ("id",)
        indexes = (
            models.Index(fields=("next_attempt_at",), name="errand_queued", condition=Q(state="queued")),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.message}"


class DayUse(models.Model):
    """How much of an app's daily quota is used: counted from the deliveries at `counted_at`, added to since."""

    agent = models.OneToOneField(Agent, on_delete=models.CASCADE, primary_key=True, related_name="day_use")
    counted_at = models.DateTimeField(null=True)
    limit = models.PositiveIntegerField(default=0)
    used = models.PositiveIntegerField(default=0)
