"""What the pages of sync runs show: each corp with its newest run, the report of one, whom a held one concerns."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Count, Exists, OuterRef, QuerySet
from django.http import HttpRequest

from contacts import runs as sync_runs
from contacts.access import visible_corps
from contacts.admin import actors
from contacts.models import Employee, FollowUser, SyncPart, SyncRun
from crm.admin_cells import age
from crm.admin_words import advice, provider_words
from crm.errors import Conflict

SHOWN_PARTS, SHOWN_QUARANTINE, SHOWN_REMOVALS = 200, 100, 200
COUNTS = ("seen", "new", "changed", "unchanged", "absent", "ended", "quarantined")
EVENTFUL = ("new", "changed", "absent", "ended", "quarantined")


def corp_cards(request: HttpRequest) -> list[dict[str, Any]]:
    """Each corp within reach with its newest run, for the button beside it. Two queries."""
    newest = SyncRun.objects.filter(corp=OuterRef("pk")).order_by("-pk").values("pk")[:1]
    corps = list(visible_corps(request.user).filter(is_active=True).annotate(newest=newest))
    runs = SyncRun.objects.in_bulk([corp.newest for corp in corps if corp.newest])
    return [
        {
            "corp": corp,
            "run": (run := runs.get(corp.newest)),
            "age": age(run.finished_at or run.created_at) if run else "",
        }
        for corp in corps
    ]


def held_runs() -> QuerySet[SyncRun]:
    """Held runs that still wait: not confirmed, and no later run of the scope came to its own judgement."""
    states = SyncRun.State
    later = SyncRun.objects.filter(corp=OuterRef("corp"), userid=OuterRef("userid"), pk__gt=OuterRef("pk"))
    judged = later.filter(state__in=(states.COMPLETE, states.HELD))
    confirmed = SyncRun.objects.filter(confirms=OuterRef("pk")).exclude(
        state__in=(states.FAILED, states.INTERRUPTED)
    )
    return SyncRun.objects.filter(~Exists(judged), ~Exists(confirmed), state=states.HELD).select_related(
        "corp"
    )


def run_context(request: HttpRequest, run: SyncRun) -> dict[str, Any]:
    parts = list(run.parts.order_by("pk")[: SHOWN_PARTS + 1])
    tally = dict(run.parts.order_by().values_list("state").annotate(n=Count("pk")))
    done = sum(tally.get(state, 0) for state in (SyncPart.State.COMPLETE, SyncPart.State.FAILED))
    names = _employee_names(run, parts)
    is_active = run.state in SyncRun.ACTIVE
    return {
        "run": run,
        "is_active": is_active,
        "done": done,
        "listings": run.listings,
        "is_quiet": is_quiet(run),
        "starter": actors.starter(run, actors.names_of([run.actor])),
        "counts": [
            (getattr(SyncRun._meta.get_field(name), "verbose_name", name), getattr(run, name), name)
            for name in COUNTS
        ],
        "parts": [{"row": part, "who": _who(part.userids, names)} for part in parts[:SHOWN_PARTS]],
        "has_more_parts": len(parts) > SHOWN_PARTS,
        "errors": [_trouble(line, names) for line in run.errors],
        "warnings": [_trouble(line, names) for line in run.warnings],
        "quarantine": list(run.quarantine().defer("raw").order_by("pk")[:SHOWN_QUARANTINE]),
        "may_confirm": request.user.has_perm("contacts.run_sync") and _is_confirmable(run),
        "successor": run.confirmations.order_by("-pk").first() if run.state == SyncRun.State.HELD else None,
    }


def is_quiet(run: SyncRun) -> bool:
    """Whether the run has come through and there is nothing to tell."""
    told = run.errors or run.warnings or any(getattr(run, name) for name in EVENTFUL)
    return run.state == SyncRun.State.COMPLETE and not told


def _is_confirmable(run: SyncRun) -> bool:
    if run.state != SyncRun.State.HELD:
        return False
    try:
        sync_runs.check_confirmable(run)
    except Conflict:
        return False
    return True


def _employee_names(run: SyncRun, parts: Sequence[SyncPart]) -> dict[str, str]:
    wanted = {userid for part in parts for userid in part.userids[:3]}
    wanted |= {line["userid"] for line in run.errors if line.get("userid")}
    rows = Employee.objects.filter(corp=run.corp_id, userid__in=wanted).values_list("userid", "name")
    return {userid: name or userid for userid, name in rows}


def _who(userids: Sequence[str], names: dict[str, str]) -> str:
    shown = ", ".join(names.get(userid, userid) for userid in userids[:3])
    more = len(userids) - 3
    return f"{shown} +{more}" if more > 0 else shown


def _trouble(line: dict[str, Any], names: dict[str, str]) -> dict[str, str]:
    userid, code, errcode = line.get("userid") or "", line.get("code", ""), line.get("errcode")
    return {
        "who": names.get(userid, userid),
        "advice": advice(code, errcode),
        "words": provider_words(code, errcode, line.get("errmsg", "")),
    }


def removals(run: SyncRun) -> dict[str, Any]:
    """Whom a confirmation concerns: the relations that this run, or one before it, did not find."""
    rows = FollowUser.objects.current().filter(contact__corp=run.corp_id, absent_since__isnull=False)
    if run.userid:
        rows = rows.filter(employee__userid=run.userid)
    employees = (
        rows.order_by().values("employee__name", "employee__userid").annotate(n=Count("pk")).order_by("-n")
    )
    shown = (
        rows.select_related("contact", "employee").defer("raw", "remark_mobiles").order_by("employee", "pk")
    )
    return {
        "total": rows.count(),
        "by_employee": employees[:50],
        "rows": shown[:SHOWN_REMOVALS],
        "shown": SHOWN_REMOVALS,
    }
