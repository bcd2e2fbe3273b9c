"""A run in trouble: faults stay with whom they hit, removals ask, a killed run goes on (guarantees S2, S4–S8, S10)."""

import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from contacts import runs, sync
from contacts.models import Contact, FollowUser, Quarantine, SyncRun
from crm.errors import Conflict
from crm.models import Corp
from crm.queue import drain
from crm.simulator.server import Simulator
from tests.conftest import command
from tests.contacts.house import ANY_LISTING as LISTING
from tests.contacts.house import WECOM
from tests.truth import differences

pytestmark = pytest.mark.django_db(transaction=True)


def run(corp: Corp, **options: Any) -> SyncRun:
    return sync.run_now(corp, trigger="command", actor="test", **options)


def userids(sim: Simulator, corp: Corp) -> list[str]:
    return [told["userid"] for told in sim.world(corp.corpid)["employees"]]


@WECOM
def test_one_employees_fault_leaves_the_others_fresh_and_names_it(corp: Corp, sim: Simulator) -> None:
    guilty = userids(sim, corp)[1]
    sim.fault(
        corp=corp.corpid,
        api=LISTING[corp.dialect],
        kind="errcode",
        errcode=60111,
        match={"userid": guilty},
        times=None,
    )
    done = run(corp)
    assert done.state == "partial"
    assert [(e["userid"], e["code"], e["errcode"]) for e in done.errors] == [(guilty, "errcode", 60111)]
    missing = {
        line.split("'")[3]
        for line in differences(corp, sim.world(corp.corpid))
        if line.startswith("missing follow")
    }
    assert missing <= {guilty}


def test_failed_listing_ends_nothing(corp: Corp, sim: Simulator) -> None:
    run(corp)
    sim.fault(corp=corp.corpid, api=LISTING[corp.dialect], kind="http_status", status=500, times=None)
    for _ in range(2):
        done = run(corp)
        assert (done.state, done.absent, done.ended) == ("failed", 0, 0)
        assert done.errors[0]["code"] == "http_status"
    assert not FollowUser.objects.filter(absent_since__isnull=False).exists()


def test_no_token_fails_the_run_with_the_providers_words(corp: Corp) -> None:
    corp.agents.update(secret="wrong")
    done = run(corp)
    assert done.state == "failed"
    assert done.errors[0]["errcode"] == (40096 if corp.dialect == "dingtalk" else 40001)
    assert done.errors[0]["userid"] is None
    assert done.calls == 1


@WECOM
def test_stale_cursor_starts_the_listing_again_once(corp: Corp, sim: Simulator) -> None:
    sim.settings(page_limit=7)
    sim.fault(corp=corp.corpid, api=LISTING[corp.dialect], kind="errcode", errcode=50100, skip=1)
    done = run(corp)
    assert (done.state, done.errors) == ("complete", [])
    assert differences(corp, sim.world(corp.corpid)) == []


@WECOM
def test_looping_cursor_ends_that_listing_in_bounded_requests(corp: Corp, sim: Simulator) -> None:
    sim.settings(page_limit=5)
    api = LISTING[corp.dialect]
    sim.fault(corp=corp.corpid, api=api, kind="repeat_cursor", times=None)
    done = run(corp)
    assert done.state == "failed"
    assert {error["code"] for error in done.errors} == {"cursor_repeated"}
    assert len(sim.journal(corp=corp.corpid, api=api)) < 60


def test_more_absent_than_the_guard_is_held_until_confirmed(
    corp: Corp, sim: Simulator, settings: Any
) -> None:
    settings.CRM_SYNC_REMOVAL_GUARD = (1, 0.05)
    run(corp)
    for told in sim.world(corp.corpid)["contacts"][:6]:
        for relation in told["follow_user"]:
            one = {"external_userid": told["external_userid"], "userid": relation["userid"]}
            sim.change(corp.corpid, "unfollow", **one)
    held = run(corp)
    assert (held.state, held.ended) == ("held", 0)
    assert run(corp).state == "held"
    confirmed = runs.confirm(held, actor="test")
    drain()
    confirmed.refresh_from_db()
    assert (confirmed.state, confirmed.ended) == ("complete", held.absent)
    assert differences(corp, sim.world(corp.corpid)) == []
    with pytest.raises(Conflict, match="not waiting"):
        runs.confirm(held, actor="test")


def test_unstorable_record_is_quarantined_and_cleared_when_sound(corp: Corp, sim: Simulator) -> None:
    told = sim.world(corp.corpid)["contacts"][3]
    sim.post(
        "/_sim/poison/",
        {
            "corp": corp.corpid,
            "external_userid": told["external_userid"],
            "item": {"external_contact": {"name": "x"}},
        },
    )
    done = run(corp)
    assert (done.state, done.quarantined > 0) == ("complete", True)
    assert Quarantine.objects.filter(cleared_at__isnull=True).exists()
    assert Contact.objects.count() == len(sim.world(corp.corpid)["contacts"]) - 1
    sim.delete("/_sim/poison/")
    run(corp)
    assert not Quarantine.objects.filter(cleared_at__isnull=True).exists()
    assert differences(corp, sim.world(corp.corpid)) == []


def test_second_run_of_a_scope_is_refused_at_once(corp: Corp) -> None:
    first = runs.ask_for_run(corp, trigger="admin", actor="test")
    with pytest.raises(runs.AlreadyRunning) as refusal:
        run(corp)
    assert refusal.value.run == first
    with pytest.raises(runs.AlreadyRunning):
        run(corp, userid="anybody")


def test_runs_of_two_employees_do_not_exclude_each_other(corp: Corp, sim: Simulator) -> None:
    first, second = userids(sim, corp)[:2]
    runs.ask_for_run(corp, trigger="admin", actor="test", userid=first)
    assert run(corp, userid=second).state == "complete"
    with pytest.raises(runs.AlreadyRunning):
        run(corp, userid=first)


def test_queued_run_is_done_by_a_worker_through_the_same_function(corp: Corp, sim: Simulator) -> None:
    queued = runs.ask_for_run(corp, trigger="admin", actor="test")
    assert queued.state == "queued"
    drain()
    queued.refresh_from_db()
    assert queued.state == "complete"
    assert differences(corp, sim.world(corp.corpid)) == []


def test_killed_sync_resumes_and_ends_equal_to_the_world(
    corp: Corp, sim: Simulator, manage: Callable[..., tuple[int, Any]]
) -> None:
    sim.settings(page_limit=3, latency_ms=400)
    process = command("sync_contacts", "--corp", corp.corpid, CRM_SYNC_LEASE_SECONDS="30")
    while not SyncRun.objects.filter(pages__gte=3).exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = Contact.objects.count()
    assert before > 0
    assert manage("sync_contacts", "--corp", corp.corpid, "--json")[0] == 75
    sim.settings(latency_ms=0)
    SyncRun.objects.update(lease_until=timezone.now())  # as if the lease had lapsed
    code, report = manage("sync_contacts", "--corp", corp.corpid, "--json")
    assert (code, report["state"]) == (0, "complete")
    killed = SyncRun.objects.order_by("pk")[0]
    assert (killed.state, killed.resumed_by.pk) == ("interrupted", report["id"])
    assert differences(corp, sim.world(corp.corpid)) == []
    code, again = manage("sync_contacts", "--corp", corp.corpid, "--json")
    assert (code, again["new"], again["changed"], again["ended"]) == (0, 0, 0, 0)


def test_process_that_lost_its_lease_writes_nothing_more(corp: Corp, sim: Simulator) -> None:
    def steal(run: SyncRun) -> None:
        SyncRun.objects.filter(pk=run.pk).update(lease_token=None, state="interrupted")

    sim.settings(page_limit=3)
    done = sync.run_now(corp, trigger="command", actor="test", on_page=steal)
    assert (done.state, done.pages) == ("interrupted", 0)
    assert Contact.objects.count() == 0
