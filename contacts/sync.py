"""The engine: claims a run, walks every listing of its scope, resumes after a crash, and says what it did."""

import logging
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts.absence import end_confirmed, mark_out_of_range, trips_guard
from contacts.directory import apply_directory, apply_tags
from contacts.mirror import clear_quarantine
from contacts.models import Employee, FollowUser, SyncPart, SyncRun
from contacts.walk import LeaseLost, RunError, Walk, fence, walk_part
from crm.connections import first_agent, open_provider
from crm.errors import Conflict
from crm.models import Corp
from crm.providers.base import Provider
from crm.providers.errors import BadCredential, ProviderError
from crm.queue import ring

log = logging.getLogger("renmai.sync")

LANE = "sync"  # workers of its own: a long sync never keeps a message waiting
RESUME_WITHIN = timedelta(
    minutes=10
)  # a cursor is good for a few minutes (wecom.md 3.3); older runs start anew
ROWS_PER_LISTING = (
    5000  # employees share a listing up to this many known relations, so that memory stays bounded
)


class AlreadyRunning(Conflict):
    """Another run covers the scope; `run` is that one."""

    code = "already_running"

    def __init__(self, run: SyncRun) -> None:
        super().__init__(_("Run %(n)s is already working on this.") % {"n": run.pk})
        self.run = run


# --- The life of a run ---


def ask_for_run(
    corp: Corp, *, trigger: str, actor: str, userid: str = "", confirms: SyncRun | None = None
) -> SyncRun:
    """Queue a run for a worker. Raises AlreadyRunning."""
    run = _create(corp, trigger=trigger, actor=actor, userid=userid, confirms=confirms)
    ring("contacts.tasks.run_sync", run.pk, lane=LANE)
    return run


def run_now(
    corp: Corp,
    *,
    trigger: str,
    actor: str,
    userid: str = "",
    confirms: SyncRun | None = None,
    on_page: Callable[[SyncRun], None] = lambda run: None,
) -> SyncRun:
    """Run in this process, to the end. Raises AlreadyRunning at once, never waits."""
    run = _create(corp, trigger=trigger, actor=actor, userid=userid, confirms=confirms)
    return execute(run.pk, on_page=on_page) or run


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


def _create(corp: Corp, *, trigger: str, actor: str, userid: str, confirms: SyncRun | None) -> SyncRun:
    with transaction.atomic():
        Corp.objects.select_for_update().get(pk=corp.pk)  # one starter at a time decides for this corp
        interrupt_lapsed(corp)
        rivals = SyncRun.objects.active().filter(corp=corp)
        if userid:
            rivals = rivals.filter(userid__in=("", userid))
        rival = rivals.order_by("pk").first()
        if rival is not None:
            raise AlreadyRunning(rival)
        return SyncRun.objects.create(
            corp=corp, trigger=trigger, actor=actor, userid=userid, confirms=confirms
        )


def interrupt_lapsed(corp: Corp | None = None) -> int:
    """Mark the runs whose lease has lapsed: their process is gone, or may write nothing more."""
    now = timezone.now()
    lapsed = SyncRun.objects.filter(state=SyncRun.State.RUNNING, lease_until__lt=now)
    if corp is not None:
        lapsed = lapsed.filter(corp=corp)
    return lapsed.update(state=SyncRun.State.INTERRUPTED, finished_at=now, lease_token=None)


def resumable(corp: Corp) -> QuerySet[SyncRun]:
    """Interrupted runs of the corp whose work is young enough to go on with."""
    young = timezone.now() - RESUME_WITHIN
    return SyncRun.objects.filter(
        corp=corp, state=SyncRun.State.INTERRUPTED, finished_at__gte=young, resumed_by__isnull=True
    )


def resume_interrupted() -> None:
    """Start a run for each one that was interrupted lately; a corp that keeps crashing is left to a person."""
    again = SyncRun.Trigger.RESUME
    hopeless = Q(trigger=again, resumes__trigger=again, resumes__resumes__trigger=again)
    for corp in due_corps().filter(sync_runs__state=SyncRun.State.INTERRUPTED):
        for run in resumable(corp).exclude(hopeless):
            try:
                ask_for_run(corp, trigger=again, actor="worker", userid=run.userid)
            except AlreadyRunning:
                continue


def execute(run_id: int, *, on_page: Callable[[SyncRun], None] = lambda run: None) -> SyncRun | None:
    """Claim the queued run and walk it. None when another process has it (a bell may ring twice)."""
    token = uuid.uuid4()
    claimed = SyncRun.objects.filter(pk=run_id, state=SyncRun.State.QUEUED).update(
        state=SyncRun.State.RUNNING,
        lease_token=token,
        lease_until=timezone.now() + _lease(),
        started_at=timezone.now(),
    )
    if not claimed:
        return None
    run = SyncRun.objects.select_related("corp").get(pk=run_id)
    try:
        with _heartbeat(run):
            _work(run, on_page)
    except LeaseLost:
        log.warning("sync run %s was taken over; this process stops", run.pk)
    except BaseException as error:
        _give_up(run, error)
        if not isinstance(error, Exception):
            raise
    run.refresh_from_db()
    return run


def _give_up(run: SyncRun, error: BaseException) -> None:
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


def _lease() -> timedelta:
    return timedelta(seconds=settings.CRM_SYNC_LEASE_SECONDS)


@contextmanager
def _heartbeat(run: SyncRun) -> Iterator[None]:
    """Renew the lease every quarter of it, also while a page or a frequency limit takes long."""
    done = threading.Event()

    def beat() -> None:
        mine = SyncRun.objects.filter(pk=run.pk, lease_token=run.lease_token)
        while not done.wait(settings.CRM_SYNC_LEASE_SECONDS / 4):
            try:
                mine.update(lease_until=timezone.now() + _lease())
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


# --- The work of a run ---


def _work(run: SyncRun, on_page: Callable[[SyncRun], None]) -> None:
    try:
        run.agent = first_agent(run.corp)
        fence(run, agent=run.agent)
        provider = open_provider(run.agent)
        walk = _prepare(run, provider, on_page)
    except ProviderError as error:
        log.warning("sync run %s of %s read nothing: %s", run.pk, run.corp.corpid, error)
        _finish(run, SyncRun.State.FAILED, errors=[RunError.of(error, userid=run.userid or None)])
        return
    _walk_all(walk)
    _conclude(walk)


def _prepare(run: SyncRun, provider: Provider, on_page: Callable[[SyncRun], None]) -> Walk:
    """Read the directory (of a corp run), take over an interrupted run's parts, and lay out the listings."""
    actor = f"sync:{run.pk}"
    if run.userid:
        listed: Sequence[str] = (run.userid,)
        Employee.objects.get_or_create(corp=run.corp, userid=run.userid)
        may_be_gone = False
    else:
        directory = provider.directory()
        listed = directory.listed
        may_be_gone = directory.listed_complete
        apply_directory(run.corp, directory, actor=actor)
        warnings = [RunError(None, w.code, w.errcode, w.errmsg[:500]) for w in directory.warnings]
        warnings += _read_tags(run.corp, provider, actor=actor)
        fence(run, calls=provider.tally.calls, warnings=[warning.as_json() for warning in warnings])
    employees = dict(Employee.objects.filter(corp=run.corp).values_list("userid", "pk"))
    resumed = _resume(run)
    _lay_out(run, [userid for userid in listed if userid not in resumed], provider.employees_per_listing)
    return Walk(
        run=run,
        provider=provider,
        employees=employees,
        listed=frozenset(listed),
        may_be_gone=may_be_gone and not resumed,
        on_page=on_page,
    )


def _read_tags(corp: Corp, provider: Provider, *, actor: str) -> list[RunError]:
    try:
        tags = provider.tags()
    except ProviderError as error:
        return [RunError.of(error, userid=None)]
    if tags:
        apply_tags(corp, tags, actor=actor)
    return []


def _resume(run: SyncRun) -> set[str]:
    """Carry on the listings of the interrupted run before this one; returns the employees they name."""
    before = resumable(run.corp).filter(userid=run.userid).order_by("pk").last()
    if before is None:
        return set()
    with transaction.atomic():
        fence(run, resumes=before)
        SyncPart.objects.filter(run=before).exclude(state=SyncPart.State.SPLIT).update(run=run)
        SyncPart.objects.filter(run=run, state=SyncPart.State.FAILED).delete()
        FollowUser.objects.filter(absent_run=before).update(absent_run=run)
    log.info("sync run %s goes on where run %s was interrupted", run.pk, before.pk)
    return {userid for userids in run.parts.values_list("userids", flat=True) for userid in userids}


def _lay_out(run: SyncRun, userids: Sequence[str], per_listing: int) -> None:
    """One part per listing: up to `per_listing` employees, fewer when they follow many contacts."""
    known = dict(
        FollowUser.objects.filter(employee__corp=run.corp, employee__userid__in=userids)
        .values_list("employee__userid")
        .annotate(n=Count("pk"))
        .order_by()
    )
    chunks: list[list[str]] = []
    rows = 0
    for userid in userids:
        rows += known.get(userid, 0)
        if not chunks or len(chunks[-1]) >= per_listing or rows > ROWS_PER_LISTING:
            chunks.append([])
            rows = known.get(userid, 0)
        chunks[-1].append(userid)
    with transaction.atomic():
        SyncPart.objects.bulk_create([SyncPart(run=run, userids=chunk) for chunk in chunks], batch_size=500)
        fence(run, listings=run.parts.count())


def _walk_all(walk: Walk) -> None:
    waiting = list(walk.run.parts.exclude(state=SyncPart.State.COMPLETE).order_by("pk"))
    done = walk.run.parts.filter(state=SyncPart.State.COMPLETE, from_start=True)
    walk.read.update(userid for userids in done.values_list("userids", flat=True) for userid in userids)
    while waiting:
        part = waiting.pop(0)
        try:
            waiting[:0] = walk_part(walk, part)
        except BadCredential as error:
            # The credential is dead, not the employee: asking on for each would only get the address blocked.
            unread = [userid for left in (part, *waiting) for userid in left.userids]
            walk.errors += [RunError.of(error, userid=userid) for userid in unread]
            return


def _conclude(walk: Walk) -> None:
    run = walk.run
    with transaction.atomic():
        fence(run, calls=walk.provider.tally.calls)
        if walk.may_be_gone:
            fence(run, absent=F("absent") + mark_out_of_range(run, walk.seen_unlisted))
        held = not run.confirms_id and trips_guard(run, walk.read)
        ended = 0 if held else end_confirmed(run, walk.read)
        clear_quarantine(run, {*walk.read, *([] if walk.errors else [""])})
        _finish(run, _state(walk, held=held), errors=walk.errors, ended=ended)


def _state(walk: Walk, *, held: bool) -> str:
    if walk.errors and not walk.run.parts.filter(state=SyncPart.State.COMPLETE).exists():
        return SyncRun.State.FAILED
    if held:
        return SyncRun.State.HELD
    return SyncRun.State.PARTIAL if walk.errors else SyncRun.State.COMPLETE


def _finish(run: SyncRun, state: str, *, errors: Sequence[RunError], ended: int = 0) -> None:
    fence(
        run,
        state=state,
        errors=[error.as_json() for error in errors],
        ended=ended,
        finished_at=timezone.now(),
        lease_until=None,
    )
    log.info("sync run %s of %s: %s", run.pk, run.corp.corpid, state)


# --- Its report ---


def report(run: SyncRun) -> dict[str, Any]:
    """The run as REST and `sync_contacts --json` show it (product.md 6)."""
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


def due_corps() -> QuerySet[Corp]:
    """Active corps with a credential and no run on the way."""
    busy = Q(sync_runs__state__in=SyncRun.ACTIVE)
    return Corp.objects.filter(is_active=True, agents__isnull=False).exclude(busy).distinct().order_by("pk")
