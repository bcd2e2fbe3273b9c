"""/healthz and /readyz for machines: a word and a status, no data (contract B9)."""

from datetime import timedelta

from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from crm.models import Heartbeat

WORKER_MAY_BE_SILENT = timedelta(seconds=120)


def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers; nothing else is looked at."""
    return HttpResponse("ok\n", content_type="text/plain")


def readyz(request: HttpRequest) -> HttpResponse:
    """The database answers, its tables are of this release, and a worker was seen lately."""
    try:
        ready = not missing_migrations() and _is_worked()
    except DatabaseError:
        ready = False
    return HttpResponse(
        "ok\n" if ready else "not ready\n", status=200 if ready else 503, content_type="text/plain"
    )


def _is_worked() -> bool:
    return Heartbeat.objects.filter(at__gt=timezone.now() - WORKER_MAY_BE_SILENT).exists()


def missing_migrations() -> int:
    """How many migrations of this release the database has not got."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
