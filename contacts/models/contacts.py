"""Whom they follow: contacts, the assignments, and the tags on them."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from contacts.models.people import Employee
from contacts.querysets import ContactQuerySet, FollowUserQuerySet
from crm.fields import EncryptedJSONField, EncryptedTextField
from crm.models import Corp
from crm.providers.records import LIMITS


class Tag(models.Model):
    """A customer tag of the corp (types 1 and 3); personal tags (type 2) have no id and live on the follow user."""

    class Type(models.IntegerChoices):
        CORP = 1, _("corp tag")
        PERSONAL = 2, _("personal tag")
        RULE_GROUP = 3, _("rule-group tag")

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="tags", verbose_name=_("corp"))
    tag_id = models.CharField(_("tag id"), max_length=LIMITS["tag_id"])
    name = models.CharField(_("name"), max_length=LIMITS["tag"], blank=True)
    group_id = models.CharField(_("group id"), max_length=LIMITS["tag_id"], blank=True)
    group_name = models.CharField(_("group"), max_length=LIMITS["tag"], blank=True)
    type = models.SmallIntegerField(_("type"), choices=Type, default=Type.CORP)
    order = models.BigIntegerField(_("order"), default=0)
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True)

    class Meta:
        verbose_name = _("tag")
        verbose_name_plural = _("tags")
        ordering = ("group_name", "-order", "name")
        constraints = (models.UniqueConstraint(fields=("corp", "tag_id"), name="tag_unique_per_corp"),)

    def __str__(self) -> str:
        return f"{self.group_name} / {self.name}" if self.group_name else self.name or self.tag_id


class Contact(models.Model):
    """An external person. The sync owns all but `create_error`, `created_by`, `opted_out_at` and two of the states."""

    class State(models.TextChoices):
        ACTIVE = "active", _("active")
        LOST = "lost", _("lost")
        PENDING = "pending", _("being created")
        FAILED = "failed", _("creation failed")

    class Type(models.IntegerChoices):
        WECHAT = 1, _("WeChat user")
        WECOM = 2, _("WeCom user")

    class Gender(models.IntegerChoices):
        UNKNOWN = 0, _("unknown")
        MALE = 1, _("male")
        FEMALE = 2, _("female")

    # Keys that lead an index below, or are mostly empty, have no index of their own: a first sync pays for each.
    corp = models.ForeignKey(
        Corp, on_delete=models.CASCADE, related_name="contacts", db_index=False, verbose_name=_("corp")
    )
    external_userid = models.CharField(_("external userid"), max_length=LIMITS["external_userid"])
    name = models.CharField(pgettext_lazy("person", "name"), max_length=LIMITS["name"], blank=True)
    nickname = models.CharField(_("nickname"), max_length=LIMITS["nickname"], blank=True)
    avatar = models.CharField(_("avatar"), max_length=LIMITS["avatar"], blank=True)
    # No choices check: the provider adds numbers without notice, and odd but storable values are stored (contract F6).
    type = models.BigIntegerField(_("type"), choices=Type, default=Type.WECHAT)
    gender = models.BigIntegerField(_("gender"), choices=Gender, default=Gender.UNKNOWN)
    position = models.CharField(_("position"), max_length=LIMITS["position"], blank=True)
    corp_name = models.CharField(_("company"), max_length=LIMITS["corp_name"], blank=True)
    corp_full_name = models.CharField(
        _("company, full name"), max_length=LIMITS["corp_full_name"], blank=True
    )
    unionid = models.CharField(_("unionid"), max_length=LIMITS["unionid"], blank=True)
    external_profile = models.JSONField(_("profile"), default=dict, blank=True)
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.ACTIVE)
    create_error = models.CharField(_("why creation failed"), max_length=500, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
        db_index=False,
    )
    opted_out_at = models.DateTimeField(_("asked not to be written to"), null=True, blank=True)
    # The corp's `MirrorClock.reads` when a single read last told of it; 0: only listings did.
    read_number = models.BigIntegerField(default=0, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now)

    objects = ContactQuerySet.as_manager()

    class Meta:
        verbose_name = _("contact")
        verbose_name_plural = _("contacts")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("corp", "external_userid"), name="contact_unique_per_corp"),
        )
        indexes = (
            models.Index(fields=("updated_at", "id"), name="contact_updated"),
            models.Index(
                fields=("created_by",), name="contact_created_by", condition=Q(created_by__isnull=False)
            ),
            models.Index(
                fields=("corp", "read_number"), name="contact_read_singly", condition=Q(read_number__gt=0)
            ),
        )
        permissions = (
            ("export_contact", "Can export contacts"),
            ("transfer_contact", "Can hand contacts over"),
        )

    def __str__(self) -> str:
        return self.name or self.external_userid


class FollowUser(models.Model):
    """The assignment "employee follows contact". It ends and may start again; it is never deleted.

    `stage`, `next_follow_up_at` and `last_follow_up_at` are ours: the sync never writes them.
    """

    class Stage(models.TextChoices):
        NEW = "new", pgettext_lazy("follow-up stage", "new")
        CONTACTED = "contacted", _("contacted")
        INTERESTED = "interested", _("interested")
        NEGOTIATING = "negotiating", _("negotiating")
        WON = "won", _("won")
        DROPPED = "dropped", _("dropped")

    class Role(models.TextChoices):
        OWNER = "owner", pgettext_lazy("follow user", "owner")
        SHARED = "shared", pgettext_lazy("follow user", "shared")

    class EndSource(models.TextChoices):
        SYNC = "sync", _("two complete syncs did not find it")
        READ = "read", _("a direct read said so")
        OUT_OF_RANGE = "employee_out_of_range", _("the employee is no longer visible")
        NOT_CHOSEN = "not_chosen", _("the person added a colleague")

    contact = models.ForeignKey(
        Contact,
        on_delete=models.CASCADE,
        related_name="follow_users",
        db_index=False,
        verbose_name=_("contact"),
    )
    employee = models.ForeignKey(
        Employee,
        on_delete=models.PROTECT,
        related_name="follow_users",
        db_index=False,
        verbose_name=_("employee"),
    )
    role = models.CharField(
        _("role"),
        max_length=16,
        choices=Role,
        blank=True,
        default="",
        db_default="",
        help_text=_("In DingTalk one employee owns a contact, and others may share it."),
    )
    remark = models.CharField(_("remark"), max_length=LIMITS["remark"], blank=True)
    description = models.CharField(_("description"), max_length=LIMITS["description"], blank=True)
    createtime = models.BigIntegerField(_("added (Unix seconds)"), null=True, blank=True)
    add_way = models.BigIntegerField(_("added by"), default=0)
    state = models.CharField(_("channel"), max_length=LIMITS["state"], blank=True)
    oper_userid = models.CharField(_("initiated by"), max_length=LIMITS["oper_userid"], blank=True)
    tag_ids = models.JSONField(_("tags"), default=list, blank=True)
    personal_tags = models.JSONField(_("personal tags"), default=list, blank=True)
    remark_corp_name = models.CharField(
        _("remarked company"), max_length=LIMITS["remark_corp_name"], blank=True
    )
    remark_mobiles = EncryptedJSONField(_("remarked mobiles"), blank=True, default=list)
    wechat_channels = models.JSONField(_("Channels source"), default=dict, blank=True)
    raw = EncryptedTextField(_("as the provider wrote it"), blank=True)
    raw_digest = models.BinaryField(max_length=16, null=True, editable=False)

    stage = models.CharField(_("stage"), max_length=16, choices=Stage, default=Stage.NEW)
    next_follow_up_at = models.DateTimeField(_("next follow-up"), null=True, blank=True)
    last_follow_up_at = models.DateTimeField(_("last follow-up"), null=True, blank=True)

    absent_since = models.DateTimeField(_("absent since"), null=True, blank=True)
    absent_run = models.ForeignKey(
        "SyncRun",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        editable=False,
        db_index=False,
    )
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    ended_source = models.CharField(_("ended because"), max_length=32, choices=EndSource, blank=True)
    created_at = models.DateTimeField(_("first seen"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated at"), default=timezone.now)

    objects = FollowUserQuerySet.as_manager()

    class Meta:
        verbose_name = _("follow user")
        verbose_name_plural = _("follow users")
        ordering = ("-id",)
        constraints = (models.UniqueConstraint(fields=("contact", "employee"), name="follow_unique"),)
        indexes = (
            models.Index(
                fields=("employee", "contact"), name="follow_current", condition=Q(ended_at__isnull=True)
            ),
            models.Index(fields=("employee", "next_follow_up_at"), name="follow_due"),
            models.Index(
                fields=("absent_run",), name="follow_absent", condition=Q(absent_since__isnull=False)
            ),
        )

    def __str__(self) -> str:
        return f"{self.employee} → {self.contact}"

    @property
    def is_current(self) -> bool:
        return self.ended_at is None
