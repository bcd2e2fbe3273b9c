"""`supervise` keeps the workers alive whatever dies (contract A19, F13; guarantees F1, F4)."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contacts import runs
from contacts.models import SyncRun
from crm.models import Corp
from crm.simulator.server import Simulator
from tests.conftest import command

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def supervise() -> Iterator["subprocess.Popen[str]"]:
    process = command("supervise", CRM_SYNC_LEASE_SECONDS="3")
    try:
        wait_until(lambda: len(children(process.pid)) == 8)
        yield process
    finally:
        process.kill()
        process.communicate()


def children(pid: int) -> list[int]:
    try:
        return [int(part) for part in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def is_alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(holds: object, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def ask(corp: Corp) -> SyncRun:
    return runs.ask_for_run(corp, trigger="admin", actor="test")


def is_complete(run: SyncRun) -> bool:
    run.refresh_from_db()
    return run.state == SyncRun.State.COMPLETE


def test_queued_run_is_done_while_supervise_runs(
    supervise: "subprocess.Popen[str]", direct_corp: Corp
) -> None:
    run = ask(direct_corp)
    wait_until(lambda: is_complete(run))


def test_lost_bell_is_found_by_the_sweep_within_seconds(
    supervise: "subprocess.Popen[str]", direct_corp: Corp
) -> None:
    run = SyncRun.objects.create(corp=direct_corp, trigger="admin")
    wait_until(lambda: is_complete(run), seconds=8)


def test_work_goes_on_after_every_idle_worker_was_killed(
    supervise: "subprocess.Popen[str]", direct_corp: Corp
) -> None:
    before = children(supervise.pid)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    run = ask(direct_corp)
    wait_until(lambda: is_complete(run))
    assert not set(before) & set(children(supervise.pid))


def test_worker_killed_in_a_sync_is_replaced_and_the_sync_resumes(
    supervise: "subprocess.Popen[str]", direct_corp: Corp, sim: Simulator
) -> None:
    sim.settings(page_limit=2, latency_ms=60)
    ask(direct_corp)
    wait_until(lambda: SyncRun.objects.filter(pages__gte=2).exists())
    for pid in children(supervise.pid):
        os.kill(pid, signal.SIGKILL)
    sim.settings(latency_ms=0)
    wait_until(lambda: SyncRun.objects.filter(state="complete", trigger="resume").exists())
    assert not SyncRun.objects.filter(state="running").exists()


def test_sigterm_ends_everything_with_exit_0_within_15_seconds(supervise: "subprocess.Popen[str]") -> None:
    workers = children(supervise.pid)
    supervise.send_signal(signal.SIGTERM)
    assert supervise.wait(15) == 0
    assert not any(is_alive(pid) for pid in workers)


def test_children_end_when_supervise_is_killed(supervise: "subprocess.Popen[str]") -> None:
    workers = children(supervise.pid)
    supervise.kill()
    wait_until(lambda: not any(is_alive(pid) for pid in workers), seconds=10)
