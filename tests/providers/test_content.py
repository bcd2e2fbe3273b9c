"""Contents and their JSON form: strictly read, written back the same, and told the same to a schema."""

from dataclasses import replace
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.providers import content as contents
from crm.providers.content import Content, ContentError, Text, parse
from crm.providers.records import MAX_INT
from crm.providers.shapes import PAIR, fields_of
from messaging.api.content_schema import schema_of
from tests.providers.contents import NOTICE, mass_text, to_employees

SAMPLES = [*to_employees("m1"), mass_text("m1"), mass_text("m1", "")]
SCHEMA = jsonschema.Draft202012Validator({"oneOf": [schema_of(kind) for kind in get_args(Content)]})
WORDS = st.text(max_size=5)
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: WORDS,
    bool: st.booleans(),
    int: st.integers(0, MAX_INT),
    float: st.floats(0, MAX_INT),
    NoneType: st.none(),
}


def anything(hint: Any) -> st.SearchStrategy[Any]:
    """Every value that the annotation `hint` allows."""
    if hint == PAIR:
        return st.tuples(WORDS, WORDS)
    if get_origin(hint) is tuple:
        return st.lists(anything(get_args(hint)[0]), max_size=2).map(tuple)
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is UnionType:
        return st.one_of([anything(each) for each in get_args(hint)])
    if hint in SCALARS:
        return SCALARS[hint]
    hints = get_type_hints(hint)
    return st.builds(hint, **{each.name: anything(hints[each.name]) for each in fields_of(hint)})


@given(anything(Content))
def test_what_is_written_reads_back_the_same(content: Content) -> None:
    told = orjson.loads(orjson.dumps(content.as_json()))
    assert parse(told) == content
    assert SCHEMA.is_valid(told)


@pytest.mark.parametrize("content", SAMPLES, ids=lambda each: each.msgtype)
def test_a_content_names_its_type_and_leaves_out_what_is_not_said(content: Content) -> None:
    told = content.as_json()
    assert told["msgtype"] == content.msgtype
    assert parse(told) == content
    SCHEMA.validate(told)
    assert b"null" not in orjson.dumps(told)


def test_the_cover_is_no_part_of_the_json_form() -> None:
    assert replace(NOTICE, pic_media_id="m1").as_json() == NOTICE.as_json()


def test_every_type_is_among_the_samples() -> None:
    assert {each.msgtype for each in SAMPLES} == {each.msgtype for each in get_args(Content)}
    assert set(contents.__all__) >= {each.__name__ for each in get_args(Content)}


def card(**parts: Any) -> dict[str, Any]:
    return {"msgtype": "template_card", "template_card": {"card_type": "text_notice", **parts}}


def text(content: Any = "a", **options: Any) -> dict[str, Any]:
    return {"msgtype": "text", "text": {"content": content}, **options}


BAD = [
    (7, "", "invalid"),
    ([], "", "invalid"),
    ({}, "/msgtype", "unknown_msgtype"),
    ({"msgtype": ["text"]}, "/msgtype", "unknown_msgtype"),
    ({"msgtype": "text"}, "/text", "required"),
    ({"msgtype": "text", "text": "a"}, "/text", "required"),
    (text(None), "/text/content", "invalid"),
    (text(7), "/text/content", "invalid"),
    (text(extra=1), "/extra", "unknown_field"),
    ({"msgtype": "text", "text": {"a/b~c": 1}}, "/text/a~1b~0c", "unknown_field"),
    (text(safe=True), "/safe", "invalid_choice"),
    (text(safe="1"), "/safe", "invalid_choice"),
    (text(safe=2), "/safe", "invalid_choice"),
    (text(enable_id_trans=2), "/enable_id_trans", "invalid_choice"),
    (text(attachments={}), "/attachments", "invalid"),
    (text(attachments=[7]), "/attachments/0", "invalid"),
    (text(attachments=[{"msgtype": "voice"}]), "/attachments/0/msgtype", "unknown_msgtype"),
    (text(attachments=[{"msgtype": "file"}]), "/attachments/0/file", "required"),
    (
        text(attachments=[{"msgtype": "file", "file": {"media_id": 1}}]),
        "/attachments/0/file/media_id",
        "invalid",
    ),
    ({"msgtype": "voice", "voice": {"media_id": "m"}, "safe": 1}, "/safe", "unknown_field"),
    ({"msgtype": "voice", "voice": {"media_id": "m"}, "attachments": []}, "/attachments", "unknown_field"),
    (
        {"msgtype": "news", "news": {"articles": [{}, {"author": "x"}]}},
        "/news/articles/1/author",
        "unknown_field",
    ),
    ({"msgtype": "news", "news": {"articles": None}}, "/news/articles", "invalid"),
    (
        {"msgtype": "miniprogram_notice", "miniprogram_notice": {"content_item": [{"key": "k", "v": "v"}]}},
        "/miniprogram_notice/content_item/0/v",
        "unknown_field",
    ),
    (
        {"msgtype": "miniprogram_notice", "miniprogram_notice": {"content_item": ["k"]}},
        "/miniprogram_notice/content_item/0",
        "invalid",
    ),
    (
        {"msgtype": "miniprogram_notice", "miniprogram_notice": {"emphasis_first_item": 1}},
        "/miniprogram_notice/emphasis_first_item",
        "invalid",
    ),
    (
        {"msgtype": "miniprogram_notice", "miniprogram_notice": {"pic_media_id": "m"}},
        "/miniprogram_notice/pic_media_id",
        "unknown_field",
    ),
    ({"msgtype": "template_card", "template_card": {}}, "/template_card/card_type", "required"),
    (card(card_type="poster"), "/template_card/card_type", "invalid_choice"),
    (card(main_title="a"), "/template_card/main_title", "invalid"),
    (card(main_title=None), "/template_card/main_title", "invalid"),
    (card(card_action={"type": "1"}), "/template_card/card_action/type", "invalid"),
    (card(card_action={"type": True}), "/template_card/card_action/type", "invalid"),
    (card(card_action={"type": -1}), "/template_card/card_action/type", "invalid"),
    (card(card_action={"type": MAX_INT + 1}), "/template_card/card_action/type", "invalid"),
    (card(card_image={"aspect_ratio": float("nan")}), "/template_card/card_image/aspect_ratio", "invalid"),
    (card(card_image={"aspect_ratio": 10**400}), "/template_card/card_image/aspect_ratio", "invalid"),
    (
        card(checkbox={"option_list": [{"is_checked": 1}]}),
        "/template_card/checkbox/option_list/0/is_checked",
        "invalid",
    ),
]


@pytest.mark.parametrize(("data", "pointer", "code"), BAD)
def test_what_has_another_shape_is_refused_where_it_stands(data: Any, pointer: str, code: str) -> None:
    with pytest.raises(ContentError) as caught:
        parse(data)
    assert (caught.value.pointer, caught.value.code) == (pointer, code)
    assert caught.value.detail.endswith(".")


def test_what_is_not_written_is_empty() -> None:
    """So that the provider's rules name what is missing, together with all else."""
    assert parse({"msgtype": "text", "text": {}}) == Text("")
    assert parse({"msgtype": "news", "news": {}}) == contents.News(())
    assert parse({"msgtype": "file", "file": {}}) == contents.File("")
