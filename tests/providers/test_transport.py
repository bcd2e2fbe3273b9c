"""One exchange against a hostile server: bounded in time and size, no redirects, no secret in any word."""

import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from crm.providers import DIALECTS, open_provider
from crm.providers.base import Credentials, Unlimited
from crm.providers.connection import is_public
from crm.providers.errors import BadCredential, Malformed, ProviderError, RateLimited, Unavailable
from crm.providers.records import ContactRecord
from crm.providers.tokens import MemoryTokens
from crm.providers.transport import BODY_CAP, Timeouts
from tests.providers.corps import QUICK
from tests.providers.hostile import (
    API,
    EMPTY_PAGE,
    SECRET,
    TOKEN,
    Hostile,
    Open,
    drip,
    drip_body,
    fail,
    gzipped,
    reset,
    self_signed,
)


@pytest.mark.parametrize("answer", [drip, drip_body])
def test_a_dripping_server_ends_within_the_total(client: Open, hostile: Hostile, answer: Any) -> None:
    started = time.monotonic()
    error = fail(client, hostile, answer, timeouts=Timeouts(connect=1, read=0.5, total=0.8))
    assert time.monotonic() - started < 2
    assert (type(error), error.code, error.outcome) == (Unavailable, "timeout", "unknown")


def test_a_silent_server_ends_within_the_read_limit(client: Open, hostile: Hostile) -> None:
    gate = threading.Event()
    started = time.monotonic()
    error = fail(client, hostile, lambda handler: gate.wait(5), timeouts=Timeouts(1, 0.3, 20))
    gate.set()
    assert time.monotonic() - started < 2
    assert (error.code, error.outcome) == ("timeout", "unknown")


def test_a_host_that_does_not_accept_was_certainly_not_asked(hostile: Hostile, client: Open) -> None:
    with socket.socket() as full:  # a backlog of none, filled
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        others = [socket.socket() for _ in range(3)]
        for other in others:
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        time.sleep(0.05)
        url = f"http://127.0.0.1:{full.getsockname()[1]}"
        with pytest.raises(Unavailable) as caught:
            client("direct", base_url=url, timeouts=Timeouts(0.3, 0.5, 1)).contact_page(["lin"])
        for other in others:
            other.close()
    assert (caught.value.code, caught.value.outcome) == ("timeout", "not_done")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "refused"),
        ("http://no-such-host.invalid", "resolve"),
        ("http://[::1", "not valid"),
        ("nonsense", "reached"),
        ("ftp://127.0.0.1", "reached"),
    ],
)
def test_an_unreachable_host_is_network_and_not_done(client: Open, url: str, words: str) -> None:
    with pytest.raises(Unavailable) as caught:
        client("direct", base_url=url).contact_page(["lin"])
    assert (caught.value.code, caught.value.outcome) == ("network", "not_done")
    assert words in caught.value.errmsg


def test_tls_is_always_verified(client: Open, hostile: Hostile) -> None:
    with pytest.raises(Unavailable) as caught:
        client("direct", base_url=hostile.url.replace("http:", "https:")).contact_page(["lin"])
    assert (caught.value.code, caught.value.outcome) == ("network", "not_done")
    assert "TLS" in caught.value.errmsg


def test_a_certificate_nobody_vouches_for_is_refused(client: Open, tmp_path: Path) -> None:
    with self_signed(tmp_path) as (url, received), pytest.raises(Unavailable) as caught:
        client("direct", base_url=url).contact_page(["lin"])
    assert (caught.value.code, caught.value.outcome) == ("network", "not_done")
    assert "certificate" in caught.value.errmsg
    assert received == []


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (b"<html>", Unavailable, "not_json"),
        (b"", Unavailable, "not_json"),
        (b'{"errcode":0}}', Unavailable, "not_json"),
        (b'{"a":NaN}', Unavailable, "not_json"),
        (b'{"a":1e999}', Unavailable, "not_json"),
        (b"[" * 100_000, Unavailable, "truncated"),
        (b'{"errmsg":"\xff\xfe"}', Unavailable, "not_json"),
        ('{"errmsg":"客户"}'.encode("gbk"), Unavailable, "not_json"),
        ('{"errcode":0,"errmsg":"系'.encode()[:-1], Unavailable, "truncated"),
        (b'{"errcode":0,"external_contact_list":[{"external_userid":"a"}', Unavailable, "truncated"),
        (b"[]", Malformed, "not_json"),
        (b'"ok"', Malformed, "not_json"),
        (b"null", Malformed, "not_json"),
        ({}, Malformed, "not_json"),
        ({"errcode": None}, Malformed, "not_json"),
        ({"errcode": "zero"}, Malformed, "not_json"),
        ({"errcode": False}, Malformed, "not_json"),
        ({"errcode": 0}, Malformed, "no_list"),
        ((301, {"Location": "/cgi-bin/elsewhere"}, b""), Malformed, "http_status"),
        ((403, {}, b"no"), Malformed, "http_status"),
        ((500, {}, b"{}"), Unavailable, "http_status"),
        ((204, {}, b""), Malformed, "http_status"),
        ((200, {"Content-Encoding": "gzip"}, b"not gzip"), Unavailable, "not_json"),
    ],
)
def test_each_answer_is_its_error(client: Open, hostile: Hostile, answer: Any, kind: type, code: str) -> None:
    error = fail(client, hostile, answer)
    assert (type(error), error.code, error.errcode) == (kind, code, None)


def test_a_byte_order_mark_before_the_answer_is_not_part_of_it(client: Open, hostile: Hostile) -> None:
    hostile.answers[API] = b'\xef\xbb\xbf{"errcode":0,"external_contact_list":[{"external_userid":"wm1"}]}'
    (item,) = client("direct").contact_page(["lin"]).items
    assert isinstance(item, ContactRecord)
    assert (item.external_userid, item.raw) == ("wm1", b'{"external_userid":"wm1"}')


def test_success_is_told_in_three_ways(client: Open, hostile: Hostile) -> None:
    hostile.answers[API] = [
        {"errcode": "0", "external_contact_list": []},
        {"result": 0, "external_contact_list": []},
        {"external_contact_list": []},
        {"errcode": 0, "external_contact_list": None},
        {"errcode": 0, "external_contact_list": {"external_userid": "alone"}},
    ]
    provider = client("direct")
    assert [len(provider.contact_page(["lin"]).items) for _ in range(5)] == [0, 0, 0, 0, 1]
    hostile.answers[API] = {"result": "40058", "errmsg": "no"}
    with pytest.raises(ProviderError) as caught:
        provider.contact_page(["lin"])
    assert caught.value.errcode == 40058


def test_redirects_are_not_followed(client: Open, hostile: Hostile) -> None:
    fail(client, hostile, (302, {"Location": f"{hostile.url}/cgi-bin/gettoken"}, b""))
    assert len(hostile.calls("gettoken")) == 1


@pytest.mark.parametrize("packed", [False, True])
def test_a_huge_answer_is_not_read_to_its_end(client: Open, hostile: Hostile, packed: bool) -> None:
    body = b'{"errcode":0,"x":"' + b"0" * (BODY_CAP * 8) + b'"}'
    started = time.monotonic()
    error = fail(client, hostile, gzipped(body) if packed else body, timeouts=Timeouts(1, 5, 10))
    assert (type(error), error.code) == (Malformed, "truncated")
    assert time.monotonic() - started < 5


def test_a_gzipped_page_is_read(client: Open, hostile: Hostile) -> None:
    hostile.answers[API] = gzipped(b'{"errcode":0,"external_contact_list":[{"external_userid":"a"}]}')
    assert len(client("direct").contact_page(["lin"]).items) == 1


def test_a_reset_read_is_tried_three_times(client: Open, hostile: Hostile) -> None:
    error = fail(client, hostile, reset)
    assert (error.code, error.outcome) == ("network", "unknown")
    assert len(hostile.calls(API)) == 3


def test_connections_are_kept_and_each_thread_has_its_own(client: Open, hostile: Hostile) -> None:
    ports: list[int] = []
    hostile.answers[API] = lambda handler: ports.append(handler.client_address[1]) or EMPTY_PAGE
    provider = client("direct")
    for _ in range(3):
        provider.contact_page(["lin"])
    assert len(set(ports)) == 1
    thread = threading.Thread(target=provider.contact_page, args=(["lin"],))
    thread.start()
    thread.join()
    assert len(set(ports)) == 2
    assert provider.tally.calls == 5


def test_a_connection_that_was_idle_is_not_used_again(
    client: Open, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports: list[int] = []
    hostile.answers[API] = lambda handler: ports.append(handler.client_address[1]) or EMPTY_PAGE
    provider, clock = client("direct"), time.monotonic
    for later in (0, 4, 8, 14):
        monkeypatch.setattr(time, "monotonic", lambda later=later: clock() + later)
        provider.contact_page(["lin"])
    assert [ports.index(port) for port in ports] == [0, 0, 0, 3]


def test_a_connection_the_provider_closed_is_replaced(client: Open, hostile: Hostile) -> None:
    def answer(handler: Any) -> Any:
        handler.close_connection = True
        return EMPTY_PAGE

    hostile.answers[API] = answer
    provider = client("direct")
    for _ in range(3):
        provider.contact_page(["lin"])
        time.sleep(0.02)
    assert len(hostile.calls(API)) == 3


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0"),
        *("224.0.0.1", "240.0.0.1", "::1", "::", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1"),
        *("::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"),
    ],
)
def test_an_address_that_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_that_is_public(address: str) -> None:
    assert is_public(address)


def test_the_connected_peer_must_be_public(client: Open, hostile: Hostile) -> None:
    """`localhost` is a name like any other: what counts is where it leads when we connect."""
    for url in (
        hostile.url,
        hostile.url.replace("127.0.0.1", "localhost"),
        hostile.url.replace("http:", "https:"),
    ):
        with pytest.raises(BadCredential) as caught:
            client("direct", base_url=url, allow_private=False).contact_page(["lin"])
        assert (caught.value.code, caught.value.outcome) == ("network", "not_done")
        assert "CRM_ALLOW_PRIVATE_UPSTREAM" in caught.value.fix
    assert hostile.asked == []


def test_the_environment_brings_no_proxy(
    client: Open, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    hostile.answers[API] = EMPTY_PAGE
    assert len(client("direct").contact_page(["lin"]).items) == 0


def test_cookies_are_not_kept(client: Open, hostile: Hostile) -> None:
    cookies: list[str | None] = []

    def answer(handler: Any) -> Any:
        cookies.append(handler.headers.get("Cookie"))
        return 200, {"Set-Cookie": "a=b"}, b'{"errcode":0,"external_contact_list":[]}'

    hostile.answers[API] = answer
    provider = client("direct")
    for _ in range(2):
        provider.contact_page(["lin"])
    assert cookies == [None, None]


def test_requests_carry_token_in_the_query_and_real_utf8(client: Open, hostile: Hostile) -> None:
    hostile.answers[API] = EMPTY_PAGE
    client("direct").contact_page(["销售"], cursor="c1", limit=500)
    (asked,) = hostile.calls(API)
    assert asked.method == "POST"
    assert asked.query == {"access_token": TOKEN}
    assert asked.json() == {"userid": "销售", "cursor": "c1", "limit": 100}
    assert "销售".encode() in asked.body
    (token,) = hostile.calls("gettoken")
    assert token.query == {"corpid": "ww-corp", "corpsecret": SECRET}


class Noted(Unlimited):
    """A limiter that remembers what it was told."""

    def __init__(self) -> None:
        self.waits: list[str] = []
        self.limits: list[tuple[str, int, float]] = []

    def wait(self, api: str) -> None:
        self.waits.append(api)

    def limited(self, api: str, *, errcode: int, retry_after: float) -> None:
        self.limits.append((api, errcode, retry_after))


def test_the_limiter_is_asked_before_every_call_and_told_of_limits(client: Open, hostile: Hostile) -> None:
    limiter = Noted()
    error = fail(client, hostile, {"errcode": 45009, "errmsg": "freq"}, limiter=limiter)
    assert isinstance(error, RateLimited)
    assert error.retry_after == 60
    assert limiter.waits == [API, "gettoken"] or limiter.waits == ["gettoken", API]
    assert limiter.limits == [(API, 45009, 60)]


def test_concurrency_is_obeyed_and_tried_again(client: Open, hostile: Hostile) -> None:
    limiter = Noted()
    hostile.answers[API] = [{"errcode": 45033}, {"errcode": 45033}, EMPTY_PAGE]
    client("direct", limiter=limiter).contact_page(["lin"])
    assert [(api, errcode) for api, errcode, _ in limiter.limits] == [(API, 45033)] * 2
    assert limiter.waits.count(API) == 3


class Impatient(Noted):
    """A limiter that forbids another try once it was told of a limit."""

    def wait(self, api: str) -> None:
        if self.limits:
            raise RateLimited("paused", errcode=45009, retry_after=300)


@pytest.mark.parametrize("limiter", [Noted(), Impatient()])
def test_concurrency_that_stays_is_what_surfaces(client: Open, hostile: Hostile, limiter: Noted) -> None:
    error = fail(client, hostile, {"errcode": 45033, "errmsg": "busy"}, limiter=limiter)
    assert (type(error), error.errcode, error.api) == (RateLimited, 45033, API)
    assert set(limiter.limits) == {(API, 45033, 1.0)}
    assert len(hostile.calls(API)) == len(limiter.limits) == (1 if isinstance(limiter, Impatient) else 3)


def test_http_429_is_a_rate_limit(client: Open, hostile: Hostile) -> None:
    limiter = Noted()
    error = fail(client, hostile, (429, {"Retry-After": "7"}, b""), limiter=limiter)
    assert (type(error), error.code, error.retry_after) == (RateLimited, "http_status", 7)
    assert limiter.limits == [(API, 429, 7)]


def test_an_old_tokens_error_does_not_discard_a_newer_token() -> None:
    store = MemoryTokens()
    made = iter(("first", "second", "third"))
    old = store.get(lambda: (next(made), 7200))
    store.reject(old)
    new = store.get(lambda: (next(made), 7200))
    store.reject(old)
    assert store.get(lambda: (next(made), 7200)) == new


def test_many_threads_fetch_one_token(client: Open, hostile: Hostile) -> None:
    hostile.answers[API] = EMPTY_PAGE
    provider = client("direct")
    threads = [threading.Thread(target=provider.contact_page, args=(["lin"],)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hostile.calls("gettoken")) == 1
    assert provider.tally.calls == 17


def test_opening_a_provider_asks_nothing_and_hides_the_secret() -> None:
    credentials = Credentials("ww", SECRET)
    assert SECRET not in repr(credentials)
    for dialect in DIALECTS:
        options: dict[str, Any] = {"tokens": MemoryTokens(), "limiter": Unlimited(), "timeouts": QUICK}
        provider = open_provider(dialect, credentials, base_url="http://127.0.0.1:1", **options)
        assert provider.dialect == dialect
        assert provider.tally.calls == 0
