"""The ground as a Django app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CrmConfig(AppConfig):
    name = "crm"
    verbose_name = _("Operations")

    def ready(self) -> None:
        from crm import checks, lookups  # noqa: F401  (registers them)
