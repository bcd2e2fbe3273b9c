"""Processes that call the simulator as our workers do, and begin together; as a module, it is such a process."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests.contacts.processes import ROOT, Crew

TAGS = "externalcontact/get_corp_tag_list"


@contextmanager
def callers(size: int, database_url: str) -> Iterator[Crew]:
    """Orders: ["flood" | "page" | "send", corpid, calls a minute, seconds, seconds of patience]."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.crm.callers"],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": database_url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(size)
    ]
    made = Crew(processes)
    try:
        made.all("ready")
        yield made
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def _flood(call: Callable[[], None]) -> None:
    """Four threads on one provider, as a sync of a slow corp."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: call(), range(4)))


def _call(order: str, corpid: str, per_minute: int, seconds: float, patience_s: float) -> list[str]:
    """Calls of TAGS until `seconds` have passed; the errors met, which end nothing."""
    from django.conf import settings
    from django.db import connections

    from crm.connections import first_agent, open_provider
    from crm.models import Corp
    from crm.providers.errors import ProviderError

    settings.CRM_REMOTE_RATE = per_minute
    agent = first_agent(Corp.objects.get(corpid=corpid))
    provider = open_provider(agent, patience_s=patience_s)
    end = time.monotonic() + seconds
    errors: list[str] = []

    def call() -> None:
        try:
            while time.monotonic() < end:
                asked = open_provider(agent, patience_s=patience_s) if order == "send" else provider
                try:
                    asked.tags()
                except ProviderError as error:
                    errors.append(str(error))
                    time.sleep(0.05)
        finally:
            connections.close_all()

    if order == "flood":
        _flood(call)
    else:
        call()
    return errors


def _main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    for line in sys.stdin:
        order: list[Any] = json.loads(line)
        print(json.dumps([] if order == ["ready"] else _call(*order)), flush=True)


if __name__ == "__main__":
    _main()
