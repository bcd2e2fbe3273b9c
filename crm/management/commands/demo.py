"""manage.py demo: the whole product on one machine in one command, against the local simulator."""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.db import connections

from contacts.models import Contact
from crm import demo
from crm.command import Command as OurCommand
from crm.command import bad_input
from crm.models import Agent, Corp
from crm.simulator.remote import Simulator
from crm.supervisor import die_with_parent

SIMULATOR_PORT = 8801
READY_WITHIN_S = 60
GRACE_S = 12


class Command(OurCommand):
    help = "Start simulator, web and workers with demo data; Ctrl-C stops all of it and keeps the data."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--contacts", type=int, default=2000)
        parser.add_argument("--reset", action="store_true", help="forget the demo's data and start anew")

    def handle(self, *args: Any, **options: Any) -> None:
        url = f"http://127.0.0.1:{options['port']}"
        _enter_demo_environment(url)
        if not _is_free(options["port"]):
            bad_input(_port_in_use(options["port"]))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _leave)
        children = Children()
        try:
            self._prepare(children, options)
            children.start("web", *_web(options["port"]))
            children.start("workers", sys.executable, "manage.py", "supervise")
            _wait_for(f"{url}/healthz", children)
            self._set_callbacks()
            self._print_block(url)
            children.watch()
        except KeyboardInterrupt:
            self.say("\nStopping. The data stays; `make demo` goes on with it.")
        finally:
            children.stop()

    def _prepare(self, children: "Children", options: dict[str, Any]) -> None:
        self.say("Preparing the database …")
        call_command("migrate", verbosity=0)
        state = settings.VAR_DIR / "simulator.state"
        self._guard(state, reset=options["reset"])
        self.say(f"Starting the simulator with {options['contacts']} contacts …")
        self.corps = children.start_simulator(options["contacts"], state)
        self._refuse_foreign()
        for line in self.corps:
            _connect(line)
        self.say("Reading the contacts …")
        _read_contacts()
        if not demo.is_populated():
            demo.populate()
        connections.close_all()

    def _guard(self, state: Path, *, reset: bool) -> None:
        """`--reset` empties the database, so it must be the demo's own."""
        if reset:
            if Corp.objects.exclude(base_url__startswith="http://127.0.0.1:").exists():
                bad_input(
                    "This database holds corps of your own: --reset would erase them. Set DATABASE_URL."
                )
            call_command("flush", interactive=False, verbosity=0)
            state.unlink(missing_ok=True)

    def _refuse_foreign(self) -> None:
        known = [line["corp"] for line in self.corps]
        foreign = Corp.objects.exclude(corpid__in=known).values_list("corpid", flat=True)
        if foreign:
            bad_input(
                f"This database is in use for {', '.join(foreign)}; the demo keeps out of it. "
                "Try: DATABASE_URL=sqlite:////tmp/demo.sqlite3 make demo"
            )

    def _set_callbacks(self) -> None:
        """Let the simulator call us, so that a change shows within seconds. Without it the next sync finds it."""
        for line in self.corps:
            agent = Agent.objects.get(corp__corpid=line["corp"], agentid=str(line["agentid"]))
            if agent.corp.provider != Corp.Provider.WECOM:
                continue
            try:
                Simulator(line["base_url"], self.corps).set_callback(line["corp"], agent.callback_url)
            except (OSError, RuntimeError) as error:
                self.say(f"Changes in {agent.corp.name} show after the next sync only: {error}")
        connections.close_all()

    def _print_block(self, url: str) -> None:
        logins = "\n".join(f"    {login.username:<8} {demo.PASSWORD}   {login.what}" for login in demo.LOGINS)
        line = "─" * 74
        self.stdout.write(
            f"\n{line}\n"
            f"  Renmai is running:   {url}/admin/\n\n"
            f"    login    password\n{logins}\n\n"
            f"  REST and its docs:   {url}/api/v1/docs/\n"
            f"  The imagined phones: {self.corps[0]['base_url']}/_sim/\n"
            f"  {Contact.objects.count()} contacts of {len(self.corps)} corps. Ctrl-C stops everything.\n"
            f"{line}"
        )
        self.stdout.flush()


class Children:
    """The processes of the demo. They die with this one, however it ends."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[str]] = {}

    def start(self, name: str, *command: str, **pipes: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            cwd=settings.BASE_DIR,
            text=True,
            start_new_session=True,  # Ctrl-C reaches us alone; we stop them in order
            preexec_fn=partial(die_with_parent, os.getpid()),
            **pipes,
        )
        self._running[name] = process
        return process

    def start_simulator(self, contacts: int, state: Path) -> list[dict[str, Any]]:
        """Start it and return its credentials, one line per corp, once it listens."""
        state.parent.mkdir(parents=True, exist_ok=True)
        # Free now may be taken when it listens: another demo starts, or one that ends holds on for a moment.
        for port in (SIMULATOR_PORT, 0) if _is_free(SIMULATOR_PORT) else (0,):
            options = ["--port", str(port), "--contacts", str(contacts), "--state", str(state), "--json"]
            process = self.start(
                "simulator", sys.executable, "-m", "crm.simulator", *options, stdout=subprocess.PIPE
            )
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in demo.CORP_NAMES]
            if all(lines):
                return [json.loads(line) for line in lines]
        bad_input("The simulator did not start; its last words stand above.")

    def check(self) -> None:
        for name, process in self._running.items():
            if process.poll() is not None:
                bad_input(f"The {name} process ended with {process.returncode}; its last words stand above.")

    def watch(self) -> None:
        while True:
            self.check()
            time.sleep(0.5)

    def stop(self) -> None:
        """Web and workers first, then the provider they speak to; whoever does not listen is killed."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for process in reversed(self._running.values()):
            process.terminate()
        deadline = time.monotonic() + GRACE_S
        for process in self._running.values():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _enter_demo_environment(url: str) -> None:
    """Start over with the demo's settings: they are read once, when Django starts."""
    wanted = {"CRM_ALLOW_PRIVATE_UPSTREAM": "1", "CRM_PUBLIC_URL": url, "CRM_LOG_LEVEL": "WARNING"}
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        os.environ.update(wanted)
        os.execv(sys.executable, [sys.executable, *sys.argv])


def _leave(signum: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _port_in_use(port: int) -> str:
    python = os.path.relpath(sys.executable, settings.BASE_DIR)
    python = sys.executable if python.startswith("..") else python
    other = next(each for each in range(port + 1, port + 1000) if _is_free(each))
    return f"Port {port} is in use, perhaps by another demo. Take another: {python} manage.py demo --port {other}"


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _read_contacts() -> None:
    """Sync now. A run that Ctrl-C left waiting, or a partial one, is no reason not to start: the workers go on."""
    try:
        call_command("sync_contacts", stdout=StringIO())
    except SystemExit:
        if not Contact.objects.exists():
            bad_input("The first sync failed; its last words stand above.")


def _connect(line: dict[str, Any]) -> None:
    secrets = {"secret": line["secret"], "callback_token": line["callback_token"], "aes_key": line["aes_key"]}
    variables = {f"{name}_env": f"RENMAI_DEMO_{name.upper()}" for name in secrets}
    os.environ.update({variables[f"{name}_env"]: value for name, value in secrets.items()})
    call_command(
        "connect",
        "dingtalk" if "app_key" in line else "wecom",
        corpid=line["corp"],
        app_key=line.get("app_key", ""),
        dialect=line["dialect"],
        agentid=str(line["agentid"]),
        base_url=line["base_url"],
        name=demo.CORP_NAMES[line["dialect"]],
        stdout=StringIO(),
        **variables,
    )


def _web(port: int) -> tuple[str, ...]:
    configuration = str(settings.BASE_DIR / "deploy" / "gunicorn.conf.py")
    bind = f"127.0.0.1:{port}"
    gunicorn = (sys.executable, "-m", "gunicorn", "--config", configuration)
    return (*gunicorn, "--bind", bind, "--log-level", "warning", "crm.wsgi:application")


def _wait_for(url: str, children: Children) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        children.check()
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    bad_input("The web server did not answer within a minute.")
