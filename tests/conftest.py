"""Fixtures of the whole suite: the simulator, and helpers that run our commands as an operator does."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.db import connection
from django.utils import translation

from crm.models import Corp
from crm.simulator.server import Simulator, running
from tests import factories
from tests.tables import Tables

# These helpers assert as well as the tests do.
pytest.register_assert_rewrite("tests.contacts.house", "tests.contacts.schedules", "tests.contacts.worlds")

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Run on PostgreSQL, where everything has been run on SQLite, what touches a database."""
    if connection.vendor == "sqlite":
        return
    needless = [item for item in items if not touches_database(item)]
    items[:] = [item for item in items if touches_database(item)]
    config.hook.pytest_deselected(items=needless)


def touches_database(item: pytest.Item) -> bool:
    """Itself, or through the demo's processes."""
    fixtures = getattr(item, "fixturenames", ())
    is_marked = item.get_closest_marker("django_db") is not None
    return (
        is_marked or not {"db", "transactional_db"}.isdisjoint(fixtures) or item.path.parent.name == "flows"
    )


@pytest.fixture(autouse=True)
def no_language_is_left_behind() -> Iterator[None]:
    """A page read in Chinese leaves its thread speaking Chinese."""
    yield
    translation.deactivate()


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: Any) -> None:
    """The test database of pytest-django, emptied in a quicker way than Django's."""
    with django_db_blocker.unblock():
        Tables().clear_after_each_test()


@pytest.fixture(scope="session")
def one_simulator() -> Iterator[Simulator]:
    with running(contacts=90, employees=9, seed=1) as simulator:
        yield simulator


@pytest.fixture
def sim(one_simulator: Simulator) -> Simulator:
    """The simulator, as after its start."""
    one_simulator.reset()
    return one_simulator


@pytest.fixture(params=["direct", "official", "dingtalk"])
def corp(request: pytest.FixtureRequest, sim: Simulator, db: None, settings: Any) -> Corp:
    """A connected corp of any dialect, not synced yet."""
    settings.CRM_DINGTALK_RATE = settings.CRM_REMOTE_RATE  # the simulator's is switched off
    return factories.corp_of(sim.corp(request.param))


@pytest.fixture
def direct_corp(sim: Simulator, db: None) -> Corp:
    return factories.corp_of(sim.corp("direct"))


@pytest.fixture
def official_corp(sim: Simulator, db: None) -> Corp:
    return factories.corp_of(sim.corp("official"))


@pytest.fixture
def dingtalk_corp(sim: Simulator, db: None, settings: Any) -> Corp:
    settings.CRM_DINGTALK_RATE = settings.CRM_REMOTE_RATE
    return factories.corp_of(sim.corp("dingtalk"))


def database_url() -> str:
    """The test database as another process finds it."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    return f"postgres://{settings['USER']}@{settings['HOST']}:{settings['PORT']}/{settings['NAME']}"


def environment(**more: str) -> dict[str, str]:
    """What a process needs to work on the test database."""
    return {
        **os.environ,
        "DATABASE_URL": database_url(),
        "CRM_ALLOW_PRIVATE_UPSTREAM": "1",
        "CRM_DINGTALK_RATE": "5000",
        **more,
    }


def command(*arguments: str, **more: str) -> "subprocess.Popen[str]":
    """`manage.py …` as a process of its own on the test database."""
    return subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_here(*arguments: str) -> tuple[int, str, str]:
    """`manage.py …` in this process: exit code, stdout, stderr."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        made = load_command_class(get_commands()[arguments[0]], arguments[0])
        try:
            made.run_from_argv(["manage.py", *arguments])
        except SystemExit as ending:
            return int(ending.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def run_beside(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """`manage.py …` in a process of its own: exit code, stdout, stderr."""
    process = command(*arguments, **environment)
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in err, err
    return process.returncode, out, err


@pytest.fixture
def manage(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Callable[..., "tuple[int, Any]"]:
    """Run `manage.py …` to its end; (exit code, the JSON document on stdout or None).

    Settings are read once, so where the environment changes one of them it is a process of its own.
    """

    def run(*arguments: str, **environment: str) -> tuple[int, Any]:
        if any(name.startswith("CRM_") for name in environment):
            code, out, _ = run_beside(*arguments, **environment)
        else:
            with monkeypatch.context() as patch:
                for name, value in environment.items():
                    patch.setenv(name, value)
                code, out, _ = run_here(*arguments)
        return code, json.loads(out) if "--json" in arguments and out else None

    return run
