"""A provider that answers a send to do harm: each ends in time, and the worker lives for the others (guarantees M5).

What each exchange does with such an answer is in tests/providers/test_transport.py.
"""

import functools
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest

from crm.models import Corp
from crm.providers.content import Text
from crm.simulator.server import Simulator
from messaging import outbox, tasks
from messaging.models import Delivery, Message
from messaging.states import OPEN
from tests import factories
from tests.conftest import command
from tests.messaging.house import wait_until
from tests.providers.hostile import Asked, Hostile

API: Final = "externalcontact/message/send"
TOTAL_S: Final = 2.0  # a whole exchange
MIB: Final = 1024 * 1024
PEAK: Final = 512 * MIB
GOOD: Final = {"errcode": 0, "errmsg": "ok"}
BEGIN: Final = b'{"errcode":0,"errmsg":"ok","pad":"'
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Reply = Callable[[Any], Any]


def pour(handler: Any, piece: bytes, *, times: int, pause_s: float = 0) -> None:
    """Write until the other side has had enough."""
    handler.close_connection = True
    with suppress(OSError):
        for _ in range(times):
            handler.wfile.write(piece)
            handler.wfile.flush()
            if pause_s:
                time.sleep(pause_s)


def flood(handler: Any) -> None:
    """300 MB, announced."""
    handler.wfile.write(HEAD + b"Content-Length: %d\r\n\r\n" % (300 * MIB) + BEGIN)
    pour(handler, b"0" * MIB, times=300)


def flood_without_length(handler: Any) -> None:
    """300 MB in chunks, no end announced."""
    handler.wfile.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    pour(handler, b"100000\r\n" + b"0" * MIB + b"\r\n", times=300)


@functools.cache
def bomb() -> bytes:
    """The gzip of 1 GiB: after a full flush the same megabytes make the same bytes, so they are packed once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    first, again = (
        packer.compress(begin + b"0" * 16 * MIB) + packer.flush(zlib.Z_FULL_FLUSH) for begin in (BEGIN, b"")
    )
    return first + again * 63


def explode(handler: Any) -> tuple[int, dict[str, str], bytes]:
    return 200, {"Content-Encoding": "gzip"}, bomb()


def drip_body(handler: Any) -> None:
    """One byte a second."""
    handler.wfile.write(HEAD + b"Content-Length: 1000\r\n\r\n")
    pour(handler, b" ", times=10, pause_s=0.9)


def drip_head(handler: Any) -> None:
    pour(handler, b"H", times=10, pause_s=0.9)


def bad_utf8(handler: Any) -> bytes:
    return BEGIN + b"\xff\xfe\xc3\x28" * MIB + b'"}'


def redirect_to_itself(handler: Any) -> tuple[int, dict[str, str], bytes]:
    return 302, {"Location": handler.path}, b""


def headers_without_end(handler: Any) -> None:
    handler.wfile.write(HEAD)
    pour(handler, b"X-More: " + b"x" * 1000 + b"\r\n", times=300_000)


def header_without_end(handler: Any) -> None:
    handler.wfile.write(HEAD + b"X-Long: ")
    pour(handler, b"x" * MIB, times=300)


def early_answers_without_end(handler: Any) -> None:
    """HTTP lets a server say 100 Continue as often as it likes before it answers."""
    pour(handler, b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, times=300_000)


def nested(handler: Any) -> bytes:
    return b'{"errcode":0,"pad":' + b"[" * 4 * MIB + b"]" * 4 * MIB + b"}"


# what the provider does: the code that a person is shown; the delivery is uncertain each time
REPLIES: Final[dict[Reply, str]] = {
    flood: "truncated",
    flood_without_length: "truncated",
    explode: "truncated",
    drip_body: "timeout",
    drip_head: "timeout",
    bad_utf8: "not_json",
    redirect_to_itself: "http_status",
    headers_without_end: "network",
    header_without_end: "network",
    early_answers_without_end: "timeout",
    nested: "not_json",
}
# Which of a hundred recipients bring them out.
EIGHT: Final = dict(
    zip(
        range(5, 100, 12),
        (
            flood,
            explode,
            drip_body,
            bad_utf8,
            redirect_to_itself,
            headers_without_end,
            header_without_end,
            nested,
        ),
        strict=True,
    )
)


@pytest.fixture
def hostile(settings: Any) -> Iterator[Hostile]:
    settings.CRM_HTTP_TIMEOUTS = (1.0, 1.0, TOTAL_S)
    server = Hostile()
    yield server
    server.close()


@pytest.fixture
def corp(sim: Simulator, hostile: Hostile, db: None) -> Corp:
    return factories.corp_of({**sim.corp("direct"), "base_url": hostile.url})


def compose(corp: Corp, recipients: int) -> Message:
    contacts = [factories.contact(corp, f"wm{number}").pk for number in range(recipients)]
    return outbox.compose(
        user=factories.user(), actor="user:test", corp=corp, contacts=contacts, content=Text("您好")
    )


def recipients(asked: list[Asked]) -> list[str]:
    return [each.json()["touser"] for each in asked]


@pytest.mark.slow
@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: reply.__name__)
def test_a_reply_made_to_harm_ends_in_time_and_only_its_own_delivery(
    corp: Corp, hostile: Hostile, reply: Reply
) -> None:
    hostile.answers[API] = [reply, GOOD]
    message = compose(corp, 2)
    began = time.monotonic()
    tasks.deliver(message.pk)
    assert time.monotonic() - began < 2 * TOTAL_S
    assert list(message.deliveries.order_by("pk").values_list("state", "code")) == [
        ("uncertain", REPLIES[reply]),
        ("accepted", ""),
    ]
    assert recipients(hostile.calls(API)) == ["wm0", "wm1"]


@pytest.fixture
def supervise(transactional_db: None) -> Iterator["subprocess.Popen[str]"]:
    """One worker for everything, so that it must outlive each reply."""
    process = command(
        "supervise", CRM_WORKERS="1", CRM_HTTP_TIMEOUTS=f"1,1,{TOTAL_S}", CRM_SEND_LEASE_SECONDS="10"
    )
    yield process
    process.kill()
    process.communicate()


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def peak(pid: int) -> int:
    """Bytes of memory that the process has had at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.django_db(transaction=True)
def test_the_worker_outlives_eight_replies_made_to_harm_and_the_other_92_arrive(
    hostile: Hostile, corp: Corp, supervise: "subprocess.Popen[str]", capsys: pytest.CaptureFixture[str]
) -> None:
    bomb()  # packed before anybody waits for it
    harmful = {f"wm{number}": reply for number, reply in EIGHT.items()}

    def answer(handler: Any) -> Any:
        (*_, now) = hostile.calls(API)
        reply = harmful.get(now.json()["touser"])
        return reply(handler) if reply else GOOD

    hostile.answers[API] = answer
    wait_until(lambda: len(children(supervise.pid)) == 7)
    workers = children(supervise.pid)
    began = time.monotonic()
    message = compose(corp, 100)
    wait_until(lambda: not Delivery.objects.filter(OPEN).exists(), seconds=100)
    seconds = time.monotonic() - began
    peaks = [peak(pid) for pid in workers]
    with capsys.disabled():
        print(f"\n92 of 100 in {seconds:.1f} s, peak of a worker {max(peaks) // MIB} MiB")

    assert message.deliveries.counts() == {"accepted": 92, "uncertain": 8}
    assert set(message.deliveries.filter(state="uncertain").values_list("to", flat=True)) == set(harmful)
    assert sorted(recipients(hostile.calls(API))) == sorted(f"wm{number}" for number in range(100))
    assert children(supervise.pid) == workers
    assert max(peaks) < PEAK
