"""manage.py doctor: what is wrong with this installation, each finding with its fix."""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from contacts.models import SyncRun
from crm.command import Command as OurCommand
from crm.connections import open_provider
from crm.fields import Undecryptable
from crm.health import WORKER_MAY_BE_SILENT, missing_migrations
from crm.models import Agent, Corp, Heartbeat
from crm.providers.errors import ProviderError
from messaging import control
from messaging.models import Delivery

DUE_WITHIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `fix` is what to do about it, "" when it is well."""

    check: str
    ok: bool
    detail: str
    fix: str = ""


def found(check: str, ok: bool, detail: str, fix: str = "") -> Finding:
    return Finding(check, ok, detail, "" if ok else fix)


class Command(OurCommand):
    help = "Check database, keys, workers, agents, syncs and outbox; --online also asks each provider for a token."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--online", action="store_true", help="ask each provider for a token and the visible range"
        )
        parser.add_argument(
            "--post-restore",
            action="store_true",
            help="after a backup was restored: hold every open message until a person resumes it",
        )
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["post_restore"]:
            held = control.hold_after_restore(actor="command")
            self.stderr.write(f"{held} open messages are held until a person resumes them.")
        findings = list(examine(online=options["online"]))
        healthy = all(finding.ok for finding in findings)
        if options["json"]:
            self.print_json({"healthy": healthy, "findings": [asdict(finding) for finding in findings]})
        else:
            for finding in findings:
                mark = self.style.SUCCESS("ok  ") if finding.ok else self.style.ERROR("FAIL")
                self.stdout.write(f"{mark} {finding.check}: {finding.detail}")
                if not finding.ok:
                    self.stdout.write(f"     {finding.fix}")
        sys.exit(0 if healthy else 1)


def examine(*, online: bool) -> Iterator[Finding]:
    """Every finding; what needs the tables, or the keys, is left out when there are none."""
    database = _database()
    yield database
    if not database.ok:
        return
    migrations = _migrations()
    yield migrations
    if not migrations.ok:
        return
    secrets = _secrets()
    yield secrets
    yield _workers()
    if secrets.ok:
        yield _callbacks()
    corps = list(Corp.objects.filter(is_active=True))
    if not corps:
        fix = "python manage.py connect wecom --help"
        yield found("corps", False, "no corp is connected", fix)
    for corp in corps:
        if secrets.ok:
            yield from _agents(corp, online=online)
        yield _last_sync(corp)
    yield _outbox()


def _database() -> Finding:
    try:
        connection.ensure_connection()
    except DatabaseError as error:
        return found("database", False, type(error).__name__, "Check DATABASE_URL and that the server runs.")
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            mode = cursor.execute("PRAGMA journal_mode").fetchone()[0]
        fix = "Move the database file to a local disk: its file system refuses write-ahead logging."
        return found("database", mode == "wal", f"SQLite, journal {mode}", fix)
    return found("database", True, connection.vendor)


def _migrations() -> Finding:
    missing = missing_migrations()
    return found("migrations", not missing, f"{missing} not applied", "python manage.py migrate")


def _secrets() -> Finding:
    try:
        opened = sum(1 for agent in Agent.objects.all() if agent.secret)
    except Undecryptable as error:
        return found("keys", False, str(error), "Put the missing key back into CRM_FIELD_KEYS.")
    where = "var/" if settings.FIELD_KEYS_ARE_KEPT else "CRM_FIELD_KEYS"
    return found("keys", True, f"{opened} agent secrets open with the keys of {where}")


def _workers() -> Finding:
    beat = Heartbeat.objects.filter(name="worker").first()
    fresh = beat is not None and beat.at > timezone.now() - WORKER_MAY_BE_SILENT
    detail = f"last heartbeat {_age(beat.at)} ago" if beat else "no heartbeat yet"
    return found("workers", fresh, detail, "Start them: python manage.py supervise")


def _callbacks() -> Finding:
    """Whether a provider on the internet could reach our callback addresses; a private one may stand on this host."""
    public = urlsplit(settings.CRM_PUBLIC_URL)
    is_reachable = public.scheme == "https" and public.hostname not in {"127.0.0.1", "localhost", "::1"}
    is_awaited = any(agent.callback_token for agent in Agent.objects.all())
    ok = is_reachable or settings.CRM_ALLOW_PRIVATE_UPSTREAM or not is_awaited
    detail = f"{settings.CRM_PUBLIC_URL} is {'' if is_reachable else 'not '}an https address of the internet"
    return found("callbacks", ok, detail, "Set CRM_PUBLIC_URL to the https address that people use.")


def _agents(corp: Corp, *, online: bool) -> Iterator[Finding]:
    agents = list(corp.agents.select_related("corp"))
    if not agents:
        yield found(f"agent of {corp.corpid}", False, "no agent", "python manage.py connect wecom --help")
    for agent in agents:
        check = f"agent {agent.agentid} of {corp.corpid}"
        yield _ask(check, agent) if online else found(check, True, "configured (not asked: no --online)")


def _ask(check: str, agent: Agent) -> Finding:
    try:
        directory = open_provider(agent).directory()
    except ProviderError as error:
        return found(check, False, str(error), error.fix or "See docs/reference/errors.md.")
    fix = "Add employees to the app's visible range in the provider's console."
    return found(
        check, bool(directory.listed), f"{len(directory.listed)} employees' contacts can be read", fix
    )


def _last_sync(corp: Corp) -> Finding:
    check = f"sync of {corp.corpid}"
    last = SyncRun.objects.filter(corp=corp, userid="").exclude(state__in=SyncRun.ACTIVE).first()
    if last is None:
        return found(check, False, "never run", f"python manage.py sync_contacts --corp {corp.corpid}")
    at = last.finished_at or last.created_at
    limit = timedelta(minutes=2 * settings.CRM_SYNC_EVERY_MINUTES)
    is_late = bool(limit) and at < timezone.now() - limit
    ok = last.state == SyncRun.State.COMPLETE and not is_late
    fix = f"Look at run {last.pk} in the admin, then python manage.py sync_contacts --corp {corp.corpid}"
    return found(check, ok, f"run {last.pk} {last.state}, {_age(at)} ago", fix)


def _outbox() -> Finding:
    late = Delivery.objects.due().filter(created_at__lt=timezone.now() - DUE_WITHIN).count()
    uncertain = Delivery.objects.filter(state=Delivery.State.UNCERTAIN).count()
    fix = "Start the workers (supervise), and look at the uncertain deliveries in the admin."
    return found("outbox", not late, f"{late} deliveries overdue, {uncertain} uncertain", fix)


def _age(at: Any) -> str:
    return str(timedelta(seconds=int((timezone.now() - at).total_seconds())))
