"""The last runs of a scope beside each other: how long they took, what they read, what they found."""

import json
from collections import Counter
from collections.abc import Sequence
from math import ceil, floor, log10
from typing import Any, Final

from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from contacts.models import SyncRun
from crm.admin_cells import TONES
from crm.models import Corp

Series = tuple[str, list[float], str | list[str]]  # label, a value for each run, colours

LENGTH: Final = 30
OUTLIER: Final = 8
FIELDS: Final = (
    "corp_id", "userid", "state", "seen", "new", "changed", "absent", "created_at", "started_at", "finished_at",
)  # fmt: skip
# Colours of the state badges, by their names in admin.css: the chart reads variables of the page.
_COLOURS: Final = {
    tone: f"var(--rm-{tone})" for tone in ("good", "busy", "warn", "bad", "info")
} | {"quiet": "var(--color-base-400)"}  # fmt: skip
_AXIS: Final = "#808691"  # readable on the light and on the dark card


def trend_of(run: SyncRun) -> dict[str, Any]:
    """The finished runs of the run's scope up to this one, oldest first. One query."""
    rows = SyncRun.objects.filter(corp=run.corp_id, userid=run.userid, pk__lte=run.pk)
    runs = list(rows.exclude(state__in=SyncRun.ACTIVE).order_by("-pk").only(*FIELDS)[:LENGTH])[::-1]
    return {"runs": runs[::-1], "charts": _charts(runs) if len(runs) > 1 else []}


def _charts(runs: Sequence[SyncRun]) -> list[dict[str, Any]]:
    by_state = [_COLOURS[TONES.get(run.state, "quiet")] for run in runs]
    seconds: list[float] = [run.seconds or 0 for run in runs]
    return [
        {**_chart(runs, _("Seconds"), [(_("seconds"), seconds, by_state)]), "keys": _state_keys(runs)},
        _chart(runs, _("Contacts seen"), [(_("seen"), [run.seen for run in runs], "var(--rm-busy)")]),
        _chart(
            runs,
            _("What changed"),
            [
                (_("new and changed"), [run.new + run.changed for run in runs], "var(--rm-good)"),
                (_("absent"), [run.absent for run in runs], "var(--rm-warn)"),
            ],
        ),
    ]


def _chart(runs: Sequence[SyncRun], title: str, series: Sequence[Series]) -> dict[str, Any]:
    datasets = [
        {"label": label, "data": values, "backgroundColor": colour, "hoverBackgroundColor": colour}
        for label, values, colour in series
    ]
    told = ", ".join(
        _("%(what)s from %(low)s to %(high)s")
        % {"what": label, "low": f"{min(values):g}", "high": f"{max(values):g}"}
        for label, values, _colour in series
    )
    cut = _cut([sum(stack) for stack in zip(*(values for _label, values, _colour in series), strict=True)])
    return {
        "title": title,
        "data": json.dumps({"labels": [_label(run) for run in runs], "datasets": datasets}),
        "options": json.dumps(_options(cut)),
        "told": f"{title}: {told}",
        "cut": cut,
        "keys": [(label, colour) for label, _values, colour in series] if len(series) > 1 else [],
    }


def _state_keys(runs: Sequence[SyncRun]) -> list[tuple[str, str]]:
    """The colours of the states that occur; states of one colour share their key."""
    words: dict[str, list[str]] = {}
    for run in runs:
        same = words.setdefault(_COLOURS[TONES.get(run.state, "quiet")], [])
        if run.get_state_display() not in same:
            same.append(run.get_state_display())
    return [(", ".join(states), colour) for colour, states in words.items()]


def _options(cut: float | None) -> dict[str, Any]:
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "plugins": {"legend": {"display": False}, "tooltip": {"displayColors": False}},
        "datasets": {"bar": {"maxBarThickness": 14, "borderRadius": 2}},
        "scales": {
            "x": {"stacked": True, "display": False, "grid": {"display": False}},
            "y": {
                "stacked": True,
                "beginAtZero": True,
                "max": cut,
                "border": {"display": False},
                "grid": {"lineWidth": 0.5, "tickWidth": 0},
                "ticks": {"color": _AXIS, "maxTicksLimit": 3},
            },
        },
    }


def _cut(heights: Sequence[float]) -> float | None:
    """Where the axis ends when one bar, such as a first sync, would flatten all others; None to show them whole."""
    *_rest, second, highest = sorted(heights)
    if not second or highest <= OUTLIER * second:
        return None
    unit = 10 ** floor(log10(second * 1.2))
    return ceil(second * 1.2 / unit) * unit


def _label(run: SyncRun) -> str:
    at = timezone.localtime(run.started_at or run.created_at)
    return f"#{run.pk} · {at:%m-%d %H:%M} · {run.get_state_display()}"


def strips_of(corps: Sequence[Corp]) -> dict[int, dict[str, Any]]:
    """{corp id: its last runs as a row of coloured marks, oldest first, and the same in words}. One query."""
    place = Window(RowNumber(), partition_by=F("corp"), order_by=F("pk").desc())
    rows = SyncRun.objects.filter(corp__in=[corp.pk for corp in corps], userid="").only(*FIELDS)
    runs = rows.annotate(place=place).filter(place__lte=LENGTH).order_by("pk")
    strips: dict[int, dict[str, Any]] = {}
    for run in runs:
        strip = strips.setdefault(run.corp_id, {"marks": [], "states": Counter()})
        strip["marks"].append({"tone": TONES.get(run.state, "quiet"), "told": _label(run)})
        strip["states"][str(run.get_state_display())] += 1
    for strip in strips.values():
        number = len(strip["marks"])
        told = ", ".join(f"{state} {n}" for state, n in strip["states"].most_common())
        strip["told"] = ngettext("The last run: %(told)s", "The last %(n)d runs: %(told)s", number) % {
            "n": number,
            "told": told,
        }
    return strips
