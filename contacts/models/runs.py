"""What each sync run did: its listings, its counts, and what it could not store."""

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from contacts.querysets import SyncRunQuerySet
from crm.fields import EncryptedTextField
from crm.models import Agent, Corp
from crm.providers.records import LIMITS


class SyncRun(models.Model):
    """One walk over a corp, or over one employee of it (`userid`), with what it found (docs/explanation/mirror.md)."""

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
        CALLBACK = "callback", _("an event of the provider")
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
    # {userid: relations ended}: a conclusion of the whole run, so no part can hold it.
    ended_by_employee = models.JSONField(default=dict, editable=False)
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
        met = Quarantine.objects.filter(corp=self.corp_id, first_run__lte=self.pk, run__gte=self.pk)
        return met.filter(userid=self.userid) if self.userid else met

    @property
    def seconds(self) -> float | None:
        if self.started_at is None:
            return None
        return round(((self.finished_at or timezone.now()) - self.started_at).total_seconds(), 3)


class MirrorClock(models.Model):
    """Counts what was observed of a corp: `ticks` every answer that was applied, `reads` the single reads among them.

    An answer that was asked for before another one was applied may be the older of the two (guarantees S9). Clocks
    of the wall cannot tell: those of several hosts differ.
    """

    corp = models.OneToOneField(Corp, on_delete=models.CASCADE, primary_key=True, related_name="+")
    ticks = models.BigIntegerField(default=0)
    reads = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.corp}: {self.ticks}"


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
    quarantined = models.PositiveIntegerField(_("quarantined"), default=0)
    # Of a complete part: about whom nothing may be concluded, and who of them has no licence (`fail_info`).
    unread = models.JSONField(default=list, editable=False)
    unlicensed = models.JSONField(default=list, editable=False)
    # {userid: {"seen": 5, "new": 1, …}}, without zeros; where the listing is of one employee, its own counts serve.
    by_employee = models.JSONField(default=dict, editable=False)

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
