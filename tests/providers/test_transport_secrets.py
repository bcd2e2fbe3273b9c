"""What is said of an exchange, in errors and logs: bounded, and without a token or a secret (guarantees T4)."""

import contextlib
import logging
import traceback
from typing import Any

import orjson
import pytest

from crm.providers.answers import scrub
from crm.providers.errors import ProviderError
from tests.providers.hostile import API, EMPTY_PAGE, SECRET, TOKEN, Hostile, Open, drip, fail, reset

HOSTILE_ANSWERS: list[Any] = [
    reset,
    drip,
    b"<html>" + TOKEN.encode(),
    (302, {"Location": f"http://127.0.0.1:1/?access_token={TOKEN}"}, b""),
    (500, {}, TOKEN.encode()),
    {
        "errcode": 40058,
        "errmsg": f"bad url https://x/?access_token={TOKEN}&corpsecret={SECRET} {TOKEN} {SECRET}",
    },
    {"errcode": 60020, "errmsg": f'{{"access_token":"{TOKEN}"}} from ip: 1.2.3.4'},
    {"errcode": TOKEN},
    {"errcode": 0, "external_contact_list": [], "next_cursor": 7},
]


@pytest.mark.parametrize("answer", HOSTILE_ANSWERS)
def test_no_word_of_an_error_or_log_holds_a_secret(
    client: Open, hostile: Hostile, caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    error = fail(client, hostile, answer)
    told = "".join(traceback.format_exception(error)) + repr(error) + str(error.__context__) + caplog.text
    for secret in (TOKEN, SECRET, "s3cret-canary", "access_token=t"):
        assert secret not in told
    assert error.__context__ is None
    assert error.__cause__ is None


def test_urllib3_logs_no_query(client: Open, hostile: Hostile, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="urllib3")
    hostile.answers[API] = EMPTY_PAGE
    client("direct").contact_page(["lin"])
    assert "/cgi-bin/gettoken?***" in caplog.text
    assert TOKEN not in caplog.text
    assert "canary" not in caplog.text


def test_odd_headers_put_no_query_into_a_log(
    client: Open, hostile: Hostile, caplog: pytest.LogCaptureFixture
) -> None:
    body = orjson.dumps(EMPTY_PAGE)
    head = b"HTTP/1.1 200 OK\r\n: no name\r\nno colon\r\nContent-Length: %d\r\n\r\n" % len(body)
    hostile.answers[API] = lambda handler: handler.wfile.write(head + body) and None
    with contextlib.suppress(ProviderError):
        client("direct").contact_page(["lin"])
    assert "Failed to parse headers" in caplog.text
    assert TOKEN not in caplog.text


def test_scrub_bounds_and_cleans() -> None:
    assert scrub("a\0b\nc\ud800d") == "a b c d"
    assert len(scrub("x" * 10_000)) == 500
    assert scrub(None) == ""
    assert scrub({"a": 1})
    assert scrub("k s%2B1 z", "s+1") == "k *** z"
