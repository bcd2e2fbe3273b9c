"""What `manage.py check --deploy` refuses: defaults that are right for a trial and wrong in production."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connection

LOOPBACK = {"127.0.0.1", "localhost", "[::1]"}


@register(Tags.security, deploy=True)
def secrets_are_configured(**kwargs: Any) -> list[CheckMessage]:
    """Secrets that the installation made for itself live beside the data they protect."""
    found: list[CheckMessage] = []
    if settings.FIELD_KEYS_ARE_KEPT:
        hint = (
            "Set CRM_FIELD_KEYS=id:base64 (32 bytes) or CRM_FIELD_KEYS_FILE, and keep a copy off this host."
        )
        found.append(Error("The keys of the encrypted columns lie under var/.", hint=hint, id="crm.E001"))
    if settings.SECRET_KEY_IS_KEPT:
        hint = "Set CRM_SECRET_KEY or CRM_SECRET_KEY_FILE."
        found.append(Error("The secret key lies under var/.", hint=hint, id="crm.E002"))
    if any(settings.SECRET_KEY.encode() == key for key in settings.CRM_FIELD_KEYS.values()):
        found.append(Error("CRM_SECRET_KEY and a field key are the same.", id="crm.E004"))
    return found


@register(Tags.security, deploy=True)
def outside_is_guarded(**kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if settings.DEBUG and not set(settings.ALLOWED_HOSTS) <= LOOPBACK:
        found.append(
            Error("CRM_DEBUG=1 with hosts that others reach.", hint="Set CRM_DEBUG=0.", id="crm.E003")
        )
    if settings.CRM_ALLOW_PRIVATE_UPSTREAM:
        hint = "Leave CRM_ALLOW_PRIVATE_UPSTREAM unset unless the provider itself stands in your network."
        found.append(Warning("Provider addresses may be private ones.", hint=hint, id="crm.W008"))
    return found


@register(Tags.database, deploy=True)
def database_bears_the_load(**kwargs: Any) -> list[CheckMessage]:
    if connection.vendor != "sqlite":
        return []
    hint = "Good for a trial and small teams; set DATABASE_URL=postgres://… for more."
    return [Warning("The database is SQLite.", hint=hint, id="crm.W007")]
