"""Queue entries of the ground: swept by the table in crm/schedules.py."""

from django.utils import timezone

from crm.api.idempotency import KEPT
from crm.models import Heartbeat, IdempotentAnswer


def forget_old_answers() -> int:
    """Delete the answers of idempotent POSTs that are older than 24 hours; returns how many."""
    return IdempotentAnswer.objects.filter(created_at__lt=timezone.now() - KEPT).delete()[0]


def beat() -> None:
    """Leave a mark that scheduler, queue and worker are alive together."""
    Heartbeat.objects.update_or_create(name="worker", defaults={"at": timezone.now()})
