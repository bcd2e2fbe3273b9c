"""Agent row to ready Provider: the cached token, the shared pace, the address. The only door to credentials."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Greatest
from django.utils import timezone

from crm.models import AccessToken, Agent, Corp, Pace
from crm.providers import DIALECTS
from crm.providers import open_provider as open_client
from crm.providers.base import Capability, Credentials, Provider
from crm.providers.errors import BadCredential, ProviderError, RateLimited, Unavailable
from crm.providers.tokens import EARLY_S, Token
from crm.providers.transport import Timeouts

REFRESH_MARGIN_S = 5.0
FAILURES_PER_MINUTE = 5
# Acquisitions taken from the shared row at a time: ten times cheaper than one by one
# (docs/explanation/architecture.md, Figures behind choices).
LOT = 10


def first_agent(corp: Corp) -> Agent:
    """The agent that syncs and sends for `corp`: the one connected first (contract F11)."""
    agent = corp.agents.order_by("pk").first()
    if agent is None:
        raise BadCredential(f"corp {corp.corpid} has no agent: run connect first", code="no_agent")
    return agent


def can(corp: Corp, capability: Capability) -> bool:
    """Whether the dialect of `corp` has `capability`; a face asks before it offers."""
    return corp.dialect in DIALECTS and capability in DIALECTS[corp.dialect].capabilities


def open_provider(agent: Agent, *, patience_s: float = 120) -> Provider:
    """A client of `agent` with the shared token and pace; RateLimited rather than wait over `patience_s`."""
    corp = agent.corp
    connect, read, total = settings.CRM_HTTP_TIMEOUTS
    return open_client(
        corp.dialect,
        Credentials(corpid=corp.corpid, secret=agent.secret, agentid=agent.agentid),
        tokens=DatabaseTokens(agent),
        limiter=DatabasePace(corp.corpid, per_minute=settings.CRM_REMOTE_RATE, patience_s=patience_s),
        base_url=corp.base_url,
        timeouts=Timeouts(connect=connect, read=read, total=total),
        allow_private=settings.CRM_ALLOW_PRIVATE_UPSTREAM,
    )


def save_agent(corp: Corp, agentid: str, changes: dict[str, str]) -> tuple[Agent, bool]:
    """Create or update the agent; a changed secret drops the stored token. Returns it, and whether it was made."""
    agent = Agent.objects.filter(corp=corp, agentid=agentid).first()
    made = agent is None
    agent = agent or Agent(corp=corp, agentid=agentid)
    is_new_secret = not made and changes.get("secret", agent.secret) != agent.secret
    for name, value in changes.items():
        setattr(agent, name, value)
    agent.save()
    if is_new_secret:
        forget_token(agent)
    return agent, made


def forget_token(agent: Agent) -> None:
    """Drop the stored token and its failures: the secret changed (contract F10)."""
    AccessToken.objects.filter(agent=agent).delete()


def _refresh_lease_s() -> float:
    """Longer than one call of gettoken can take: an earlier end would let a second process ask as well."""
    return settings.CRM_HTTP_TIMEOUTS[2] + REFRESH_MARGIN_S


class DatabaseTokens:
    """A TokenStore shared by all processes: one refresh at a time, decided by one conditional UPDATE.

    A provider that keeps refusing is asked at most 5 times a minute, by everybody together (guarantees T3).
    """

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._rows = AccessToken.objects.filter(agent=agent)

    def get(self, fetch: Callable[[], tuple[str, float]]) -> Token:
        deadline = time.monotonic() + _refresh_lease_s() + REFRESH_MARGIN_S
        while True:
            row, _ = AccessToken.objects.get_or_create(agent=self._agent)
            if row.value and row.expires_at and row.expires_at > timezone.now():
                return Token(row.value, row.generation)
            self._refuse_while_failing(row)
            if self._wins_refresh(row):
                return self._refresh(row, fetch)
            if time.monotonic() > deadline:
                raise Unavailable("another process has been fetching the token for too long", code="timeout")
            time.sleep(0.1)

    def reject(self, token: Token) -> None:
        self._rows.filter(generation=token.generation).update(value="", expires_at=None)

    def _wins_refresh(self, row: AccessToken) -> bool:
        now = timezone.now()
        free = Q(refreshing_until__isnull=True) | Q(refreshing_until__lte=now)
        until = now + timedelta(seconds=_refresh_lease_s())
        return bool(self._rows.filter(free, generation=row.generation).update(refreshing_until=until))

    def _refresh(self, row: AccessToken, fetch: Callable[[], tuple[str, float]]) -> Token:
        try:
            value, expires_in = fetch()
        except ProviderError as error:
            self._note_failure(row, error)
            raise
        except BaseException:  # a worker told to stop, too: the others need not wait for the lease's end
            self._rows.filter(generation=row.generation).update(refreshing_until=None)
            raise
        lifetime = max(expires_in - EARLY_S, expires_in / 2)
        mine = self._rows.filter(generation=row.generation)
        row.value, row.generation = value, row.generation + 1
        row.expires_at = timezone.now() + timedelta(seconds=lifetime)
        mine.update(
            value=value,
            generation=row.generation,
            expires_at=row.expires_at,
            refreshing_until=None,
            failures=0,
            failing_since=None,
        )
        return Token(value, row.generation)

    def _note_failure(self, row: AccessToken, error: ProviderError) -> None:
        now = timezone.now()
        fresh = Q(failing_since__isnull=True) | Q(failing_since__lte=now - timedelta(minutes=1))
        self._rows.update(
            refreshing_until=None,
            failures=Case(When(fresh, then=1), default=F("failures") + 1),
            failing_since=Case(
                When(fresh, then=Value(now, models.DateTimeField())), default=F("failing_since")
            ),
            last_errcode=error.errcode,
            last_errmsg=error.errmsg[:500],
        )

    def _refuse_while_failing(self, row: AccessToken) -> None:
        if row.failures < FAILURES_PER_MINUTE or row.failing_since is None:
            return
        left = (row.failing_since + timedelta(minutes=1) - timezone.now()).total_seconds()
        if left > 0:
            error = Unavailable(
                f"token refused {row.failures} times, next try in {left:.0f} s: {row.last_errmsg}",
                errcode=row.last_errcode,
                retry_after=left,
            )
            error.api = "gettoken"
            raise error


class DatabasePace:
    """The Limiter of one corp: a bucket per API in one row each, shared by all processes."""

    def __init__(
        self,
        corpid: str,
        *,
        per_minute: int,
        sleep: Callable[[float], None] = time.sleep,
        patience_s: float = 120,
    ) -> None:
        self._corpid = corpid
        self._interval = 60 / per_minute
        self._lot = LOT if per_minute >= 60 * LOT else 1
        self._sleep = sleep
        self._patience_s = patience_s
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()

    def wait(self, api: str) -> None:
        with self._lock:
            while not self._held.get(api):
                self._held[api] = self._take(api)
            self._held[api] -= 1

    def limited(self, api: str, *, errcode: int, retry_after: float) -> None:
        with self._lock:
            self._held[api] = 0
        row = self._row(api)
        row.update(blocked_until=Greatest(F("blocked_until"), Value(time.time() + retry_after)))

    def _row(self, api: str) -> models.QuerySet[Pace]:
        return Pace.objects.filter(key=f"{self._corpid}:{api}"[:200])

    def _take(self, api: str) -> int:
        """Acquire a lot, or sleep towards the moment when one is free and return 0."""
        now = time.time()
        cost = self._lot * self._interval
        row = self._row(api)
        free = Q(tat__lte=now + cost, blocked_until__lte=now)
        if row.filter(free).update(tat=Greatest(F("tat"), Value(now)) + cost):
            return self._lot
        found = row.first()
        if found is None:
            with transaction.atomic():
                Pace.objects.get_or_create(key=f"{self._corpid}:{api}"[:200])
            return 0
        delay = max(found.tat - now - cost, found.blocked_until - now, 0.01)
        if delay > self._patience_s:
            until = datetime.fromtimestamp(now + delay, tz=timezone.get_current_timezone())
            raise RateLimited(f"{api} is paused until {until:%H:%M:%S}", retry_after=delay, errcode=45009)
        self._sleep(min(delay, 1.0))
        return 0
