"""Who has just added an employee is welcomed: within 20 seconds, once, whatever is doubled, killed or slow."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from contacts.models import Contact, ContactWay
from crm import queue
from crm.models import Corp, Event
from crm.simulator.server import Simulator
from messaging import greeter, greetings, inbox, tasks
from messaging.models import Callback, Greeting, MediaFile, Welcome
from tests import factories
from tests.conftest import command
from tests.crm.test_supervise import children
from tests.messaging.house import House, house, wait_until

pytestmark = pytest.mark.django_db(transaction=True)

API = "externalcontact/send_welcome_msg"


@pytest.fixture
def told(live_server: Any, sim: Simulator) -> Iterator[House]:
    """An official corp whose app hears what people do; it welcomes everybody."""
    made = house(sim, "official")
    credentials, agent = sim.corp("official"), made.corp.agents.get()
    agent.callback_token, agent.callback_aes_key = credentials["callback_token"], credentials["aes_key"]
    agent.save()
    sim.settings(verify_timeout=20, callback_timeout=20)
    sim.set_callback(made.corp.corpid, f"{live_server.url}/callbacks/{agent.uuid}/")
    factories.welcome(made.corp, "欢迎")
    yield made
    sim.delete("/_sim/callbacks/")


def arrives(house: House, contact: str = "wmNew", userid: str = "", **more: Any) -> str:
    """Somebody adds an employee, and we have heard of it; who."""
    userid = userid or house.userids[0]
    fields = {"external_userid": contact, "name": "林梅", "follow_user": [{"userid": userid, **more}]}
    house.sim.change(house.corp.corpid, "add_contact", **fields)
    house.sim.wait_for_callbacks(60)
    return contact


def welcomes(house: House, to: str = "wmNew") -> list[str]:
    """What arrived on the phone of a new contact."""
    told = house.sim.messages(corp=house.corp.corpid, to=to)
    return [each["content"]["text"] for each in told if each["msgtype"] == "welcome"]


def say() -> None:
    """What the worker of the lane does; by itself it never waits longer than the test."""
    greeter.greet(turn_s=10)


def the_one() -> Greeting:
    return Greeting.objects.get()


def late(seconds: float = 60) -> None:
    """Let so much of the time of every greeting have passed."""
    for row in Greeting.objects.all():
        row.deadline -= timedelta(seconds=seconds)
        row.created_at -= timedelta(seconds=seconds)
        row.next_attempt_at = row.next_attempt_at and row.next_attempt_at - timedelta(seconds=seconds)
        row.save()


# --- said, once


def test_who_adds_an_employee_is_welcomed_once(told: House) -> None:
    arrives(told)
    queue.drain()
    tasks.sweep()
    assert welcomes(told) == ["欢迎"]
    row = the_one()
    assert (row.state, row.attempts, row.code, row.contact and row.contact.external_userid) == (
        "accepted",
        1,
        "",
        "wmNew",
    )
    assert (row.welcome_code, row.employee.userid) == ("", told.userids[0])
    queue.drain()
    tasks.sweep()
    assert len(told.posts(API)) == 1


def test_it_stands_in_the_history_of_the_contact_even_if_that_is_read_later(told: House) -> None:
    arrives(told)
    say()
    tasks.sweep()
    assert not Event.objects.filter(verb="greeting.accepted").exists()
    inbox.handle(told.corp.pk)
    tasks.sweep()
    event = Event.objects.get(verb="greeting.accepted")
    assert event.contact_id == Contact.objects.get(external_userid="wmNew").pk
    tasks.sweep()
    assert Event.objects.filter(verb="greeting.accepted").count() == 1


def test_doubled_and_reordered_calls_greet_once_each(told: House) -> None:
    told.sim.settings(callback_double=1.0, callback_reorder=0.5, callback_reorder_seconds=0.3)
    who = [arrives(told, f"wm{n}", told.userids[n % 3]) for n in range(4)]
    queue.drain()
    assert [welcomes(told, each) for each in who] == [["欢迎"]] * 4
    assert len(told.posts(API)) == 4


def test_half_added_and_then_added_back_is_greeted_once(told: House) -> None:
    arrives(told, half=True)
    say()
    told.sim.change(told.corp.corpid, "add_back", external_userid="wmNew", userid=told.userids[0])
    told.sim.wait_for_callbacks()
    say()
    assert welcomes(told) == ["欢迎"]
    states = list(Greeting.objects.order_by("pk").values_list("state", "code"))
    assert states == [("accepted", ""), ("failed", "welcomed_already")]


def test_who_parts_and_comes_back_is_greeted_again(told: House) -> None:
    pair = {"external_userid": arrives(told), "userid": told.userids[0]}
    queue.drain()
    told.sim.change(told.corp.corpid, "unfollow", **pair)
    told.sim.wait_for_callbacks()
    queue.drain()
    Contact.objects.filter(external_userid="wmNew").update(state="lost", updated_at=timezone.now())
    told.sim.change(told.corp.corpid, "follow", **pair)
    told.sim.wait_for_callbacks()
    say()
    assert welcomes(told) == ["欢迎", "欢迎"]


def test_two_workers_at_once_greet_each_once(told: House) -> None:
    who = [arrives(told, f"wm{n}") for n in range(6)]

    def work(_n: int) -> None:
        try:
            say()
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    assert [welcomes(told, each) for each in who] == [["欢迎"]] * 6
    assert set(Greeting.objects.values_list("state", "attempts")) == {("accepted", 1)}


# --- the races of the code


def test_answer_that_was_lost_is_asked_for_again_and_counts_as_delivered(told: House) -> None:
    told.sim.fault(api=API, kind="after")
    arrives(told)
    say()
    assert welcomes(told) == ["欢迎"]
    row = the_one()
    assert (row.state, row.code, row.errcode, row.attempts) == ("accepted", "welcomed_by_us", 41051, 2)


def test_they_talk_already_then_it_has_failed_and_is_not_tried_again(told: House) -> None:
    pair = {"external_userid": arrives(told), "userid": told.userids[0]}
    told.sim.change(told.corp.corpid, "chat", **pair)
    say()
    say()
    row = the_one()
    assert (row.state, row.code, row.errcode) == ("failed", "welcomed_already", 41051)
    assert len(told.posts(API)) == 1


def test_another_app_is_sending_then_it_is_tried_again_within_the_time(told: House) -> None:
    told.sim.fault(api=API, kind="errcode", errcode=41096, times=2)
    arrives(told)
    say()
    assert (welcomes(told), the_one().state, the_one().attempts) == (["欢迎"], "accepted", 3)


def test_after_another_was_sending_41051_means_that_it_was_delivered(told: House) -> None:
    told.sim.fault(api=API, kind="errcode", errcode=41096, times=1)
    told.sim.fault(api=API, kind="errcode", errcode=41051, times=1)
    arrives(told)
    say()
    assert (the_one().state, the_one().attempts) == ("accepted", 2)


@pytest.mark.parametrize(
    ("errcode", "state"),
    [(41050, "expired"), (41053, "failed"), (40201, "failed"), (48002, "failed"), (84061, "failed")],
)
def test_a_refusal_ends_it_and_says_why(told: House, errcode: int, state: str) -> None:
    told.sim.fault(api=API, kind="errcode", errcode=errcode, times=None)
    arrives(told)
    say()
    assert (the_one().state, the_one().errcode) == (state, errcode)
    assert len(told.posts(API)) == 1


def test_a_code_that_is_too_old_for_the_provider_has_expired(told: House) -> None:
    arrives(told)
    told.sim.advance(25)
    say()
    row = the_one()
    assert (row.state, row.errcode, welcomes(told)) == ("expired", 41050, [])


def test_a_pause_of_the_provider_longer_than_the_time_ends_it(told: House) -> None:
    told.sim.fault(api=API, kind="errcode", errcode=45009, times=None)
    arrives(told)
    say()
    assert (the_one().state, the_one().errcode, len(told.posts(API))) == ("expired", 45009, 1)


# --- too late


def test_nobody_is_greeted_after_the_time(told: House) -> None:
    arrives(told)
    late()
    tasks.sweep()
    queue.drain()
    row = the_one()
    assert (row.state, row.code, told.posts(API)) == ("expired", "no_worker", [])


def test_no_last_try_is_begun_that_would_come_too_late(told: House) -> None:
    arrives(told)
    [hand] = greetings.claim(1)
    late(19)
    assert not greetings.speak(hand)
    greetings.release(hand)
    say()
    assert (the_one().state, told.posts(API)) == ("expired", [])


def test_what_may_have_been_said_is_uncertain_when_the_time_is_over(told: House) -> None:
    told.sim.fault(api=API, kind="after", times=None)
    arrives(told)
    [hand] = greetings.claim(1)
    assert greetings.speak(hand)
    late()
    tasks.sweep()
    assert (the_one().state, the_one().code, told.posts(API)) == ("uncertain", "worker_lost", [])


def test_a_late_call_leaves_only_what_is_left_of_the_time(told: House) -> None:
    told.sim.settings(callback_delay=3)
    began = time.time()
    arrives(told)
    left = the_one().deadline.timestamp() - began
    assert 15.5 < left <= 18.5  # of the event, not of the call


@pytest.mark.parametrize("seconds", [-86_400, -200, 200, 86_400])
def test_a_clock_that_is_wrong_costs_nobody_the_greeting(told: House, seconds: float) -> None:
    told.sim.advance(seconds)
    arrives(told)
    say()
    assert welcomes(told) == ["欢迎"]


def test_a_slow_provider_keeps_nobody_waiting_for_the_others(told: House) -> None:
    told.sim.fault(api=API, kind="delay", seconds=1, times=None)
    who = [arrives(told, f"wm{n}") for n in range(6)]
    began = time.monotonic()
    say()
    assert time.monotonic() - began < 4
    assert [welcomes(told, each) for each in who] == [["欢迎"]] * 6


def test_a_file_that_another_worker_still_uploads_is_waited_for_without_holding_the_lane(told: House) -> None:
    file = factories.media_file(told.corp, uploading_until=timezone.now() + timedelta(seconds=90))
    image = [{"msgtype": "image", "image": {"media_id": f"library:{file.pk}"}}]
    with_file = {"msgtype": "text", "text": {"content": "图"}, "attachments": image}
    staff = [told.corp.employees.get(userid=told.userids[1])]
    factories.welcome(told.corp, content=with_file, scope="employees", employees=staff)
    arrives(told, "wmFile", told.userids[1])
    arrives(told, "wmText")
    greeter.greet(turn_s=0.2)
    assert (welcomes(told, "wmText"), welcomes(told, "wmFile")) == (["欢迎"], [])
    MediaFile.objects.update(uploading_until=None)
    say()
    assert welcomes(told, "wmFile") == ["图"]


# --- kills


def test_worker_lost_before_it_spoke_is_replaced_in_time(told: House) -> None:
    arrives(told)
    queue.OrmQ.objects.all().delete()
    assert greetings.claim(1)  # and then it was killed
    tasks.sweep()
    assert not queue.OrmQ.objects.filter(key=greetings.LANE).exists()
    Greeting.objects.update(next_attempt_at=timezone.now())  # its lease has lapsed
    tasks.sweep()
    queue.drain()
    assert (welcomes(told), the_one().state, the_one().attempts) == (["欢迎"], "accepted", 2)


def test_worker_lost_between_speaking_and_recording_greets_once(told: House) -> None:
    arrives(told)
    queue.OrmQ.objects.all().delete()
    [hand] = greetings.claim(1)
    assert greetings.speak(hand)
    turn = greeter.Turn()
    provider = turn._provider(hand.greeting)
    provider.send_welcome(provider.welcome_body(hand.content, welcome_code=hand.greeting.welcome_code))
    assert the_one().state == "sending"  # and then it was killed
    Greeting.objects.update(next_attempt_at=timezone.now())
    tasks.sweep()
    queue.drain()
    row = the_one()
    assert (welcomes(told), row.state, row.code) == (["欢迎"], "accepted", "welcomed_by_us")
    greetings.finish(hand, None)  # it was only slow, and comes back: the end is not written twice
    tasks.sweep()
    assert Event.objects.filter(verb="greeting.accepted").count() <= 1


# --- who is not greeted


def test_who_asked_not_to_be_written_to_is_not_greeted(told: House) -> None:
    Contact.objects.create(corp=told.corp, external_userid="wmNew", opted_out_at=timezone.now(), state="lost")
    arrives(told)
    say()
    assert (the_one().state, the_one().code, told.posts(API)) == ("cancelled", "opted_out", [])


def test_who_asks_so_in_the_last_moment_is_not_greeted(told: House) -> None:
    known = Contact.objects.create(corp=told.corp, external_userid="wmNew")
    arrives(told)
    [hand] = greetings.claim(1)
    told.opt(known, out=True)
    assert not greetings.speak(hand)
    greetings.release(hand)
    say()
    assert (the_one().state, told.posts(API)) == ("cancelled", [])


def test_who_was_lost_since_is_not_greeted(told: House) -> None:
    arrives(told)
    lost_at = timezone.now()
    Contact.objects.create(corp=told.corp, external_userid="wmNew", state="lost", updated_at=lost_at)
    say()
    assert (the_one().code, told.posts(API)) == ("lost", [])


@pytest.mark.parametrize("switch", [{"is_sending_paused": True}, {"is_active": False}])
def test_a_corp_that_rests_greets_nobody(told: House, switch: dict[str, bool]) -> None:
    arrives(told)
    Corp.objects.update(**switch)
    say()
    assert the_one().state == "queued"
    late()
    tasks.sweep()
    expected = "corp_paused" if "is_sending_paused" in switch else "corp_off"
    assert (the_one().state, the_one().code, told.posts(API)) == ("expired", expected, [])


def test_quiet_hours_hold_no_greeting(told: House, settings: Any) -> None:
    now = timezone.localtime()
    settings.CRM_QUIET_HOURS = ((now - timedelta(hours=1)).time(), (now + timedelta(hours=1)).time())
    arrives(told)
    say()
    assert welcomes(told) == ["欢迎"]


def test_without_a_welcome_or_a_code_nothing_is_written(told: House) -> None:
    told.sim.change(told.corp.corpid, "add_contact", type=2, follow_user=[told.userids[0]])
    Welcome.objects.update(is_active=False)
    arrives(told)
    assert Callback.objects.count() == 2
    assert not Greeting.objects.exists()


# --- which welcome, in which words


def test_the_contact_ways_welcome_goes_before_the_employees_and_that_before_the_corps(told: House) -> None:
    first, second, third = (told.corp.employees.get(userid=each) for each in told.userids[:3])
    way = ContactWay.objects.create(corp=told.corp, campaign="展会")
    factories.welcome(told.corp, "展会欢迎", scope="way", way=way)
    factories.welcome(told.corp, "我是{employee.name}", scope="employees", employees=[first, second])
    arrives(told, "wmA", first.userid, state=way.token)
    arrives(told, "wmB", second.userid.upper(), state="rm_unknown")
    arrives(told, "wmC", third.userid)
    queue.drain()
    assert welcomes(told, "wmA") == ["展会欢迎"]
    assert welcomes(told, "wmB") == [f"我是{second.name}"]
    assert welcomes(told, "wmC") == ["欢迎"]


def named(house: House) -> None:
    Welcome.objects.update(is_active=False)
    factories.welcome(house.corp, "您好{contact.name}，我是{employee.name}", instead_of_name="朋友")


def test_the_name_is_waited_for_as_long_as_the_inbox_may_take(told: House) -> None:
    named(told)
    arrives(told)
    timer = threading.Timer(1, lambda: (inbox.handle(told.corp.pk), connection.close()))
    timer.start()
    say()
    timer.join()
    assert welcomes(told) == [f"您好林梅，我是{the_one().employee.name}"]


def test_a_name_that_does_not_come_is_done_without(told: House) -> None:
    named(told)
    arrives(told)
    late(7)
    say()
    assert welcomes(told)[0].startswith("您好朋友，")


def test_a_name_too_long_for_the_text_is_done_without(told: House) -> None:
    Welcome.objects.update(is_active=False)
    factories.welcome(told.corp, "字" * 1330 + "{contact.name}", instead_of_name="您")
    Contact.objects.create(corp=told.corp, external_userid="wmNew", name="名" * 20)
    arrives(told)
    say()
    assert welcomes(told) == ["字" * 1330 + "您"]


def test_a_welcome_carries_attachments_and_files_of_the_library(told: House) -> None:
    Welcome.objects.update(is_active=False)
    file = factories.media_file(told.corp, "image")
    attachments = [
        {"msgtype": "image", "image": {"media_id": f"library:{file.pk}"}},
        {"msgtype": "link", "link": {"title": "目录", "url": "https://a.example/"}},
    ]
    content = {"msgtype": "text", "text": {"content": "欢迎"}, "attachments": attachments}
    factories.welcome(told.corp, content=content)
    Corp.objects.update(is_active=False)
    assert greeter.keep_files() == 0  # a corp that is switched off is asked nothing
    Corp.objects.update(is_active=True)
    assert greeter.keep_files() == 1  # uploaded before anybody comes
    uploads = len(told.posts("media/upload"))
    arrives(told)
    say()
    [message] = told.sim.messages(corp=told.corp.corpid, to="wmNew")
    assert [each["msgtype"] for each in message["content"]["attachments"]] == ["image", "link"]
    assert len(told.posts("media/upload")) == uploads == 1


def test_a_file_that_the_provider_forgot_is_uploaded_again_in_time(told: House) -> None:
    Welcome.objects.update(is_active=False)
    file = factories.media_file(
        told.corp, media_id="forgotten", uploaded_at=timezone.now() - timedelta(hours=1)
    )
    image = [{"msgtype": "image", "image": {"media_id": f"library:{file.pk}"}}]
    factories.welcome(
        told.corp, content={"msgtype": "text", "text": {"content": "欢迎"}, "attachments": image}
    )
    arrives(told)
    say()
    assert (welcomes(told), the_one().state, the_one().attempts) == (["欢迎"], "accepted", 2)


def test_a_mini_program_notice_welcomes_with_its_cover(told: House) -> None:
    Welcome.objects.update(is_active=False)
    notice = {"appid": "wx00000000000000aa", "title": "商城", "page": "pages/index"}
    factories.welcome(told.corp, content={"msgtype": "miniprogram_notice", "miniprogram_notice": notice})
    arrives(told)
    say()
    [message] = told.sim.messages(corp=told.corp.corpid, to="wmNew")
    assert message["content"]["attachments"][0]["msgtype"] == "miniprogram"


# --- in time, with real processes


@pytest.fixture
def supervise() -> Iterator[Any]:
    started = []

    def start(**environment: str) -> Any:
        started.append(command("supervise", **environment))
        wait_until(lambda: len(children(started[-1].pid)) == 8)
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def seconds_until_welcomed(house: House, contact: str) -> float:
    began = time.monotonic()
    house.sim.change(
        house.corp.corpid, "add_contact", external_userid=contact, follow_user=[house.userids[0]]
    )
    wait_until(lambda: welcomes(house, contact), seconds=25)
    return time.monotonic() - began


def test_from_the_scan_to_the_phone_while_reads_and_sends_hang(told: House, supervise: Any) -> None:
    named(told)
    supervise()
    quick = [seconds_until_welcomed(told, f"wmQuick{n}") for n in range(2)]
    for api in ("externalcontact/get", "externalcontact/add_msg_template"):
        told.sim.fault(api=api, kind="timeout", seconds=60, times=None)
    told.compose()
    hanging = [seconds_until_welcomed(told, "wmHang")]
    print(f"from scan to phone: {quick}, while reads and sends hang (no name comes): {hanging}")
    assert max(quick) < 10
    assert max(hanging) < 15
    wait_until(lambda: not Greeting.objects.exclude(state="accepted").exists())
    assert set(Greeting.objects.values_list("attempts", flat=True)) == {1}


@pytest.mark.slow
def test_workers_killed_in_the_middle_greet_once_and_in_time(told: House, supervise: Any) -> None:
    process = supervise()
    told.sim.fault(api=API, kind="delay", seconds=3, times=1)
    told.sim.change(told.corp.corpid, "add_contact", external_userid="wmNew", follow_user=[told.userids[0]])
    wait_until(lambda: told.posts(API) or Greeting.objects.filter(spoke_at__isnull=False))
    for pid in children(process.pid):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: Greeting.objects.filter(state="accepted"), seconds=25)
    assert welcomes(told) == ["欢迎"]
