"""Who asks: an API key (`Authorization: Bearer renmai_…`) or a login of the web admin."""

from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.request import Request

from crm import roles
from crm.keys import find_key
from crm.models import ApiKey

PII = "contacts:pii"
ACTOR_LENGTH = 64  # of Event.actor; a login name may be longer


class KeyAuthentication(BaseAuthentication):
    """A usable key, or 401. Without the header the next class is asked."""

    def authenticate(self, request: Request) -> tuple[AbstractBaseUser, ApiKey] | None:
        header = request.headers.get("Authorization")
        if header is None:
            return None
        scheme, __, written = header.partition(" ")
        key = find_key(written.strip()) if scheme.lower() == "bearer" else None
        if key is None:
            raise AuthenticationFailed(_("This is not a key of this server."))
        if not key.is_usable():
            raise AuthenticationFailed(_("This key has expired or was revoked."))
        return key.user, key

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class Session(SessionAuthentication):
    """A login of the web admin, with its CSRF token on everything that writes."""

    def enforce_csrf(self, request: Request) -> None:
        try:
            # Django's own request: DRF's would parse the body before anybody asked who is let in.
            super().enforce_csrf(request._request)  # type: ignore[arg-type]
        except PermissionDenied as error:
            raise PermissionDenied(str(error.detail), code="csrf_failed") from None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the rest of a view needs it. A login has every scope but clear phones (those are revealed)."""

    user: AbstractBaseUser | AnonymousUser
    key: ApiKey | None = None

    @classmethod
    def of(cls, request: Request) -> "Caller":
        return cls(user=request.user, key=request.auth if isinstance(request.auth, ApiKey) else None)

    @property
    def actor(self) -> str:
        """As history names the caller."""
        name = f"key:{self.key.prefix}" if self.key else f"user:{self.user.get_username()}"
        return name[:ACTOR_LENGTH]

    @property
    def principal(self) -> str:
        """As throttles and idempotency keys count the caller."""
        return f"key:{self.key.pk}" if self.key else f"user:{self.user.pk}"

    @property
    def role(self) -> str:
        return roles.role_of(self.user)

    def has_scope(self, scope: str) -> bool:
        return scope in self.key.scopes if self.key else scope != PII

    @property
    def reads_free_text(self) -> bool:
        """An auditor sees that something was written, never what (contract C12)."""
        return self.role != roles.AUDITOR

    @property
    def reads_phones(self) -> bool:
        return self.has_scope(PII) and self.role != roles.AUDITOR
