"""One run per scope, whoever starts it and wherever (guarantees S7, S8; contract A4, A5)."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction

from contacts.models import Contact, FollowUser, SyncRun
from crm.models import Corp, Event
from crm.simulator.server import Simulator
from tests.conftest import command, database_url
from tests.contacts.house import ANY_LISTING, assert_true, change_something_of_everybody, run
from tests.contacts.processes import Crew, crew
from tests.sizes import size

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = size("TEST_ROUNDS")


@pytest.fixture(scope="module")
def eight(django_db_setup: None) -> Iterator[Crew]:
    with crew(8, database_url()) as made:
        yield made


def start_together(eight: Crew, sim: Simulator, corp: Corp, rounds: int) -> None:
    """All eight start the corp's sync at once; each round exactly one works, the others say 75 at once."""
    sim.settings(page_limit=8, latency_ms=60)
    for _ in range(rounds):
        change_something_of_everybody(sim, corp)
        sim.delete("/_sim/journal/")
        answers = eight.all("sync", "--corp", corp.corpid)
        assert sorted(answer["code"] for answer in answers) == [0] + [75] * 7, answers
        (done,) = [answer["told"] for answer in answers if answer["code"] == 0]
        for refused in (answer for answer in answers if answer["code"] == 75):
            assert refused["told"] == {"code": "already_running", "run": done["id"]}
            assert refused["seconds"] < 3
        assert done["state"] == "complete"
        assert len(sim.journal(corp=corp.corpid, api=ANY_LISTING[corp.dialect])) == done["pages"]
        assert_true(corp, sim)
    assert SyncRun.objects.count() == rounds


@pytest.mark.slow
def test_eight_processes_start_together_again_and_again(corp: Corp, sim: Simulator, eight: Crew) -> None:
    start_together(eight, sim, corp, ROUNDS)


@pytest.mark.slow
def test_runs_of_different_employees_go_beside_each_other(corp: Corp, sim: Simulator, eight: Crew) -> None:
    sim.settings(page_limit=5, latency_ms=60)
    userids = [told["userid"] for told in sim.world(corp.corpid)["employees"]]
    wanted = [*userids, userids[0], *userids][:8]
    orders = [("sync", "--corp", corp.corpid, "--employee", userid) for userid in wanted]
    answers = eight.each(orders)
    worked = [userid for userid, answer in zip(wanted, answers, strict=True) if answer["code"] == 0]
    assert sorted(worked) == sorted(userids), answers
    assert {answer["code"] for answer in answers} == {0, 75}
    assert_true(corp, sim)
    assert Event.objects.filter(verb="contact.created").count() == Contact.objects.count()
    assert Event.objects.filter(verb="follow.started").count() == FollowUser.objects.count()


@pytest.mark.slow
def test_run_of_an_employee_and_run_of_the_corp_exclude_each_other(
    corp: Corp, sim: Simulator, eight: Crew
) -> None:
    sim.settings(page_limit=5, latency_ms=100)
    userid = sim.world(corp.corpid)["employees"][0]["userid"]
    whole, one = ("sync", "--corp", corp.corpid), ("sync", "--corp", corp.corpid, "--employee", userid)
    answers = eight.each([whole, one] * 4)
    assert sorted(answer["code"] for answer in answers) == [0] + [75] * 7, answers
    run(corp)
    assert_true(corp, sim)


def everything(corp: Corp) -> list[Any]:
    tables = (Contact, FollowUser, Event, SyncRun)
    return [list(table.objects.order_by("pk").values_list()) for table in tables]


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def sleeper(corp: Corp, sim: Simulator) -> Iterator["subprocess.Popen[str]"]:
    """A sync in a process of its own, stopped while it waits for a page."""
    api = ANY_LISTING[corp.dialect]
    sim.settings(page_limit=3)
    sim.fault(corp=corp.corpid, api=api, kind="delay", seconds=2.5, skip=3, times=None)
    process = command("sync_contacts", "--corp", corp.corpid, "--json", CRM_SYNC_LEASE_SECONDS="1")
    try:
        wait_for(lambda: len(sim.journal(corp=corp.corpid, api=api)) >= 4, seconds=90)
        time.sleep(0.3)
        process.send_signal(signal.SIGSTOP)
        sim.clear_faults()
        yield process
    finally:
        process.kill()
        process.communicate()


def test_worker_that_slept_through_its_lease_writes_nothing_when_it_wakes(
    corp: Corp, sim: Simulator, sleeper: "subprocess.Popen[str]"
) -> None:
    with transaction.atomic():
        pass  # it sleeps over no lock of SQLite's
    stopped = SyncRun.objects.get()
    assert stopped.state == "running"
    time.sleep(1.2)
    change_something_of_everybody(sim, corp)
    taken_over = run(corp)
    run(corp)
    assert (taken_over.state, taken_over.resumes_id) == ("complete", stopped.pk)
    before = everything(corp)
    sleeper.send_signal(signal.SIGCONT)
    sleeper.communicate(timeout=30)
    assert sleeper.returncode == 1
    assert everything(corp) == before
    stopped.refresh_from_db()
    assert stopped.state == "interrupted"
    assert_true(corp, sim)
