"""Queue entries of the mirror: an id in, one call out."""

from contacts import actions, marking, runs, sync, way_work, ways
from contacts.models import SyncRun
from crm.queue import MAIN, is_idle, ring


def sync_due() -> None:
    """The periodic sync: one run per active corp, through the same function as the command and the button."""
    for corp in runs.due_corps():
        try:
            runs.ask_for_run(corp, trigger=SyncRun.Trigger.SCHEDULE, actor="schedule")
        except runs.AlreadyRunning:
            continue


def run_sync(run_id: int) -> None:
    sync.execute(run_id)


def push_contact(contact_id: int) -> None:
    actions.push_contact(contact_id)


def work_on_way(way_id: int) -> None:
    way_work.work_on(way_id)


def mark_arrival(arrival_id: int) -> None:
    marking.mark(arrival_id)


def sweep() -> None:
    """Find what a lost bell missed: queued runs, interrupted runs worth going on with, contacts not yet pushed.

    Contact ways whose time has come end here, and what the provider has yet to hear of ways and tags is rung again.
    """
    ways.expire_due()
    runs.interrupt_lapsed()
    runs.resume_interrupted()
    if is_idle(runs.LANE):
        for run_id in SyncRun.objects.filter(state=SyncRun.State.QUEUED).values_list("pk", flat=True)[:20]:
            ring("contacts.tasks.run_sync", run_id, lane=runs.LANE)
    if is_idle(MAIN):
        for contact_id in actions.unpushed().values_list("pk", flat=True)[:20]:
            ring("contacts.tasks.push_contact", contact_id)
        for way_id in way_work.due().values_list("pk", flat=True)[:20]:
            ring("contacts.tasks.work_on_way", way_id)
        for arrival_id in marking.due().values_list("pk", flat=True)[:20]:
            ring("contacts.tasks.mark_arrival", arrival_id)
