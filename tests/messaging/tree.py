"""The processes of `manage.py supervise` as the fault driver sees them: which are busy, which to kill."""

import os
import random
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from tests.conftest import ROOT, environment
from tests.messaging.house import wait_until

OURS: Final = "renmai-fault-driver"
SPEEDED_UP: Final = {
    "CRM_WORKERS": "6",
    "CRM_HTTP_TIMEOUTS": "2,3,5",
    "CRM_SEND_LEASE_SECONDS": "15",  # ten seconds more than a call may take: a slow disk is no lost worker
    "CRM_RECIPIENT_RATE": "1000000",
    "CRM_REMOTE_RATE": "1000000",
    "CRM_SYNC_EVERY_MINUTES": "0",
    "PGAPPNAME": OURS,
}


class Tree:
    """`manage.py supervise`, started again whenever it is gone."""

    def __init__(self, log: IO[bytes], port: int, **more: str) -> None:
        self._log, self._port = log, port
        self._environment = environment(**SPEEDED_UP | more)
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "supervise"],
            cwd=ROOT,
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
        )

    @property
    def workers(self) -> list[int]:
        pid = self.process.pid
        with suppress(OSError):
            return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def kill_supervisor(self) -> int:
        """SIGKILL; how many children ended with it. A service manager would `start` it again."""
        children = self.workers
        self.process.kill()
        self.process.wait()
        wait_until(lambda: not any(is_alive(pid) for pid in children), seconds=10)
        return len(children)

    def one(self, chance: random.Random, *, busy: bool) -> int | None:
        """A process of the tree that has, or has not, a line to the provider now."""
        lines = lines_to(self._port)
        found = [pid for pid in self.workers if bool(sockets_of(pid) & lines) is busy]
        return chance.choice(found) if found else None

    def killed(self, name: str) -> int:
        """How many processes of this name the supervisors saw killed."""
        return len(re.findall(rf"worker {name} \(pid \d+\) ended with -9", Path(self._log.name).read_text()))

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def is_alive(pid: int) -> bool:
    with suppress(OSError):
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    return False


def lines_to(port: int) -> set[str]:
    """The sockets of this machine that are connected to `port` of loopback."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {f"socket:[{row[9]}]" for row in rows if row[2].endswith(f":{port:04X}") and row[3] == "01"}


def sockets_of(pid: int) -> set[str]:
    found = set()
    with suppress(OSError):
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                found.add(os.readlink(each))
    return found
