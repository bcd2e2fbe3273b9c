"""What the provider tests share: a hostile server, the simulator, and clients for both."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from crm.providers import open_provider
from crm.providers.base import Credentials, Provider, Unlimited
from crm.providers.tokens import MemoryTokens
from crm.simulator.server import Simulator, running
from tests.providers.corps import QUICK, Corp, open_corp
from tests.providers.hostile import SECRET, Hostile


@pytest.fixture
def hostile() -> Iterator[Hostile]:
    server = Hostile()
    yield server
    server.close()


Open = Callable[..., Provider]


@pytest.fixture
def client(hostile: Hostile) -> Open:
    """client("direct") is a provider that speaks to `hostile`."""

    def opened(dialect: str, **options: Any) -> Provider:
        options.setdefault("limiter", Unlimited())
        options.setdefault("allow_private", True)
        return open_provider(
            dialect,
            Credentials("ww-corp", SECRET, "1000002"),
            tokens=MemoryTokens(),
            base_url=options.pop("base_url", hostile.url),
            timeouts=options.pop("timeouts", QUICK),
            **options,
        )

    return opened


@pytest.fixture(scope="session")
def simulator() -> Iterator[Simulator]:
    """One simulator process for all provider tests."""
    with running(contacts=90, employees=9, seed=1) as started:
        yield started


@pytest.fixture(params=["direct", "official"])
def corp(request: pytest.FixtureRequest, simulator: Simulator) -> Corp:
    """The contract suite runs once for every dialect."""
    return open_corp(simulator, request.param)


@pytest.fixture
def direct(simulator: Simulator) -> Corp:
    return open_corp(simulator, "direct")


@pytest.fixture
def official(simulator: Simulator) -> Corp:
    return open_corp(simulator, "official")


@pytest.fixture
def dingtalk(simulator: Simulator) -> Corp:
    return open_corp(simulator, "dingtalk")
