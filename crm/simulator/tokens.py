"""Access tokens: one per app until it expires, as gettoken promises; revoked and expired early on order."""

import hashlib
import math
from dataclasses import dataclass

from crm.simulator.clock import Clock


@dataclass(slots=True)
class Grant:
    """What a token opens. `app` is "app" or "sync"; `ordinal` stands for the token in the journal."""

    token: str
    corp: str
    app: str
    expires_at: float
    ordinal: int
    is_revoked: bool = False


class TokenDesk:
    """Issues and looks up tokens. They live in memory only: a restarted server honours none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._grants: dict[str, Grant] = {}
        self._current: dict[tuple[str, str], Grant] = {}

    def issue(self, corp: str, app: str, *, ttl: float, renews: bool = False) -> tuple[Grant, int]:
        """The app's valid token and the seconds it still lives; a new one only when the old opens no more.

        `renews`: asking lets the old one live anew, as in DingTalk.
        """
        grant = self._current.get((corp, app))
        if grant is None or not self.is_good(grant):
            grant = self._new(corp, app, ttl)
        elif renews:
            grant.expires_at = self._clock.now() + ttl
        return grant, math.ceil(grant.expires_at - self._clock.now())

    def _new(self, corp: str, app: str, ttl: float) -> Grant:
        ordinal = len(self._grants) + 1
        stamp = f"{corp}/{app}/{ordinal}/{self._clock.now()}".encode()
        grant = Grant(hashlib.sha512(stamp).hexdigest(), corp, app, self._clock.now() + ttl, ordinal)
        self._grants[grant.token] = self._current[corp, app] = grant
        return grant

    def find(self, token: str) -> Grant | None:
        return self._grants.get(token)

    def is_good(self, grant: Grant) -> bool:
        return not grant.is_revoked and self._clock.now() < grant.expires_at

    def revoke(self, corp: str) -> int:
        """Make the corp's valid tokens unknown (40014); how many."""
        good = self._good_of(corp)
        for grant in good:
            grant.is_revoked = True
        return len(good)

    def expire(self, corp: str) -> int:
        """Let the corp's valid tokens end now; how many."""
        good = self._good_of(corp)
        for grant in good:
            grant.expires_at = self._clock.now()
        return len(good)

    def _good_of(self, corp: str) -> list[Grant]:
        return [each for each in self._grants.values() if each.corp == corp and self.is_good(each)]
