"""The only importer of django_q: ring a bell, keep the table of schedules, run what was rung.

django-q2's own cluster shares one pipe among its workers, and a worker killed in it freezes all the others
(reproduced: guarantees F1; docs/explanation/architecture.md). So each worker here is one plain process over the same
tables.
"""

import logging
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, Final

from django.db import transaction
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.brokers import get_broker
from django_q.conf import Conf
from django_q.models import OrmQ, Schedule
from django_q.monitor import save_task
from django_q.scheduler import scheduler
from django_q.signing import BadSignature, SignedPackage
from django_q.tasks import async_task

log = logging.getLogger("renmai.queue")

MAIN: Final = Conf.PREFIX
LANES: Final = (MAIN, "sync", "poll", "inbox", "welcome")
SENDING_LANES: Final = (MAIN, "welcome")


def ring(path: str, *ids: int | str, lane: str = "") -> None:
    """Run the task `path` with `ids` soon, once the current transaction has committed. It may run twice or never.

    Tasks of a `lane` wait only for each other: it has workers of its own.
    """
    transaction.on_commit(lambda: async_task(path, *ids, cluster=lane or MAIN))


def is_idle(lane: str) -> bool:
    """Whether nothing waits in `lane`: a sweep need not ring where a bell still sounds."""
    return not OrmQ.objects.filter(key=lane, lock__lte=timezone.now()).exists()


def apply_schedules(jobs: list[tuple[str, int]]) -> None:
    """Make the schedule rows equal to `jobs`, (dotted path, minutes); times already set stay."""
    Schedule.objects.exclude(func__in=[path for path, _ in jobs]).delete()
    for path, minutes in jobs:
        row, made = Schedule.objects.get_or_create(
            func=path, defaults={"name": path, "schedule_type": Schedule.MINUTES, "minutes": minutes}
        )
        if not made and row.minutes != minutes:
            row.minutes = minutes
            row.next_run = timezone.now()
            row.save(update_fields=["minutes", "next_run"])


_stopping = threading.Event()


def stop() -> None:
    """Ask this process to stop after what it has in hand."""
    _stopping.set()


def is_stopping() -> bool:
    """Whether a task that works through a list should leave the rest to the next process."""
    return _stopping.is_set()


def tick() -> None:
    """Queue the scheduled jobs that are due."""
    scheduler()


def run_one(lane: str = MAIN, *, started: Callable[[], None] = lambda: None) -> bool:
    """Take one task and run it; False when there was none (after a short sleep). Never raises for the task's sake."""
    broker = get_broker(lane)
    taken = broker.dequeue()
    for ack_id, payload in taken or ():
        started()
        try:
            task = SignedPackage.loads(payload)
        except (TypeError, BadSignature):
            log.error("a queued task was signed with another CRM_SECRET_KEY and is dropped")
            broker.fail(ack_id)
            continue
        _run(task)
        save_task(task, broker)
        broker.acknowledge(ack_id)
    return bool(taken)


def _run(task: dict[str, Any]) -> None:
    began = time.monotonic()
    try:
        task["result"] = import_string(task["func"])(*task["args"], **task["kwargs"])
        task["success"] = True
    except Exception:
        log.exception("task %s %s failed", task["func"], task["args"])
        task["result"] = traceback.format_exc(limit=-5)
        task["success"] = False
    task["stopped"] = timezone.now()
    log.debug("task %s %s took %.3f s", task["func"], task["args"], time.monotonic() - began)


def drain() -> int:
    """Run everything that is queued now, in this process; returns how many. For tests and the foreground."""
    count = 0
    while row := OrmQ.objects.filter(lock__lte=timezone.now()).first():
        count += run_one(row.key)
    return count
