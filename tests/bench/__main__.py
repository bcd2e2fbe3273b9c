"""`make bench`: what we do against its floor and against the naive way, as ratios in one run on one machine.

`python -m tests.bench [--contacts N] [--repeats R] [--only sync|sending] [--write FILE]`, on SQLite and, where a
server answers, on PostgreSQL. Each measurement has a process of its own; what that prints is kept in FILE.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import django
import psycopg

from tests.__main__ import POSTGRESQL, postgresql_answers

SCRATCH = "renmai_bench"
# The pace towards a provider is not what is measured: on loopback it would be the limit.
RATE = "100000000"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("sync", "sending"))
    parser.add_argument("--write", type=Path, metavar="FILE")
    options = parser.parse_args()
    tables = []
    with tempfile.TemporaryDirectory() as folder:
        databases = {"SQLite": f"sqlite:///{folder}/bench.sqlite3"}
        if postgresql_answers():
            databases = {"PostgreSQL": _scratch_database(), **databases}
        for name, url in databases.items():
            for heading, module, arguments in _measurements(name, options):
                tables.append(f"## {heading}\n\n{_measure(module, url, arguments)}")
                print(f"\n{tables[-1]}", flush=True)
    if options.write:
        options.write.write_text("\n".join([_heading(options.contacts, options.repeats), *tables]))
    return 0


def _measurements(database: str, options: argparse.Namespace) -> Iterator[tuple[str, str, list[str]]]:
    """(heading, module, arguments) of what is measured on a database; sending on PostgreSQL alone."""
    repeats = ["--repeats", str(options.repeats)]
    if options.only != "sending":
        yield database, "tests.bench.sync", ["--contacts", str(options.contacts), *repeats]
    if options.only != "sync" and database == "PostgreSQL":
        yield f"Sending, {database}", "tests.bench.sending", repeats


def _measure(module: str, url: str, arguments: list[str]) -> str:
    environment = {
        "DATABASE_URL": url,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "CRM_REMOTE_RATE": RATE,
        "CRM_APP_DAILY_QUOTA": RATE,
    }
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def _scratch_database() -> str:
    with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {SCRATCH}")
        connection.execute(f"CREATE DATABASE {SCRATCH}")
    return POSTGRESQL.rsplit("/", 1)[0] + f"/{SCRATCH}"


def _heading(contacts: int, repeats: int) -> str:
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return f"""# Benchmarks

Written by `make bench` on {date.today():%Y-%m-%d}: {contacts:,} contacts, 1.4 followers each, pages of 100, the
simulator on loopback in its own process, {repeats} interleaved repeats, medians. {os.cpu_count()} cores, Python
{platform.python_version()}, Django {django.__version__}; load averages at the end: {load}. Read the ratios, not
the rates.

- *floor*: the same pages fetched with `requests.Session` and parsed with orjson, nothing else.
- *naive*: one `update_or_create` per contact and per relation, on a sample.
- *its rows by COPY alone*: PostgreSQL is given the rows of that first sync ready made; nothing writes them faster.
- Statements are counted as the database was sent them, BEGIN, COMMIT and COPY left out.
- Peak memory is of a process of its own that runs `sync_contacts`.
"""


if __name__ == "__main__":
    sys.exit(main())
