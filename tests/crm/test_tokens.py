"""The shared token (guarantees T1–T3): decided in a row, so that processes agree."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crm.connections import save_agent
from crm.models import AccessToken, Agent, Corp
from crm.providers.errors import BadCredential, Unavailable
from crm.tokens import COPY_S, DatabaseTokens

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


class Revoking:
    """A provider with one good token at a time; it is taken back whenever all callers have met."""

    def __init__(self, callers: int) -> None:
        self.refreshes = 0
        self._good = ""
        self._lock = threading.Lock()
        self._meeting = threading.Barrier(callers, action=self._revoke)

    def _revoke(self) -> None:
        self._good = ""

    def fetch(self) -> tuple[str, float]:
        with self._lock:
            self.refreshes += 1
            self._good = f"token-{self.refreshes}"
            return self._good, 7200

    def calls(self, tokens: DatabaseTokens, rounds: int) -> int:
        """Call in each round as a client does, with one refresh and one retry; how many calls failed."""
        failed = 0
        for _ in range(rounds):
            self._meeting.wait(60)
            token = tokens.get(self.fetch)
            if token.value != self._good:
                tokens.reject(token)
                failed += tokens.get(self.fetch).value != self._good
        return failed


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


def test_token_in_hand_costs_no_statement(agent: Agent) -> None:
    provider, tokens = Provider(), DatabaseTokens(agent)
    tokens.get(provider.fetch)
    tokens.get(provider.fetch)
    with CaptureQueriesContext(connection) as asked:
        assert {tokens.get(provider.fetch).value for _ in range(100)} == {"token-1"}
    assert len(asked) == 0


def test_token_that_another_process_replaced_costs_one_refusal(agent: Agent) -> None:
    provider, mine, others = Provider(), DatabaseTokens(agent), DatabaseTokens(agent)
    old = mine.get(provider.fetch)
    assert mine.get(provider.fetch) == old == others.get(provider.fetch)
    others.reject(old)
    new = others.get(provider.fetch)
    assert mine.get(provider.fetch) == old  # nobody told this process
    mine.reject(old)
    assert mine.get(provider.fetch) == others.get(provider.fetch) == new
    assert provider.calls == 2


def test_copy_of_the_token_is_compared_with_the_row_once_a_minute(agent: Agent) -> None:
    seconds = [0.0]
    provider, tokens = Provider(), DatabaseTokens(agent, monotonic=lambda: seconds[0])
    tokens.get(provider.fetch)
    tokens.get(provider.fetch)
    save_agent(agent.corp, "1", {"secret": "two"})
    assert tokens.get(provider.fetch).value == "token-1"
    seconds[0] += COPY_S
    assert tokens.get(provider.fetch).value == "token-2"


def test_copy_of_the_token_ends_with_it(agent: Agent) -> None:
    seconds = [0.0]
    tokens = DatabaseTokens(agent, monotonic=lambda: seconds[0])
    tokens.get(lambda: ("short", 20))
    assert tokens.get(Provider().fetch).value == "short"
    seconds[0] += 11  # the second half of its 20 s is not used
    AccessToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert tokens.get(Provider().fetch).value == "token-1"


@pytest.mark.parametrize("revocations", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_token_that_is_revoked_costs_one_refresh_and_no_call(agent: Agent, revocations: int) -> None:
    provider = Revoking(callers=6)
    processes = iter([DatabaseTokens(agent) for _ in range(3)] * 2)  # of two threads each
    assert in_threads(6, lambda: provider.calls(next(processes), revocations)) == [0] * 6
    assert provider.refreshes <= revocations + 1


def refused(tokens: DatabaseTokens, provider: Provider, times: int) -> None:
    for _ in range(times):
        with pytest.raises(BadCredential):
            tokens.get(provider.refuse)
    with pytest.raises(Unavailable, match="next try in"):
        tokens.get(provider.refuse)


def a_while_passes(seconds: float) -> None:
    AccessToken.objects.update(failed_at=F("failed_at") - timedelta(seconds=seconds))


def test_refusing_provider_is_asked_at_most_five_times_in_any_minute(agent: Agent) -> None:
    provider, tokens = Provider(), DatabaseTokens(agent)
    with pytest.raises(BadCredential):
        tokens.get(provider.refuse)
    a_while_passes(55)
    refused(DatabaseTokens(agent), provider, 4)
    a_while_passes(10)  # the first is more than a minute ago, the other four are not
    refused(tokens, provider, 0)
    a_while_passes(51)
    refused(tokens, provider, 5)
    assert provider.calls == 10


def test_breaker_closes_when_a_token_came(agent: Agent) -> None:
    provider, tokens = Provider(), DatabaseTokens(agent)
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(BadCredential):
                tokens.get(provider.refuse)
        tokens.reject(tokens.get(provider.fetch))
    assert provider.calls == 15


@pytest.mark.parametrize("field", ["failed_at", "refreshing_until"])
def test_instants_of_a_clock_that_was_put_back_a_day_hold_nobody_up(agent: Agent, field: str) -> None:
    tomorrow = timezone.now() + timedelta(days=1)
    AccessToken.objects.create(agent=agent, failures=5, **{field: tomorrow})
    began = time.monotonic()
    assert DatabaseTokens(agent).get(Provider().fetch).value == "token-1"
    assert time.monotonic() - began < 5


def test_changed_secret_drops_the_token_and_its_failures(agent: Agent) -> None:
    DatabaseTokens(agent).get(Provider().fetch)
    save_agent(agent.corp, "1", {"secret": "one"})
    assert AccessToken.objects.exists()
    save_agent(agent.corp, "1", {"secret": "two"})
    row = AccessToken.objects.get()
    assert (row.value, row.generation, row.failures) == ("", 2, 0)


def test_token_is_ciphertext_in_the_database(agent: Agent) -> None:
    DatabaseTokens(agent).get(Provider().fetch)
    with connection.cursor() as cursor:
        cursor.execute("SELECT value FROM crm_accesstoken")
        stored = cursor.fetchone()[0]
    assert stored.startswith("v1.")
    assert "token-1" not in stored


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
