"""Fixtures of the whole suite: the simulator, and helpers that run our commands as an operator does."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from crm.models import Corp
from crm.simulator.server import Simulator, running
from tests import factories

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def one_simulator() -> Iterator[Simulator]:
    with running(contacts=60, employees=6, seed=1) as simulator:
        yield simulator


@pytest.fixture
def sim(one_simulator: Simulator) -> Simulator:
    """The simulator, as after its start."""
    one_simulator.reset()
    return one_simulator


@pytest.fixture(params=["direct", "official"])
def corp(request: pytest.FixtureRequest, sim: Simulator, db: None) -> Corp:
    """A connected corp of either dialect, not synced yet."""
    return factories.corp_of(sim.corp(request.param))


@pytest.fixture
def direct_corp(sim: Simulator, db: None) -> Corp:
    return factories.corp_of(sim.corp("direct"))


@pytest.fixture
def official_corp(sim: Simulator, db: None) -> Corp:
    return factories.corp_of(sim.corp("official"))


def database_url() -> str:
    """The test database as another process finds it."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    return f"postgres://{settings['USER']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


def command(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    """`manage.py …` as a process of its own on the test database."""
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": database_url(), "CRM_ALLOW_PRIVATE_UPSTREAM": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def manage(transactional_db: None) -> Callable[..., "tuple[int, Any]"]:
    """Run `manage.py …` to its end; (exit code, the JSON document on stdout or None)."""

    def run(*arguments: str, **environment: str) -> tuple[int, Any]:
        process = command(*arguments, **environment)
        out, err = process.communicate(timeout=120)
        assert process.returncode != 1 or "Traceback" not in err, err
        return process.returncode, json.loads(out) if "--json" in arguments and out else None

    return run
