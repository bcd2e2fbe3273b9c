"""What the sending tests share: a corp of either dialect, with its rows."""

import socket

import pytest

from crm.simulator.server import Simulator
from tests.messaging.house import House, house


@pytest.fixture
def direct(sim: Simulator, db: None) -> House:
    return house(sim, "direct")


@pytest.fixture
def official(sim: Simulator, db: None) -> House:
    return house(sim, "official")


@pytest.fixture(params=["direct", "official"])
def either(request: pytest.FixtureRequest, sim: Simulator, db: None) -> House:
    return house(sim, request.param)


@pytest.fixture
def closed_port() -> str:
    """The address of a port where nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"
