"""What happens to one of several calls that a worker has under way, or to all of them at once.

Each fault alone is in test_fault_table.py; all of them under a stream of messages in test_fault_driver.py.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from crm.models import Pace
from messaging import control, tasks
from messaging.models import Attempt, Message
from tests import factories
from tests.conftest import command
from tests.messaging.house import House, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

API: Final = "externalcontact/message/send"
CALLS: Final = settings.CRM_SEND_CALLS  # at a time
MANY: Final = 30


@pytest.fixture
def message(direct: House) -> Message:
    """To so many contacts that most of their calls are made while others are under way."""
    others = direct.sim.world(direct.corp.corpid)["contacts"][len(direct.contacts) :]
    direct.contacts += [factories.contact(direct.corp, each["external_userid"]) for each in others]
    direct.contacts = direct.contacts[:MANY]
    return direct.compose()


@contextmanager
def beside(work: Callable[[], object]) -> Iterator[None]:
    """Done by a thread while the test goes on; the test ends with it."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join(30)
    assert not thread.is_alive()
    assert raised == []


def under_way() -> int:
    return Attempt.objects.filter(spoke_at__isnull=False, finished_at__isnull=True).count()


def most_at_once(message: Message) -> int:
    times = list(message.tries.exclude(spoke_at=None).values_list("spoke_at", "finished_at"))
    return max(sum(began <= at < ended for began, ended in times) for at, _ in times)


def receivers(house: House) -> list[str]:
    return [each["body"]["touser"] for each in house.posts(API)]


def told(message: Message, to: str) -> Any:
    return message.deliveries.values_list("state", "code", "errcode").get(to=to)


def assert_nothing_open(message: Message) -> None:
    assert not message.tries.filter(finished_at__isnull=True).exists()
    assert not message.deliveries.filter(state="sending").exists()


@pytest.mark.slow
def test_a_fault_of_one_call_leaves_the_others_under_way_alone(
    direct: House, message: Message, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "CRM_HTTP_TIMEOUTS", (0.5, 0.5, 1.0))
    direct.sim.settings(latency_ms=30)
    to = [each.external_userid for each in direct.contacts]
    faults = {
        to[10]: ({"kind": "timeout", "seconds": 1.2}, ("uncertain", "timeout", None)),
        to[11]: ({"kind": "reset"}, ("uncertain", "network", None)),
        to[12]: ({"kind": "truncated"}, ("uncertain", "truncated", None)),
        to[13]: ({"kind": "html", "status": 200}, ("uncertain", "not_json", None)),
        to[14]: ({"kind": "errcode", "errcode": 84061}, ("failed", "", 84061)),
        to[15]: ({"kind": "fields", "fields": {"errcode": "ok"}}, ("uncertain", "not_json", None)),
    }
    for userid, (fault, _) in faults.items():
        direct.sim.fault(api=API, corp=direct.corp.corpid, match={"userid": userid}, **fault)
    tasks.deliver(message.pk)
    assert most_at_once(message) == CALLS
    assert {each: told(message, each) for each in faults} == {each: end for each, (_, end) in faults.items()}
    assert {told(message, each) for each in to if each not in faults} == {("accepted", "", 0)}
    assert sorted(receivers(direct)) == sorted(to)
    assert set(message.deliveries.values_list("attempts", flat=True)) == {1}
    assert_nothing_open(message)


on_postgresql = pytest.mark.skipif(
    "postgres" not in settings.DATABASES["default"]["ENGINE"], reason="SQLite has no connection to break"
)


def broken_connections(where: str = "TRUE") -> int:
    """End what else is connected to the test database; how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = current_database() AND pid <> pg_backend_pid() AND {where}"
        )
        return cursor.rowcount


def assert_each_got_it_once(house: House, message: Message) -> None:
    assert message.deliveries.counts() == {"accepted": MANY}
    assert sorted(receivers(house)) == sorted(each.external_userid for each in house.contacts)
    assert_nothing_open(message)


@on_postgresql
def test_answers_are_recorded_though_the_connection_of_the_worker_breaks(
    direct: House, message: Message
) -> None:
    direct.sim.settings(latency_ms=300)
    with beside(lambda: tasks.deliver(message.pk)):
        for _ in range(3):
            wait_until(lambda: under_way() > 2)
            wait_until(broken_connections)
    assert_each_got_it_once(direct, message)


@on_postgresql
def test_answers_are_recorded_though_the_connection_breaks_in_a_claim(
    direct: House, message: Message
) -> None:
    direct.sim.settings(latency_ms=100)
    with beside(lambda: tasks.deliver(message.pk)):
        wait_until(lambda: under_way() > 1)
        with transaction.atomic():
            list(Pace.objects.select_for_update().filter(key__endswith=":recipients"))
            wait_until(lambda: broken_connections("wait_event_type = 'Lock'"))
    assert_each_got_it_once(direct, message)


def test_a_worker_that_is_stopped_records_its_calls_and_gives_back_the_others_uncounted(
    direct: House, message: Message
) -> None:
    direct.sim.settings(latency_ms=1000)
    process = command("supervise", CRM_WORKERS="1")
    try:
        wait_until(lambda: under_way() > 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.communicate()
    posted = receivers(direct)
    assert len(posted) == len(set(posted))
    assert message.deliveries.counts() == {"accepted": len(posted), "queued": MANY - len(posted)}
    assert set(message.deliveries.filter(state="queued").values_list("attempts", "code")) == {(0, "")}
    assert_nothing_open(message)
    direct.sim.settings(latency_ms=0)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": MANY}
    assert len(receivers(direct)) == len(direct.phones()) == MANY


def pause(house: House, message: Message) -> None:
    control.pause(message, user=house.user, actor="user:test")


def pause_corp(house: House, message: Message) -> None:
    type(house.corp).objects.update(is_sending_paused=True)


def cancel(house: House, message: Message) -> None:
    control.cancel(message, user=house.user, actor="user:test")


def opt_all_out(house: House, message: Message) -> None:
    for each in house.contacts:
        house.opt(each, out=True)


@pytest.mark.parametrize(
    ("act", "left"),
    [(pause, "queued"), (pause_corp, "queued"), (cancel, "cancelled"), (opt_all_out, "cancelled")],
)
def test_what_people_decide_while_calls_are_under_way_acts_within_five_seconds(
    direct: House, message: Message, act: Callable[[House, Message], None], left: str
) -> None:
    direct.sim.settings(latency_ms=600)
    with beside(lambda: tasks.deliver(message.pk)):
        wait_until(lambda: under_way() > 2)
        act(direct, message)
        decided = timezone.now()
    assert (timezone.now() - decided).total_seconds() < 5
    if left == "cancelled":
        tasks.deliver(message.pk)  # what was given back
    posted = receivers(direct)
    assert message.deliveries.counts() == {"accepted": len(posted), left: MANY - len(posted)}
    assert len(posted) == len(set(posted)) == message.tries.filter(spoke_at__isnull=False).count()
    assert set(message.deliveries.filter(state=left).values_list("attempts", flat=True)) == {0}
    assert_nothing_open(message)
    tasks.deliver(message.pk)
    tasks.sweep()
    assert len(receivers(direct)) == len(posted)
