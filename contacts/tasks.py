"""Queue entries of the mirror: an id in, one call out."""

from contacts import actions, runs, sync
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


def sweep() -> None:
    """Find what a lost bell missed: queued runs, interrupted runs worth going on with, contacts not yet pushed."""
    runs.interrupt_lapsed()
    runs.resume_interrupted()
    if is_idle(runs.LANE):
        for run_id in SyncRun.objects.filter(state=SyncRun.State.QUEUED).values_list("pk", flat=True)[:20]:
            ring("contacts.tasks.run_sync", run_id, lane=runs.LANE)
    if is_idle(MAIN):
        for contact_id in actions.unpushed().values_list("pk", flat=True)[:20]:
            ring("contacts.tasks.push_contact", contact_id)
