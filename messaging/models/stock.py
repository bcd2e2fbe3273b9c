"""What is kept to be sent again and again: templates and files."""

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm.models import Corp
from messaging.models.traffic import Message
from messaging.querysets import MediaFileManager, TemplateQuerySet


class Template(models.Model):
    """A content to send again and again, with variables (see messaging/templates.py). Retired, never deleted."""

    class Type(models.TextChoices):
        TEXT = "text", _("text")
        MINIPROGRAM_NOTICE = "miniprogram_notice", _("mini-program notice")

    corp = models.ForeignKey(Corp, on_delete=models.PROTECT, related_name="templates", verbose_name=_("corp"))
    name = models.CharField(_("name"), max_length=64)
    msgtype = models.CharField(_("type"), max_length=32, choices=Type)
    content = models.JSONField(_("content"))
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

    objects = TemplateQuerySet.as_manager()

    class Meta:
        verbose_name = _("template")
        verbose_name_plural = _("templates")
        ordering = ("name", "id")
        constraints = (models.UniqueConstraint(fields=("corp", "name"), name="template_name_once_per_corp"),)

    def __str__(self) -> str:
        return self.name


class MediaFile(models.Model):
    """A file to send, kept because the provider forgets it after three days. Retired, never deleted.

    The bytes stand in the database: every host has them, and one backup holds both them and the messages that name
    them. No query loads them unless `data` is touched.
    """

    class Kind(models.TextChoices):
        IMAGE = "image", _("image")
        VOICE = "voice", _("voice message")
        VIDEO = "video", _("video")
        FILE = "file", _("file")

    corp = models.ForeignKey(
        Corp, on_delete=models.PROTECT, related_name="media_files", verbose_name=_("corp")
    )
    kind = models.CharField(_("kind"), max_length=8, choices=Kind)
    name = models.CharField(_("name"), max_length=128)
    content_type = models.CharField(_("content type"), max_length=64)
    size = models.PositiveIntegerField(_("size"))
    sha256 = models.CharField(max_length=64)
    is_active = models.BooleanField(_("in use"), default=True)
    # The provider's copy, shared by all apps of the corp.
    media_id = models.TextField(blank=True)
    uploaded_at = models.DateTimeField(_("uploaded at"), null=True)
    uploading_until = models.DateTimeField(null=True)
    messages = models.ManyToManyField(Message, related_name="media_files")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        verbose_name=_("created by"),
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    data = models.BinaryField()

    objects = MediaFileManager()

    class Meta:
        verbose_name = _("media file")
        verbose_name_plural = _("media files")
        ordering = ("-id",)
        base_manager_name = "objects"

    def __str__(self) -> str:
        return self.name
