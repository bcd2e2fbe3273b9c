"""What becomes of a delivery, fault by fault: once before the provider is well again, and when it stays.

The bytes of a second try, its spacing, events and the other recipients are in test_delivery.py; the same faults
seen from the client in tests/providers/test_contract_sending.py; answers made to hurt in test_hostile_replies.py.
"""

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.utils import timezone

from crm.models import AccessToken, Pace
from crm.providers.content import Text
from messaging import outbox, tasks
from messaging.models import Attempt, Message
from tests.messaging.house import House
from tests.providers.hostile import Hostile

TO_CONTACT = "externalcontact/message/send"
TO_EMPLOYEE = "message/send"
TURNS = 7  # more than any delivery may be tried


class Nobody(NamedTuple):
    """No server listens there."""


class Broken(NamedTuple):
    """`head` is written, then the line is closed after so many seconds."""

    head: bytes = b""
    seconds: float = 0

    def __call__(self, handler: Any) -> None:
        handler.wfile.write(self.head)
        handler.wfile.flush()
        threading.Event().wait(self.seconds)
        handler.close_connection = True


def errcode(number: int) -> dict[str, Any]:
    return {"errcode": number, "errmsg": "told so"}


def http(status: int, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
    return status, headers, body


HALF = b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"errcode":0,"errm'
BAD_UTF8 = b'{"errcode":0,"errmsg":"\xff\xfe"}'
HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
GOOD = {"errcode": 0, "errmsg": "ok", "msgid": "m1"}

# The send itself. To an employee `uncertain` is not the end: the same bytes go out again inside the duplicate check,
# until a success tells what became of them or its window closes (guarantees M3).
#
#   fault                    what the provider does           once: state, POSTs   stays: state, code, errcode, POSTs
SENDS: dict[str, tuple[Any, tuple[str, int], tuple[str, str, int | None, int]]] = {
    "connect refused":       (Nobody(),                       ("accepted", 1),  ("failed", "network", None, 0)),
    "reset before answer":   (Broken(),                       ("uncertain", 1), ("uncertain", "network", None, 1)),
    "hang before answer":    (Broken(seconds=1.2),            ("uncertain", 1), ("uncertain", "timeout", None, 1)),
    "hang amid the answer":  (Broken(HALF[:39], seconds=1.2), ("uncertain", 1), ("uncertain", "timeout", None, 1)),
    "half an answer":        (Broken(HALF),                   ("uncertain", 1), ("uncertain", "truncated", None, 1)),
    "half a status line":    (Broken(b"HTTP/1.1 2"),          ("uncertain", 1), ("uncertain", "network", None, 1)),
    "truncated JSON":        (b'{"errcode":0,"errmsg":"o',    ("uncertain", 1), ("uncertain", "truncated", None, 1)),
    "HTML":                  (HTML,                           ("uncertain", 1), ("uncertain", "not_json", None, 1)),
    "bad UTF-8":             (BAD_UTF8,                       ("uncertain", 1), ("uncertain", "not_json", None, 1)),
    "empty body":            (b"",                            ("uncertain", 1), ("uncertain", "not_json", None, 1)),
    "no errcode":            ({},                             ("uncertain", 1), ("uncertain", "not_json", None, 1)),
    "no JSON object":        (b"[]",                          ("uncertain", 1), ("uncertain", "not_json", None, 1)),
    "HTTP 500":              (http(500),                      ("uncertain", 1), ("uncertain", "http_status", None, 1)),
    "HTTP 500, errcode 0":   (http(500, b'{"errcode":0}'),    ("uncertain", 1), ("uncertain", "http_status", None, 1)),
    "HTTP 502":              (http(502, HTML),                ("uncertain", 1), ("uncertain", "http_status", None, 1)),
    "HTTP 408":              (http(408),                      ("uncertain", 1), ("uncertain", "http_status", None, 1)),
    "redirect":              (http(302, Location="/"),        ("uncertain", 1), ("uncertain", "http_status", None, 1)),
    "HTTP 403":              (http(403, HTML),                ("failed", 1),    ("failed", "http_status", None, 1)),
    "HTTP 404":              (http(404, HTML),                ("failed", 1),    ("failed", "http_status", None, 1)),
    "HTTP 429":              (http(429),                      ("accepted", 2),  ("queued", "http_status", None, TURNS)),
    "-1 busy":               (errcode(-1),                    ("accepted", 2),  ("failed", "", -1, 3)),
    "6000 version conflict": (errcode(6000),                  ("accepted", 2),  ("failed", "", 6000, 5)),
    "45009 too often":       (errcode(45009),                 ("accepted", 2),  ("queued", "", 45009, TURNS)),
    "45033 too many at once":(errcode(45033),                 ("accepted", 2),  ("failed", "", 45033, 5)),
    "40014 token invalid":   (errcode(40014),                 ("accepted", 2),  ("failed", "", 40014, 10)),
    "42001 token expired":   (errcode(42001),                 ("accepted", 2),  ("failed", "", 42001, 10)),
    "40001 secret invalid":  (errcode(40001),                 ("accepted", 2),  ("failed", "", 40001, 10)),
    "60020 IP not trusted":  (errcode(60020),                 ("accepted", 2),  ("failed", "", 60020, 5)),
    "60011 no right":        (errcode(60011),                 ("failed", 1),    ("failed", "", 60011, 1)),
    "81013 nobody valid":    (errcode(81013),                 ("failed", 1),    ("failed", "", 81013, 1)),
    "no such errcode":       (errcode(7777777),               ("failed", 1),    ("failed", "", 7777777, 1)),
}  # fmt: skip

# gettoken: nothing was sent, so the delivery waits for as long as it takes and no try counts (guarantees T3).
#
#   fault                    what the provider does           code, errcode while it stays
TOKENS: dict[str, tuple[Any, tuple[str, int | None]]] = {
    "connect refused":       (Nobody(),                       ("network", None)),
    "reset before answer":   (Broken(),                       ("network", None)),
    "hang before answer":    (Broken(seconds=1.2),            ("timeout", None)),
    "half an answer":        (Broken(HALF),                   ("truncated", None)),
    "truncated JSON":        (b'{"errcode":0,"access_to',     ("truncated", None)),
    "HTML":                  (HTML,                           ("not_json", None)),
    "bad UTF-8":             (BAD_UTF8,                       ("not_json", None)),
    "empty body":            (b"",                            ("not_json", None)),
    "no token in it":        (errcode(0),                     ("not_json", None)),
    "HTTP 500":              (http(500),                      ("http_status", None)),
    "HTTP 502":              (http(502, HTML),                ("http_status", None)),
    "HTTP 429":              (http(429),                      ("http_status", None)),
    "redirect":              (http(302, Location="/"),        ("http_status", None)),
    "-1 busy":               (errcode(-1),                    ("", -1)),
    "6000 version conflict": (errcode(6000),                  ("", 6000)),
    "45009 too often":       (errcode(45009),                 ("", 45009)),
    "45033 too many at once":(errcode(45033),                 ("", 45033)),
    "40001 secret invalid":  (errcode(40001),                 ("", 40001)),
    "40014 token invalid":   (errcode(40014),                 ("", 40014)),
    "42001 token expired":   (errcode(42001),                 ("", 42001)),
    "60011 no right":        (errcode(60011),                 ("", 60011)),
    "60020 IP not trusted":  (errcode(60020),                 ("", 60020)),
}  # fmt: skip


@pytest.fixture
def hostile(settings: Any) -> Iterator[Hostile]:
    settings.CRM_HTTP_TIMEOUTS = (0.5, 0.5, 1.0)
    server = Hostile()
    server.answers |= {TO_CONTACT: GOOD, TO_EMPLOYEE: GOOD}
    yield server
    server.close()


@pytest.fixture(params=[TO_CONTACT, TO_EMPLOYEE])
def api(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Provider:
    """The corp's provider, well or not; `posts` are the sends it saw."""

    def __init__(self, house: House, hostile: Hostile, api: str, elsewhere: str) -> None:
        self.house, self.hostile, self.api, self.elsewhere = house, hostile, api, elsewhere
        self._stands_at(hostile.url)

    def does(self, what: Any, *, at: str, once: bool = False) -> None:
        self._stands_at(self.elsewhere if what == Nobody() else self.hostile.url)
        if what != Nobody():
            well = self.hostile.answers[at]
            self.hostile.answers[at] = [what, well] if once else what

    def is_well(self) -> None:
        self._stands_at(self.hostile.url)

    def _stands_at(self, url: str) -> None:
        type(self.house.corp).objects.update(base_url=url)
        self.house.corp.base_url = url

    @property
    def posts(self) -> int:
        return len(self.hostile.calls(self.api))


def is_repeated(api: str, fault: str) -> bool:
    return api == TO_EMPLOYEE and SENDS[fault][1] == ("uncertain", 1)


@pytest.fixture
def provider(direct: House, hostile: Hostile, api: str, closed_port: str) -> Provider:
    return Provider(direct, hostile, api, closed_port)


def compose(house: House, api: str) -> Message:
    to: Any = {"contacts": house.ids[:1]} if api == TO_CONTACT else {"employees": house.userids[:1]}
    return outbox.compose(user=house.user, actor="user:test", corp=house.corp, content=Text("您好"), **to)


def take_turns(message: Message, turns: int) -> None:
    """Deliver, and repeat what is unanswered; before each turn all that was to be waited for has passed."""
    for _ in range(turns):
        message.deliveries.filter(state="queued").update(next_attempt_at=timezone.now())
        Pace.objects.update(tat=0, blocked_until=0)
        tasks.deliver(message.pk)
        unanswered = message.tries.filter(finished_at__isnull=True)
        unanswered.update(lease_until=timezone.now())
        for pk in unanswered.values_list("pk", flat=True):
            tasks.repeat(pk)


def told(message: Message, *names: str) -> tuple[Any, ...]:
    return tuple(message.deliveries.values_list(*names).get())


def with_a_token(provider: Provider) -> Message:
    """A message to send; the token for it has been fetched for another."""
    take_turns(compose(provider.house, provider.api), 1)
    provider.hostile.asked.clear()
    return compose(provider.house, provider.api)


@pytest.mark.parametrize("fault", SENDS)
def test_a_send_that_fails_once(provider: Provider, fault: str) -> None:
    what, (state, posts), _ = SENDS[fault]
    if is_repeated(provider.api, fault):
        state, posts = "accepted", 2
    message = with_a_token(provider)
    provider.does(what, at=provider.api, once=True)
    take_turns(message, 1)
    provider.is_well()
    take_turns(message, TURNS)
    message.refresh_from_db()
    assert (*told(message, "state"), message.state) == (state, "done")
    assert provider.posts == posts


@pytest.mark.slow
@pytest.mark.parametrize("fault", SENDS)
def test_a_send_that_fails_for_good(provider: Provider, fault: str) -> None:
    what, _, (state, code, number, posts) = SENDS[fault]
    message = with_a_token(provider)
    provider.does(what, at=provider.api)
    take_turns(message, TURNS)
    if is_repeated(provider.api, fault):
        assert told(message, "state", "code", "errcode") == ("sending", code, number)
        message.tries.update(repeat_until=timezone.now(), lease_until=timezone.now())
        tasks.sweep()
        code, posts = "unanswered", 1 + TURNS
    message.refresh_from_db()
    assert told(message, "state", "code", "errcode") == (state, code, number)
    assert message.state == ("open" if state == "queued" else "done")
    assert provider.posts == posts
    assert not Attempt.objects.filter(finished_at__isnull=True).exists()


@pytest.mark.slow
@pytest.mark.parametrize("api", [TO_CONTACT], indirect=True)
@pytest.mark.parametrize("fault", TOKENS)
def test_a_token_that_cannot_be_had(provider: Provider, fault: str) -> None:
    what, (code, number) = TOKENS[fault]
    message = compose(provider.house, provider.api)
    well = provider.hostile.answers["gettoken"]
    provider.does(what, at="gettoken")
    take_turns(message, 1)
    assert told(message, "state", "code", "errcode", "attempts") == ("queued", code, number, 0)
    take_turns(message, TURNS)
    assert told(message, "state", "errcode", "attempts") == ("queued", number, 0)
    asked = len(provider.hostile.calls("gettoken"))
    assert asked == (0 if what == Nobody() else 5)  # then it asks no more for a minute
    assert provider.posts == 0
    provider.hostile.answers["gettoken"] = well
    provider.is_well()
    AccessToken.objects.update(failed_at=None)
    take_turns(message, 1)
    assert told(message, "state", "attempts") == ("accepted", 1)
    assert provider.posts == 1
