"""A mass send whose answer was lost is asked about (guarantees M2): found, it goes on; unknown, a person decides."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm.models import Event
from crm.providers.attachments import LinkAttachment
from crm.providers.content import Content, MiniprogramNotice, Text
from messaging import claims, control, inquiries, outbox, tasks
from messaging.models import Attempt, Message
from tests import factories
from tests.messaging.house import House, claimed

MAKE = "externalcontact/add_msg_template"
LIST = "externalcontact/get_groupmsg_list_v2"
TASK = "externalcontact/get_groupmsg_task"
NOTICE = MiniprogramNotice(appid="wx00000000000000aa", title="合同待确认", page="pages/order?id=7")
LINKED = Text("春季报价 \n", attachments=(LinkAttachment("报价单", "https://crm.example/p", desc="三月"),))


def compose(house: House, content: Content = NOTICE, *, n: int = 1) -> Message:
    return outbox.compose(
        user=house.user, actor="user:test", corp=house.corp, contacts=house.ids[:n], content=content
    )


def lose(house: House, content: Content = NOTICE, *, n: int = 1, made: bool = True) -> Message:
    """A message all of whose answers are lost; `made`: the provider did what it was asked."""
    fault = house.sim.fault(api=MAKE, kind="truncated" if made else "reset", times=None)
    message = compose(house, content, n=n)
    tasks.deliver(message.pk)
    house.sim.delete("/_sim/faults/", id=fault)
    assert message.deliveries.counts() == {"uncertain": n}
    return message


def told(message: Message, *names: str) -> list[Any]:
    return list(message.deliveries.order_by("pk").values_list(*names, flat=len(names) == 1))


def goes_by(message: Message, **time: float) -> None:
    """So long ago it was sent, and it is due to be asked about."""
    message.tries.update(spoke_at=timezone.now() - timedelta(**time))
    message.deliveries.update(next_attempt_at=None)


@pytest.mark.parametrize("content", [NOTICE, LINKED, Text("您好")])
@pytest.mark.parametrize("times", ["string", "number"])
def test_one_that_the_provider_made_is_accepted_and_delivered_in_the_end(
    official: House, content: Content, times: str
) -> None:
    official.sim.settings(groupmsg_times=times)
    message = lose(official, content, n=5)
    message.refresh_from_db()
    assert message.state == "done"
    tasks.poll_results()
    message.refresh_from_db()
    assert (message.state, set(told(message, "state", "is_last_word", "code"))) == (
        "open",
        {("accepted", False, "")},
    )
    made = official.sim.tasks(corp=official.corp.corpid)
    assert sorted(set(told(message, "msgid"))) == sorted(each["msgid"] for each in made)
    for each in made:
        official.sim.confirm(official.corp.corpid, each["msgid"], each["parts"][0]["userid"])
    tasks.poll_results()
    message.refresh_from_db()
    assert (message.state, message.deliveries.counts()) == ("done", {"delivered": 5})
    assert sorted(to for to, _, _ in official.phones()) == sorted(told(message, "to"))
    assert len(official.posts(MAKE)) == len(made)


def test_the_history_says_that_the_provider_was_asked(official: House) -> None:
    message = lose(official)
    tasks.poll_results()
    event = Event.objects.get(verb="delivery.accepted", subject_id=str(message.deliveries.get().pk))
    assert (event.actor, event.changes["state"]) == ("worker", ["uncertain", "accepted"])
    assert message.deliveries.get().msgid in event.changes["reason"][1]


def test_a_contact_that_is_not_in_the_mass_send_has_failed(official: House) -> None:
    sender = outbox.preview(
        user=official.user, corp=official.corp, contacts=official.ids[:1], content=NOTICE
    ).recipients[0]
    gone = factories.contact(official.corp, "wm-gone")
    factories.follow(gone, official.corp.employees.get(userid=sender.sender))
    official.contacts[1:] = [gone]
    message = lose(official, n=2)
    tasks.poll_results()
    states = dict(told(message, "to", "state"))
    assert states == {sender.to: "accepted", "wm-gone": "failed"}
    assert message.deliveries.get(to="wm-gone").errcode == 81013


def test_one_that_the_provider_never_made_stays_uncertain_and_says_so(official: House) -> None:
    message = lose(official, made=False)
    tasks.poll_results()
    assert told(message, "state", "code") == [("uncertain", "network")]
    goes_by(message, minutes=11)
    tasks.poll_results()
    assert told(message, "state", "code", "next_attempt_at") == [("uncertain", "no_such_send", None)]
    asked = len(official.posts(LIST))
    tasks.poll_results()
    assert (len(official.posts(LIST)), len(official.posts(MAKE))) == (asked, 1)


def test_what_the_provider_does_not_know_a_person_may_send_again(official: House) -> None:
    message = lose(official, made=False)
    goes_by(message, minutes=11)
    tasks.poll_results()
    control.resolve(
        message.deliveries.get(), word="resend", reason="not there", user=official.user, actor="user:test"
    )
    tasks.deliver(message.pk)
    assert told(message, "state", "code") == [("accepted", "")]
    assert len(official.sim.tasks(corp=official.corp.corpid)) == 1


def test_nobody_takes_the_mass_send_of_another_message(official: House) -> None:
    other = compose(official)
    tasks.deliver(other.pk)
    message = lose(official, made=False)
    goes_by(message, minutes=9)
    tasks.poll_results()
    assert told(message, "state") == ["uncertain"]
    goes_by(message, minutes=11)
    tasks.poll_results()
    assert told(message, "state", "code", "msgid") == [("uncertain", "no_such_send", "")]


def test_of_two_that_are_alike_neither_is_guessed(official: House) -> None:
    official.sim.advance(-300)
    messages = [lose(official), lose(official)]
    tasks.poll_results()
    assert [told(each, "state", "code") for each in messages] == [[("uncertain", "truncated")]] * 2
    for each in messages:
        goes_by(each, minutes=11)
    tasks.poll_results()
    codes = [told(each, "state", "code")[0] for each in messages]
    assert codes == [("uncertain", "several_sends")] * 2


def test_another_text_or_more_recipients_are_another_mass_send(official: House) -> None:
    shown = outbox.preview(user=official.user, corp=official.corp, contacts=official.ids, content=NOTICE)
    (sender, number), *_ = Counter(each.sender for each in shown.recipients).most_common()
    assert number > 1
    same = {each.contact_id for each in shown.recipients if each.sender == sender}
    official.contacts.sort(key=lambda each: each.pk not in same)
    for content, n in ((Text("别的"), 1), (NOTICE, 2)):
        tasks.deliver(compose(official, content, n=n).pk)
    assert len(official.posts(MAKE)) == 2
    Attempt.objects.update(msgid="")
    message = lose(official, made=False)
    tasks.poll_results()
    assert told(message, "state") == ["uncertain"]


def test_while_an_alike_one_is_being_made_nothing_is_concluded(official: House) -> None:
    message = lose(official)
    batch = claimed(compose(official))
    tasks.poll_results()
    assert told(message, "state") == ["uncertain"]
    claims.release([batch])
    goes_by(message, seconds=5)
    tasks.poll_results()
    assert told(message, "state") == ["accepted"]


def test_one_that_is_still_dispatched_is_asked_about_again(official: House) -> None:
    message = lose(official)
    official.sim.fault(api=TASK, kind="errcode", errcode=41063, times=10)
    tasks.poll_results()
    assert told(message, "state") == ["uncertain"]
    official.sim.clear_faults()
    message.deliveries.update(next_attempt_at=None)
    tasks.poll_results()
    assert told(message, "state") == ["accepted"]


@pytest.mark.parametrize("fault", [{"kind": "no_list"}, {"kind": "http_status", "status": 502}])
def test_an_answer_that_tells_nothing_concludes_nothing(official: House, fault: Any) -> None:
    message = lose(official)
    goes_by(message, minutes=9)
    official.sim.fault(api=LIST, times=None, **fault)
    message.tries.update(spoke_at=timezone.now() - timedelta(minutes=11))
    tasks.poll_results()
    assert told(message, "state", "code") == [("uncertain", "truncated")]


def test_while_the_line_is_down_each_agent_is_asked_once(official: House) -> None:
    for n in range(3):
        lose(official, Text(f"第{n}"))
    official.sim.fault(api="*", kind="http_status", status=502, times=None)
    before = len(official.posts(LIST))
    assert inquiries.ask_about_lost() == 0
    first = len(official.posts(LIST)) - before
    assert first > 0
    inquiries.ask_about_lost()
    inquiries.ask_about_lost()
    assert inquiries.ask_about_lost() == 0
    assert len(official.posts(LIST)) - before == 3 * first


def test_what_a_person_decided_meanwhile_is_not_moved(official: House) -> None:
    message = lose(official)
    control.resolve(
        message.deliveries.get(), word="failed", reason="asked her", user=official.user, actor="user:test"
    )
    tasks.poll_results()
    assert told(message, "state", "code") == [("failed", "resolved")]
    assert not official.posts(LIST)


def test_after_a_week_nobody_is_asked_any_more(official: House) -> None:
    message = lose(official)
    goes_by(message, days=8)
    tasks.poll_results()
    assert not official.posts(LIST)
    assert told(message, "state") == ["uncertain"]
