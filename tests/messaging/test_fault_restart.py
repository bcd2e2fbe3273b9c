"""PostgreSQL itself crashes and restarts under a stream of messages, while processes are killed (guarantees M1, M2).

On a cluster of the test's own, with its commits on the disk: the suite's server belongs to others, and it does not
wait for the disk.
"""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.db import connection

from tests.conftest import ROOT
from tests.messaging.house import House, wait_until
from tests.messaging.test_fault_driver import (
    Driver,
    Writer,
    assert_all_counted,
    chance,
    many,
    under_way,
)
from tests.messaging.tree import Tree
from tests.sizes import size

__all__ = ("chance", "many")  # fixtures

pytestmark = pytest.mark.slow

RESTARTS: Final = size("TEST_RESTARTS")
KILLS_BETWEEN: Final = 2
CLUSTER: Final = "TEST_CLUSTER"  # where the inner test finds it
LEASE_S: Final = "30"  # no answer that waits for the database is given up
OWNER: Final = "postgres" if os.geteuid() == 0 else None  # it refuses to be run by root


def programs() -> Path | None:
    """Where `initdb` and `pg_ctl` are."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else found[-1].parent if found else None


class Cluster:
    """A PostgreSQL server in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, program: str, *arguments: str) -> None:
        folder = programs()
        assert folder is not None
        with (self.folder / "log").open("ab") as log:
            subprocess.run(
                [str(folder / program), "-D", str(self.folder / "data"), *arguments],
                check=True,
                cwd=self.folder,
                user=OWNER,
                group=OWNER,
                extra_groups=[] if OWNER else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def make(self) -> str:
        """The URL of a database in it."""
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            port = held.getsockname()[1]
        self.run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8")
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.write(
                f"\nport = {port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{self.folder}'\n"
            )
        self.run("pg_ctl", "-w", "start")
        return f"postgres://postgres@127.0.0.1:{port}/postgres"

    def restart(self, mode: str) -> None:
        self.run("pg_ctl", "-w", "-m", mode, "restart")

    def end(self) -> None:
        self.run("pg_ctl", "-w", "-m", "immediate", "stop")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    if programs() is None:
        pytest.skip("no initdb of PostgreSQL on this machine")
    # Not pytest's own folder, which the owner of the cluster may not enter.
    with tempfile.TemporaryDirectory(prefix="renmai-pg-") as folder:
        if OWNER:
            shutil.chown(folder, OWNER, OWNER)
        made = Cluster(Path(folder))
        yield made
        if (made.folder / "data" / "postmaster.pid").exists():
            made.end()


@pytest.mark.skipif(CLUSTER in os.environ, reason="runs inside")
def test_a_restart_of_postgresql_loses_and_doubles_nothing(
    cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    if "postgres" in settings.DATABASES["default"]["ENGINE"]:
        pytest.skip("runs with the tests on SQLite, on a cluster of its own")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "PG"))}
    url = cluster.make()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-s", f"{__file__}::test_restarts"],
        cwd=ROOT,
        env={**inherited, "DATABASE_URL": url, CLUSTER: str(cluster.folder)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    with capsys.disabled():
        print(*[line for line in done.stdout.splitlines() if line.startswith("postgresql:")], sep="\n")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(CLUSTER not in os.environ, reason="runs on a cluster of its own")
@pytest.mark.django_db(transaction=True)
def test_restarts(many: House, chance: random.Random, closed_port: str, tmp_path: Path) -> None:
    cluster = Cluster(Path(os.environ[CLUSTER]))
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)
    with (tmp_path / "supervise.log").open("wb") as file:
        tree = Tree(file, urlsplit(many.sim.url).port or 0, CRM_SEND_LEASE_SECONDS=LEASE_S)
        try:
            restart_under_load(Driver(many, tree, chance, closed_port), cluster, chance)
        finally:
            tree.process.kill()
            tree.process.wait()
            print((tmp_path / "supervise.log").read_text()[-4000:])


def restart_under_load(driver: Driver, cluster: Cluster, chance: random.Random) -> None:
    with Writer(driver.house, random.Random(chance.random())) as writer:
        for number in range(RESTARTS):
            driver.run(driver.strikes.kills + KILLS_BETWEEN)
            mode = ("immediate", "fast")[number % 2]
            wait_until(lambda: len(under_way()) > 1)
            cluster.restart(mode)
            connection.close()
            driver.strikes.done[f"{mode} restart"] += 1
    assert_all_counted(driver, writer.queued)
