"""CRM_API_RATE requests per minute and key (contract B2)."""

import pytest
from django.conf import LazySettings

from tests.api.conftest import Caller, Cast


@pytest.fixture
def slow(cast: Cast, settings: LazySettings) -> Cast:
    settings.CRM_API_RATE = 3
    return cast


def test_the_request_above_the_rate_is_429_with_retry_after(slow: Cast) -> None:
    sun = slow.caller("sun")
    assert [sun.get("me/").status_code for _ in range(4)] == [200, 200, 200, 429]
    answer = sun.get("me/")
    assert answer.json()["code"] == "throttled"
    assert 1 <= int(answer["Retry-After"]) <= 60


def test_each_key_has_a_rate_of_its_own(slow: Cast) -> None:
    first, second = slow.caller("sun"), slow.caller("sun")
    for _ in range(4):
        first.get("me/")
    assert (first.get("me/").status_code, second.get("me/").status_code) == (429, 200)


def test_zero_is_no_limit(slow: Cast, settings: LazySettings) -> None:
    settings.CRM_API_RATE = 0
    sun = slow.caller("sun")
    assert {sun.get("me/").status_code for _ in range(10)} == {200}


def test_a_login_is_counted_too(slow: Cast) -> None:
    browser = Caller()
    browser.force_login(slow.users["lin"])
    assert [browser.get("me/").status_code for _ in range(4)] == [200, 200, 200, 429]
