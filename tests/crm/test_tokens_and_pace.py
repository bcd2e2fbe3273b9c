"""The shared token and the shared pace (guarantees T1–T3, S11): decided in rows, so that processes agree."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from crm.connections import DatabasePace, DatabaseTokens, save_agent
from crm.models import AccessToken, Agent, Corp, Pace
from crm.providers.errors import BadCredential, RateLimited, Unavailable

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def agent() -> Agent:
    corp = Corp.objects.create(corpid="ww1", provider="wecom", dialect="official")
    return save_agent(corp, "1", {"secret": "one"})[0]


def in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
    def once(_: int) -> Any:
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(once, range(count)))


class Provider:
    """Counts how often a token was asked for; each is new and takes a while."""

    def __init__(self) -> None:
        self.calls = 0
        self._lock = threading.Lock()

    def fetch(self) -> tuple[str, float]:
        with self._lock:
            self.calls += 1
            number = self.calls
        time.sleep(0.2)
        return f"token-{number}", 7200

    def refuse(self) -> tuple[str, float]:
        self.calls += 1
        raise BadCredential("secret is wrong", errcode=40001)


def test_many_callers_without_a_token_cost_one_refresh(agent: Agent) -> None:
    provider = Provider()
    tokens = in_threads(8, lambda: DatabaseTokens(agent).get(provider.fetch))
    assert {token.value for token in tokens} == {"token-1"}
    assert provider.calls == 1


def test_old_tokens_error_never_discards_a_newer_token(agent: Agent) -> None:
    provider, tokens = Provider(), DatabaseTokens(agent)
    old = tokens.get(provider.fetch)
    tokens.reject(old)
    new = tokens.get(provider.fetch)
    tokens.reject(old)
    assert tokens.get(provider.fetch) == new
    assert provider.calls == 2


def test_refusing_provider_is_asked_at_most_five_times_a_minute(agent: Agent) -> None:
    provider, tokens = Provider(), DatabaseTokens(agent)
    for _ in range(5):
        with pytest.raises(BadCredential):
            tokens.get(provider.refuse)
    with pytest.raises(Unavailable, match="refused 5 times"):
        tokens.get(provider.refuse)
    assert provider.calls == 5


def test_changed_secret_drops_the_token_and_its_failures(agent: Agent) -> None:
    DatabaseTokens(agent).get(Provider().fetch)
    save_agent(agent.corp, "1", {"secret": "one"})
    assert AccessToken.objects.exists()
    save_agent(agent.corp, "1", {"secret": "two"})
    assert not AccessToken.objects.exists()


def test_token_is_ciphertext_in_the_database(agent: Agent) -> None:
    DatabaseTokens(agent).get(Provider().fetch)
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM crm_accesstoken")
        stored = cursor.fetchone()[0]
    assert stored.startswith("v1.")
    assert "token-1" not in stored


def test_pace_lets_no_more_through_than_the_rate() -> None:
    slept: list[float] = []
    pace = DatabasePace("ww1", per_minute=60, sleep=slept.append)
    pace.wait("list")
    pace.wait("list")
    with pytest.raises(RateLimited):
        DatabasePace("ww1", per_minute=60, sleep=slept.append, patience_s=0).wait("list")
    pace.wait("another")
    assert slept == []


def test_pace_obeys_a_limit_told_to_another_process() -> None:
    DatabasePace("ww1", per_minute=6000).wait("list")
    DatabasePace("ww1", per_minute=6000).limited("list", errcode=45009, retry_after=60)
    with pytest.raises(RateLimited) as refusal:
        DatabasePace("ww1", per_minute=6000, patience_s=5).wait("list")
    assert 55 < (refusal.value.retry_after or 0) <= 60
    assert Pace.objects.count() == 1


def test_refresh_is_held_longer_than_one_call_can_take(agent: Agent, settings: Any) -> None:
    held: list[float] = []

    def fetch() -> tuple[str, float]:
        until = AccessToken.objects.get().refreshing_until
        held.append((until - timezone.now()).total_seconds())
        return "token", 7200

    settings.CRM_HTTP_TIMEOUTS = (3, 10, 50)
    DatabaseTokens(agent).get(fetch)
    assert held[0] > 50


def test_refresh_that_is_stopped_makes_nobody_wait(agent: Agent) -> None:
    def stopped() -> tuple[str, float]:
        raise SystemExit

    with pytest.raises(SystemExit):
        DatabaseTokens(agent).get(stopped)
    began = time.monotonic()
    assert DatabaseTokens(agent).get(Provider().fetch).value == "token-1"
    assert time.monotonic() - began < 5
