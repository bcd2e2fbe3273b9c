"""The engine of a run: reads the directory, walks every listing of its scope, and concludes."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

from django.conf import settings
from django.db import OperationalError, transaction
from django.db.models import Count, F, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from contacts import clock, runs
from contacts.absence import Scope, end_confirmed, mark_out_of_range, trips_guard
from contacts.crew import walk_parts
from contacts.directory import apply_directory, apply_tags
from contacts.listing import restless_relations
from contacts.mirror import clear_quarantine
from contacts.models import Employee, FollowUser, Quarantine, SyncPart, SyncRun
from contacts.roll import Roll
from contacts.runs import RunError
from contacts.walk import LeaseLost, Walk, errors_of, fence
from crm.connections import first_agent, open_provider
from crm.models import Corp
from crm.providers.base import Capability, Provider
from crm.providers.errors import ProviderError
from crm.providers.records import TagRecord

log = logging.getLogger("renmai.sync")

# Employees share a listing up to this many relations: memory stays bounded, and there are enough listings to read
# several at once.
ROWS_PER_LISTING: Final = 2000
ROWS_OF_A_STRANGER: Final = 500  # what an employee is taken to have before the first sync of the corp
# Below this a page is bound by our own processor, and threads only get in each other's way.
SLOW_CALL_S: Final = 0.02


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
    run = runs.create(corp, trigger=trigger, actor=actor, userid=userid, confirms=confirms, is_mine=True)
    return _execute(run, on_page)


def execute(run_id: int) -> SyncRun | None:
    """Claim the queued run and walk it; None when another process has it."""
    run = runs.claim(run_id)
    return _execute(run, lambda run: None) if run else None


def _execute(run: SyncRun, on_page: Callable[[SyncRun], None]) -> SyncRun:
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
    is_slow = provider.tally.seconds > SLOW_CALL_S * provider.tally.calls
    at_once = settings.CRM_SYNC_LISTINGS if is_slow else 1
    _walk_all(walk, at_once=at_once)
    _conclude(walk)


def _prepare(run: SyncRun, provider: Provider, on_page: Callable[[SyncRun], None]) -> Walk:
    """Read the directory (of a corp run), take over an interrupted run's parts, and lay out the listings."""
    if run.userid:
        listed: Sequence[str] = (run.userid,)
        Employee.objects.get_or_create(corp=run.corp, userid=run.userid)
        may_be_gone = False
    else:
        directory = provider.directory()
        listed = directory.listed
        may_be_gone = directory.listed_complete
        warnings = [RunError(None, w.code, w.errcode, w.errmsg[:500]) for w in directory.warnings]
        tags = _read_tags(provider, warnings)
        with transaction.atomic():
            clock.tick(run.corp)
            fence(run, calls=provider.tally.calls, warnings=[warning.as_json() for warning in warnings])
            apply_directory(run.corp, directory, actor=f"sync:{run.pk}")
            if tags is not None:
                apply_tags(run.corp, tags, actor=f"sync:{run.pk}")
    resumed = _resume(run)
    roll = Roll(run.corp)
    done = roll.pks(resumed)
    if not provider.lists_whole_corp:
        waiting = [userid for userid in listed if roll.find(userid) not in done]
        _lay_out(run, _chunks(run, waiting, provider.employees_per_listing))
    elif listed and not resumed:
        _lay_out(run, [list(listed)])
    others = Employee.objects.filter(corp=run.corp, is_listed=True).values_list("pk", flat=True)
    unlisted = FollowUser.objects.current().filter(employee__corp=run.corp, employee__is_listed=False)
    must_parse = provider.items_name_colleagues and unlisted.exists()
    return Walk(
        run=run,
        provider=provider,
        roll=roll,
        listed=frozenset(others) | roll.pks(listed),
        may_be_gone=may_be_gone and not resumed,
        must_parse=must_parse,
        restless=restless_relations(run.corp) if must_parse else frozenset(),
        on_page=on_page,
    )


def _read_tags(provider: Provider, warnings: list[RunError]) -> tuple[TagRecord, ...] | None:
    """The corp's tag list; None where there is none to read or it could not be read."""
    if Capability.LIST_TAGS not in provider.capabilities:
        return None
    try:
        return provider.tags()
    except ProviderError as error:
        warnings.append(RunError.of(error, userid=None))
        return None


def _resume(run: SyncRun) -> set[str]:
    """Carry on the listings of the interrupted run before this one; returns the employees they name."""
    before = runs.resumable(run.corp).filter(userid=run.userid).order_by("pk").last()
    if before is None:
        return set()
    with transaction.atomic():
        fence(run, resumes=before)
        SyncPart.objects.filter(run=before).exclude(state=SyncPart.State.SPLIT).update(run=run)
        SyncPart.objects.filter(run=run, state=SyncPart.State.FAILED).delete()
        names = ("pages", "seen", "new", "changed", "unchanged", "absent", "quarantined")
        fence(run, **run.parts.aggregate(**{name: Coalesce(Sum(name), 0) for name in names}))
        FollowUser.objects.filter(absent_run=before, absent_since__isnull=False).update(absent_run=run)
        Quarantine.objects.filter(run=before).update(run=run)
    log.info("sync run %s goes on where run %s was interrupted", run.pk, before.pk)
    return {userid for userids in run.parts.values_list("userids", flat=True) for userid in userids}


def _chunks(run: SyncRun, userids: Sequence[str], per_listing: int) -> list[list[str]]:
    """Who shares a listing: up to `per_listing` employees, fewer when they follow many contacts."""
    known = dict(
        FollowUser.objects.filter(employee__corp=run.corp, employee__userid__among=userids)
        .values_list("employee__userid")
        .annotate(n=Count("pk"))
        .order_by()
    )
    chunks: list[list[str]] = []
    rows = 0
    for userid in userids:
        theirs = known.get(userid, 0) if known else ROWS_OF_A_STRANGER
        rows += theirs
        if not chunks or len(chunks[-1]) >= per_listing or rows > ROWS_PER_LISTING:
            chunks.append([])
            rows = theirs
        chunks[-1].append(userid)
    return chunks


def _lay_out(run: SyncRun, chunks: list[list[str]]) -> None:
    """One part per listing."""
    with transaction.atomic():
        SyncPart.objects.bulk_create([SyncPart(run=run, userids=chunk) for chunk in chunks], batch_size=500)
        fence(run, listings=run.parts.count())


def _walk_all(walk: Walk, *, at_once: int) -> None:
    done = walk.run.parts.filter(state=SyncPart.State.COMPLETE, from_start=True)
    for part in done:
        walk.read |= walk.roll.pks(part.userids) - walk.roll.pks(part.unread)
        walk.errors += errors_of(part)
    walk_parts(walk, walk.run.parts.exclude(state=SyncPart.State.COMPLETE).order_by("pk"), at_once=at_once)


def _conclude(walk: Walk) -> None:
    for last_try in (False, True):
        try:
            _judge(walk)
        except OperationalError:  # a deadlock with somebody who plans a follow-up: look again, once
            if last_try:
                raise
        else:
            return


def _judge(walk: Walk) -> None:
    run = walk.run
    if walk.errors and not run.parts.filter(state=SyncPart.State.COMPLETE).exists():
        fence(run, calls=walk.provider.tally.calls)
        _finish(run, SyncRun.State.FAILED, errors=walk.errors)
        return
    # A listing that failed might have named an unlisted colleague.
    knows_the_gone = walk.may_be_gone and not (walk.errors and walk.provider.items_name_colleagues)
    with transaction.atomic():
        clock.tick(run.corp)
        fence(run, calls=walk.provider.tally.calls)
        if knows_the_gone:
            fence(run, absent=F("absent") + mark_out_of_range(run, walk.seen_unlisted))
        scope = Scope(run, frozenset(walk.read), with_unlisted=knows_the_gone)
        held = not run.confirms_id and trips_guard(scope)
        ended = Counter[str]() if held else end_confirmed(scope)
        sound = {walk.roll.userid(pk) for pk in walk.read}
        clear_quarantine(run, sound if run.userid or walk.errors else {*sound, ""})
        fence(run, ended=ended.total(), ended_by_employee=dict(ended))
        _finish(run, _state(walk, held=held), errors=walk.errors)


def _state(walk: Walk, *, held: bool) -> str:
    if held:
        return SyncRun.State.HELD
    return SyncRun.State.PARTIAL if walk.errors else SyncRun.State.COMPLETE


def _finish(run: SyncRun, state: str, *, errors: Sequence[RunError]) -> None:
    fence(
        run,
        state=state,
        errors=[error.as_json() for error in errors],
        finished_at=timezone.now(),
        lease_until=None,
    )
    log.info("sync run %s of %s: %s", run.pk, run.corp.corpid, state)
