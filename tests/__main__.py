"""Runs the suite on SQLite, and again on PostgreSQL where a server answers; says plainly what ran.

`python -m tests [--slow | --long] [pytest arguments]`: without a word the quick tests; --slow the others (every fault
at every page, kills, generated lives) at the sizes of CI; --long both, at the sizes of a night, with the coverage.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg

from tests.sizes import LONG, size

POSTGRESQL = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
CHROMIUM = Path(os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium"))
CORES = min(os.cpu_count() or 1, 8)
# The tests of a file share its simulator, those of the browser a whole demo: a file stays together. (xdist's groups
# have no effect under pytest 9.2.) The reordering would put files of few tests last, the browser's among them.
QUICK = ("-m", "not slow", "-n", str(CORES + 1), "--dist", "loadfile", "--no-loadscope-reorder")
# They wait a lot, and a file may be all there is to do at the end.
SLOW = ("-m", "slow", "-n", str(2 * CORES), "--dist", "worksteal")
# Takes as long again as the tests, so at night and on one database only.
COVERAGE = ("--cov", "--cov-report=")


def postgresql_answers() -> bool:
    try:
        psycopg.connect(POSTGRESQL, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def run_suite(database_url: str, arguments: list[str]) -> tuple[bool, str]:
    """Whether it passed, and in what time."""
    # A crash of the server itself is nobody's test: it need not wait for the disk at each commit.
    hurry = {"PGOPTIONS": f"{os.environ.get('PGOPTIONS', '')} -c synchronous_commit=off"}
    began = time.monotonic()
    code = subprocess.call(
        [sys.executable, "-m", "pytest", "-q", *arguments],
        env={**os.environ, **hurry, "DATABASE_URL": database_url},
    )
    return code == 0, f"{'passed' if code == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s"


def titles(words: list[str]) -> dict[str, tuple[str, ...]]:
    """{what is run: pytest's arguments for it}, by the words of the command line."""
    quick = {f"Quick tests (browser tests {browser()})": QUICK}
    slow = {
        f"Slow tests ({size('TEST_EXAMPLES')} generated lives of {size('TEST_STEPS')} steps, "
        f"{size('TEST_SCHEDULES')} orders of observations, {size('TEST_EVENT_ORDERS')} of events, "
        f"{size('TEST_KILLS')} kills of a sync, "
        f"{size('TEST_SEND_KILLS')} under a stream of messages, {size('TEST_RESTARTS')} restarts of PostgreSQL, "
        f"{size('TEST_ROUNDS')} rounds of 8 processes, every fault at every page)": SLOW
    }
    if "--long" in words:
        return quick | slow
    return slow if "--slow" in words else quick


def browser() -> str:
    return "included" if CHROMIUM.exists() else f"skipped: no {CHROMIUM}"


def main() -> int:
    words = [word for word in sys.argv[1:] if word in ("--slow", "--long")]
    arguments = [word for word in sys.argv[1:] if word not in words]
    if "--long" in words:
        os.environ.update({name: os.environ.get(name, str(value)) for name, value in LONG.items()})
    databases = {"SQLite": ""} | ({"PostgreSQL": POSTGRESQL} if postgresql_answers() else {})
    lines, failed, has_coverage = [], False, False
    for title, options in titles(words).items():
        for database, url in databases.items():
            print(f"\n=== {title} on {database} ===", flush=True)
            measured = COVERAGE if "--long" in words and options is QUICK and not has_coverage else ()
            passed, outcome = run_suite(url, [*options, *measured, *arguments])
            has_coverage = has_coverage or bool(measured)
            failed |= not passed
            lines.append(f"{title} on {database}: {outcome}")
    if has_coverage:
        subprocess.call([sys.executable, "-m", "coverage", "report"])
    if "PostgreSQL" not in databases:
        lines.append("PostgreSQL: not run, no server answered")
    print("\n".join(["", *lines]))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
