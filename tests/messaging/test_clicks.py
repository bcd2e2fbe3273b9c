"""Buttons of cards that employees press: kept with their message, told once, and answered on the card."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm import queue
from crm.models import Event
from crm.providers import content as contents
from messaging import chores, inbox, outbox, tasks
from messaging.models import Callback, CardClick, Message
from tests.messaging.house import House
from tests.messaging.people import CARD, People, heard

pytestmark = pytest.mark.django_db(transaction=True)
UPDATE = "message/update_template_card"


@pytest.fixture
def people(live_server: Any, either: House) -> Iterator[People]:
    yield from heard(live_server, either)


@pytest.fixture
def one(live_server: Any, official: House) -> Iterator[People]:
    yield from heard(live_server, official)


def send(people: People, *userids: str, **more: Any) -> Message:
    house = people.house
    content = contents.parse({"msgtype": "template_card", "template_card": CARD | more})
    to = list(userids) or house.userids[:2]
    message = outbox.compose(
        user=house.user, actor="user:test", corp=house.corp, content=content, employees=to
    )
    tasks.deliver(message.pk)
    return message


def told() -> list[tuple[str, str, str, int | None]]:
    return list(CardClick.objects.values_list("userid", "key", "state", "errcode"))


def due_now(people: People) -> None:
    """The pause before the next try is over."""
    CardClick.objects.filter(state="queued").update(next_attempt_at=timezone.now())
    tasks.sweep()
    queue.drain()


def test_a_press_is_kept_with_its_message_and_is_an_event(people: People) -> None:
    message, (userid, other) = send(people), people.house.userids[:2]
    people.press(userid)
    click = message.clicks.get()
    assert (click.userid, click.employee.userid, click.key, click.state) == (userid, userid, "take", "none")
    line = Event.objects.get(verb="message.card_clicked")
    assert (line.subject_id, line.actor) == (str(message.pk), "callback")
    assert line.changes == {"userid": [None, userid], "key": [None, "take"]}
    people.press(other, "leave")
    assert list(message.clicks.values_list("userid", "key")) == [(userid, "take"), (other, "leave")]
    assert people.house.posts(UPDATE) == []


def test_the_pressed_button_says_what_the_sender_wanted_on_that_phone_alone(people: People) -> None:
    send(people, replace_text="Taken")
    userid, other = people.house.userids[:2]
    assert "replace_text" not in people.card_of(userid)["content"]
    people.press(userid)
    assert told() == [(userid, "take", "done", 0)]
    assert people.card_of(userid)["content"]["replaced"] == "Taken"
    assert "replaced" not in people.card_of(other)["content"]
    assert len(people.house.posts(UPDATE)) == 1


def test_what_was_chosen_comes_with_the_press(one: People) -> None:
    options = [{"id": "a", "text": "Monday"}, {"id": "b", "text": "Friday"}]
    vote = {
        "card_type": "vote_interaction",
        "task_id": "vote-1",
        "main_title": {"title": "When?"},
        "checkbox": {"question_key": "day", "mode": 1, "option_list": options},
        "submit_button": {"text": "Send", "key": "send"},
    }
    content = contents.parse({"msgtype": "template_card", "template_card": vote})
    house, userid = one.house, one.house.userids[0]
    message = outbox.compose(
        user=house.user, actor="user:test", corp=house.corp, content=content, employees=[userid]
    )
    tasks.deliver(message.pk)
    one.press(userid, "send", selected={"day": ["a", "b"]})
    assert message.clicks.get().selected == {"day": ["a", "b"]}
    assert Event.objects.get(verb="message.card_clicked").changes["selected"] == [None, {"day": ["a", "b"]}]


def test_a_press_that_is_told_again_is_one_press_and_one_change(one: People) -> None:
    send(one, replace_text="Taken")
    one.house.sim.settings(callback_double=1)
    one.press(one.house.userids[0])
    inbox.replay(Callback.objects.filter(kind="template_card_event"))
    due_now(one)
    assert CardClick.objects.count() == Event.objects.filter(verb="message.card_clicked").count() == 1
    assert len(one.house.posts(UPDATE)) == 1


def test_a_press_of_a_card_that_is_not_ours_is_only_a_callback(one: People) -> None:
    one.house.sim.app_event(one.house.corp.corpid, "template_card_event", userid=one.house.userids[0])
    one.work()
    assert Callback.objects.get().state == "done"
    assert not CardClick.objects.exists()


def test_of_two_cards_with_one_id_the_press_belongs_to_the_one_that_person_got(one: People) -> None:
    first, second = one.house.userids[:2]
    theirs = send(one, first)
    send(one, second)
    one.press(first)
    assert CardClick.objects.get().message == theirs


def test_a_change_whose_answer_was_lost_is_not_taken_for_a_failure(one: People) -> None:
    """Asked again, WeCom says that the code was used: by us."""
    send(one, replace_text="Taken")
    one.house.sim.fault(api=UPDATE, kind="after", times=1)
    one.press(one.house.userids[0])
    assert CardClick.objects.get().state == "queued"
    due_now(one)
    assert told() == [(one.house.userids[0], "take", "done", 0)]
    assert len(one.house.posts(UPDATE)) == 2


def test_a_code_that_is_too_old_is_a_failure_with_its_reason(one: People) -> None:
    send(one, replace_text="Taken")
    one.house.sim.settings(response_code_seconds=0)
    one.press(one.house.userids[0])
    assert told() == [(one.house.userids[0], "take", "failed", 60140)]


def test_a_change_that_did_not_reach_the_person_is_a_failure(one: People) -> None:
    send(one, replace_text="Taken")
    userid = one.house.userids[0]
    one.house.sim.fault(api=UPDATE, kind="errcode", errcode=0, fields={"invaliduser": [userid.lower()]})
    one.press(userid)
    assert told() == [(userid, "take", "failed", 81013)]


def test_a_busy_provider_is_asked_again_until_a_day_has_passed(one: People) -> None:
    send(one, replace_text="Taken")
    one.house.sim.fault(api=UPDATE, kind="errcode", errcode=-1, times=9)
    one.press(one.house.userids[0])
    click = CardClick.objects.get()
    assert (click.state, click.errcode) == ("queued", -1)
    CardClick.objects.update(created_at=timezone.now() - timedelta(hours=24))
    due_now(one)
    assert told() == [(one.house.userids[0], "take", "failed", -1)]


def test_of_two_workers_one_changes_the_card(one: People) -> None:
    send(one, replace_text="Taken")
    one.house.sim.fault(api=UPDATE, kind="errcode", errcode=-1, times=1)
    one.press(one.house.userids[0])
    CardClick.objects.update(next_attempt_at=timezone.now())
    first, second = CardClick.objects.get(), CardClick.objects.get()
    assert [chores.claim(each) for each in (first, second)] == [True, False]
    tasks.do_chores(one.house.corp.pk)
    assert len(one.house.posts(UPDATE)) == 1


def test_a_lost_bell_and_a_lost_worker_are_found_by_the_sweep(one: People) -> None:
    send(one, replace_text="Taken")
    one.house.sim.fault(api=UPDATE, kind="errcode", errcode=-1, times=1)
    one.press(one.house.userids[0])
    # As a worker leaves it that died with it in hand.
    CardClick.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1), is_unsure=True)
    queue.OrmQ.objects.all().delete()
    tasks.sweep()
    queue.drain()
    assert told() == [(one.house.userids[0], "take", "done", 0)]
