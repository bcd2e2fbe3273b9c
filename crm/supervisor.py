"""Keeps the workers alive: one process each, no shared pipe, killed and replaced when they die or hang.

The parent touches no database, so it outlives an outage of it. Children carry a parent-death signal: when the
parent is killed they end at once, and a service manager may start the next one (contract A19, F13).
"""

import ctypes
import logging
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from django.db import connections
from django.utils.module_loading import import_string

from crm import queue, schedules

log = logging.getLogger("renmai.supervise")

PR_SET_PDEATHSIG = 1
SYNC_WORKERS = 2
SWEEP_EVERY_S = 2
TICK_EVERY_S = 10
GRACE_S = 10
TASKS_PER_PROCESS = 2000
LONGEST_BACKOFF_S = 30
# A task bounds itself; this is for one that hangs all the same. A sync renews a lease, so it may take long.
BUSY_LIMIT_S = {queue.MAIN: 600.0, "sync": 6 * 3600.0, "poll": 600.0, "inbox": 600.0, "welcome": 120.0}


@dataclass(slots=True)
class Slot:
    """One place for a process. `busy_since` lives in memory shared with the child (0: idle)."""

    name: str
    work: Callable[["Slot"], None]
    limit_s: float
    index: int
    pid: int = 0
    started: float = 0
    failures: int = 0
    start_at: float = 0


class Supervisor:
    def __init__(self, workers: int) -> None:
        plan: list[tuple[str, Callable[[Slot], None], float]] = [("clock", run_clock, 120)]
        plan += [(queue.MAIN, run_worker, BUSY_LIMIT_S[queue.MAIN])] * workers
        plan += [("sync", run_worker, BUSY_LIMIT_S["sync"])] * SYNC_WORKERS
        plan += [(lane, run_worker, BUSY_LIMIT_S[lane]) for lane in ("poll", "inbox", "welcome")]
        self.slots = [Slot(name, work, limit, index) for index, (name, work, limit) in enumerate(plan)]
        self.stopping = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT; returns when every child has ended, at most GRACE_S later."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        log.info("supervise: %d processes", len(self.slots))
        while not self.stopping:
            self._reap()
            self._kill_hung()
            self._fill()
            time.sleep(0.2)
        self._end()

    def _stop(self, signum: int, frame: FrameType | None) -> None:
        self.stopping = True

    def _fill(self) -> None:
        now = time.monotonic()
        for slot in self.slots:
            if not slot.pid and now >= slot.start_at:
                _set_busy(slot, 0)
                slot.pid, slot.started = _spawn(slot), now

    def _reap(self) -> None:
        for slot in self.slots:
            if not slot.pid:
                continue
            pid, status = os.waitpid(slot.pid, os.WNOHANG)
            if pid:
                self._note_end(slot, os.waitstatus_to_exitcode(status))

    def _note_end(self, slot: Slot, code: int) -> None:
        lived = time.monotonic() - slot.started
        slot.failures = 0 if code == 0 or lived > LONGEST_BACKOFF_S else slot.failures + 1
        pause = min(2 ** (slot.failures - 1), LONGEST_BACKOFF_S) if slot.failures > 1 else 0
        if code:
            log.warning("worker %s (pid %d) ended with %d; next in %d s", slot.name, slot.pid, code, pause)
        slot.pid, slot.start_at = 0, time.monotonic() + pause

    def _kill_hung(self) -> None:
        for slot in self.slots:
            since = _busy_since(slot)
            if slot.pid and since and time.monotonic() - since > slot.limit_s:
                log.error(
                    "worker %s (pid %d) has been on one task for %d s", slot.name, slot.pid, slot.limit_s
                )
                os.kill(slot.pid, signal.SIGKILL)
                _set_busy(slot, 0)

    def _end(self) -> None:
        self._signal(signal.SIGTERM)
        deadline = time.monotonic() + GRACE_S
        while any(slot.pid for slot in self.slots) and time.monotonic() < deadline:
            self._reap_quietly()
            time.sleep(0.05)
        self._signal(signal.SIGKILL)
        while any(slot.pid for slot in self.slots):
            self._reap_quietly()
            time.sleep(0.01)

    def _reap_quietly(self) -> None:
        for slot in self.slots:
            if slot.pid and os.waitpid(slot.pid, os.WNOHANG)[0]:
                slot.pid = 0

    def _signal(self, number: int) -> None:
        for slot in self.slots:
            if slot.pid:
                os.kill(slot.pid, number)


_shared = mmap.mmap(-1, 4096)
_double = struct.Struct("d")


def _busy_since(slot: Slot) -> float:
    return float(_double.unpack_from(_shared, slot.index * _double.size)[0])


def _set_busy(slot: Slot, since: float) -> None:
    _double.pack_into(_shared, slot.index * _double.size, since)


def _spawn(slot: Slot) -> int:
    connections.close_all()
    parent = os.getpid()
    pid = os.fork()
    return pid or _child(slot, parent)


def _child(slot: Slot, parent: int) -> NoReturn:
    code = 1
    try:
        die_with_parent(parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
        slot.work(slot)
        code = 0
    except SystemExit:
        code = 0
    except BaseException:
        log.exception("worker %s crashed", slot.name)
    finally:
        logging.shutdown()
        os._exit(code)


def die_with_parent(parent: int) -> None:
    """Ask the kernel for SIGKILL when the parent ends; end now if it has ended already."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    except (AttributeError, OSError):
        log.warning("no parent-death signal on this system: kill the whole process group instead")
    if os.getppid() != parent:
        os._exit(1)


def run_worker(slot: Slot) -> None:
    """Take tasks of the lane one by one. On SIGTERM a send is finished; what only reads stops where it is."""
    stop = _stop_between_tasks if slot.name in queue.SENDING_LANES else _stop_at_once
    signal.signal(signal.SIGTERM, stop)
    for _ in range(TASKS_PER_PROCESS):
        while not _one_task(slot):
            if queue.is_stopping():
                return
        if queue.is_stopping():
            return


def _one_task(slot: Slot) -> bool:
    try:
        return queue.run_one(slot.name, started=lambda: _set_busy(slot, time.monotonic()))
    except Exception:
        log.exception("worker %s cannot reach the queue", slot.name)
        connections.close_all()
        time.sleep(1)
        return False
    finally:
        _set_busy(slot, 0)


def run_clock(slot: Slot) -> None:
    """Queue what is due, and sweep for what a lost bell missed; rows only."""
    signal.signal(signal.SIGTERM, _stop_at_once)
    ticked = 0.0
    schedules_are_set = False
    while True:
        now = time.monotonic()
        _set_busy(slot, now)
        try:
            if not schedules_are_set:  # an interval changed in the environment counts from this start on
                schedules.apply()
                schedules_are_set = True
            if now - ticked >= TICK_EVERY_S:
                queue.tick()
                ticked = now
            for path in schedules.SWEEPS:
                import_string(path)()
        except Exception:
            log.exception("the clock cannot reach the database")
            connections.close_all()
        _set_busy(slot, 0)
        time.sleep(SWEEP_EVERY_S)


def _stop_between_tasks(signum: int, frame: FrameType | None) -> None:
    queue.stop()


def _stop_at_once(signum: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
