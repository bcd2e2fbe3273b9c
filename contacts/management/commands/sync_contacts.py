"""manage.py sync_contacts: one run now, in the foreground, through the function that the schedule uses."""

import argparse
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm

from contacts import runs, sync
from contacts.models import Employee, SyncPart, SyncRun
from crm.command import Command as OurCommand
from crm.command import bad_input, corp_of, must_fit
from crm.errors import Conflict
from crm.models import Corp

ALREADY_RUNNING = 75
REFRESH_S = 0.3  # of the progress bar, which asks the database
EXIT = {
    SyncRun.State.COMPLETE: 0,
    SyncRun.State.PARTIAL: 2,
    SyncRun.State.HELD: 2,
    SyncRun.State.INTERRUPTED: 1,
    SyncRun.State.FAILED: 1,
}
WORST_FIRST = (1, 2, ALREADY_RUNNING, 0)


class Command(OurCommand):
    help = "Read the contacts of every active corp, or of one, and make the mirror equal to them."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--corp", metavar="CORPID")
        parser.add_argument("--employee", metavar="USERID", default="", help="only this employee's contacts")
        parser.add_argument(
            "--confirm-removals", metavar="RUN_ID", type=int, help="end what this held run found absent"
        )
        self.add_json(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["employee"] and not options["corp"]:
            bad_input("--employee needs --corp.")
        must_fit("--employee", options["employee"] or None, Employee, "userid")
        if options["confirm_removals"] is not None:
            jobs = [self._confirmation(options)]
        else:
            corps = (
                [corp_of(options["corp"])] if options["corp"] else list(Corp.objects.filter(is_active=True))
            )
            jobs = [(corp, options["employee"], None) for corp in corps]
        if not jobs:
            bad_input("No corp is connected yet. Start with: python manage.py connect wecom --help")
        outcomes = [self._run(*job, quiet=options["json"]) for job in jobs]
        if options["json"]:
            documents = [document for document, _ in outcomes]
            single = options["corp"] or options["confirm_removals"] is not None
            self.print_json(documents[0] if single else {"runs": documents})
        code = next(code for code in WORST_FIRST if code in {code for _, code in outcomes})
        if code:
            sys.exit(code)

    def _confirmation(self, options: dict[str, Any]) -> tuple[Corp, str, SyncRun | None]:
        held = SyncRun.objects.select_related("corp").filter(pk=options["confirm_removals"]).first()
        if held is None or (options["corp"] and held.corp.corpid != options["corp"]):
            bad_input(f"There is no run {options['confirm_removals']}.")
        try:
            runs.check_confirmable(held)
        except Conflict as error:
            bad_input(f"Run {held.pk}: {error}", code=error.code)
        return held.corp, held.userid, held

    def _run(
        self, corp: Corp, userid: str, held: SyncRun | None, *, quiet: bool
    ) -> tuple[dict[str, Any], int]:
        trigger = SyncRun.Trigger.CONFIRM if held else SyncRun.Trigger.COMMAND
        try:
            with _Progress(corp) as show:
                run = sync.run_now(
                    corp, trigger=trigger, actor="command", userid=userid, confirms=held, on_page=show
                )
        except runs.AlreadyRunning as error:
            self.say(f"{corp.corpid}: run {error.run.pk} is already working on this.")
            return {"code": "already_running", "run": error.run.pk}, ALREADY_RUNNING
        document = runs.report(run)
        if not quiet:
            self.stdout.write(_sentence(corp, document))
        for line in document["errors"]:
            code = f"{line['code']} {line['errcode'] or ''}".strip()
            self.say(f"{corp.corpid} {line['userid'] or ''}: {code}: {line['errmsg']}")
        return document, EXIT[SyncRun.State(run.state)]


class _Progress:
    """A bar over the listings on a terminal; silent elsewhere."""

    def __init__(self, corp: Corp) -> None:
        self._due = 0.0
        self._showing = threading.Lock()
        self._bar = tqdm(
            desc=corp.name or corp.corpid,
            unit=" contacts",
            disable=not sys.stderr.isatty(),
            total=self._expected(corp),
            file=sys.stderr,
            bar_format="{desc}: {n_fmt}{unit} |{bar:24}| {elapsed} {rate_fmt}{postfix}",
        )

    @staticmethod
    def _expected(corp: Corp) -> int | None:
        """As many as the last complete run saw: the provider tells no total."""
        last = SyncRun.objects.filter(corp=corp, userid="", state=SyncRun.State.COMPLETE).first()
        return last.seen if last else None

    def __enter__(self) -> Callable[[SyncRun], None]:
        return self._show

    def _show(self, run: SyncRun) -> None:
        """Called by every thread that reads; one of them shows."""
        if self._bar.disable or time.monotonic() < self._due or not self._showing.acquire(blocking=False):
            return
        try:
            self._refresh(run)
        finally:
            self._due = time.monotonic() + REFRESH_S
            self._showing.release()

    def _refresh(self, run: SyncRun) -> None:
        now = SyncRun.objects.get(pk=run.pk)
        done = run.parts.filter(state=SyncPart.State.COMPLETE).count()
        self._bar.set_postfix_str(f"listings {done}/{now.listings}, new {now.new}, changed {now.changed}")
        self._bar.update(now.seen - self._bar.n)

    def __exit__(self, *exc: object) -> None:
        self._bar.close()


def _sentence(corp: Corp, document: dict[str, Any]) -> str:
    counts = "new changed unchanged absent ended quarantined".split()
    listed = ", ".join(f"{document[name]} {name}" for name in counts)
    return (
        f"{corp.name or corp.corpid}: {document['state']}, {document['seen']} seen ({listed}), "
        f"{document['pages']} pages, {document['calls']} calls, {document['seconds']} s"
    )
