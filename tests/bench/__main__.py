"""`make bench`: the sync against its floor and against the naive way, as ratios in one run on one machine.

`python -m tests.bench [--contacts N] [--repeats R]` prints a table for SQLite, and for PostgreSQL where it answers.
Floor: the same pages fetched with requests.Session and parsed with orjson, nothing else.
Naive: one `update_or_create` per contact and per relation, on a sample.
"""

import argparse
import os
import subprocess
import sys
import tempfile

import psycopg

from tests.__main__ import POSTGRESQL, postgresql_answers

SCRATCH = "renmai_bench"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--contacts", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        databases = {"SQLite": f"sqlite:///{folder}/bench.sqlite3"}
        if postgresql_answers():
            databases["PostgreSQL"] = _scratch_database()
        for name, url in databases.items():
            print(
                f"\n=== {name}, {options.contacts} contacts, {options.repeats} repeats, medians ===",
                flush=True,
            )
            arguments = ["--contacts", str(options.contacts), "--repeats", str(options.repeats)]
            code = subprocess.call(
                [sys.executable, "-m", "tests.bench.sync", *arguments],
                # The pace towards a provider is not what is measured: on loopback it would be the limit.
                env={
                    **os.environ,
                    "DATABASE_URL": url,
                    "DJANGO_SETTINGS_MODULE": "tests.settings",
                    "CRM_REMOTE_RATE": "100000000",
                },
            )
            if code:
                return code
    return 0


def _scratch_database() -> str:
    with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {SCRATCH}")
        connection.execute(f"CREATE DATABASE {SCRATCH}")
    return POSTGRESQL.rsplit("/", 1)[0] + f"/{SCRATCH}"


if __name__ == "__main__":
    sys.exit(main())
