"""What people do at the provider, called out to a web server of ours, shows in the mirror (guarantees C3, C4)."""

import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import quantiles
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from contacts.models import FollowUser
from crm import queue
from crm.models import Corp
from crm.simulator.server import Simulator
from messaging import inbox, tasks
from messaging.models import Callback
from tests.contacts.house import run
from tests.messaging.wire import Wire
from tests.truth import differences

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def told(live_server: Any, sim: Simulator, corp: Corp) -> Iterator[Corp]:
    """A synced corp of either dialect whose app hears what people do."""
    yield from hearing(live_server, sim, corp)


@pytest.fixture
def official(live_server: Any, sim: Simulator, official_corp: Corp) -> Iterator[Corp]:
    yield from hearing(live_server, sim, official_corp)


def hearing(live_server: Any, sim: Simulator, corp: Corp) -> Iterator[Corp]:
    assert run(corp).state == "complete"
    credentials, agent = sim.corp(corp.dialect), corp.agents.get()
    agent.callback_token, agent.callback_aes_key = credentials["callback_token"], credentials["aes_key"]
    agent.save()
    sim.settings(verify_timeout=20, callback_timeout=20)  # a busy machine is no reason to fail
    sim.set_callback(corp.corpid, f"{live_server.url}/callbacks/{agent.uuid}/")
    yield corp
    sim.delete("/_sim/callbacks/")


def work_out(sim: Simulator) -> None:
    """All that was told, as the workers do, without their pauses."""
    sim.wait_for_callbacks(60)
    while Callback.objects.filter(state="queued").exists():
        Callback.objects.filter(state="queued").update(next_attempt_at=timezone.now())
        tasks.sweep()
        queue.drain()


def live(sim: Simulator, corp: Corp, number: int = 1) -> None:
    """People meet, take notes and part; so many of each."""
    world = sim.world(corp.corpid)
    staff = [each["userid"] for each in world["employees"] if each["contacts"]]
    pairs = [
        {"external_userid": each["external_userid"], "userid": each["follow_user"][0]["userid"]}
        for each in world["contacts"]
        if each["follow_user"]
    ]
    for n in range(number):
        sim.change(corp.corpid, "add_contact", name=f"新客户{n}", follow_user=[staff[n % len(staff)]])
        sim.change(corp.corpid, "edit_follow", **pairs[n], remark=f"备注{n}")
        sim.change(corp.corpid, "unfollow", **pairs[-1 - n])


def untrue(sim: Simulator, corp: Corp) -> list[str]:
    return differences(corp, sim.world(corp.corpid))


def are_doubted(untruths: list[str]) -> bool:
    """Whether nothing is untrue but relations that have ended, each of them missed once."""
    doubted = FollowUser.objects.current().exclude(absent_since=None)
    extra = [each for each in untruths if each.startswith("extra follow")]
    return all(each.startswith("extra") for each in untruths) and len(extra) == doubted.count()


def test_what_people_do_shows_without_a_sync(told: Corp, sim: Simulator) -> None:
    live(sim, told, 3)
    assert untrue(sim, told)
    work_out(sim)
    assert set(Callback.objects.values_list("state", flat=True)) == {"done"}
    if told.dialect == "direct":  # a listing that misses somebody is believed once a second one does, too
        assert are_doubted(untrue(sim, told))
        run(told)
    assert untrue(sim, told) == []


def test_lost_doubled_and_reordered_calls_are_healed_by_a_sync(told: Corp, sim: Simulator) -> None:
    sim.settings(callback_loss=0.3, callback_double=0.3, callback_reorder=0.3, callback_seed=3)
    live(sim, told, 8)
    work_out(sim)
    luck = [each["state"] for each in sim.callbacks(corp=told.corpid)]
    assert "lost" in luck
    assert untrue(sim, told)  # what the lost ones would have told
    run(told)
    assert are_doubted(untrue(sim, told))
    run(told)
    assert untrue(sim, told) == []


# --- while all else hangs


def endpoint(corp: Corp, sim: Simulator) -> Wire:
    credentials = sim.corp(corp.dialect)
    keys = {"token": credentials["callback_token"], "aes_key": credentials["aes_key"]}
    return Wire(corp.agents.get(), **keys)


def call_of(line: Wire, contact: str, number: int) -> tuple[str, bytes]:
    """Path and body of one genuine call."""
    sealed = line.encrypt(line.event(ExternalUserID=contact, UserID="", CreateTime=1735689600 + number))
    return f"{line.path}?{urlencode(line.query(sealed))}", line.outer(sealed).encode()


def some(sim: Simulator, corp: Corp, number: int) -> list[str]:
    told = [each for each in sim.world(corp.corpid)["contacts"] if each["follow_user"]]
    return [each["external_userid"] for each in told[:number]]


def test_a_call_asks_nobody_and_each_costs_the_same_few_queries(official: Corp, sim: Simulator) -> None:
    line, [contact] = endpoint(official, sim), some(sim, official, 1)
    before = len(sim.journal(corp=official.corpid))
    costs = []
    for number in range(30):
        path, body = call_of(line, contact, number)
        with CaptureQueriesContext(connection) as captured:
            answer = line.client.generic("POST", path, body, content_type="text/xml")
        assert answer.status_code == 200
        costs.append(len([each for each in captured if "SAVEPOINT" not in each["sql"]]))
    assert len(sim.journal(corp=official.corpid)) == before
    assert len(set(costs[1:])) == 1  # the first one rings the bell
    assert max(costs) <= 10


@pytest.mark.slow
def test_while_the_provider_hangs_500_calls_at_50_a_second_are_kept(
    official: Corp, sim: Simulator, live_server: Any, settings: Any
) -> None:
    settings.CRM_HTTP_TIMEOUTS = (1, 2, 4)
    line, contacts = endpoint(official, sim), some(sim, official, 20)
    sim.fault(api="externalcontact/get", kind="timeout", seconds=30, times=None)
    is_over = threading.Event()

    def work() -> None:
        """What a worker does, with its pauses left out: it always has the provider on the line."""
        while not is_over.is_set():
            inbox.handle(official.pk, turn_s=1)
            Callback.objects.filter(state="queued").update(next_attempt_at=timezone.now(), attempts=0)
        connection.close()

    def post(number: int) -> tuple[int, float]:
        path, body = call_of(line, contacts[number % len(contacts)], number)
        began = time.perf_counter()
        asked = urllib.request.Request(live_server.url + path, body, {"Content-Type": "text/xml"})
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return answer.status, time.perf_counter() - began

    with ThreadPoolExecutor(21) as pool:
        worker, starts = pool.submit(work), time.monotonic()
        calls = []
        for number in range(500):
            time.sleep(max(0.0, starts + number / 50 - time.monotonic()))
            calls.append(pool.submit(post, number))
        answers = [each.result() for each in calls]
        is_over.set()
        worker.result(timeout=60)
    print(f"p99 of 500 calls: {quantiles([took for _, took in answers], n=100)[98] * 1000:.0f} ms")
    assert [status for status, _ in answers] == [200] * 500
    assert Callback.objects.filter(state="queued").count() == 500
    assert sim.journal(corp=official.corpid, api="externalcontact/get")  # it was asked, and hung
    sim.clear_faults()
    Callback.objects.update(next_attempt_at=timezone.now())
    inbox.handle(official.pk)
    assert set(Callback.objects.values_list("state", flat=True)) == {"done"}
