"""The table of periodic jobs, applied after migrate. All are bells: they say "look now".

Why bells: docs/explanation/architecture.md, Six ideas.
"""

from dataclasses import dataclass

from django.conf import settings

from crm.queue import apply_schedules


@dataclass(frozen=True, slots=True)
class Job:
    path: str
    minutes: int


def jobs() -> list[Job]:
    """`minutes` 0 leaves a job out (contract A16)."""
    table = [
        Job("contacts.tasks.sync_due", settings.CRM_SYNC_EVERY_MINUTES),
        Job("messaging.tasks.poll_due", 1),
        Job("messaging.tasks.keep_welcome_files", 30),
        Job("crm.tasks.beat", 1),
        Job("crm.tasks.forget_old_answers", 60),
        Job("messaging.tasks.forget_old_callbacks", 60),
    ]
    return [job for job in table if job.minutes]


# What a lost bell missed is found by these, called by `supervise` every few seconds; rows only, no network.
SWEEPS = ("contacts.tasks.sweep", "messaging.tasks.sweep")


def apply() -> None:
    apply_schedules([(job.path, job.minutes) for job in jobs()])
