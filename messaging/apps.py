"""The traffic as a Django app; the last of ours, so it applies what needs all tables and permissions."""

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class MessagingConfig(AppConfig):
    name = "messaging"
    verbose_name = _("Messages")

    def ready(self) -> None:
        from crm import roles, schedules

        def apply_roles_and_schedules(**kwargs: Any) -> None:
            roles.apply()
            schedules.apply()

        post_migrate.connect(apply_roles_and_schedules, sender=self, weak=False)
