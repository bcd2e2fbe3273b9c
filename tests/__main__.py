"""Runs the suite on SQLite, and again on PostgreSQL where a server answers; says plainly which ran.

`python -m tests [--all] [pytest arguments]`; --all adds the slow ones (kills, faults, generated runs).
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg

POSTGRESQL = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432/postgres")
CHROMIUM = Path(os.environ.get("TEST_CHROMIUM", "/usr/bin/chromium"))


def postgresql_answers() -> bool:
    try:
        psycopg.connect(POSTGRESQL, connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def run_suite(database_url: str, arguments: list[str]) -> int:
    return subprocess.call(
        [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", *arguments],
        env={**os.environ, "DATABASE_URL": database_url},
    )


def main() -> int:
    arguments = sys.argv[1:]
    everything = "--all" in arguments
    arguments = [argument for argument in arguments if argument != "--all"]
    if not everything:
        arguments += ["-m", "not slow"]
    coverage = ["--cov", "--cov-report=", "-q"]
    outcomes: dict[str, str] = {}
    failed = False
    databases = {"SQLite": ""} | ({"PostgreSQL": POSTGRESQL} if postgresql_answers() else {})
    for name, url in databases.items():
        print(f"\n=== {name} ===", flush=True)
        began = time.monotonic()
        append = ["--cov-append"] if outcomes else []
        code = run_suite(url, [*coverage, *append, *arguments])
        failed |= code != 0
        outcomes[name] = f"{'passed' if code == 0 else 'FAILED'} in {time.monotonic() - began:.0f} s"
    subprocess.call([sys.executable, "-m", "coverage", "report"])
    outcomes.setdefault("PostgreSQL", "not run: no server answered")
    browser = "ran" if CHROMIUM.exists() else f"not run: no {CHROMIUM}"
    print(
        "\n".join(
            ["", *(f"{name}: {outcome}" for name, outcome in outcomes.items()), f"Browser tests: {browser}"]
        )
    )
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
