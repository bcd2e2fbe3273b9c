"""How much the provider lets us send (guarantees M7): told by a preview, kept when it is sent."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from contacts.models import SyncRun
from crm.env import parse_mass_cap
from crm.errors import Invalid
from crm.models import Corp
from crm.providers.content import Text
from messaging import claims, outbox, quota, tasks
from messaging.models import Attempt, DayUse, Delivery, Message
from messaging.outbox import Preview
from messaging.waits import Waits, Why
from tests import factories
from tests.messaging.house import House

SEND = "message/send"


@pytest.fixture
def noon(official: House) -> House:
    """Where it is about noon: no test runs over midnight."""
    ahead = 12 - timezone.now().hour
    Corp.objects.update(time_zone=f"Etc/GMT{-ahead:+d}")
    official.corp.refresh_from_db()
    return official


def preview(house: House, **to: Any) -> Preview:
    to = to or {"contacts": house.ids}
    return outbox.preview(user=house.user, corp=house.corp, content=Text("您好"), **to)


def excluded(house: House) -> dict[str, str]:
    return {each.to: each.code for each in preview(house).excluded}


def to_all_employees(house: House) -> Message:
    return house.compose(contacts=(), employees=house.userids)


def is_tomorrow(house: House) -> None:
    """A day goes by for the rows, and for the simulator."""
    day = timedelta(days=1)
    for row in Attempt.objects.all():
        Attempt.objects.filter(pk=row.pk).update(started_at=row.started_at - day)
    for use in DayUse.objects.all():
        DayUse.objects.filter(pk=use.pk).update(counted_at=use.counted_at and use.counted_at - day)
    Delivery.objects.filter(state="queued").update(next_attempt_at=timezone.now())
    house.sim.advance(86_400)


# --- mass sends to one contact
@pytest.mark.parametrize("cap", [(1, "day"), (1, "month")])
def test_a_contact_that_got_as_many_as_the_cap_is_left_out_and_refused(
    noon: House, settings: Any, cap: tuple[int, str]
) -> None:
    settings.CRM_MASS_CAP = cap
    tasks.deliver(noon.compose(contacts=noon.ids[:1]).pk)
    assert excluded(noon) == {noon.contacts[0].external_userid: "over_cap"}
    with pytest.raises(Invalid) as caught:
        noon.compose()
    assert [(each.pointer, each.code) for each in caught.value.errors] == [("/to/contacts/0", "over_cap")]
    assert Message.objects.count() == 1


@pytest.mark.parametrize(
    ("state", "code", "counts"),
    [
        ("queued", "", True),
        ("sending", "", True),
        ("accepted", "", True),
        ("delivered", "", True),
        ("uncertain", "", True),
        ("refused", "over_cap", True),
        ("refused", "not_friend", False),
        ("failed", "", False),
        ("cancelled", "", False),
    ],
)
def test_what_has_arrived_or_may_have_counts_against_the_cap(
    noon: House, settings: Any, state: str, code: str, *, counts: bool
) -> None:
    settings.CRM_MASS_CAP = (1, "day")
    noon.compose(contacts=noon.ids[:1]).deliveries.update(state=state, code=code)
    assert bool(excluded(noon)) == counts


def test_the_providers_over_cap_is_believed_although_we_sent_less(noon: House) -> None:
    noon.compose(contacts=noon.ids[:1]).deliveries.update(state="refused", code="over_cap")
    assert set(excluded(noon).values()) == {"over_cap"}


@pytest.mark.parametrize("period", ["day", "month"])
def test_the_cap_begins_anew_with_the_calendar_of_the_corp(noon: House, settings: Any, period: str) -> None:
    settings.CRM_MASS_CAP = (1, period)
    message = noon.compose(contacts=noon.ids[:1])
    begin = quota.mass_cap(noon.corp).begin
    assert begin.astimezone(noon.corp.zone).strftime("%H:%M") == "00:00"
    message.deliveries.update(state="delivered", updated_at=begin)
    assert excluded(noon)
    message.deliveries.update(updated_at=begin - timedelta(seconds=1))
    assert not excluded(noon)


def test_what_waits_for_the_next_period_does_not_count(noon: House, settings: Any) -> None:
    settings.CRM_MASS_CAP = (1, "day")
    noon.compose(contacts=noon.ids[:1], not_before=quota.mass_cap(noon.corp).end)
    assert not excluded(noon)


def test_the_newest_rule_is_as_many_as_the_month_has_days(noon: House) -> None:
    cap = quota.mass_cap(noon.corp)
    assert (cap.period, cap.limit, (cap.end - cap.begin).days) == ("month", cap.limit, cap.limit)
    assert 28 <= cap.limit <= 31


def test_a_preview_tells_the_least_that_is_left_and_for_whom_it_is_the_last(
    noon: House, settings: Any
) -> None:
    settings.CRM_MASS_CAP = (3, "month")
    for ids in (noon.ids[:2], noon.ids[:2], noon.ids[:3]):
        noon.compose(contacts=ids[-1:] if len(ids) == 3 else ids)
    told = preview(noon).quota
    assert told is not None
    assert (told.kind, told.period, told.limit, told.used, told.left, told.last) == (
        "mass",
        "month",
        3,
        2,
        1,
        2,
    )


def test_the_cap_costs_one_query_however_many_contacts(noon: House) -> None:
    noon.compose()

    def cost(n: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            preview(noon, contacts=noon.ids[:n])
        return len(captured)

    assert cost(1) == cost(5)


def test_a_contact_that_is_written_to_directly_has_no_cap(direct: House, settings: Any) -> None:
    settings.CRM_MASS_CAP = (1, "day")
    tasks.deliver(direct.compose().pk)
    told = preview(direct)
    assert (len(told.recipients), told.quota) == (5, None)


@pytest.mark.parametrize("text", ["", "5", "0/day", "-1/day", "1/week", "x/month", "days/day", "１/day"])
def test_a_cap_that_cannot_be_read_stops_the_start(text: str) -> None:
    with pytest.raises(Exception, match="CRM_MASS_CAP"):
        parse_mass_cap(text)


def test_a_cap_is_read() -> None:
    assert [parse_mass_cap(each) for each in ("1/day", " 4/month ", "days/month")] == [
        (1, "day"),
        (4, "month"),
        (None, "month"),
    ]


# --- messages of an app to employees
def test_what_exceeds_todays_quota_waits_for_tomorrow_and_then_goes_out(noon: House, settings: Any) -> None:
    settings.CRM_APP_DAILY_QUOTA = 2
    noon.sim.settings(app_per_day=2)
    message = to_all_employees(noon)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 2, "queued": 1}
    waits = message.deliveries.filter(state="queued").values_list("next_attempt_at", "attempts")
    tomorrow = (timezone.now().astimezone(noon.corp.zone) + timedelta(days=1)).date()
    assert {(at.astimezone(noon.corp.zone).date(), tries) for at, tries in waits} == {(tomorrow, 0)}
    (wait,) = Waits(Message.objects.select_related("corp").get(pk=message.pk), timezone.now()).counted()
    assert (wait.why, wait.count) == (Why.QUOTA, 1)
    is_tomorrow(noon)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 3}
    assert 45009 not in {each["errcode"] for each in noon.posts(SEND)}


def test_a_preview_tells_what_is_left_of_today_and_how_many_wait(noon: House, settings: Any) -> None:
    settings.CRM_APP_DAILY_QUOTA = 5
    tasks.deliver(to_all_employees(noon).pk)
    told = preview(noon, employees=noon.userids)
    assert told.quota is not None
    assert (told.quota.kind, told.quota.limit, told.quota.used, told.quota.left) == ("app", 5, 3, 2)
    assert told.late == 1


def test_unless_told_an_app_may_send_200_for_each_employee_who_has_not_left(noon: House) -> None:
    noon.corp.employees.filter(userid=noon.userids[0]).update(status="left")
    found = quota.of_app(noon.corp.agents.get())
    assert found is not None
    assert found.limit == 2 * 200


def test_each_app_has_a_day_of_its_own(noon: House, settings: Any) -> None:
    settings.CRM_APP_DAILY_QUOTA = 3
    tasks.deliver(to_all_employees(noon).pk)
    other = factories.agent(noon.corp, agentid="1000099")
    assert [each and each.left for each in map(quota.of_app, noon.corp.agents.order_by("pk"))] == [0, 3]
    assert other.messages.count() == 0


def test_a_try_that_sent_nothing_gives_its_share_back(noon: House, settings: Any, closed_port: str) -> None:
    settings.CRM_APP_DAILY_QUOTA = 3
    address = noon.corp.base_url
    Corp.objects.update(base_url=closed_port)
    message = to_all_employees(noon)
    tasks.deliver(message.pk)
    assert DayUse.objects.get().used == 3
    DayUse.objects.update(counted_at=timezone.now() - timedelta(seconds=61))
    Corp.objects.update(base_url=address)
    message.deliveries.update(next_attempt_at=None)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"accepted": 3}


@pytest.mark.django_db(transaction=True)
def test_workers_at_the_same_time_take_no_more_than_the_day_has(noon: House, settings: Any) -> None:
    settings.CRM_APP_DAILY_QUOTA = 7
    messages = [to_all_employees(noon) for _ in range(4)]
    barrier = threading.Barrier(4)

    def one(message: Message) -> None:
        barrier.wait()
        try:
            while claims.claim(Message.objects.get(pk=message.pk), most=1, write=lambda _batch: b""):
                pass
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(each,)) for each in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Delivery.objects.counts() == {"sending": 7, "queued": 5}


def test_the_day_holds_although_the_count_beside_it_is_lost(noon: House, settings: Any) -> None:
    settings.CRM_APP_DAILY_QUOTA = 3
    tasks.deliver(to_all_employees(noon).pk)
    DayUse.objects.all().delete()
    message = to_all_employees(noon)
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"queued": 3}


# --- who has no licence
def test_an_employee_refused_for_want_of_a_licence_is_doubtful_until_something_arrives(noon: House) -> None:
    userid = noon.userids[0]
    noon.sim.change(noon.corp.corpid, "edit_employee", userid=userid, licensed=False)
    tasks.deliver(to_all_employees(noon).pk)
    told = preview(noon, employees=noon.userids)
    assert [(each.to, each.code, each.position) for each in told.doubtful] == [(userid, "unlicensed", 0)]
    assert len(told.recipients) == 3
    noon.sim.change(noon.corp.corpid, "edit_employee", userid=userid, licensed=True)
    tasks.deliver(to_all_employees(noon).pk)
    assert not preview(noon, employees=noon.userids).doubtful


def test_a_contact_whose_sender_the_last_sync_found_unlicensed_is_doubtful(noon: House) -> None:
    sender = preview(noon).recipients[0].sender
    errors = [{"userid": sender, "code": "errcode", "errcode": 701008, "errmsg": "", "pages": 1}]
    SyncRun.objects.create(corp=noon.corp, trigger="schedule", state="partial", errors=errors)
    told = preview(noon)
    mine = {each.to for each in told.recipients if each.sender == sender}
    assert {each.to for each in told.doubtful} == mine
    assert sender in told.doubtful[0].detail
    SyncRun.objects.create(corp=noon.corp, trigger="schedule", state="complete")
    assert not preview(noon).doubtful
