"""The mirror's tables: who is in the corp, whom they follow, and what each sync run did."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from contacts.querysets import ContactQuerySet, EmployeeQuerySet, FollowUserQuerySet, SyncRunQuerySet
from crm.fields import EncryptedJSONField, EncryptedTextField
from crm.models import Agent, Corp
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
        constraints = (models.UniqueConstraint(fields=("corp", "userid"), name="employee_unique_per_corp"),)

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
    """An external person. The sync owns every field but `create_error`, `created_by` and two of the states."""

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

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="contacts", verbose_name=_("corp"))
    external_userid = models.CharField(_("external userid"), max_length=LIMITS["external_userid"])
    name = models.CharField(pgettext_lazy("person", "name"), max_length=LIMITS["name"], blank=True)
    nickname = models.CharField(_("nickname"), max_length=LIMITS["nickname"], blank=True)
    avatar = models.CharField(_("avatar"), max_length=LIMITS["avatar"], blank=True)
    # No choices check: the provider adds numbers without notice, and odd but storable values are stored (F6).
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
    )
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
        indexes = (models.Index(fields=("updated_at", "id"), name="contact_updated"),)
        permissions = (("export_contact", "Can export contacts"),)

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

    class EndSource(models.TextChoices):
        SYNC = "sync", _("two complete syncs did not find it")
        READ = "read", _("a direct read said so")
        OUT_OF_RANGE = "employee_out_of_range", _("the employee is no longer visible")

    contact = models.ForeignKey(
        Contact, on_delete=models.CASCADE, related_name="follow_users", verbose_name=_("contact")
    )
    employee = models.ForeignKey(
        Employee, on_delete=models.PROTECT, related_name="follow_users", verbose_name=_("employee")
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
        "SyncRun", on_delete=models.SET_NULL, null=True, blank=True, related_name="+", editable=False
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
        )

    def __str__(self) -> str:
        return f"{self.employee} → {self.contact}"

    @property
    def is_current(self) -> bool:
        return self.ended_at is None


class SyncRun(models.Model):
    """One walk over a corp, or over one employee of it (`userid`), with what it found (product.md 7.7)."""

    class State(models.TextChoices):
        QUEUED = "queued", pgettext_lazy("sync", "queued")
        RUNNING = "running", _("running")
        COMPLETE = "complete", _("complete")
        PARTIAL = "partial", _("partial")
        HELD = "held", _("held")
        FAILED = "failed", _("failed")
        INTERRUPTED = "interrupted", _("interrupted")

    class Trigger(models.TextChoices):
        SCHEDULE = "schedule", _("schedule")
        COMMAND = "command", _("command")
        ADMIN = "admin", _("admin")
        API = "api", _("API")
        CONFIRM = "confirm", _("confirmation of removals")
        RESUME = "resume", _("resumed after an interruption")

    ACTIVE = (State.QUEUED, State.RUNNING)

    corp = models.ForeignKey(Corp, on_delete=models.CASCADE, related_name="sync_runs", verbose_name=_("corp"))
    agent = models.ForeignKey(
        Agent, on_delete=models.SET_NULL, null=True, related_name="+", verbose_name=_("agent")
    )
    userid = models.CharField(_("employee"), max_length=LIMITS["userid"], blank=True)
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.QUEUED)
    trigger = models.CharField(_("trigger"), max_length=16, choices=Trigger)
    actor = models.CharField(_("started by"), max_length=64, blank=True)
    confirms = models.ForeignKey(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="confirmations", editable=False
    )
    resumes = models.OneToOneField(
        "self", on_delete=models.SET_NULL, null=True, blank=True, related_name="resumed_by", editable=False
    )
    calls = models.PositiveIntegerField(_("calls"), default=0)
    pages = models.PositiveIntegerField(_("pages"), default=0)
    seen = models.PositiveIntegerField(_("seen"), default=0)
    new = models.PositiveIntegerField(_("new"), default=0)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    absent = models.PositiveIntegerField(_("absent"), default=0)
    ended = models.PositiveIntegerField(_("ended"), default=0)
    quarantined = models.PositiveIntegerField(_("quarantined"), default=0)
    errors = models.JSONField(_("errors"), default=list)
    warnings = models.JSONField(_("warnings"), default=list)
    listings = models.PositiveIntegerField(_("listings to read"), default=0)
    created_at = models.DateTimeField(_("asked for at"), default=timezone.now)
    started_at = models.DateTimeField(_("started at"), null=True, blank=True)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    lease_token = models.UUIDField(null=True, editable=False)
    lease_until = models.DateTimeField(null=True, editable=False)

    objects = SyncRunQuerySet.as_manager()

    class Meta:
        verbose_name = _("sync run")
        verbose_name_plural = _("sync runs")
        ordering = ("-id",)
        permissions = (("run_sync", "Can start a sync"),)
        indexes = (
            models.Index(
                fields=("corp",), name="syncrun_active", condition=Q(state__in=("queued", "running"))
            ),
        )

    def __str__(self) -> str:
        return f"#{self.pk} {self.corp}"

    def quarantine(self) -> models.QuerySet["Quarantine"]:
        """What this run could not store."""
        return Quarantine.objects.filter(corp=self.corp_id, first_run__lte=self.pk, run__gte=self.pk)

    @property
    def seconds(self) -> float | None:
        if self.started_at is None:
            return None
        return round(((self.finished_at or timezone.now()) - self.started_at).total_seconds(), 3)


class SyncPart(models.Model):
    """One listing of a run: the employees it names together, how far it came, what it found."""

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RUNNING = "running", _("running")
        COMPLETE = "complete", _("complete")
        FAILED = "failed", _("failed")
        SPLIT = "split", _("split")

    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="parts", verbose_name=_("run"))
    userids = models.JSONField(_("employees"))
    state = models.CharField(_("state"), max_length=16, choices=State, default=State.WAITING)
    cursor = models.TextField(blank=True, editable=False)
    # False once a part went on from a stored cursor: it did not see its first pages itself, so it proves no absence.
    from_start = models.BooleanField(default=True, editable=False)
    pages = models.PositiveIntegerField(_("pages"), default=0)
    seen = models.PositiveIntegerField(_("seen"), default=0)
    new = models.PositiveIntegerField(_("new"), default=0)
    changed = models.PositiveIntegerField(_("changed"), default=0)
    unchanged = models.PositiveIntegerField(_("unchanged"), default=0)
    absent = models.PositiveIntegerField(_("absent"), default=0)
    ended = models.PositiveIntegerField(_("ended"), default=0)
    quarantined = models.PositiveIntegerField(_("quarantined"), default=0)

    class Meta:
        verbose_name = _("sync part")
        verbose_name_plural = _("sync parts")
        ordering = ("id",)

    def __str__(self) -> str:
        return f"{self.run} {', '.join(self.userids[:3])}"


class Quarantine(models.Model):
    """A listed item that could not be mirrored, with the reason; cleared by a later run that finds it sound.

    `first_run` to `run` are the runs that met it.
    """

    first_run = models.ForeignKey(
        SyncRun, on_delete=models.CASCADE, related_name="+", verbose_name=_("first run")
    )
    run = models.ForeignKey(SyncRun, on_delete=models.CASCADE, related_name="+", verbose_name=_("last run"))
    corp = models.ForeignKey(
        Corp, on_delete=models.CASCADE, related_name="quarantine", verbose_name=_("corp")
    )
    # What tells the record from its neighbours: its id, or where it stood when it has none.
    key = models.CharField(max_length=255, editable=False)
    external_userid = models.CharField(_("external userid"), max_length=255, blank=True)
    userid = models.CharField(_("employee"), max_length=LIMITS["userid"], blank=True)
    position = models.PositiveIntegerField(_("position"), default=0)
    reason = models.CharField(_("reason"), max_length=255)
    raw = EncryptedTextField(_("as the provider wrote it"), blank=True)
    first_seen_at = models.DateTimeField(_("first seen"), default=timezone.now)
    cleared_at = models.DateTimeField(_("cleared at"), null=True, blank=True)

    class Meta:
        verbose_name = _("quarantined record")
        verbose_name_plural = _("quarantined records")
        ordering = ("-id",)
        constraints = (
            models.UniqueConstraint(fields=("corp", "userid", "key", "reason"), name="quarantine_unique"),
        )

    def __str__(self) -> str:
        return f"{self.external_userid or '?'}: {self.reason}"
