"""received-messages/: shapes, reach, filters and the file."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from messaging.models import ReceivedFile
from tests import factories
from tests.api.conftest import Caller, Cast

LIST = "received-messages/"


def listed(caller: Caller, query: str = "") -> list[dict[str, Any]]:
    answer = caller.get(f"{LIST}{query}")
    assert answer.status_code == 200, answer.content
    rows: list[dict[str, Any]] = answer.json()["results"]
    return rows


def test_each_kind_has_its_content(cast: Cast, lin: Caller) -> None:
    factories.received(cast.corp, "lin", Content="stock of A12?")
    factories.received(cast.corp, "lin", "location", Label="West Lake", Location_X=30.27, Location_Y="nan")
    factories.received(cast.corp, "lin", "image")
    image, place, text = listed(lin)
    assert (text["kind"], text["userid"], text["corp"], text["agent"]) == (
        "text",
        "lin",
        "ww-south",
        "1000002",
    )
    assert text["content"]["text"] == "stock of A12?"
    assert text["file"] is None
    assert (place["content"]["label"], place["content"]["latitude"]) == ("West Lake", 30.27)
    assert place["content"]["longitude"] is None
    assert image["file"] == {"state": "kept", "content_type": "image/png", "size": len(factories.PNG)}
    assert lin.get(f"{LIST}{image['id']}/").json() == image


def test_one_reads_what_people_within_reach_wrote(cast: Cast) -> None:
    for name in ("lin", "wang", "qian"):
        factories.received(cast.corp, name)

    def writers(who: str) -> set[str]:
        return {row["userid"] for row in listed(cast.caller(who))}

    assert (writers("lin"), writers("zhao")) == ({"lin"}, {"lin", "wang"})
    assert writers("sun") == writers("shen") == {"lin", "wang", "qian"}


def test_an_auditor_reads_no_content(cast: Cast) -> None:
    factories.received(cast.corp, "lin", Content="secret")
    assert listed(cast.caller("shen"))[0]["content"] is None


@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("?kind=text", 1),
        ("?kind=text&kind=voice", 2),
        ("?userid=wang", 1),
        ("?corp=ww-south&agent=1000002", 2),
        ("?agent=7", 0),
        ("?received_after=2020-01-01", 2),
        ("?received_before=2020-01-01", 0),
    ],
)
def test_the_list_is_narrowed(cast: Cast, sun: Caller, query: str, number: int) -> None:
    factories.received(cast.corp, "lin")
    factories.received(cast.corp, "wang", "voice")
    assert len(listed(sun, query)) == number


def test_what_cannot_be_asked_is_400(sun: Caller) -> None:
    for query in ("?kind=nonsense", "?text=a", "?received_after=x"):
        assert sun.get(f"{LIST}{query}").status_code == 400


def test_the_file_is_handed_out_as_a_download(cast: Cast, lin: Caller) -> None:
    message = factories.received(cast.corp, "lin", "voice")
    answer = lin.get(f"{LIST}{message.pk}/content/")
    assert answer.content == factories.AMR
    assert answer["Content-Disposition"] == f'attachment; filename="voice-{message.pk}.amr"'
    assert answer["Content-Type"] == "audio/amr"


@pytest.mark.parametrize(("state", "code"), [("queued", "not_fetched"), ("failed", "gone")])
def test_a_file_that_is_not_here_is_409_and_says_which(
    cast: Cast, lin: Caller, state: str, code: str
) -> None:
    message = factories.received(cast.corp, "lin", "image")
    ReceivedFile.objects.update(state=state)
    answer = lin.get(f"{LIST}{message.pk}/content/")
    assert (answer.status_code, answer.json()["code"]) == (409, code)


def test_a_text_has_no_file(cast: Cast, lin: Caller) -> None:
    message = factories.received(cast.corp, "lin")
    assert lin.get(f"{LIST}{message.pk}/content/").status_code == 404


def test_more_messages_cost_no_more_queries_and_load_no_file(cast: Cast, sun: Caller) -> None:
    factories.received(cast.corp, "lin", "image")

    def asked() -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            listed(sun)
        return [each["sql"] for each in captured]

    asked()  # notes that the key was used
    few = asked()
    for _ in range(5):
        factories.received(cast.corp, "lin", "image")
    many = asked()
    assert len(many) == len(few)
    assert not any('"messaging_receivedfile"."data"' in sql for sql in many)
