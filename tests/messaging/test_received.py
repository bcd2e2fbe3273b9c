"""What employees write and send to an app: kept as it was told, its file fetched while the provider has it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from crm import queue
from crm.models import Event
from messaging import inbox, received, tasks
from messaging.models import Callback, ReceivedFile, ReceivedMessage
from tests import factories
from tests.messaging.house import House
from tests.messaging.people import People, heard

pytestmark = pytest.mark.django_db(transaction=True)
GET = "media/get"


@pytest.fixture
def people(live_server: Any, either: House) -> Iterator[People]:
    yield from heard(live_server, either)


@pytest.fixture
def one(live_server: Any, official: House) -> Iterator[People]:
    yield from heard(live_server, official)


def sent_file(people: People, kind: str = "image") -> ReceivedMessage:
    media_id = people.uploaded(kind, factories.MEDIA[kind])
    people.say(kind, people.house.userids[0], MediaId=media_id)
    return ReceivedMessage.objects.get()


def due_now() -> None:
    ReceivedFile.objects.filter(state="queued").update(next_attempt_at=timezone.now())
    tasks.sweep()
    queue.drain()


def test_what_each_kind_says_is_read(one: People) -> None:
    told: dict[str, dict[str, Any]] = {
        "text": {"Content": "库存?"},
        "location": {"Location_X": 30.2741, "Location_Y": 120.1551, "Label": "西湖区"},
        "link": {"Title": "Price list", "Description": "Spring", "Url": "https://a.example/p"},
    }
    for kind, fields in told.items():
        one.say(kind, one.house.userids[0], **fields)
    link, place, text = map(received.said, ReceivedMessage.objects.all())
    assert text.text == "库存?"
    assert (place.label, place.latitude, place.longitude) == ("西湖区", 30.2741, 120.1551)
    assert (link.title, link.description, link.url) == ("Price list", "Spring", "https://a.example/p")
    kinds = {line.changes["kind"][1] for line in Event.objects.filter(verb="message.received")}
    assert kinds == set(told)


@pytest.mark.parametrize("kind", ["image", "voice", "video"])
def test_a_file_is_fetched_and_kept_unreadable_in_the_database(one: People, kind: str) -> None:
    message = sent_file(one, kind)
    file = message.file
    assert (file.state, file.size, bytes(file.data)) == (
        "done",
        len(factories.MEDIA[kind]),
        factories.MEDIA[kind],
    )
    with connection.cursor() as cursor:
        cursor.execute("SELECT data, media_id FROM messaging_receivedfile")
        data, media_id = cursor.fetchone()
    assert factories.MEDIA[kind][:6] not in bytes(data)
    assert file.media_id not in media_id


def test_a_message_told_twice_is_kept_and_fetched_once(one: People) -> None:
    one.house.sim.settings(callback_double=1)
    sent_file(one)
    due_now()
    assert ReceivedFile.objects.count() == Event.objects.filter(verb="message.received").count() == 1
    assert len(one.house.posts(GET)) == 1


def test_a_file_that_the_provider_has_no_more_is_gone(people: People) -> None:
    people.say("image", people.house.userids[0], MediaId="nobody-knows-it")
    file = ReceivedMessage.objects.get().file
    assert (file.standing, file.errcode) == ("gone", received.GONE)
    assert len(people.house.posts(GET)) == 1


def test_while_the_provider_is_away_a_file_waits_for_three_days_at_most(one: People) -> None:
    one.house.sim.fault(api=GET, kind="errcode", errcode=-1, times=99)
    file = sent_file(one).file
    assert (file.standing, file.errcode) == ("fetching", -1)
    due_now()
    file.refresh_from_db()
    assert file.standing == "fetching"
    ReceivedFile.objects.update(created_at=timezone.now() - timedelta(days=3))
    due_now()
    file.refresh_from_db()
    assert file.standing == "gone"


def test_a_file_whose_bell_was_lost_is_fetched_by_the_sweep(one: People) -> None:
    one.house.sim.fault(api=GET, kind="reset", times=9)
    message = sent_file(one)
    one.house.sim.clear_faults()
    queue.OrmQ.objects.all().delete()
    due_now()
    assert ReceivedMessage.objects.get(pk=message.pk).file.standing == "kept"


def test_bytes_that_look_like_json_are_a_file_unless_they_have_a_verdict(one: People) -> None:
    media_id = one.uploaded("file", b'{"stock": 7}')
    one.say("image", one.house.userids[0], MediaId=media_id)
    assert bytes(ReceivedMessage.objects.get().file.data) == b'{"stock": 7}'


def test_after_30_days_message_and_file_are_forgotten(one: People) -> None:
    sent_file(one)
    Callback.objects.update(received_at=timezone.now() - timedelta(days=31))
    inbox.forget_old()
    assert not ReceivedMessage.objects.exists()
    assert not ReceivedFile.objects.exists()
