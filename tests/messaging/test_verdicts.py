from datetime import UTC, datetime, timedelta

import pytest

from crm.providers.errors import (
    BadCredential,
    Malformed,
    ProviderError,
    RateLimited,
    Refused,
    Unavailable,
    Unsupported,
)
from crm.retry import backoff_s
from messaging.verdicts import verdict

NOW = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


def ruled(error: ProviderError, attempts: int = 1) -> tuple[str, float | None, bool]:
    """(state, seconds until the next try, whether this one counts)."""
    found = verdict(error, attempts=attempts, now=NOW)
    wait = None if found.next_attempt_at is None else (found.next_attempt_at - NOW) / timedelta(seconds=1)
    return str(found.state), wait, found.is_counted


@pytest.mark.parametrize("kind", [Unavailable, Malformed, RateLimited, BadCredential, Refused])
def test_verdict_when_the_call_may_have_happened_then_uncertain(kind: type[ProviderError]) -> None:
    assert ruled(kind("lost", outcome="unknown")) == ("uncertain", None, True)


@pytest.mark.parametrize("error", [Refused("no", errcode=40096), Malformed("?"), Unsupported("no such call")])
def test_verdict_when_refused_then_failed_for_good(error: ProviderError) -> None:
    assert ruled(error) == ("failed", None, True)


@pytest.mark.parametrize(("attempts", "wait"), [(1, 1), (2, 2), (3, 4), (4, 8)])
def test_verdict_when_not_done_then_queued_with_doubling_waits(attempts: int, wait: float) -> None:
    assert ruled(Unavailable("connection refused"), attempts) == ("queued", wait, True)


def test_verdict_when_not_done_the_fifth_time_then_failed() -> None:
    assert ruled(Unavailable("connection refused"), 5) == ("failed", None, True)


def test_verdict_when_the_provider_is_busy_then_three_posts_in_all() -> None:
    busy = Unavailable("system busy", errcode=-1)
    assert [ruled(busy, tries)[0] for tries in (1, 2, 3)] == ["queued", "queued", "failed"]


def test_verdict_when_told_when_to_return_then_not_before() -> None:
    assert ruled(Unavailable("the token is refused", retry_after=40)) == ("queued", 40, True)


@pytest.mark.parametrize("attempts", [1, 50])
def test_verdict_when_the_frequency_is_limited_then_a_minute_that_does_not_count(attempts: int) -> None:
    assert ruled(RateLimited("slow", errcode=45009, retry_after=3), attempts) == ("queued", 60, False)
    assert ruled(RateLimited("slow", errcode=45009, retry_after=3600), attempts) == ("queued", 3600, False)


@pytest.mark.parametrize(("told", "wait"), [(7, 7), (None, 60)])
def test_verdict_when_http_429_then_as_told(told: float | None, wait: float) -> None:
    assert ruled(RateLimited("slow", code="http_status", retry_after=told)) == ("queued", wait, False)


def test_verdict_when_too_many_at_once_then_an_ordinary_retry() -> None:
    assert ruled(RateLimited("45033", errcode=45033, retry_after=1), 2) == ("queued", 2, True)


def test_verdict_when_the_credential_is_bad_then_minutes_to_mend_it_and_an_end() -> None:
    wrong = BadCredential("wrong secret", errcode=40001)
    assert ruled(wrong, 1) == ("queued", 60, True)
    assert ruled(wrong, 5) == ("failed", None, True)


def test_backoff_when_it_went_on_for_long_then_capped() -> None:
    assert [backoff_s(tries) for tries in (0, 1, 2, 6, 7, 8, 10_000)] == [1, 1, 2, 32, 60, 60, 60]
