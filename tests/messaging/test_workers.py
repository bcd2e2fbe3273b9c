"""Sending by real workers: what a restart leaves behind, and what a silent provider keeps waiting."""

import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from crm import queue
from crm.providers.content import Text
from messaging import outbox, tasks
from messaging.models import Message
from tests.conftest import command
from tests.messaging.house import House, house, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

Supervise = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def supervise() -> Iterator[Supervise]:
    """Start `supervise`; what is left of it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(**environment: str) -> "subprocess.Popen[str]":
        started.append(command("supervise", **environment))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def compose(house: House, ids: list[int]) -> Message:
    return outbox.compose(
        user=house.user, actor="user:test", corp=house.corp, contacts=ids, content=Text("您好")
    )


def test_restart_in_the_middle_of_a_message_leaves_nothing_uncertain(
    direct: House, supervise: Supervise
) -> None:
    direct.sim.settings(latency_ms=3000)
    message = compose(direct, direct.ids)
    first = supervise()
    wait_until(lambda: message.deliveries.filter(state="accepted").exists())
    first.send_signal(signal.SIGTERM)
    assert first.wait(15) == 0
    assert message.deliveries.counts().keys() == {"accepted", "queued"}
    direct.sim.settings(latency_ms=0)
    supervise()
    wait_until(lambda: message.deliveries.counts() == {"accepted": 5})
    assert len(direct.phones()) == 5


def test_provider_that_answers_no_poll_keeps_no_send_waiting(direct: House, supervise: Supervise) -> None:
    official = house(direct.sim, "official")
    for pk in official.ids:
        tasks.deliver(compose(official, [pk]).pk)
    queue.OrmQ.objects.all().delete()
    api = "externalcontact/get_groupmsg_send_result"
    direct.sim.fault(corp=official.corp.corpid, api=api, kind="timeout", seconds=60, times=None)
    tasks.poll_due()
    supervise(CRM_WORKERS="1")
    wait_until(lambda: official.posts(api))
    message = compose(direct, direct.ids[:1])
    wait_until(lambda: message.deliveries.get().state == "accepted", seconds=5)


def test_polls_have_a_lane_of_their_own_and_ring_once() -> None:
    for _ in range(3):
        tasks.poll_due()
    assert list(queue.OrmQ.objects.values_list("key", flat=True)) == ["poll"]
    assert queue.drain() == 1
