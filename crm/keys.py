"""API keys: made once, shown once, kept as a peppered digest.

`renmai_<prefix>.<secret>`: the prefix names the key in logs and in history, the secret is 256 random bits. The digest
is HMAC-SHA256 of the secret under a pepper made from the first of CRM_FIELD_KEYS: a copied database alone cannot tell
whether a key is genuine. Every key of the ring may check; a key that is used moves to the first one by itself.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.contrib.auth.models import User
from django.utils import timezone

from crm.models import ApiKey

SCOPES: Final = (
    "contacts:read",
    "contacts:write",
    "contacts:pii",
    "contacts:export",
    "messages:read",
    "messages:send",
    "transfers:write",
    "sync:read",
    "sync:run",
    "events:read",
    "webhooks:manage",
    "directory:read",
)
MAX_DAYS: Final = 365
WRITTEN: Final = re.compile(r"renmai_([0-9a-f]{12})\.([A-Za-z0-9_-]{43})")
USE_NOTED_EVERY: Final = timedelta(minutes=1)


class UnknownScope(ValueError):
    """A scope that does not exist: the key would silently mean less than was asked for."""


def make_key(
    user: User, *, scopes: Iterable[str], expires_at: datetime, name: str = ""
) -> tuple[ApiKey, str]:
    """The new row and the key itself, which is written nowhere else. Raises UnknownScope."""
    wanted = list(dict.fromkeys(scopes))
    unknown = [scope for scope in wanted if scope not in SCOPES]
    if unknown or not wanted:
        raise UnknownScope(", ".join(unknown))
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    row = ApiKey.objects.create(
        user=user, name=name, prefix=prefix, digest=_digest(secret), scopes=wanted, expires_at=expires_at
    )
    return row, f"renmai_{prefix}.{secret}"


def find_key(written: str) -> ApiKey | None:
    """The row that `written` opens, whether it may still be used or not; None for a forgery."""
    match = WRITTEN.fullmatch(written)
    if match is None:
        return None
    prefix, secret = match.groups()
    row = ApiKey.objects.select_related("user").filter(prefix=prefix).first()
    stored = row.digest if row else ""
    # No early way out: a wrong secret takes as long as a right one, and as an unknown prefix.
    found = [hmac.compare_digest(_digest(secret, key_id), stored) for key_id in settings.CRM_FIELD_KEYS]
    if row is None or not any(found):
        return None
    _note_use(row, secret)
    return row


def _note_use(row: ApiKey, secret: str) -> None:
    """Write `last_used_at` at most once a minute, and the digest under the pepper of today."""
    now = timezone.now()
    if row.last_used_at is None or row.last_used_at <= now - USE_NOTED_EVERY:
        ApiKey.objects.filter(pk=row.pk).update(last_used_at=now, digest=_digest(secret))


def _digest(secret: str, key_id: str | None = None) -> str:
    ring = settings.CRM_FIELD_KEYS
    pepper = hmac.digest(ring[key_id or next(iter(ring))], b"renmai api key pepper", hashlib.sha256)
    return hmac.new(pepper, secret.encode(), hashlib.sha256).hexdigest()
