"""What the provider called to say."""

from typing import ClassVar, Final

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.fields import EncryptedTextField
from crm.models import Agent, Corp
from messaging.querysets import ReceivedMessageManager


class Callback(models.Model):
    """A genuine call of the provider, on disk before it was answered. Its body is kept for 30 days.

    It is a bell: it says what to read again, and what is read is the truth. `digest` is of what it says, so that a
    repeated one is found however it was encrypted.
    """

    class State(models.TextChoices):
        QUEUED = "queued", _("queued")
        DONE = "done", _("done")
        IGNORED = "ignored", _("nothing to do")
        FAILED = "failed", _("failed")

    corp = models.ForeignKey(Corp, on_delete=models.PROTECT, related_name="callbacks", verbose_name=_("corp"))
    agent = models.ForeignKey(
        Agent, on_delete=models.PROTECT, related_name="callbacks", verbose_name=_("agent")
    )
    digest = models.CharField(max_length=64, editable=False)
    kind = models.CharField(_("what"), max_length=128)
    userid = models.CharField(_("userid"), max_length=64, blank=True)
    external_userid = models.CharField(_("external_userid"), max_length=64, blank=True)
    body = EncryptedTextField(_("body"), blank=True)
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True, default=timezone.now)
    code = models.CharField(_("code"), max_length=32, blank=True)
    errcode = models.IntegerField(_("errcode"), null=True, blank=True)
    errmsg = models.CharField(_("errmsg"), max_length=500, blank=True)
    received_at = models.DateTimeField(_("received at"), default=timezone.now)
    handled_at = models.DateTimeField(_("handled at"), null=True, blank=True)

    class Meta:
        verbose_name = _("callback")
        verbose_name_plural = _("callbacks")
        ordering = ("-id",)
        constraints = (models.UniqueConstraint(fields=("corp", "digest"), name="callback_once"),)
        indexes = (
            models.Index(
                fields=("corp", "next_attempt_at"), name="callback_queued", condition=Q(state="queued")
            ),
            # What people write is a trickle in a stream of events.
            models.Index(
                fields=("id",),
                name="callback_from_people",
                condition=Q(kind__in=("text", "image", "voice", "video", "location", "link")),
            ),
        )

    def __str__(self) -> str:
        return f"#{self.pk} {self.kind}"


class ReceivedMessage(Callback):
    """A callback that is a message: what an employee wrote or sent to an app."""

    class Kind(models.TextChoices):
        TEXT = "text", _("text")
        IMAGE = "image", _("image")
        VOICE = "voice", _("voice message")
        VIDEO = "video", _("video")
        LOCATION = "location", _("location")
        LINK = "link", _("link")

    objects: ClassVar[ReceivedMessageManager] = ReceivedMessageManager()

    class Meta:
        proxy = True
        verbose_name = _("message from a person")
        verbose_name_plural = _("messages from people")
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"#{self.pk} {self.Kind(self.kind).label}"


FROM_PEOPLE: Final = frozenset(ReceivedMessage.Kind.values)
