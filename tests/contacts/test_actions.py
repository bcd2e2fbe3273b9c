"""Contacts created here, and relations planned here, beside whatever else is going on."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from django_q.models import OrmQ

from contacts import actions, tasks
from contacts.follow_up import plan_follow_up
from contacts.models import Contact, Employee, FollowUser
from crm.errors import Invalid
from crm.models import Corp, Event
from crm.simulator.server import Simulator
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)
ADD = "externalcontact/add"


@pytest.fixture
def employee(direct_corp: Corp, sim: Simulator) -> Employee:
    return factories.employee(direct_corp, sim.world(direct_corp.corpid)["employees"][0]["userid"])


def create(corp: Corp, *userids: str, **fields: Any) -> Contact:
    user = factories.user()
    return actions.create_contact(
        user=user, actor="user:test", corp=corp, name="陈静", follow_user=userids, **fields
    )


def refused(corp: Corp, *userids: str, **fields: Any) -> list[tuple[str, str]]:
    with pytest.raises(Invalid) as caught:
        create(corp, *userids, **fields)
    return [(each.pointer, each.code) for each in caught.value.errors]


def beside(work: Callable[[], None]) -> threading.Thread:
    """Run `work` in another thread with a connection of its own."""

    def run() -> None:
        try:
            work()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_create_when_the_corp_is_off_then_refused(direct_corp: Corp, employee: Employee) -> None:
    direct_corp.is_active = False
    assert refused(direct_corp, employee.userid) == [("/corp", "inactive")]
    assert not Contact.objects.exists()


def test_push_when_the_corp_was_switched_off_then_the_provider_is_not_called(
    direct_corp: Corp, employee: Employee, sim: Simulator
) -> None:
    contact = create(direct_corp, employee.userid)
    Corp.objects.update(is_active=False)
    tasks.push_contact(contact.pk)
    contact.refresh_from_db()
    assert contact.state == "pending"
    assert sim.journal(corp=direct_corp.corpid) == []


def test_push_when_the_provider_answers_another_id_then_that_one_is_kept(
    direct_corp: Corp, employee: Employee, sim: Simulator
) -> None:
    sim.fault(api=ADD, fields={"external_contact": {"external_userid": "wmOTHER"}})
    contact = create(direct_corp, employee.userid, external_userid="wmMINE")
    tasks.push_contact(contact.pk)
    contact.refresh_from_db()
    assert (contact.state, contact.external_userid) == ("active", "wmOTHER")
    changes = Event.objects.get(verb="contact.updated").changes
    assert changes == {"state": ["pending", "active"], "external_userid": ["wmMINE", "wmOTHER"]}


def test_push_when_that_id_is_another_contact_then_failed_with_the_reason(
    direct_corp: Corp, employee: Employee, sim: Simulator
) -> None:
    factories.contact(direct_corp, "wmOTHER")
    sim.fault(api=ADD, fields={"external_contact": {"external_userid": "wmOTHER"}})
    contact = create(direct_corp, employee.userid)
    tasks.push_contact(contact.pk)
    contact.refresh_from_db()
    assert contact.state == "failed"
    assert contact.create_error == "id_taken: it was made as wmOTHER"


def test_create_when_another_wrote_the_same_id_meanwhile_then_exists(
    direct_corp: Corp, employee: Employee
) -> None:
    written, proceed = threading.Event(), threading.Event()

    def other() -> None:
        with transaction.atomic():
            factories.contact(direct_corp, "wmRACE")
            written.set()
            proceed.wait(1)

    thread = beside(other)
    written.wait(10)
    assert refused(direct_corp, employee.userid, external_userid="wmRACE") == [("/external_userid", "exists")]
    thread.join()
    assert Contact.objects.count() == 1


def test_create_when_userids_are_written_in_another_case_then_each_employee_follows_once(
    direct_corp: Corp,
) -> None:
    userid = factories.employee(direct_corp, "LinYue").userid
    contact = create(direct_corp, "linyue", "LINYUE", userid)
    assert [each.employee.userid for each in contact.follow_users.all()] == [userid]
    assert refused(direct_corp, "linyue", "nobody") == [("/follow_users/1", "not_found")]


def test_sweep_when_the_workers_are_slow_then_bells_do_not_pile_up(direct_corp: Corp) -> None:
    past = timezone.now() - timedelta(minutes=1)
    for _ in range(30):
        factories.contact(direct_corp, state="pending", updated_at=past)
    for _ in range(10):
        tasks.sweep()
    assert OrmQ.objects.count() == 20


def test_plan_when_a_sync_has_the_contact_then_it_waits_and_neither_fails(
    direct_corp: Corp, employee: Employee
) -> None:
    follow = factories.follow(factories.contact(direct_corp), employee)
    written, planning, failures = threading.Event(), threading.Event(), []

    def sync() -> None:
        try:
            with transaction.atomic():
                Contact.objects.update(name="改名")
                written.set()
                planning.wait(1)
                FollowUser.objects.update(remark="新备注")
        except Exception as error:
            failures.append(error)

    thread = beside(sync)
    written.wait(10)
    plan_follow_up(follow, user=factories.user(), actor="user:test", stage="won")
    thread.join()
    follow.refresh_from_db()
    assert failures == []
    assert (follow.stage, follow.remark, follow.contact.name) == ("won", "新备注", "改名")
