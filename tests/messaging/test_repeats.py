"""An unanswered message to employees is posted again, in the same bytes, while the provider swallows repeats (M3)."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from crm import queue
from crm.connections import open_provider
from crm.providers.content import Text
from messaging import claims, control, outbox, tasks
from messaging.models import Attempt, Delivery, Message
from tests.messaging.house import House, claimed

API = "message/send"


def compose(house: House, text: str = "您好") -> Message:
    return outbox.compose(
        user=house.user, actor="user:test", corp=house.corp, employees=house.userids[:2], content=Text(text)
    )


def lapse() -> None:
    Attempt.objects.filter(finished_at__isnull=True).update(lease_until=timezone.now() - timedelta(seconds=1))


def repeat() -> None:
    """What the sweep finds, and the worker it rings for."""
    lapse()
    tasks.sweep()
    for pk in Attempt.objects.filter(finished_at__isnull=True).values_list("pk", flat=True):
        tasks.repeat(pk)


def bodies(house: House) -> list[Any]:
    return [each["body"] for each in house.posts(API)]


@pytest.mark.parametrize("kind", ["after", "reset", "truncated", "http_status"])
def test_a_lost_answer_is_asked_for_again_and_it_arrives_once(either: House, kind: str) -> None:
    # "after": WeCom took it, and then the line broke; "reset": it never came so far. We cannot know which.
    message = compose(either)
    either.sim.fault(api=API, kind=kind, times=1, **({"status": 502} if kind == "http_status" else {}))
    tasks.deliver(message.pk)
    assert message.deliveries.counts() == {"sending": 2}
    repeat()
    message.refresh_from_db()
    assert (message.state, message.deliveries.counts()) == ("done", {"accepted": 2})
    assert sorted(to for to, *_ in either.phones()) == sorted(either.userids[:2])
    first, second = bodies(either)
    assert first == second
    assert Attempt.objects.values_list("repeats", "outcome").get() == (1, "answered")


def test_a_worker_that_died_after_it_spoke_leaves_nothing_uncertain(either: House) -> None:
    message = compose(either)
    to = list(message.deliveries.order_by("pk").values_list("to", flat=True))
    provider = open_provider(message.agent)
    body = provider.body(Text("您好"), to_kind="employee", to=to, duplicate_check_s=1800)
    claims.speak([claimed(message, most=10, body=body)], repeatable_s=1500)  # and then it was killed
    repeat()
    assert message.deliveries.counts() == {"accepted": 2}


def test_when_the_window_closes_it_is_uncertain_and_never_posted_again(either: House) -> None:
    message = compose(either)
    either.sim.fault(api=API, kind="reset", times=None)
    tasks.deliver(message.pk)
    repeat()
    repeat()
    Attempt.objects.update(repeat_until=timezone.now())
    either.sim.clear_faults()
    repeat()
    message.refresh_from_db()
    assert (message.state, message.deliveries.counts()) == ("done", {"uncertain": 2})
    posts = len(bodies(either))
    tasks.deliver(message.pk)
    assert len(bodies(either)) == posts == 3


def test_a_refusal_of_the_repeat_says_nothing_about_the_first_time(either: House) -> None:
    message = compose(either)
    either.sim.fault(api=API, kind="after", times=1)
    tasks.deliver(message.pk)
    either.sim.fault(api=API, kind="errcode", errcode=60020, times=1)
    repeat()
    assert message.deliveries.counts() == {"sending": 2}
    repeat()
    assert message.deliveries.counts() == {"accepted": 2}
    assert len(either.phones()) == 2


def test_the_same_words_sent_twice_on_purpose_arrive_twice(either: House) -> None:
    for _ in range(2):
        tasks.deliver(compose(either, "好的").pk)
    assert len(either.phones()) == 4


def test_a_try_that_certainly_failed_is_not_taken_for_a_repeat(either: House) -> None:
    # The provider may count what it refused as seen: the next try must not look the same to it.
    message = compose(either)
    either.sim.fault(api=API, kind="errcode", errcode=-1, times=1)
    tasks.deliver(message.pk)
    message.deliveries.update(next_attempt_at=timezone.now())
    tasks.deliver(message.pk)
    first, second = bodies(either)
    assert first["duplicate_check_interval"] != second["duplicate_check_interval"]
    assert len(either.phones()) == 2


def test_nothing_is_repeated_while_it_is_paused(either: House) -> None:
    message = compose(either)
    either.sim.fault(api=API, kind="reset", times=1)
    tasks.deliver(message.pk)
    control.pause(message, user=either.user, actor="user:test")
    repeat()
    assert len(bodies(either)) == 1
    control.resume(message, user=either.user, actor="user:test")
    repeat()
    assert message.deliveries.counts() == {"accepted": 2}


def test_of_two_workers_one_repeats(either: House) -> None:
    message = compose(either)
    either.sim.fault(api=API, kind="reset", times=1)
    tasks.deliver(message.pk)
    lapse()
    (pk,) = Attempt.objects.values_list("pk", flat=True)
    assert claims.retake(pk) is not None
    assert claims.retake(pk) is None


def test_a_message_to_contacts_is_never_repeated(direct: House) -> None:
    message = outbox.compose(
        user=direct.user, actor="user:test", corp=direct.corp, contacts=direct.ids[:1], content=Text("您好")
    )
    direct.sim.fault(api="externalcontact/message/send", kind="reset", times=1)
    tasks.deliver(message.pk)
    repeat()
    assert Delivery.objects.get().state == "uncertain"


@pytest.mark.parametrize("over", ["cancelled", "expired"])
def test_what_is_over_is_not_posted_again_and_says_so(either: House, over: str) -> None:
    message = compose(either)
    either.sim.fault(api=API, kind="reset", times=1)
    tasks.deliver(message.pk)
    now = timezone.now()
    Message.objects.update(**({"cancelled_at": now} if over == "cancelled" else {"expires_at": now}))
    repeat()
    assert message.deliveries.counts() == {"uncertain": 2}
    assert len(bodies(either)) == 1


@pytest.mark.django_db(transaction=True)
def test_an_attempt_that_rests_keeps_no_other_message_waiting(either: House) -> None:
    message = compose(either)
    either.sim.fault(api=API, kind="reset", times=1)
    tasks.deliver(message.pk)
    control.pause(message, user=either.user, actor="user:test")
    other = compose(either, "另一条")
    OrmQ.objects.all().delete()  # its bell was lost
    lapse()
    tasks.sweep()
    queue.drain()
    assert other.deliveries.counts() == {"accepted": 2}
    assert message.deliveries.counts() == {"sending": 2}
