"""events/: the change feed, which never passes a line that is still to be committed."""

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from crm import events
from crm.feed import settled
from crm.models import Event
from tests.api.conftest import Caller, Cast, pointers


def write(cast: Cast, number: int) -> None:
    lines = [
        events.event(
            "contact.updated",
            "contact",
            cast.contacts["lin"].pk,
            actor="sync:1",
            corp_id=cast.corp.pk,
            contact_id=cast.contacts["lin"].pk,
            changes={"name": [str(n), str(n + 1)]},
        )
        for n in range(number)
    ]
    events.record(lines)


def test_the_feed_is_oldest_first_and_after_goes_on(cast: Cast, sun: Caller) -> None:
    write(cast, 5)
    page = sun.get("events/?limit=2").json()
    seqs = [event["seq"] for event in page["results"]]
    assert page["next"].endswith(f"limit=2&after={seqs[-1]}")
    rest = []
    while page["next"]:
        page = sun.get(page["next"]).json()
        rest += [event["seq"] for event in page["results"]]
    assert [*seqs, *rest] == list(Event.objects.order_by("seq").values_list("seq", flat=True))
    assert sun.get(f"events/?after={rest[-1]}").json() == {"results": [], "next": None, "previous": None}


def test_an_event_has_the_promised_keys(cast: Cast, sun: Caller) -> None:
    write(cast, 1)
    (event,) = sun.get("events/?after=0").json()["results"]
    assert set(event) >= {"seq", "at", "verb", "subject_type", "subject_id", "actor", "changes"}
    assert (event["verb"], event["corp"]) == ("contact.updated", "ww-south")
    assert event["subject_id"] == str(cast.contacts["lin"].pk)


def test_the_feed_is_filtered_by_corp_and_verb(cast: Cast, sun: Caller) -> None:
    write(cast, 1)
    assert len(sun.get("events/?corp=ww-south&verb=contact.updated").json()["results"]) == 1
    assert sun.get("events/?corp=ww-x").json()["results"] == []
    assert sun.get("events/?verb=contact.lost").json()["results"] == []


@pytest.mark.parametrize("query", ["after=x", "after=-1", "limit=500", "after=1&after=2"])
def test_a_bad_parameter_is_400(sun: Caller, query: str) -> None:
    answer = sun.get(f"events/?{query}")
    assert answer.status_code == 400
    assert list(pointers(answer)) == [f"/{query.split('=')[0]}"]


def test_the_feed_has_no_cursor(sun: Caller) -> None:
    assert sun.get("events/?cursor=x").json()["code"] == "unknown_parameter"


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite writes one transaction at a time")
@pytest.mark.django_db(transaction=True)
def test_a_later_number_waits_for_an_earlier_one_that_is_not_committed() -> None:
    inserted, may_commit = threading.Event(), threading.Event()
    slow = threading.Thread(target=_write_slowly, args=(inserted, may_commit))
    slow.start()
    assert inserted.wait(10)
    events.record([_line()])
    early: list[Any] = settled(Event.objects.all(), limit=10)
    may_commit.set()
    slow.join()
    assert early == []
    assert len(settled(Event.objects.all(), limit=10)) == 2


def _line() -> Event:
    return events.event("contact.lost", "contact", 1, actor="sync:1")


def _write_slowly(inserted: threading.Event, may_commit: threading.Event) -> None:
    with transaction.atomic():
        events.record([_line()])
        inserted.set()
        may_commit.wait(10)
    connection.close()
