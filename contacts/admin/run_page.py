"""What the pages of sync runs show: each corp with its newest runs, and the report of one."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from django.db.models import OuterRef, QuerySet
from django.http import HttpRequest

from contacts import runs as sync_runs
from contacts.access import visible_corps
from contacts.admin import actors
from contacts.admin.run_drift import awaiting_run, waiting_count
from contacts.admin.run_employees import COUNTS, EVENTFUL, Line, label_of, lines_of, table_of, words_of
from contacts.admin.run_trend import strips_of
from contacts.models import SyncPart, SyncRun
from crm.admin_cells import age
from crm.errors import Conflict

SHOWN_LISTINGS, SHOWN_QUARANTINE = 200, 100
PER_CONTACTS = 10_000


def corp_cards(request: HttpRequest) -> list[dict[str, Any]]:
    """Each corp within reach with its newest run, for the button beside it. Three queries."""
    newest = SyncRun.objects.filter(corp=OuterRef("pk")).order_by("-pk").values("pk")[:1]
    corps = list(visible_corps(request.user).filter(is_active=True).annotate(newest=newest))
    runs = SyncRun.objects.in_bulk([corp.newest for corp in corps if corp.newest])
    strips = strips_of(corps)
    return [
        {
            "corp": corp,
            "run": (run := runs.get(corp.newest)),
            "age": age(run.finished_at or run.created_at) if run else "",
            "strip": strips.get(corp.pk),
        }
        for corp in corps
    ]


def waiting_runs() -> QuerySet[SyncRun]:
    """Held runs that wait for a person, each with how many relations it is about (`waiting`)."""
    return sync_runs.held_runs().select_related("corp").annotate(waiting=waiting_count())


def run_context(request: HttpRequest, run: SyncRun) -> dict[str, Any]:
    """The report of a run, in a fixed number of queries however many employees it read."""
    parts = list(run.parts.defer("cursor").order_by("pk"))
    lines = lines_of(run, parts)
    tally = Counter(part.state for part in parts)
    is_held = run.state == SyncRun.State.HELD
    return {
        "run": run,
        "is_active": run.state in SyncRun.ACTIVE,
        "done": tally[SyncPart.State.COMPLETE] + tally[SyncPart.State.FAILED],
        "listings": run.listings,
        "is_quiet": is_quiet(run),
        "starter": actors.starter(run, actors.names_of([run.actor])),
        "counts": [(label_of(name), getattr(run, name), name) for name in COUNTS],
        "per": _per_contacts(run),
        "table": table_of(lines, request.GET),
        **_shared_listings(parts, lines),
        "errors": _grouped(run.errors, lines),
        "warnings": _grouped(run.warnings, lines),
        "quarantine": list(run.quarantine().defer("raw").order_by("pk")[:SHOWN_QUARANTINE]),
        "waiting": awaiting_run(run).count() if is_held else 0,
        "is_confirmable": is_confirmable(run),
        "may_confirm": request.user.has_perm("contacts.run_sync"),
        "successor": run.confirmations.order_by("-pk").first() if is_held else None,
    }


def is_quiet(run: SyncRun) -> bool:
    """Whether the run has come through and there is nothing to tell."""
    told = run.errors or run.warnings or any(getattr(run, name) for name in EVENTFUL)
    return run.state == SyncRun.State.COMPLETE and not told


def is_confirmable(run: SyncRun) -> bool:
    if run.state != SyncRun.State.HELD:
        return False
    try:
        sync_runs.check_confirmable(run)
    except Conflict:
        return False
    return True


def _per_contacts(run: SyncRun) -> dict[str, Any]:
    """What 10,000 contacts cost at the pace of this run; empty before it has read one."""
    if not run.seen:
        return {}
    share = PER_CONTACTS / run.seen
    seconds = None if run.seconds is None else run.seconds * share
    return {"seconds": seconds, "calls": round(run.calls * share), "contacts": PER_CONTACTS}


def _shared_listings(parts: Sequence[SyncPart], lines: Sequence[Line]) -> dict[str, Any]:
    """The listings that name several employees; where each employee has a listing, its own line says it all."""
    names = {line.userid.lower(): line.name for line in lines}
    shared = [part for part in parts if len(part.userids) > 1]
    return {
        "shared": [{"row": part, "who": _who(part.userids, names)} for part in shared[:SHOWN_LISTINGS]],
        "has_more_shared": len(shared) > SHOWN_LISTINGS,
    }


def _grouped(told: Sequence[dict[str, Any]], lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Errors by their cause, each with its employees: a thousand refusals of one kind are one sentence.

    `is_below`: the provider's words stand in the table, beside each of the employees.
    """
    names = {line.userid.lower(): line.name for line in lines}
    causes: dict[tuple[Any, Any], list[dict[str, Any]]] = {}
    for line in told:
        causes.setdefault((line.get("code"), line.get("errcode")), []).append(line)
    whom = {cause: [line["userid"] for line in same if line.get("userid")] for cause, same in causes.items()}
    return [
        {**words_of(same[0]), "who": _who(whom[cause], names), "is_below": len(whom[cause]) == len(same)}
        for cause, same in causes.items()
    ]


def _who(userids: Sequence[str], names: dict[str, str]) -> str:
    shown = ", ".join(names.get(userid.lower(), userid) for userid in userids[:3])
    more = len(userids) - 3
    return f"{shown} +{more}" if more > 0 else shown
