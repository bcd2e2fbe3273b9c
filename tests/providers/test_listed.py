"""A listing read by its bytes equals the same listing parsed, whatever is in it and whatever is known of it."""

import dataclasses
import json
from collections.abc import Container
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crm.providers.answers import Reply, second_reading, whole
from crm.providers.errors import ProviderError
from crm.providers.listed import Item, read_listing
from crm.providers.reading import raw_bytes
from crm.providers.records import BadItem, ContactRecord, digest_of
from crm.providers.wecom.items import read_item, read_listed
from tests.providers import reference
from tests.providers.test_reading import ITEMS

LIST = "external_contact_list"


def listing(body: bytes, known: Container[bytes] = ()) -> Reply:
    """`body` with its items as they are."""
    return read_listing(body, LIST, known=known, read=lambda item: item)  # type: ignore[arg-type,return-value]


# What no reader takes, whatever is around it.
UNREADABLE = {
    b'{"a":' * 3_000 + b"1" + b"}" * 3_000: "too_deep",
    b"[" * 3_000 + b"]" * 3_000: "too_deep",
    b"9" * 5_000: "bad_number",
    b"-" + b"9" * 400: "bad_number",
    b"1e999": "bad_number",
    b"[[NaN]]": "bad_number",
    b"-Infinity": "bad_number",
    b"nan": "not_json",
    b"01": "not_json",
    b'"\\x"': "not_json",
    b'"a\xff}],"': "not_utf8",
    '"客"'.encode()[:-2] + b'"': "not_utf8",
}
MARKS = [f"<{number}>" for number in range(len(UNREADABLE))]  # where one of them will stand

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


def is_around_the_list(frame: str) -> bool:
    """Whether what stands at `{0}` is the list that counts."""
    return frame.startswith(("{{", " {{")) and '"deep"' not in frame and '" :' not in frame


@st.composite
def marked_bodies(draw: st.DrawFn) -> list[bytes]:
    """A listing in three pieces: before, the items, after. Marks stand where no reader shall go on."""
    frame, write = draw(FRAMES.filter(is_around_the_list)), draw(WRITERS)
    marked = st.builds(lambda item, mark: {**item, "b": mark}, OBJECTS, st.sampled_from(MARKS))
    items = draw(st.lists(OBJECTS | VALUES | marked | st.sampled_from(MARKS), min_size=1, max_size=5))
    before, _, after = frame.partition("{0}")
    texts = [before.format(), *(write(item) for item in items), after.format()]
    return [text.encode("utf-8", "surrogatepass") for text in texts]


def unreadable_at_marks(item: bytes) -> bytes:
    for mark, text in zip(MARKS, UNREADABLE, strict=True):
        item = item.replace(f'"{mark}"'.encode(), text)
    return item


def null_for_marked(item: bytes) -> bytes:
    return item if unreadable_at_marks(item) == item else b"null"


def digests(body: bytes) -> dict[bytes, Any]:
    """What a caller could know after it had read `body`: digests, and the values they stand for."""
    try:
        found: Any = listing(body).items or []
    except ProviderError:
        return {}
    met = {item.digest or digest_of(raw_bytes(item.value)): item.value for item in found if not item.trouble}
    return {digest: value for digest, value in met.items() if isinstance(value, dict)}


def read(body: bytes, known: dict[bytes, Any]) -> Any:
    """The whole answer as a caller sees it who replaces known digests by what they stand for; or the error.

    In place of an item that no reader takes stands None.
    """
    try:
        reply: Any = listing(body, known)
    except ProviderError as error:
        return type(error), error.code
    if reply.items is None:
        return reply.data
    values = [
        known[item] if isinstance(item, bytes) else None if item.trouble else item.value
        for item in reply.items
    ]
    told = reply.data.get(LIST)
    return {**reply.data, LIST: values if isinstance(told, list) else told}


def parsed(body: bytes) -> Any:
    try:
        return whole(body).data
    except ProviderError as error:
        return type(error), error.code


def parsed_around_unreadable(body: bytes) -> Any:
    """Like `parsed`; where that fails because of items, the answer with None in their place."""
    told = parsed(body)
    if isinstance(told, dict):
        return told
    spans = reference.item_spans(body, LIST)
    unreadable = [span for span in spans if not is_readable(body[slice(*span)])]
    for start, stop in reversed(unreadable):
        body = body[:start] + b"null" + body[stop:]
    mended = parsed(body) if unreadable else told
    return mended if isinstance(mended, dict) else told


def is_readable(item: bytes) -> bool:
    return isinstance(parsed(b'{"item":' + item + b"}"), dict)


def plain(value: Any) -> Any:
    """`value` with what two JSON readers may rightly tell apart made equal: 0, -0 and 0.0."""
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
            st.sampled_from([b"", b"}", b"{", b"]", b"[", b'"', b",", b":", b"\\", b"0", b"\xff", b"\0"])
        )
        body = body[:start] + patch + body[stop:]
    assert same(read(body, known), parsed_around_unreadable(body))


@settings(deadline=None, max_examples=50)  # thousands of brackets, four times
@given(marked_bodies(), st.data())
def test_an_item_no_reader_takes_costs_its_neighbours_nothing(
    marked: list[bytes], data: st.DataObject
) -> None:
    before, *items, after = marked
    assume(all(map(is_readable, items)))  # one writer spoils `false`
    body = before + b"[" + b", ".join(map(unreadable_at_marks, items)) + b"]" + after
    sound = before + b"[" + b", ".join(map(null_for_marked, items)) + b"]" + after
    met = digests(body)
    chosen = data.draw(st.sets(st.sampled_from(sorted(met)))) if met else set()
    for known in ({}, {digest: met[digest] for digest in chosen}, met):
        assert same(read(body, known), parsed(sound))


@given(st.lists(ITEMS, max_size=5), st.sampled_from(["", "lin"]))
def test_records_are_those_of_the_whole_parse(items: list[Any], implied: str) -> None:
    body = f'{{"errcode":0,"{LIST}":{compact(items)}}}'.encode("utf-8", "surrogatepass")
    found = read_listing(body, LIST, known=(), read=partial(read_listed, implied=implied)).items or []
    values = second_reading(body)[LIST]
    for n, (told, value) in enumerate(zip(found, values, strict=True)):
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


@pytest.mark.parametrize(("unreadable", "reason"), UNREADABLE.items(), ids=lambda each: str(each[:12]))
@pytest.mark.parametrize("places", [[0], [1], [2], [0, 2], [0, 1, 2]])
def test_an_item_no_reader_takes_is_named_with_its_reason(
    unreadable: bytes, reason: str, places: list[int]
) -> None:
    sound = [b'{"external_userid":"wm%d","name":"n"}' % n for n in range(3)]
    bad = [b'{"x":%s,"external_userid":"wm%d"}' % (unreadable, n) for n in range(3)]
    items = [bad[n] if n in places else sound[n] for n in range(3)]
    found = read_listing(page(*items), LIST, known=(), read=partial(read_listed, implied="lin")).items or []
    truth = read_listing(page(*sound), LIST, known=(), read=partial(read_listed, implied="lin")).items or []
    for n, item in enumerate(found):
        expected = BadItem(n, reason, f"wm{n}", "lin", bad[n]) if n in places else truth[n]
        assert item == expected


def test_an_item_no_reader_takes_says_whom_it_is_about_in_the_shape_of_pairs() -> None:
    person = b'{"name":1e999,"external_userid":"wm1","external_profile":{"external_userid":"wm2"}}'
    raw = b'{"external_contact":%s,"follow_info":{"userid":"lin","a":[{"userid":"b"}]}}' % person
    (item,) = read_listing(page(raw), LIST, known=(), read=partial(read_listed, implied="")).items or []
    assert item == BadItem(0, "bad_number", "wm1", "lin", raw)
