"""What a genuine call makes us do: read again, once, and believe what was read (contract D3; guarantees C4, S9)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from contacts.models import Contact, Employee, FollowUser, SyncRun
from crm import queue
from crm.models import Corp, Event
from messaging import inbox, tasks
from messaging.models import Callback
from tests.messaging.house import House, house, wait_until
from tests.messaging.wire import Wire, wire, xml

GET = "externalcontact/get"


@pytest.fixture
def official(sim: Any, transactional_db: None) -> House:
    return house(sim, "official")


@pytest.fixture
def direct(sim: Any, transactional_db: None) -> House:
    return house(sim, "direct")


@pytest.fixture
def line(official: House) -> Wire:
    return wire(official.corp)


def about(line: Wire, contact: Contact, kind: str = "edit_external_contact", **more: Any) -> None:
    event = line.event(
        f"change_external_contact.{kind}", ExternalUserID=contact.external_userid, UserID="", **more
    )
    assert line.call(event).status_code == 200


def states() -> list[str]:
    return list(Callback.objects.order_by("pk").values_list("state", flat=True))


def test_an_edited_contact_is_read_again(official: House, line: Wire) -> None:
    contact = official.contacts[0]
    official.sim.change(
        official.corp.corpid, "edit_contact", external_userid=contact.external_userid, name="新名字"
    )
    about(line, contact)
    queue.drain()
    contact.refresh_from_db()
    assert (contact.name, states()) == ("新名字", ["done"])
    assert Event.objects.filter(verb="contact.updated", actor="callback").exists()


def test_many_calls_about_one_contact_cost_one_read(official: House, line: Wire) -> None:
    for number in range(20):
        about(line, official.contacts[0], CreateTime=1735689600 + number)
    queue.drain()
    assert states() == ["done"] * 20
    assert len(official.posts(GET)) == 1


def test_a_contact_that_nobody_follows_any_more_is_lost(official: House, line: Wire) -> None:
    contact = official.contacts[0]
    about(line, contact, "add_external_contact")
    queue.drain()
    Employee.objects.update(is_listed=True)  # as the directory says after a sync
    assert FollowUser.objects.current().filter(contact=contact).exists()
    for follow in FollowUser.objects.current().filter(contact=contact).select_related("employee"):
        official.sim.change(
            official.corp.corpid,
            "unfollow",
            external_userid=contact.external_userid,
            userid=follow.employee.userid,
        )
    about(line, contact, "del_external_contact")
    queue.drain()
    contact.refresh_from_db()
    assert contact.state == "lost"


def test_in_direct_the_employee_is_listed_again(direct: House) -> None:
    line = wire(direct.corp)
    follow = (
        FollowUser.objects.current().filter(contact=direct.contacts[0]).select_related("employee").first()
    )
    assert follow
    userid = follow.employee.userid
    event = line.event(
        "change_external_contact.edit_external_contact",
        UserID=userid,
        ExternalUserID=direct.contacts[0].external_userid,
    )
    line.call(event)
    queue.drain()
    run = SyncRun.objects.get()
    assert (run.userid, run.trigger, run.actor, run.state) == (userid, "callback", "callback", "complete")


def test_while_a_sync_is_at_it_the_call_waits_and_uses_no_try(direct: House) -> None:
    line = wire(direct.corp)
    SyncRun.objects.create(
        corp=direct.corp,
        trigger="admin",
        state="running",
        lease_until=timezone.now() + timedelta(minutes=1),
    )
    line.call(line.event("change_external_contact.edit_external_contact", UserID="a", ExternalUserID="wmA"))
    inbox.handle(direct.corp.pk)
    row = Callback.objects.get()
    assert (row.state, row.attempts) == ("queued", 0)
    assert row.next_attempt_at > timezone.now()


def test_while_the_provider_is_down_it_is_tried_again_and_then_shown(official: House, line: Wire) -> None:
    official.sim.fault(api=GET, kind="errcode", errcode=-1, times=None)
    about(line, official.contacts[0])
    for _ in range(inbox.MAX_TRIES):
        Callback.objects.update(next_attempt_at=timezone.now())
        inbox.handle(official.corp.pk)
    row = Callback.objects.get()
    assert (row.state, row.errcode, row.attempts) == ("failed", -1, inbox.MAX_TRIES)
    official.sim.clear_faults()
    assert inbox.replay(Callback.objects.all()) == 1
    queue.drain()
    assert states() == ["done"]


def test_what_a_lost_worker_had_in_hand_is_found_by_the_sweep(official: House, line: Wire) -> None:
    about(line, official.contacts[0])
    queue.OrmQ.objects.all().delete()
    assert inbox._claim(list(Callback.objects.all()), timezone.now() + inbox.HELD)  # and then it was killed
    tasks.sweep()
    assert queue.drain() == 0
    Callback.objects.update(next_attempt_at=timezone.now())
    tasks.sweep()
    assert queue.drain() == 1
    assert states() == ["done"]


def test_changed_tags_are_read_again(official: House, line: Wire) -> None:
    line.call(line.event("change_external_tag.update", Id="et1", TagType="tag"))
    queue.drain()
    assert states() == ["done"]
    assert official.posts("externalcontact/get_corp_tag_list")


def test_a_renamed_employee_stays_the_same_one(official: House, line: Wire) -> None:
    employee = Employee.objects.filter(corp=official.corp).order_by("pk").first()
    assert employee
    official.sim.change(official.corp.corpid, "edit_employee", userid=employee.userid, new_userid="renamed01")
    line.call(line.event("change_contact.update_user", UserID=employee.userid, NewUserID="renamed01"))
    queue.drain()
    employee.refresh_from_db()
    assert (employee.userid, states()) == ("renamed01", ["done"])
    assert Employee.objects.filter(corp=official.corp, userid="renamed01").count() == 1


def test_what_employees_write_is_kept_and_told(official: House, line: Wire) -> None:
    text = xml(
        ToUserName=line.corpid,
        FromUserName="zhang",
        CreateTime=1735689600,
        MsgType="text",
        Content="库存还有吗？",
        MsgId="7",
        AgentID=line.agent.agentid,
    )
    line.call(text)
    line.call(text)
    row = Callback.objects.get()
    assert (row.kind, row.userid, row.state) == ("text", "zhang", "done")
    event = Event.objects.get(verb="message.received")
    assert event.changes["content"] == [None, "库存还有吗？"]


@pytest.mark.parametrize(
    "kind", ["change_external_contact.new_kind_of_2027", "change_external_chat.update", "click"]
)
def test_what_is_not_known_is_kept_and_ignored(official: House, line: Wire, kind: str) -> None:
    assert line.call(line.event(kind, EventKey="menu")).status_code == 200
    queue.drain()
    assert states() == ["ignored"]


def test_while_the_corp_is_switched_off_its_calls_wait(official: House, line: Wire) -> None:
    Corp.objects.update(is_active=False)
    about(line, official.contacts[0])
    queue.drain()
    assert states() == ["queued"]
    Corp.objects.update(is_active=True)
    tasks.sweep()
    queue.drain()
    assert states() == ["done"]


def test_calls_are_forgotten_after_thirty_days(official: House, line: Wire) -> None:
    for number, contact in enumerate(official.contacts[:3]):
        about(line, contact, CreateTime=number)
    first, second, third = Callback.objects.order_by("pk")
    old = timezone.now() - timedelta(days=31)
    Callback.objects.filter(pk__in=[first.pk, second.pk]).update(received_at=old)
    Callback.objects.filter(pk=first.pk).update(state="done")
    assert tasks.forget_old_callbacks() == 1
    assert set(Callback.objects.all()) == {second, third}  # what is not worked out stays


def test_a_second_change_within_a_second_is_read_although_it_is_told_in_the_same_words(
    official: House, line: Wire
) -> None:
    contact = official.contacts[0]
    for name in ("一", "二"):
        official.sim.change(
            official.corp.corpid, "edit_contact", external_userid=contact.external_userid, name=name
        )
        about(line, contact, CreateTime=1735689600)
        queue.drain()
        contact.refresh_from_db()
        assert (contact.name, states()) == (name, ["done"])


def test_what_is_told_again_while_it_is_read_is_read_once_more(official: House, line: Wire) -> None:
    contact = official.contacts[0]
    about(line, contact, CreateTime=1735689600)
    official.sim.fault(api=GET, kind="delay", seconds=1.5)

    def read() -> None:
        inbox.handle(official.corp.pk)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        wait_until(lambda: Callback.objects.filter(attempts=1).exists())
        about(line, contact, CreateTime=1735689600)
        reading.result(timeout=30)
    queue.drain()
    assert states() == ["done"]
    assert len(official.posts(GET)) == 2
