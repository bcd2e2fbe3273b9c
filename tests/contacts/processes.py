"""Processes that are ready before they are told to begin, so that they begin together.

As a module it is such a process: it reads orders from stdin, one JSON list a line, and answers each in one line.
"""

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


class Crew:
    """`size` processes on the test database."""

    def __init__(self, processes: "list[subprocess.Popen[str]]") -> None:
        self.processes = processes
        self._pool = ThreadPoolExecutor(len(processes))

    def one(self, *order: Any) -> Any:
        """Give an order to the first; what it answers."""
        return self._ask(self.processes[0], order)

    def all(self, *order: Any) -> list[Any]:
        """Give the same order to everybody at once; what each answers."""
        return self.each([order] * len(self.processes))

    def each(self, orders: list[Any]) -> list[Any]:
        """Give each its own order, all at once."""
        return list(self._pool.map(self._ask, self.processes, orders))

    @staticmethod
    def _ask(process: "subprocess.Popen[str]", order: Any) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())


@contextmanager
def crew(size: int, database_url: str, **environment: str) -> Iterator[Crew]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.contacts.processes"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database_url, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(size)
    ]
    made = Crew(processes)
    try:
        assert made.all("ready") == ["ready"] * size
        yield made
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _sync(*arguments: str) -> dict[str, Any]:
    """`manage.py sync_contacts --json …`: its exit code, its document, its seconds."""
    from django.core.management import call_command

    out, code, began = io.StringIO(), 0, time.monotonic()
    try:
        call_command("sync_contacts", *arguments, "--json", stdout=out)
    except SystemExit as ending:
        code = int(ending.code or 0)
    return {"code": code, "told": json.loads(out.getvalue()), "seconds": time.monotonic() - began}


def _start(*arguments: str) -> int:
    """`manage.py sync_contacts …` in a child that has everything imported already; its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        code = _sync(*arguments)["code"]
    finally:
        os._exit(code)


def _end(pid: int) -> int:
    """Wait for that child; its exit code, negative when a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _calls(corpid: str, count: int, pause: float) -> dict[str, Any]:
    """`count` calls with the shared token; what went wrong, and with how many requests."""
    from crm.connections import first_agent, open_provider
    from crm.models import Corp
    from crm.providers.errors import ProviderError

    provider = open_provider(first_agent(Corp.objects.get(corpid=corpid)))
    failures = []
    for _ in range(count):
        try:
            provider.directory()
        except ProviderError as error:
            failures.append(str(error))
        time.sleep(pause)
    return {"failures": failures, "calls": provider.tally.calls}


def _main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    work = {"ready": lambda: "ready", "sync": _sync, "start": _start, "end": _end, "calls": _calls}
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        with redirect_stdout(sys.stderr):
            answer = work[name](*arguments)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _main()
