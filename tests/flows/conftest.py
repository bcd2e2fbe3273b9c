"""The demo as its people start it: one real process tree for all the stories of a session."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.db import connection
from playwright.sync_api import Browser, BrowserContext

from crm.simulator.server import Simulator

ROOT = Path(__file__).resolve().parent.parent.parent
CHROMIUM = os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium")
QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
READY_WITHIN_S = 90
_demos = count()  # that of the session still runs when others start


@dataclass
class Demo:
    """A running demo: its web address, its simulator, its process."""

    url: str
    sim: Simulator
    process: "subprocess.Popen[str]"
    block: str
    seconds: float
    environment: dict[str, str]

    def manage(self, *arguments: str) -> Any:
        """A command on the demo's database; the JSON it prints."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments, "--json"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    def get(self, url: str, key: str) -> Any:
        asked = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(asked) as answer:
            return json.loads(answer.read())

    def post(self, path: str, key: str, body: dict[str, Any]) -> Any:
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        asked = urllib.request.Request(f"{self.url}{path}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(asked) as answer:
            return json.loads(answer.read())

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path) -> dict[str, str]:
    """A place of its own for the demo's data, on the kind of database this suite runs on."""
    wanted = {"CRM_VAR_DIR": str(folder), "CRM_ALLOW_PRIVATE_UPSTREAM": "1", "CRM_API_RATE": "0"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CRM_", "DJANGO_"))}
    kept.pop("DATABASE_URL", None)
    database = settings.DATABASES["default"]
    if not database["ENGINE"].endswith("sqlite3"):
        server = f"postgres://{database['USER']}@{database['HOST']}:{database['PORT']}"
        name = f"renmai_demo_{os.getpid()}_{next(_demos)}"
        with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {name}")
        wanted["DATABASE_URL"] = f"{server}/{name}"
    return kept | wanted


def start(folder: Path, places: dict[str, str]) -> Demo:
    port = free_port()
    began = time.monotonic()
    with (folder / "out").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", "--port", str(port), "--contacts", "120"],
            cwd=ROOT,
            env=places,
            stdout=out,
            stderr=subprocess.STDOUT,
            text=True,
        )
    told = ""
    while "Ctrl-C stops everything" not in told:
        assert process.poll() is None, told
        assert time.monotonic() - began < READY_WITHIN_S, told
        time.sleep(0.1)
        told = (folder / "out").read_text()
    seconds = time.monotonic() - began
    phones = re.search(r"(http://127\.0\.0\.1:\d+)/_sim/", told)
    assert phones is not None
    return Demo(f"http://127.0.0.1:{port}", simulator_at(phones[1]), process, told, seconds, places)


def simulator_at(url: str) -> Simulator:
    with urllib.request.urlopen(f"{url}/_sim/stats/") as answer:
        corps = json.loads(answer.read())["corps"]
    return Simulator(url, [{"corp": corp} for corp in corps])


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    folder = tmp_path_factory.mktemp("demo")
    running = start(folder, environment(folder))
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    """Debian's Chromium instead of a download (pytest-playwright's hook)."""
    return {"executable_path": CHROMIUM, "args": QUIET}


ALL = [(language, width) for language in ("en", "zh-hans") for width in ("desktop", "phone")]
# How a page looks does not depend on the database: on the second one each language and each width is enough.
SEEN = ALL if connection.vendor == "sqlite" else [("en", "desktop"), ("zh-hans", "phone")]


@pytest.fixture(params=SEEN, ids="-".join)
def seen(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def language(seen: tuple[str, str]) -> str:
    return seen[0]


@pytest.fixture
def width(seen: tuple[str, str]) -> str:
    return seen[1]


@pytest.fixture
def visitor(browser: Browser, language: str, width: str) -> Iterator[BrowserContext]:
    """A browser of that language and width. A script error on any page fails the test."""
    locale = {"en": "en-US", "zh-hans": "zh-CN"}[language]
    sizes = {"desktop": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}
    context = browser.new_context(locale=locale, viewport=sizes[width])  # type: ignore[arg-type]
    errors: list[str] = []
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context
    context.close()
    assert errors == []
