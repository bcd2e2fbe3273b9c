"""messages/ with every type of content: accepted as written, refused where it stands, warned of in the preview."""

from typing import Any

import pytest

from messaging.models import Message
from tests.api.conftest import Caller, Cast, pointers
from tests.providers.contents import mass_text, to_employees


def body(content: Any) -> dict[str, Any]:
    return {"corp": "ww-south", "to": {"employees": ["lin"]}, "content": content}


def test_every_type_is_accepted_as_it_was_written_and_found_by_it(cast: Cast, sun: Caller) -> None:
    for content in to_employees("m1"):
        answer = sun.post("messages/", body(content.as_json()))
        assert answer.status_code == 202, answer.content
        assert answer.json()["content"] == Message.objects.get(pk=answer.json()["id"]).content
        found = sun.get(f"messages/?msgtype={content.msgtype}").json()["results"]
        assert answer.json()["id"] in [each["id"] for each in found]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"msgtype": "text", "text": {"a/b~c": 1}}, {"/content/text/a~1b~0c": "unknown_field"}),
        (
            {"msgtype": "news", "news": {"articles": [{"title": 1}]}},
            {"/content/news/articles/0/title": "invalid"},
        ),
        ({"msgtype": "news", "news": {"articles": []}}, {"/content/news/articles": "required"}),
        ({"msgtype": "voice", "voice": {"media_id": "m"}, "safe": 1}, {"/content/safe": "unknown_field"}),
        (
            {"msgtype": "template_card", "template_card": {"card_type": "poster"}},
            {"/content/template_card/card_type": "invalid_choice"},
        ),
        (mass_text("m1").as_json(), {"/content/attachments": "unsupported_option"}),
    ],
)
def test_what_is_wrong_is_named_where_it_stands(
    cast: Cast, sun: Caller, content: Any, expected: dict[str, str]
) -> None:
    answer = sun.post("messages/", body(content))
    assert (answer.status_code, pointers(answer)) == (400, expected)
    assert not Message.objects.exists()


def test_the_preview_warns_of_what_will_be_cut(cast: Cast, sun: Caller) -> None:
    content = {"msgtype": "video", "video": {"media_id": "m1", "title": "a" * 129}}
    (problem,) = sun.post("messages/preview/", body(content)).json()["problems"]
    assert (problem["pointer"], problem["code"], problem["warning"]) == ("/content/video/title", "cut", True)
