"""A clock that is wrong by a day changes nothing but what people read as time (guarantees S12)."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection

from contacts.models import FollowUser, SyncRun
from crm.models import Corp
from crm.simulator.server import Simulator
from tests.conftest import ROOT, environment
from tests.contacts.house import assert_true, change_something_of_everybody, run

pytestmark = pytest.mark.django_db(transaction=True)

DAY = 86_400
Sync = Callable[[Corp], tuple[int, Any]]

needs_faketime = pytest.mark.skipif(shutil.which("faketime") is None, reason="no faketime")


@pytest.fixture(params=[-DAY, DAY], ids=["behind", "ahead"])
def shift(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture
def sync_elsewhen(shift: int) -> Sync:
    """`manage.py sync_contacts` on a host whose clock is wrong: its exit code and its document."""

    def sync(corp: Corp) -> tuple[int, Any]:
        order = ["faketime", "-m", "-f", f"{shift:+d}s", sys.executable, "manage.py", "sync_contacts"]
        done = subprocess.run(
            [*order, "--corp", corp.corpid, "--json"],
            cwd=ROOT,
            env=environment(FAKETIME_DONT_FAKE_MONOTONIC="1"),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout)

    return sync


def one_goes(corp: Corp, sim: Simulator) -> None:
    told = sim.world(corp.corpid)["contacts"][0]
    relation = {"external_userid": told["external_userid"], "userid": told["follow_user"][0]["userid"]}
    sim.change(corp.corpid, "unfollow", **relation)


def test_provider_whose_clock_is_wrong_is_mirrored_as_it_tells(
    corp: Corp, sim: Simulator, shift: int
) -> None:
    run(corp)
    sim.advance(shift)
    change_something_of_everybody(sim, corp)
    one_goes(corp, sim)
    for _ in range(2):
        assert run(corp).state == "complete"
    assert_true(corp, sim)
    assert FollowUser.objects.exclude(ended_at=None).count() == 1


@needs_faketime
@pytest.mark.slow
def test_host_whose_clock_is_wrong_mirrors_the_same(corp: Corp, sim: Simulator, sync_elsewhen: Sync) -> None:
    run(corp)
    change_something_of_everybody(sim, corp)
    one_goes(corp, sim)
    first, second = sync_elsewhen(corp), run(corp)
    assert (first[0], first[1]["absent"], second.state, second.ended) == (0, 1, "complete", 1)
    assert_true(corp, sim)
    assert sync_elsewhen(corp)[1]["changed"] == 0


@needs_faketime
def test_host_whose_clock_is_wrong_neither_joins_a_run_nor_asks_for_another_token(
    corp: Corp, sim: Simulator, sync_elsewhen: Sync
) -> None:
    """Where hosts share a database its clock decides; SQLite has none but the host's own."""
    if connection.vendor == "sqlite":
        pytest.skip("SQLite is not shared between hosts")
    answers = []

    def meanwhile(_: SyncRun) -> None:
        if not answers:
            answers.append(sync_elsewhen(corp))

    assert run(corp, on_page=meanwhile).state == "complete"
    assert answers[0][0] == 75
    assert sync_elsewhen(corp)[0] == 0
    assert len(sim.journal(corp=corp.corpid, api="gettoken")) == 1
    assert_true(corp, sim)
