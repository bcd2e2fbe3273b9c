"""The engine of a run: reads the directory, walks every listing of its scope, and concludes."""

import logging
from collections.abc import Callable, Sequence
from typing import Final

from django.db import transaction
from django.db.models import Count, F
from django.utils import timezone

from contacts import runs
from contacts.absence import end_confirmed, mark_out_of_range, trips_guard
from contacts.directory import apply_directory, apply_tags
from contacts.mirror import clear_quarantine
from contacts.models import Employee, FollowUser, SyncPart, SyncRun
from contacts.runs import RunError
from contacts.walk import LeaseLost, Walk, fence, walk_part
from crm.connections import first_agent, open_provider
from crm.models import Corp
from crm.providers.base import Provider
from crm.providers.errors import BadCredential, ProviderError

log = logging.getLogger("renmai.sync")

# Employees share a listing up to this many known relations, so that memory stays bounded.
ROWS_PER_LISTING: Final = 5000


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
    run = runs.create(corp, trigger=trigger, actor=actor, userid=userid, confirms=confirms)
    return execute(run.pk, on_page=on_page) or run


def execute(run_id: int, *, on_page: Callable[[SyncRun], None] = lambda run: None) -> SyncRun | None:
    """Claim the queued run and walk it; None when another process has it."""
    run = runs.claim(run_id)
    if run is None:
        return None
    try:
        with runs.heartbeat(run):
            _work(run, on_page)
    except LeaseLost:
        log.warning("sync run %s was taken over; this process stops", run.pk)
    except BaseException as error:
        runs.give_up(run, error)
        if not isinstance(error, Exception):
            raise
    run.refresh_from_db()
    return run


def _work(run: SyncRun, on_page: Callable[[SyncRun], None]) -> None:
    provider: Provider | None = None
    try:
        run.agent = first_agent(run.corp)
        fence(run, agent=run.agent)
        provider = open_provider(run.agent)
        walk = _prepare(run, provider, on_page)
    except ProviderError as error:
        log.warning("sync run %s of %s read nothing: %s", run.pk, run.corp.corpid, error)
        fence(run, calls=provider.tally.calls if provider else 0)
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
    before = runs.resumable(run.corp).filter(userid=run.userid).order_by("pk").last()
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
