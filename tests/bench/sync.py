"""The measurements of one database, printed as a table: run by `python -m tests.bench`."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import django

django.setup()

import orjson  # noqa: E402
import requests  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402

from contacts import sync  # noqa: E402
from contacts.models import Contact, Employee, FollowUser, SyncRun  # noqa: E402
from crm.models import Corp  # noqa: E402
from crm.simulator.server import Simulator, running  # noqa: E402
from tests import factories  # noqa: E402

NAIVE_SAMPLE = 300
MIRRORED = ("contacts_contact", "contacts_followuser", "contacts_tag", "contacts_employee", "crm_event")
FIRST_WRITTEN = ("contacts_contact", "contacts_followuser", "crm_event")
LATENCY_MS, LISTINGS = 100, 8

_rows_of_first_sync: dict[str, bytes] = {}


@dataclass
class Way:
    """What was measured of one way to do the work, over the repeats."""

    rates: list[float] = field(default_factory=list)  # relations a second
    statements: int = 0
    pages: int = 0
    rows: int | None = None  # written to the mirrored tables
    wal: int | None = None  # bytes
    peak: int | None = None  # MiB


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def floor(line: dict[str, Any], sample: list[dict[str, Any]]) -> tuple[int, int]:
    """Fetch and parse every page of the official listing; (items, pages). Leaves the first items in `sample`."""
    session, base = requests.Session(), f"{line['base_url']}/cgi-bin"
    query = {"corpid": line["corp"], "corpsecret": line["secret"]}
    token = {"access_token": session.get(f"{base}/gettoken", params=query).json()["access_token"]}
    userids = session.get(f"{base}/externalcontact/get_follow_user_list", params=token).json()["follow_user"]
    items = pages = 0
    for userid in userids:
        cursor = ""
        while True:
            body = orjson.dumps({"userid_list": [userid], "cursor": cursor, "limit": 100})
            answer = session.post(f"{base}/externalcontact/batch/get_by_user", params=token, data=body)
            page = orjson.loads(answer.content)
            found = page.get("external_contact_list", [])
            sample += found[: max(0, NAIVE_SAMPLE - len(sample))]
            items, pages = items + len(found), pages + 1
            cursor = page.get("next_cursor")
            if not cursor:
                break
    return items, pages


def naive(corp: Corp, items: list[dict[str, Any]]) -> None:
    for item in items:
        told, follow = item["external_contact"], item["follow_info"]
        contact, _ = Contact.objects.update_or_create(
            corp=corp, external_userid=told["external_userid"], defaults={"name": told["name"]}
        )
        employee, _ = Employee.objects.get_or_create(corp=corp, userid=follow["userid"])
        FollowUser.objects.update_or_create(
            contact=contact, employee=employee, defaults={"remark": follow["remark"]}
        )


def clear() -> None:
    call_command("flush", interactive=False, verbosity=0)


def run(corp: Corp) -> SyncRun:
    done = sync.run_now(corp, trigger="command", actor="bench")
    assert done.state == "complete", done.errors
    return done


def change_one_percent(sim: Simulator, corp: Corp) -> None:
    for told in sim.world(corp.corpid)["contacts"][::100]:
        one = {"external_userid": told["external_userid"], "userid": told["follow_user"][0]["userid"]}
        sim.change(corp.corpid, "edit_follow", **one, remark=f"bench {time.time_ns()}")


def written() -> tuple[int, int] | None:
    """(rows written to the mirrored tables, WAL bytes) since the beginning; only PostgreSQL tells."""
    if connection.vendor != "postgresql":
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE relname = ANY(%s)",
            [list(MIRRORED)],
        )
        rows = int(cursor.fetchone()[0])
        cursor.execute("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")
        return rows, int(cursor.fetchone()[0])


def copy_back() -> None:
    """Write the rows of a first sync once more, ready made: what PostgreSQL alone needs for them."""
    with connection.cursor() as cursor:
        for table, rows in _rows_of_first_sync.items():
            with cursor.copy(f"COPY {table} FROM STDIN") as copy:
                copy.write(rows)


def take_out() -> None:
    """Keep the rows of a first sync in memory, and empty their tables."""
    with connection.cursor() as cursor:
        for table in FIRST_WRITTEN:
            with cursor.copy(f"COPY {table} TO STDOUT") as copy:
                _rows_of_first_sync[table] = b"".join(copy)
        cursor.execute(f"TRUNCATE {', '.join(FIRST_WRITTEN)} CASCADE")


def settle() -> None:
    """Let PostgreSQL do now what it would do some time after so many new rows: it writes to the WAL, too."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def measured(way: Way, corp: Corp, items: int) -> None:
    before = written()
    way.rates.append(items / seconds(lambda: run(corp)))
    way.pages = SyncRun.objects.latest("pk").pages
    if before and (after := written()):
        way.rows, way.wal = after[0] - before[0], after[1] - before[1]


def count_statements(ways: dict[str, Way], sim: Simulator, line: dict[str, Any]) -> None:
    clear()
    corp = factories.corp_of(line)
    sent = 0

    def count(execute: Callable[..., Any], *told: Any) -> Any:
        nonlocal sent
        sent += 1
        return execute(*told)

    for name in ("first sync", "unchanged resync", "1 % changed"):
        if name == "1 % changed":
            change_one_percent(sim, corp)
        sent = 0
        with connection.execute_wrapper(count):
            run(corp)
        ways[name].statements = sent


def peak_memory(corp: Corp) -> int:
    """MiB, of a process that runs the sync as an operator does."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "sync_contacts", "--corp", corp.corpid, "--json"],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "CRM_ALLOW_PRIVATE_UPSTREAM": "1"},
    )
    peak = 0
    # Not the maximum that the kernel reports at the end: it begins with what this process had when it forked.
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = max(
            [peak, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))]
        )
        time.sleep(0.02)
    assert process.returncode == 0
    return peak // 1024


def measure(sim: Simulator, repeats: int) -> dict[str, Way]:
    line = sim.corp("official")
    names = (
        "floor (fetch and parse)",
        "naive",
        "first sync",
        "its rows by COPY alone",
        "unchanged resync",
        "1 % changed",
    )
    ways = {name: Way() for name in names}
    for _ in range(repeats):
        sample: list[dict[str, Any]] = []
        began = time.perf_counter()
        items, pages = floor(line, sample)
        ways[names[0]].rates.append(items / (time.perf_counter() - began))
        ways[names[0]].pages = pages
        clear()
        corp = factories.corp_of(line)
        ways["naive"].rates.append(
            len(sample) / seconds(lambda corp=corp, sample=sample: naive(corp, sample))
        )
        clear()
        corp = factories.corp_of(line)
        measured(ways["first sync"], corp, items)
        if connection.vendor == "postgresql":
            take_out()
            ways["its rows by COPY alone"].rates.append(items / seconds(copy_back))
        settle()
        measured(ways["unchanged resync"], corp, items)
        change_one_percent(sim, corp)
        floor(line, [])  # the simulator writes changed pages anew: that is not what is measured
        measured(ways["1 % changed"], corp, items)
    count_statements(ways, sim, line)
    clear()
    corp = factories.corp_of(line)
    ways["first sync"].peak = peak_memory(corp)
    ways["unchanged resync"].peak = peak_memory(corp)
    return ways


def with_latency(sim: Simulator, floor_rate: float) -> str:
    """Pages a second with 100 ms of latency and 8 listings at once, against 8 ÷ (latency + floor page time)."""
    corp = Corp.objects.get()
    settings.CRM_SYNC_LISTINGS = LISTINGS
    sim.settings(latency_ms=LATENCY_MS)
    try:
        began = time.perf_counter()
        done = run(corp)
        elapsed = time.perf_counter() - began
    finally:
        sim.settings(latency_ms=0)
    possible = LISTINGS / (LATENCY_MS / 1000 + 100 / floor_rate)
    rate = done.pages / elapsed
    return (
        f"With {LATENCY_MS} ms of latency and {LISTINGS} listings at once, unchanged: {rate:.1f} pages/s, "
        f"{rate / possible:.2f} of {LISTINGS} ÷ (latency + floor page time)."
    )


def table(ways: dict[str, Way]) -> list[str]:
    base, slow = (median(ways[name].rates) for name in ("floor (fetch and parse)", "naive"))
    lines = [
        "| way | relations/s | × floor | × naive | statements | a page | rows written | WAL | peak RSS |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, way in ways.items():
        if not way.rates:
            continue
        rate = median(way.rates)
        cells = [
            name,
            f"{rate:,.0f}",
            f"{rate / base:.2f}",
            f"{rate / slow:.0f}",
            f"{way.statements:,}" if way.statements else "",
            f"{way.statements / way.pages:.2f}" if way.statements else "",
            "" if way.rows is None else f"{way.rows:,}",
            "" if way.wal is None else f"{way.wal / 1024:,.0f} KiB",
            "" if way.peak is None else f"{way.peak} MiB",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--contacts", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    employees = max(4, options.contacts // 1000)
    # Counts are totals over the two corps of the world.
    with running(contacts=3 * options.contacts, employees=3 * employees, seed=1, rate_limit=0) as sim:
        ways = measure(sim, options.repeats)
        print("\n".join([*table(ways), "", with_latency(sim, median(ways["floor (fetch and parse)"].rates))]))


if __name__ == "__main__":
    main()
