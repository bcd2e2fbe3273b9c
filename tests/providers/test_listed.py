"""A listing read by its bytes equals the same listing parsed, whatever is in it and whatever is known of it."""

import dataclasses
import json
from collections.abc import Container
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.providers.answers import Reply, whole
from crm.providers.errors import ProviderError
from crm.providers.listed import Item, read_listing
from crm.providers.reading import raw_bytes
from crm.providers.records import BadItem, ContactRecord, digest_of
from crm.providers.wecom.items import read_item, read_listed
from tests.providers.test_reading import ITEMS

LIST = "external_contact_list"


def listing(body: bytes, known: Container[bytes] = ()) -> Reply:
    """`body` with its items as they are."""
    return read_listing(body, LIST, known=known, read=lambda item: item)  # type: ignore[arg-type,return-value]


# What the cuts are guessed from, inside texts and keys, where it must not mislead.
NASTY = [
    '},{"a":',
    '"}]',
    '"external_contact_list":[',
    "}]",
    '\\"',
    "\\",
    "[]",
    '{"a":1},{"a":2}',
    "客\0\ud800",
]
TEXTS = st.sampled_from(NASTY) | st.text('a"\\},{[]:é汉\0\ud800', max_size=6)
KEYS = st.sampled_from(["a", "b", "a", "external_contact", LIST, *NASTY])
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.builds(
    lambda first, rest: {"a": first, **rest}, VALUES, st.dictionaries(KEYS, VALUES, max_size=3)
)
LISTS = st.lists(OBJECTS, max_size=6) | st.lists(OBJECTS | VALUES, max_size=4)


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


WRITERS = st.sampled_from(
    [
        compact,
        compact,
        lambda value: json.dumps(value, separators=(",", ":")),
        lambda value: compact(value).replace("/", "\\/").replace("a", "\\u0061"),
        json.dumps,
        lambda value: json.dumps(value, indent=1),
    ]
)
FRAMES = st.sampled_from(
    [
        '{{"errcode":0,"errmsg":"ok","external_contact_list":{0},"next_cursor":"c"}}',
        '{{"external_contact_list":{0},"next_cursor":"","errcode":0}}',
        '{{"errcode":0,"external_contact_list":{0},"fail_info":{{"unlicensed_userid_list":["u"]}}}}',
        '{{"errcode":0,"external_contact_list":{0},"more":[{{"a":1}}]}}',
        '{{"external_contact_list":[{{"a":1}}],"errcode":0,"external_contact_list":{0}}}',
        '{{"external_contact_list":{0},"external_contact_list" : [{{"a":1}}]}}',
        '{{"deep":{{"external_contact_list":{0}}},"external_contact_list" :[{{"a":1}}]}}',
        '{{"deep":{{"external_contact_list":{0}}},"external_contact_list" :""}}',
        '{{"deep":{{"external_contact_list":{0}}}}}',
        '{{"errmsg":"\\"external_contact_list\\":[","external_contact_list":{0}}}',
        '[{{"external_contact_list":{0}}}]',
        ' {{ "external_contact_list":{0} }} ',
    ]
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    text = draw(FRAMES).format(draw(WRITERS)(draw(LISTS)))
    return str(text).encode("utf-8", "surrogatepass")


def digests(body: bytes) -> dict[bytes, Any]:
    """What a caller could know after it had read `body`: digests, and the values they stand for."""
    try:
        found: Any = listing(body).items or []
    except ProviderError:
        return {}
    met = {item.digest or digest_of(raw_bytes(item.value)): item.value for item in found}
    return {digest: value for digest, value in met.items() if isinstance(value, dict)}


def read(body: bytes, known: dict[bytes, Any]) -> Any:
    """The whole answer as a caller sees it who replaces known digests by what they stand for; or the error."""
    try:
        reply: Any = listing(body, known)
    except ProviderError as error:
        return type(error), error.code
    if reply.items is None:
        return reply.data
    values = [known[item] if isinstance(item, bytes) else item.value for item in reply.items]
    told = reply.data.get(LIST)
    return {**reply.data, LIST: values if isinstance(told, list) else told}


def parsed(body: bytes) -> Any:
    try:
        return whole(body).data
    except ProviderError as error:
        return type(error), error.code


def plain(value: Any) -> Any:
    """`value` with what two JSON readers may rightly tell apart made equal: 0, -0 and 0.0, long integers."""
    if isinstance(value, dict):
        return [(key, plain(each)) for key, each in value.items()]
    if isinstance(value, list):
        return [plain(each) for each in value]
    return float(value) + 0.0 if type(value) in (int, float) else (type(value), value)


def same(told: Any, truth: Any) -> bool:
    if not isinstance(told, dict) or not isinstance(truth, dict):
        return bool(told == truth)
    return told.keys() == truth.keys() and all(plain(told[key]) == plain(truth[key]) for key in truth)


@given(st.lists(bodies(), min_size=1, max_size=3), st.data())
def test_a_listing_is_the_same_with_any_part_of_it_known(several: list[bytes], data: st.DataObject) -> None:
    met = {digest: value for body in several for digest, value in digests(body).items()}
    chosen = data.draw(st.sets(st.sampled_from(sorted(met)))) if met else set()
    for body in several:
        for known in ({}, {digest: met[digest] for digest in chosen}, met):
            assert same(read(body, known), parsed(body))


@given(bodies(), st.data())
def test_a_damaged_listing_is_never_taken_for_known(body: bytes, data: st.DataObject) -> None:
    known = digests(body)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(body)))
        stop = data.draw(st.integers(start, min(len(body), start + 4)))
        patch = data.draw(
            st.sampled_from([b"", b"}", b"{", b"]", b"[", b'"', b",", b"\\", b"0", b"\xff", b"\0"])
        )
        body = body[:start] + patch + body[stop:]
    assert same(read(body, known), parsed(body))


@given(st.lists(ITEMS, max_size=5), st.sampled_from(["", "lin"]))
def test_records_are_those_of_the_whole_parse(items: list[Any], implied: str) -> None:
    body = f'{{"errcode":0,"{LIST}":{compact(items)}}}'.encode("utf-8", "surrogatepass")
    found = read_listing(body, LIST, known=(), read=partial(read_listed, implied=implied)).items or []
    for n, (told, value) in enumerate(zip(found, items, strict=True)):
        assert isinstance(told, ContactRecord | BadItem)
        bytes_told: dict[str, Any] = {"raw": told.raw}
        if isinstance(told, ContactRecord):
            bytes_told["digest"] = digest_of(told.raw)
        truth = read_item(value, position=n, implied=implied)
        assert repr(told) == repr(dataclasses.replace(truth, **bytes_told))


ONE, TWO = b'{"id":"a","tags":[{"n":1},{"n":2}]}', b'{"id":"b"}'


def page(*items: bytes, before: bytes = b'"errcode":0,', after: bytes = b',"next_cursor":"c"') -> bytes:
    return b"{" + before + b'"external_contact_list":[' + b",".join(items) + b"]" + after + b"}"


def test_a_known_item_is_not_parsed() -> None:
    reply = listing(page(ONE, TWO), known={digest_of(ONE)})
    assert reply.items == [digest_of(ONE), Item({"id": "b"}, 1, TWO, digest_of(TWO), True)]
    assert reply.data == {"errcode": 0, LIST: [], "next_cursor": "c"}


@pytest.mark.parametrize(
    "body",
    [
        page(),
        page(b'{"id":"a"}', b'{"other":"b"}'),
        page(b'{"id":"a","more":[{"id":1},{"id":2}]}'),
        page(b'{"id": "a"}', b' {"id": "b"}'),
        page(ONE, after=b',"more":[{"id":"x"}]'),
        page(ONE, after=b',"external_contact_list" :[]'),
        page(b"1", b'{"id":"a"}'),
        b'{"deep":' + page(ONE) + b"}",
        b"[" + page(ONE) + b"]",
    ],
)
def test_another_shape_is_read_whole(body: bytes) -> None:
    try:
        truth = whole(body)
    except ProviderError as error:
        with pytest.raises(type(error)):
            listing(body)
        return
    reply: Any = listing(body, known={digest_of(ONE)})
    assert reply.data == truth.data
    assert [(item.value, item.raw) for item in reply.items or []] == [
        (value, b"") for value in truth.data.get(LIST, [])
    ]


def test_an_item_with_a_lone_surrogate_costs_its_neighbours_nothing() -> None:
    broken = b'{"id":"\\ud800"}'
    reply = listing(page(ONE, broken, TWO), known={digest_of(ONE), digest_of(TWO)})
    assert reply.items is not None
    first, bad, last = reply.items
    assert (first, last) == (digest_of(ONE), digest_of(TWO))
    assert isinstance(bad, Item)
    assert (bad.value, bad.clean) == ({"id": "\ud800"}, False)
    bad.raw.decode()


def test_the_providers_own_bytes_are_kept() -> None:
    raw = b'{"id":"\\u5ba2\\/","id2":1.0,"id":"\\u5ba2"}'
    assert listing(page(raw)).items == [Item(orjson.loads(raw), 0, raw, digest_of(raw), True)]
