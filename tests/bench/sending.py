"""The measurements of sending on PostgreSQL, printed as tables: run by `python -m tests.bench --only sending`."""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import django

django.setup()

import requests  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from contacts.models import Contact  # noqa: E402
from crm.models import Corp  # noqa: E402
from crm.pace import DatabasePace  # noqa: E402
from crm.providers import open_provider  # noqa: E402
from crm.providers.base import Credentials, Limiter, Unlimited  # noqa: E402
from crm.providers.content import Text  # noqa: E402
from crm.providers.records import SendReceipt  # noqa: E402
from crm.providers.tokens import MemoryTokens  # noqa: E402
from crm.simulator.server import Simulator, running  # noqa: E402
from messaging import claims, delivery, outbox, outcomes  # noqa: E402
from messaging.models import Delivery, Message  # noqa: E402
from messaging.turn import LARGEST_HAND  # noqa: E402
from tests import factories  # noqa: E402
from tests.providers.hostile import Hostile  # noqa: E402

ACCEPTED: Final = 10_000  # recipients of one message
CALLS: Final = 600  # in a measurement that goes row by row
SENDS: Final = 3000
LATENCY_MS, THREADS = 50, 32
USUAL: Final = settings.CRM_SEND_CALLS
DELIVER: Final = "`deliver`, CRM_SEND_CALLS={}"
LATE: Final = "deliver, 50 ms, 32 threads"
LATE_CALLS: Final = 1600
FEW, MANY = 1_000, 100_000
SIZES: Final = ((1, LARGEST_HAND), (1000, 1000))  # (recipients a call, deliveries claimed at once)
API: Final = "externalcontact/message/send"
PER_MINUTE: Final = 100_000_000

FLOOR_CLAIM: Final = """
    UPDATE messaging_delivery SET state = 'sending', attempts = attempts + 1
    WHERE id IN (
        SELECT id FROM messaging_delivery WHERE message_id = %s AND state = 'queued'
        ORDER BY id FOR UPDATE SKIP LOCKED LIMIT %s
    ) RETURNING id, "to"
"""
FLOOR_RECORD: Final = (
    "UPDATE messaging_delivery SET state = 'accepted' WHERE id = ANY(%s) AND state = 'sending'"
)


@dataclass
class Bench:
    """The corp, whom it writes to, and what was measured over the repeats: {way: rates a second}."""

    sim: Simulator
    corp: Corp
    user: Any
    known: list[int]  # contacts that the simulator has, too
    everybody: list[int]
    rates: dict[str, list[float]] = field(default_factory=dict)

    def note(self, way: str, number: int, work: Callable[[], Any]) -> None:
        began = time.perf_counter()
        work()
        self.rates.setdefault(way, []).append(number / (time.perf_counter() - began))

    def rate(self, way: str) -> float:
        return median(self.rates[way])

    def compose(self, ids: list[int]) -> Message:
        made = outbox.compose(
            user=self.user,
            actor="user:bench",
            corp=self.corp,
            contacts=ids,
            content=Text(f"{time.time_ns()}"),
        )
        return Message.objects.select_related("agent__corp").get(pk=made.pk)


def open_bench(sim: Simulator) -> Bench:
    corp = factories.corp_of(sim.corp("direct"))
    told = [each["external_userid"] for each in sim.world(corp.corpid)["contacts"]][:LATE_CALLS]
    invented = [f"wm{number:030d}" for number in range(ACCEPTED - len(told))]
    Contact.objects.bulk_create(Contact(corp=corp, external_userid=each) for each in told + invented)
    ids = list(Contact.objects.order_by("pk").values_list("pk", flat=True))
    return Bench(sim, corp, factories.user(), ids[: len(told)], ids)


# --- Claims and results, without a network ---


def ours(message: Message, most: int, size: int) -> None:
    while batches := claims.claim(message, most=most, calls=size // most, write=lambda _batch: b"{}"):
        claims.speak(batches)
        outcomes.record([(batch, SendReceipt()) for batch in batches])


def floor(message: Message, most: int, size: int) -> None:
    with connection.cursor() as cursor:
        while True:
            cursor.execute(FLOOR_CLAIM, [message.pk, size])
            rows = cursor.fetchall()
            if not rows:
                return
            cursor.execute(FLOOR_RECORD, [[pk for pk, _ in rows]])


def row_by_row(message: Message) -> None:
    for state in ("sending", "accepted"):
        for row in message.deliveries.all():
            row.state = state
            row.save()


def measure_claims(bench: Bench) -> None:
    for most, size in SIZES:
        ids = bench.everybody
        for name, work in (("floor", floor), ("ours", ours)):
            message = bench.compose(ids)
            settle()
            way = f"{name}, {size} at once, {most} a call"
            bench.note(way, len(ids), lambda m=message, n=most, s=size, w=work: w(m, n, s))
            assert message.deliveries.counts() == {"accepted": len(ids)}
    message = bench.compose(bench.everybody[:CALLS])
    bench.note("one save per row", CALLS, lambda: row_by_row(message))


def settle() -> None:
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE messaging_delivery, messaging_attempt, crm_pace")


# --- Calls ---


def bare(sim: Simulator, userids: list[str]) -> None:
    line, session = sim.corp("direct"), requests.Session()
    base = f"{line['base_url']}/cgi-bin"
    query = {"corpid": line["corp"], "corpsecret": line["secret"]}
    token = {"access_token": session.get(f"{base}/gettoken", params=query).json()["access_token"]}
    for number, userid in enumerate(userids):
        body = {"touser": userid, "msgtype": "text", "text": {"content": f"{number}"}}
        assert session.post(f"{base}/{API}", params=token, json=body).json()["errcode"] == 0


def measure_calls(bench: Bench) -> None:
    userids = [each.external_userid for each in Contact.objects.filter(pk__in=bench.known)]
    bench.note("bare POSTs", len(userids), lambda: bare(bench.sim, userids))
    for calls in (1, USUAL, THREADS):
        bench.note(DELIVER.format(calls), len(userids), at_once(bench, calls))


def at_once(bench: Bench, calls: int) -> Callable[[], None]:
    """What delivers a new message to all whom the simulator knows, so many calls at a time."""
    message = bench.compose(bench.known)
    settle()

    def work() -> None:
        settings.CRM_SEND_CALLS = calls
        try:
            delivery.deliver(message.pk, turn_s=3600)
        finally:
            settings.CRM_SEND_CALLS = USUAL
        assert message.deliveries.counts() == {"accepted": len(bench.known)}

    return work


def sends(bench: Bench, limiter: Limiter) -> None:
    line = bench.sim.corp("direct")
    provider = open_provider(
        "direct",
        Credentials(line["corp"], line["secret"], str(line["agentid"])),
        tokens=MemoryTokens(),
        limiter=limiter,
        base_url=line["base_url"],
        allow_private=True,
    )
    to = Contact.objects.get(pk=bench.known[0]).external_userid
    body = provider.body(Text("您好"), to_kind="contact", to=[to])
    for _ in range(SENDS):
        provider.send(body, to_kind="contact", to=[to])


def measure_limiter(bench: Bench) -> None:
    bench.note("send, no limiter", SENDS, lambda: sends(bench, Unlimited()))
    shared = DatabasePace(bench.corp.corpid, per_minute=PER_MINUTE)
    bench.note("send, shared limiter", SENDS, lambda: sends(bench, shared))
    slow = DatabasePace(f"{bench.corp.corpid}-idle", per_minute=PER_MINUTE)

    def one_at_a_time() -> None:
        for _ in range(100):
            slow._held.clear()  # as after a pause: the call fetches a lot of one
            slow.wait(API)

    bench.note("limiter, a statement pair per call", 100, one_at_a_time)


def with_latency(bench: Bench) -> None:
    work = at_once(bench, THREADS)
    bench.sim.settings(latency_ms=LATENCY_MS)
    try:
        bench.note(LATE, len(bench.known), work)
    finally:
        bench.sim.settings(latency_ms=0)


# --- What acceptance costs ---


def acceptance(bench: Bench) -> str:
    sent = 0

    def count(execute: Callable[..., Any], *told: Any) -> Any:
        nonlocal sent
        sent += 1
        return execute(*told)

    began = time.perf_counter()
    with connection.execute_wrapper(count):
        bench.compose(bench.everybody)
    seconds = time.perf_counter() - began
    own = sent - 1  # without the read that follows it here
    return f"`outbox.compose` accepts {len(bench.everybody):,} recipients in {seconds:.2f} s with {own} statements."


# --- Memory ---


@contextmanager
def agreeable() -> Iterator[str]:
    """A provider that accepts everything, however many it has never heard of."""
    server = Hostile()
    server.answers["message/send"] = {"errcode": 0, "errmsg": "ok", "msgid": "m"}
    yield server.url
    server.close()


def peak_memory(bench: Bench, deliveries: int) -> int:
    """MiB, of a process of its own that delivers a message to so many employees."""
    message = Message.objects.create(
        corp=bench.corp,
        agent=bench.corp.agents.get(),
        to_kind="employee",
        msgtype="text",
        content=Text("您好").as_json(),
    )
    rows = (Delivery(message=message, to_kind="employee", to=f"e{n}") for n in range(deliveries))
    Delivery.objects.bulk_create(rows, batch_size=5000)
    told = subprocess.run(
        [sys.executable, "-m", "tests.bench.sending", "--deliver", str(message.pk)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert message.deliveries.counts() == {"accepted": deliveries}
    return int(told.stdout)


def deliver_and_tell(message_id: int) -> None:
    delivery.deliver(message_id, turn_s=3600)
    status = Path("/proc/self/status").read_text().splitlines()
    print(next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM")))


def memory(bench: Bench) -> str:
    with agreeable() as url:
        Corp.objects.update(base_url=url)
        peaks = {number: peak_memory(bench, number) for number in (FEW, MANY)}
    told = ", ".join(f"{number:,} deliveries {peak} MiB" for number, peak in peaks.items())
    return f"Peak memory of a process that delivers one message, 1,000 recipients a call: {told}."


# --- Tables ---


def table(bench: Bench, unit: str, ways: list[str], base: str) -> list[str]:
    lines = [f"| way | {unit} | × {base} |", "|---|--:|--:|"]
    lines += [
        f"| {way} | {bench.rate(way):,.0f} | {bench.rate(way) / bench.rate(base):.2f} |" for way in ways
    ]
    return [*lines, ""]


def limiter_words(bench: Bench) -> str:
    """Microseconds of a call with and without; alone, when each call must ask the database."""
    without, shared, alone = (
        1e6 / bench.rate(way)
        for way in ("send, no limiter", "send, shared limiter", "limiter, a statement pair per call")
    )
    return (
        f"The shared limiter: a send takes {without:,.0f} µs without it and {shared:,.0f} µs with it; where each call "
        f"must fetch its own lot, that is {alone:,.0f} µs."
    )


def latency_words(bench: Bench) -> str:
    possible = THREADS / (LATENCY_MS / 1000)
    rate = bench.rate(LATE)
    return (
        f"With {LATENCY_MS} ms of latency and `CRM_SEND_CALLS={THREADS}`, one worker: {rate:,.0f} calls/s, "
        f"{rate / possible:.2f} of {THREADS} ÷ latency."
    )


def report(bench: Bench, sentences: list[str]) -> list[str]:
    lines = []
    for most, size in SIZES:
        ways = [f"{name}, {size} at once, {most} a call" for name in ("floor", "ours")] + ["one save per row"]
        lines += table(bench, "deliveries/s", ways, ways[0])
    ways = ["bare POSTs", *(DELIVER.format(calls) for calls in (1, USUAL, THREADS))]
    lines += table(bench, "calls/s", ways, ways[0])
    sentences = [latency_words(bench), limiter_words(bench), *sentences]
    return [*lines, *(f"- {each}" for each in sentences)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--deliver", type=int, metavar="MESSAGE")
    options = parser.parse_args()
    if options.deliver:
        deliver_and_tell(options.deliver)
        return
    call_command("migrate", verbosity=0)
    call_command("flush", interactive=False, verbosity=0)
    # Counts are totals over the two corps of the world.
    with running(contacts=3 * LATE_CALLS, employees=12, seed=1, rate_limit=0) as sim:
        bench = open_bench(sim)
        for _ in range(options.repeats):
            measure_claims(bench)
            measure_calls(bench)
            measure_limiter(bench)
            with_latency(bench)
        sentences = [acceptance(bench), memory(bench)]
    print("\n".join(report(bench, sentences)))


if __name__ == "__main__":
    main()
