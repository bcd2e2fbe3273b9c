"""Any JSON becomes a record that can be stored, or a BadItem with its reason; nothing raises."""

import contextlib
import json
import re
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.providers import reading
from crm.providers.listed import Item
from crm.providers.records import (
    LIMITS,
    MAX_INT,
    MAX_TIME,
    UNSET,
    BadItem,
    ContactRecord,
    TagRecord,
    digest_of,
)
from crm.providers.wecom.items import read_item, read_listed

KEYS = [
    *(
        "external_contact",
        "external_userid",
        "name",
        "type",
        "gender",
        "position",
        "unionid",
        "external_profile",
    ),
    *(
        "follow_user",
        "follow_info",
        "userid",
        "remark",
        "description",
        "createtime",
        "tags",
        "tag_id",
        "tag_name",
    ),
    *(
        "group_name",
        "remark_mobiles",
        "add_way",
        "state",
        "wechat_channels",
        "oper_userid",
        "avatar",
        "corp_name",
    ),
]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé汉\0\ud800\udfff", max_size=4)
    | st.sampled_from(["", "wm1", "x" * 300, "0", "-1", "1e5"])
)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=25,
)
ITEMS = JSON | st.fixed_dictionaries(
    {"external_userid": st.just("wm1")}, optional=dict.fromkeys(KEYS[2:], JSON)
)


def texts(value: Any) -> list[str]:
    """Every text anywhere inside a record."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in texts(part)]
    if isinstance(value, list | tuple):
        return [text for part in value for text in texts(part)]
    if hasattr(value, "__dataclass_fields__"):
        return [text for field in fields(value) for text in texts(getattr(value, field.name))]
    return []


@given(ITEMS)
def test_every_item_gives_a_record_or_a_bad_item(item: Any) -> None:
    record = read_item(item, position=3, implied="lin")
    for text in texts(record):
        assert "\0" not in text
        text.encode()
    json.loads(record.raw)
    if isinstance(record, BadItem):
        assert record.reason.partition(":")[0].isidentifier()
        assert record.position == 3
        return
    assert 0 < len(record.external_userid) <= LIMITS["external_userid"]
    for name in ("name", "nickname", "avatar", "position", "corp_name", "corp_full_name", "unionid"):
        assert len(getattr(record, name) or "") <= LIMITS[name]
    for number in (record.type, record.gender):
        assert number is UNSET or (isinstance(number, int) and -MAX_INT - 1 <= number <= MAX_INT)
    for follow in record.follows:
        assert 0 < len(follow.userid) <= LIMITS["userid"]
        assert follow.createtime is UNSET or 0 <= follow.createtime <= MAX_TIME  # type: ignore[operator]


USUAL = st.fixed_dictionaries(
    {"external_userid": st.sampled_from(["wm1", "wm2", " ", ""])},
    optional={
        **dict.fromkeys(
            ("name", "nickname", "avatar", "position", "corp_name", "corp_full_name", "unionid"),
            st.text("aé汉", max_size=4) | st.sampled_from(["x" * 64, "x" * 65, "x" * 255, "x" * 256, None]),
        ),
        **dict.fromkeys(("type", "gender"), st.integers(0, 2) | st.sampled_from(["1", MAX_INT, MAX_INT + 1])),
        "external_profile": st.just({"a": [{"b": "c"}]}) | JSON,
    },
)
TAGS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("tag_id", "tag_name", "group_name"), st.sampled_from(["", "a", "x" * 256, 7, None])),
        "type": st.sampled_from([1, 2, "2", None]),
    },
)
LISTS = st.lists(st.sampled_from(["", "a", "b", "x" * 65, 7, None]), max_size=3)
FOLLOW = st.fixed_dictionaries(
    {"userid": st.sampled_from(["lin", "wang", ""])},
    optional={
        **dict.fromkeys(("remark", "description", "state"), st.sampled_from(["", "a", "x" * 256, 7, None])),
        **dict.fromkeys(("createtime", "add_way"), st.integers(-1, 2**54) | st.just("1")),
        **dict.fromkeys(("remark_mobiles", "tag_id"), LISTS),
        "tags": st.lists(TAGS, max_size=3),
        "wechat_channels": JSON,
    },
)
PEOPLE = st.builds(
    lambda person, follow: {"external_contact": person, "follow_info": follow}, USUAL, FOLLOW
) | (
    st.builds(
        lambda person, follows: {**person, "follow_user": follows}, USUAL, st.lists(FOLLOW | st.just("li"))
    )
)


@given(PEOPLE.filter(lambda item: not re.search(r"\\u0000|\\ud[89a-f]", json.dumps(item))))
def test_what_needs_no_look_at_its_characters_is_the_same_without_it(item: Any) -> None:
    raw = json.dumps(item).encode()
    looked_at, taken = (
        read_listed(Item(item, 3, raw, digest_of(raw), clean), implied="lin") for clean in (False, True)
    )
    assert looked_at == taken == read_listed(Item(item, 3, raw, b"", clean=True), implied="lin")


def read(**item: Any) -> ContactRecord:
    record = read_item({"external_userid": "wm1", **item})
    assert isinstance(record, ContactRecord), record
    return record


def reason(item: Any) -> str:
    record = read_item(item)
    assert isinstance(record, BadItem), record
    return record.reason


def test_what_is_not_told_is_unset_and_what_is_empty_is_empty() -> None:
    record = read(
        name="", follow_user=[{"userid": "lin", "remark": "", "remark_mobiles": None, "tag_id": []}]
    )
    (follow,) = record.follows
    assert (record.name, record.nickname, record.gender) == ("", UNSET, UNSET)
    assert (follow.remark, follow.description) == ("", UNSET)
    assert (follow.remark_mobiles, follow.tag_ids, follow.personal_tags) == ((), (), UNSET)


def test_odd_but_storable_values_are_coerced() -> None:
    record = read(name=42, type="1", gender=99, position=1.5)
    assert (record.name, record.type, record.gender, record.position) == ("42", 1, 99, "1.5")
    assert read(type="one").type is UNSET
    assert read(type=2**40).type is UNSET
    assert read(type=True).type is UNSET
    assert read(external_userid=7).external_userid == "7"


@pytest.mark.parametrize(
    ("told", "read_as"),
    [("1735689600", 1735689600), (-1, UNSET), (2**53 + 1, UNSET), ("soon", UNSET), (0, 0)],
)
def test_createtime(told: Any, read_as: Any) -> None:
    (follow,) = read(follow_info={"userid": "lin", "createtime": told}).follows
    assert follow.createtime == read_as


def nested(levels: int) -> dict[str, Any]:
    return {"a": nested(levels - 1)} if levels > 1 else {}


def test_a_profile_of_a_hundred_levels_is_stored() -> None:
    assert read(external_profile=nested(100)).external_profile == nested(100)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("wm1", "not_an_object"),
        (None, "not_an_object"),
        ({}, "no_external_userid"),
        ({"external_userid": ""}, "no_external_userid"),
        ({"external_userid": " "}, "no_external_userid"),
        ({"external_userid": None}, "no_external_userid"),
        ({"external_userid": ["wm1"]}, "no_external_userid"),
        ({"external_userid": "x" * 65}, "too_long: external_userid 65 > 64"),
        ({"external_userid": "wm1", "name": "n" * 70000}, "too_long: name 70000 > 255"),
        ({"external_userid": "wm1", "name": "a\0"}, "nul: name"),
        ({"external_userid": "wm1", "follow_info": {"userid": "u", "remark": "\ud800"}}, "surrogate: remark"),
        ({"external_userid": "wm1", "name": {}}, "wrong_type: name"),
        ({"external_userid": "wm1", "name": True}, "wrong_type: name"),
        ({"external_userid": "wm1", "follow_user": [{}]}, "no_userid"),
        ({"external_userid": "wm1", "follow_user": ["u" * 65]}, "too_long: userid 65 > 64"),
        ({"external_userid": "wm1", "external_profile": {"a": ["\0"]}}, "nul: external_profile"),
        ({"external_userid": "wm1", "external_profile": nested(101)}, "too_deep: external_profile"),
    ],
)
def test_what_cannot_be_stored_says_why(item: Any, why: str) -> None:
    assert reason(item) == why


def test_a_bad_item_names_whom_it_is_about() -> None:
    item = {"external_contact": {"external_userid": "wm1", "name": "\0"}, "follow_info": {"userid": "lin"}}
    record = read_item(item, position=5)
    assert isinstance(record, BadItem)
    assert (record.position, record.external_userid, record.userid) == (5, "wm1", "lin")
    assert b"\\u0000" in record.raw


def test_raw_of_a_lone_surrogate_is_ascii() -> None:
    record = read_item({"external_userid": "wm1", "name": "\ud800"})
    assert b"\\ud800" in record.raw
    record.raw.decode("ascii")


def test_followers_in_every_shape() -> None:
    for item in (
        {"follow_user": ["lin", "wang"]},
        {"follow_user": [{"userid": "lin"}, {"userid": "wang"}]},
        {"follow_user": ["lin", "", None, "wang", "lin"]},
    ):
        assert [follow.userid for follow in read(**item).follows] == ["lin", "wang"]
    assert [follow.userid for follow in read(follow_user="lin").follows] == ["lin"]
    assert [follow.userid for follow in read(follow_info={"userid": "lin"}).follows] == ["lin"]
    assert read(follow_user=None).follows == read(follow_user=[]).follows == read().follows == ()


def test_an_item_that_names_no_follower_belongs_to_whom_was_asked() -> None:
    record = read_item({"external_userid": "wm1"}, implied="lin")
    assert isinstance(record, ContactRecord)
    assert [follow.userid for follow in record.follows] == ["lin"]


def test_tags_with_names_and_personal_tags() -> None:
    tags = [
        {"group_name": "Level", "tag_name": "A", "tag_id": "etT1", "type": 1},
        {"group_name": "own", "tag_name": "tea", "type": 2},
        {"tag_name": "rule", "tag_id": "stR1", "type": "3"},
        "nonsense",
    ]
    (follow,) = read(follow_user=[{"userid": "lin", "tags": tags}]).follows
    assert follow.tag_ids == ("etT1", "stR1")
    assert follow.personal_tags == ("tea",)
    assert follow.tags[0] == TagRecord("etT1", "A", "Level", 1)
    (follow,) = read(follow_info={"userid": "lin", "tag_id": ["etT1", "etT1"]}).follows
    assert (follow.tag_ids, follow.personal_tags) == (("etT1",), UNSET)


@pytest.mark.parametrize(
    ("told", "read_as"),
    [
        (None, []),
        ("", []),
        ("a|b", ["a", "b"]),
        (["a", "b|c"], ["a", "b", "c"]),
        (7, ["7"]),
        ({}, []),
        ([None, 1], ["1"]),
    ],
)
def test_id_lists_in_every_shape(told: Any, read_as: list[str]) -> None:
    assert reading.ids(told) == read_as


@given(JSON)
def test_readers_never_raise_anything_but_unstorable(value: Any) -> None:
    reading.ids(value)
    reading.as_list(value)
    assert reading.as_int(value) is None or isinstance(reading.as_int(value), int)
    with contextlib.suppress(reading.Unstorable):
        reading.text({"name": value}, "name")
