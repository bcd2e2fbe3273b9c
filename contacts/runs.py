"""The life of a sync run: asked for, claimed under a lease, interrupted and gone on with, confirmed, reported."""

import logging
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from django.conf import settings
from django.db import connection, transaction
from django.db.models import DateTimeField, Exists, ExpressionWrapper, OuterRef, Q, QuerySet, Value
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts.models import SyncRun
from crm.errors import Conflict
from crm.models import Corp
from crm.providers.errors import ProviderError
from crm.queue import ring

log = logging.getLogger("renmai.sync")

LANE: Final = "sync"  # workers of its own: a long sync never keeps a message waiting
# A cursor is good for a few minutes (wecom.md 3.3); an older run starts anew.
RESUME_WITHIN: Final = timedelta(minutes=10)


class AlreadyRunning(Conflict):
    """Another run covers the scope; `run` is that one."""

    code = "already_running"

    def __init__(self, run: SyncRun) -> None:
        super().__init__(_("Run %(n)s is already working on this.") % {"n": run.pk})
        self.run = run


@dataclass(slots=True)
class RunError:
    """One line of `errors[]` (contract A12)."""

    userid: str | None
    code: str
    errcode: int | None
    errmsg: str
    pages: int = 0

    @classmethod
    def of(cls, error: ProviderError, *, userid: str | None, pages: int = 0) -> "RunError":
        return cls(userid, error.code, error.errcode, error.errmsg[:500], pages)

    def as_json(self) -> dict[str, Any]:
        return {
            "userid": self.userid,
            "code": self.code,
            "errcode": self.errcode,
            "errmsg": self.errmsg,
            "pages": self.pages,
        }


def ask_for_run(
    corp: Corp, *, trigger: str, actor: str, userid: str = "", confirms: SyncRun | None = None
) -> SyncRun:
    """Queue a run for a worker. Raises AlreadyRunning."""
    run = create(corp, trigger=trigger, actor=actor, userid=userid, confirms=confirms)
    ring("contacts.tasks.run_sync", run.pk, lane=LANE)
    return run


def confirm(run: SyncRun, *, actor: str) -> SyncRun:
    """Queue the run that reads a held scope again and ends what is absent in both (contract A7)."""
    check_confirmable(run)
    return ask_for_run(
        run.corp, trigger=SyncRun.Trigger.CONFIRM, actor=actor, userid=run.userid, confirms=run
    )


def check_confirmable(run: SyncRun) -> None:
    """Raise Conflict `not_held` unless `run` is held and was not confirmed before."""
    void = (SyncRun.State.FAILED, SyncRun.State.INTERRUPTED)
    if run.state != SyncRun.State.HELD or run.confirmations.exclude(state__in=void).exists():
        raise Conflict(_("This run is not waiting for a confirmation."), code="not_held")


def create(
    corp: Corp,
    *,
    trigger: str,
    actor: str,
    userid: str = "",
    confirms: SyncRun | None = None,
    is_mine: bool = False,
) -> SyncRun:
    """A run that waits for a worker, or (`is_mine`) runs in this process from the start.

    Raises AlreadyRunning, and Conflict `corp_inactive`.
    """
    if not corp.is_active:
        raise Conflict(_("This corp is inactive: it is neither synced nor written to."), code="corp_inactive")
    known = corp.employees.filter(userid__iexact=userid).first() if userid else None
    userid = known.userid if known else userid
    with transaction.atomic():
        Corp.objects.select_for_update().get(pk=corp.pk)  # one starter at a time decides for this corp
        interrupt_lapsed(corp)
        rivals = SyncRun.objects.active().filter(corp=corp)
        if userid:
            rivals = rivals.filter(Q(userid="") | Q(userid__iexact=userid))
        rival = rivals.order_by("pk").first()
        if rival is not None:
            raise AlreadyRunning(rival)
        lease_of_mine = _started() if is_mine else {}
        return SyncRun.objects.create(
            corp=corp, trigger=trigger, actor=actor, userid=userid, confirms=confirms, **lease_of_mine
        )


def _started() -> dict[str, Any]:
    """What makes a run this process's own."""
    return {
        "state": SyncRun.State.RUNNING,
        "lease_token": uuid.uuid4(),
        "lease_until": lease_from_now(),
        "started_at": timezone.now(),
    }


def interrupt_lapsed(corp: Corp | None = None) -> int:
    """Mark the runs whose lease has lapsed: their process is gone, or may write nothing more."""
    lapsed = SyncRun.objects.filter(state=SyncRun.State.RUNNING, lease_until__lt=Now())
    if corp is not None:
        lapsed = lapsed.filter(corp=corp)
    return lapsed.update(state=SyncRun.State.INTERRUPTED, finished_at=timezone.now(), lease_token=None)


def resumable(corp: Corp) -> QuerySet[SyncRun]:
    """Interrupted runs of the corp that can be gone on with: young, and no later run has read anything.

    What a later run found absent must not be confirmed by what an earlier one had not shown.
    """
    later = SyncRun.objects.filter(corp=OuterRef("corp"), pk__gt=OuterRef("pk"), pages__gt=0)
    return SyncRun.objects.filter(
        ~Exists(later),
        corp=corp,
        state=SyncRun.State.INTERRUPTED,
        lease_until__gte=_after_now(-RESUME_WITHIN),
        resumed_by__isnull=True,
    )


def held_runs() -> QuerySet[SyncRun]:
    """Held runs that still wait: not confirmed, and no later run of the scope came to its own judgement."""
    states = SyncRun.State
    later = SyncRun.objects.filter(corp=OuterRef("corp"), userid=OuterRef("userid"), pk__gt=OuterRef("pk"))
    judged = later.filter(state__in=(states.COMPLETE, states.HELD))
    confirmed = SyncRun.objects.filter(confirms=OuterRef("pk")).exclude(
        state__in=(states.FAILED, states.INTERRUPTED)
    )
    return SyncRun.objects.filter(~Exists(judged), ~Exists(confirmed), state=states.HELD)


def resume_interrupted() -> None:
    """Start a run for each one that was interrupted lately; a corp that keeps crashing is left to a person."""
    again = SyncRun.Trigger.RESUME
    hopeless = Q(trigger=again, resumes__trigger=again, resumes__resumes__trigger=again)
    for corp in due_corps().filter(sync_runs__state=SyncRun.State.INTERRUPTED):
        for run in resumable(corp).exclude(hopeless):
            try:
                ask_for_run(corp, trigger=again, actor="worker", userid=run.userid, confirms=run.confirms)
            except AlreadyRunning:
                continue


def due_corps() -> QuerySet[Corp]:
    """Active corps with a credential and no run on the way."""
    busy = Q(sync_runs__state__in=SyncRun.ACTIVE)
    return Corp.objects.filter(is_active=True, agents__isnull=False).exclude(busy).distinct().order_by("pk")


def claim(run_id: int) -> SyncRun | None:
    """Take the queued run for this process. None when another has it (a bell may ring twice)."""
    claimed = SyncRun.objects.filter(pk=run_id, state=SyncRun.State.QUEUED).update(**_started())
    return SyncRun.objects.select_related("corp").get(pk=run_id) if claimed else None


def give_up(run: SyncRun, error: BaseException) -> None:
    """A fault of ours or Ctrl-C: the run says so and may be resumed; its rows stay as far as they came."""
    mine = SyncRun.objects.filter(pk=run.pk, lease_token=run.lease_token)
    if not isinstance(error, Exception):
        mine.update(state=SyncRun.State.INTERRUPTED, finished_at=timezone.now(), lease_token=None)
        return
    log.exception("sync run %s failed", run.pk)
    line = RunError(None, "internal", None, f"{type(error).__name__}: see the log of run {run.pk}")
    mine.update(
        state=SyncRun.State.FAILED, finished_at=timezone.now(), errors=[line.as_json()], lease_token=None
    )


def lease_from_now() -> "ExpressionWrapper[Any]":
    """By the database's clock, which all hosts share (guarantees S12)."""
    return _after_now(timedelta(seconds=settings.CRM_SYNC_LEASE_SECONDS))


def _after_now(delay: timedelta) -> "ExpressionWrapper[Any]":
    return ExpressionWrapper(Now() + Value(delay), output_field=DateTimeField())


@contextmanager
def heartbeat(run: SyncRun) -> Iterator[None]:
    """Renew the lease every quarter of it, also while a page or a frequency limit takes long."""
    done = threading.Event()

    def beat() -> None:
        mine = SyncRun.objects.filter(pk=run.pk, lease_token=run.lease_token)
        while not done.wait(settings.CRM_SYNC_LEASE_SECONDS / 4):
            try:
                mine.update(lease_until=lease_from_now())
            except Exception:
                log.exception("sync run %s could not renew its lease", run.pk)
                connection.close()
        connection.close()

    thread = threading.Thread(target=beat, name=f"sync-{run.pk}-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def report(run: SyncRun) -> dict[str, Any]:
    """The run as REST and `sync_contacts --json` show it (docs/reference/contract.md, Shapes)."""
    counts = "calls pages seen new changed unchanged absent ended quarantined".split()
    return {
        "id": run.pk,
        "corp": run.corp.corpid,
        "employee": run.userid or None,
        "state": run.state,
        "trigger": run.trigger,
        **{name: getattr(run, name) for name in counts},
        "errors": run.errors,
        "warnings": run.warnings,
        "started_at": _instant(run.started_at),
        "finished_at": _instant(run.finished_at),
        "seconds": run.seconds,
    }


def _instant(at: Any) -> str | None:
    return timezone.localtime(at).isoformat() if at else None
