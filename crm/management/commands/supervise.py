"""manage.py supervise: run the workers and schedules until SIGTERM."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from crm.supervisor import Supervisor


class Command(BaseCommand):
    requires_system_checks = ()
    help = "Run the task workers and schedules, restart what dies or hangs; ends with 0 on SIGTERM."

    def handle(self, *args: Any, **options: Any) -> None:
        Supervisor(workers=settings.CRM_WORKERS).run()
