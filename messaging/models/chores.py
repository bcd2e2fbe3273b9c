"""What a call of the provider makes a worker ask of it: the file of a message, the new words of a card."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from contacts.models import Employee
from crm.fields import EncryptedBinaryField, EncryptedTextField
from messaging.models.callbacks import Callback
from messaging.models.traffic import Message
from messaging.querysets import ReceivedFileManager


class Chore(models.Model):
    """Asked once it is due. `next_attempt_at` of one that a worker has in hand is when that worker counts as lost."""

    class State(models.TextChoices):
        NONE = "none", _("nothing to do")
        QUEUED = "queued", _("queued")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")

    state = models.CharField(_("state"), max_length=16, choices=State, default=State.QUEUED)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    next_attempt_at = models.DateTimeField(_("next attempt"), null=True, blank=True, default=timezone.now)
    # The try before this one was made and its answer never came.
    is_unsure = models.BooleanField(default=False)
    code = models.CharField(_("code"), max_length=32, blank=True)
    errcode = models.IntegerField(_("errcode"), null=True, blank=True)
    errmsg = models.CharField(_("errmsg"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)

    class Meta:
        abstract = True


class ReceivedFile(Chore):
    """The picture, voice message or video of a received message, fetched because the provider forgets it in 3 days.

    It goes with its callback. `data` is loaded when it is touched.
    """

    class Standing(models.TextChoices):
        """The state in the words of who waits for the file."""

        FETCHING = "fetching", _("being fetched")
        KEPT = "kept", _("kept")
        GONE = "gone", _("gone")

    callback = models.OneToOneField(Callback, on_delete=models.CASCADE, related_name="file")
    media_id = EncryptedTextField(_("media_id"))
    content_type = models.CharField(_("content type"), max_length=64, blank=True)
    size = models.PositiveIntegerField(_("size"), default=0)
    data = EncryptedBinaryField(default=b"")

    objects = ReceivedFileManager()

    class Meta:
        verbose_name = _("received file")
        verbose_name_plural = _("received files")
        ordering = ("id",)
        base_manager_name = "objects"
        indexes = (
            models.Index(fields=("next_attempt_at",), name="received_file_due", condition=Q(state="queued")),
        )

    def __str__(self) -> str:
        return f"#{self.pk}"

    @property
    def standing(self) -> Standing:
        known = {self.State.QUEUED: self.Standing.FETCHING, self.State.DONE: self.Standing.KEPT}
        return known.get(self.State(self.state), self.Standing.GONE)


class CardClick(Chore):
    """A button of a card we sent that an employee pressed. To do: its new words on that phone, where it has some."""

    message = models.ForeignKey(
        Message, on_delete=models.CASCADE, related_name="clicks", verbose_name=_("message")
    )
    # The click outlives what told it.
    callback = models.OneToOneField(
        Callback, on_delete=models.SET_NULL, null=True, related_name="card_click", verbose_name=_("callback")
    )
    userid = models.CharField(_("userid"), max_length=64)
    employee = models.ForeignKey(
        Employee, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("employee")
    )
    key = models.CharField(_("key"), max_length=1024)
    selected = models.JSONField(_("selected"), default=dict)
    response_code = EncryptedTextField(blank=True)

    class Meta:
        verbose_name = _("pressed button")
        verbose_name_plural = _("pressed buttons")
        ordering = ("id",)
        indexes = (
            models.Index(fields=("next_attempt_at",), name="card_click_due", condition=Q(state="queued")),
        )

    def __str__(self) -> str:
        return f"#{self.pk} {self.userid}"
