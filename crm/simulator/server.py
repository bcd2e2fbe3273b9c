"""Runs the simulator in this process until it is told to stop. Tests start it as a child: see `running`."""

import json
import os
import select
import signal
import sys
import threading
from dataclasses import asdict

from crm.simulator.application import Application, Options
from crm.simulator.listener import Server
from crm.simulator.remote import Simulator, running
from crm.simulator.snapshot import Keeper

__all__ = ["Simulator", "running", "serve"]


def serve(options: Options, *, host: str, port: int, as_json: bool, parent: int | None = None) -> None:
    """Listen until SIGTERM or SIGINT, or until the process `parent` is gone; then save and return."""
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    application = Application(options)
    server = Server((host, port), application)
    keeper = Keeper(application.world, options.state) if options.state else None
    threading.Thread(target=server.serve_forever, args=(0.05,), name="listener", daemon=True).start()
    if parent is not None:
        threading.Thread(target=_watch, args=(parent, stop), name="parent watch", daemon=True).start()
    announce(application, server.url, as_json=as_json)
    stop.wait()
    server.shutdown()
    server.server_close()
    if keeper is not None:
        keeper.close()


def announce(application: Application, url: str, *, as_json: bool) -> None:
    """Say on stdout that the server listens, and with which credentials."""
    corps = [corp.spec for corp in application.world.corps.values()]
    if as_json:
        for spec in corps:
            told = asdict(spec)
            del told["name"]
            if not spec.app_key:
                del told["app_key"]
            print(json.dumps(told | {"base_url": url}), flush=True)
        return
    print(f"Simulator at {url}/_sim/ (Ctrl-C stops it)", flush=True)
    for spec in corps:
        print(
            f"  {spec.dialect}: corpid {spec.corp}  agentid {spec.agentid}  secret {spec.secret}", flush=True
        )


def _watch(parent: int, stop: threading.Event) -> None:
    """Stop when the parent dies. PR_SET_PDEATHSIG would fire as soon as the thread that started us ends."""
    try:
        handle = os.pidfd_open(parent)
    except (AttributeError, OSError):  # not Linux, or it is gone already
        while os.getppid() == parent and not stop.wait(0.5):
            pass
    else:
        select.select([handle], [], [])
    print("the parent process is gone", file=sys.stderr)
    stop.set()
