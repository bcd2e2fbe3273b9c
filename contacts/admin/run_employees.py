"""A run per employee: what each one's listing counted, what ended, what went wrong. Worst first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.db.models import Count
from django.http import QueryDict
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from contacts.models import Employee, FollowUser, SyncPart, SyncRun
from crm.admin_words import advice, provider_words

FIRST_SHOWN: Final = 50
COUNTS: Final = ("seen", "new", "changed", "unchanged", "absent", "ended", "quarantined")
OF_PARTS: Final = tuple(name for name in COUNTS if name != "ended")
EVENTFUL: Final = ("new", "changed", "absent", "ended", "quarantined")
_STATES: Final = (
    "",
    "complete",
    "waiting",
    "running",
    "failed",
)  # of several listings the last of these tells


@dataclass(slots=True)
class Line:
    """One employee of a run. `is_told`: the counts are known; a run of an older release told only its listings'."""

    userid: str
    name: str = ""
    pk: int | None = None
    state: str = ""
    pages: int = 0
    sharing: int = 1  # employees in the largest listing that names this one
    is_told: bool = True
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    troubles: list[dict[str, str]] = field(default_factory=list)

    @property
    def label(self) -> str | Promise:
        return SyncPart.State(self.state).label if self.state else _("not listed")

    @property
    def cells(self) -> list[tuple[str | Promise, int]]:
        return [(label_of(name), self.counts[name]) for name in COUNTS]

    @property
    def is_known(self) -> bool:
        """Whether the counts say something: where nothing was read yet, a zero would claim that nobody is there."""
        is_unread = not self.pages and (self.state == SyncPart.State.WAITING or bool(self.troubles))
        return self.is_told and (self.is_eventful or not is_unread)

    @property
    def has_trouble(self) -> bool:
        return bool(self.troubles or self.counts["quarantined"])

    @property
    def is_eventful(self) -> bool:
        return any(self.counts[name] for name in EVENTFUL)

    @property
    def rank(self) -> tuple[Any, ...]:
        gone = self.counts["absent"] + self.counts["ended"] + self.counts["quarantined"]
        is_ahead = self.state == SyncPart.State.WAITING
        changed = self.counts["new"] + self.counts["changed"]
        return not self.troubles, -gone, -changed, is_ahead, self.name.lower()

    def matches(self, words: str) -> bool:
        return words in self.userid.lower() or words in self.name.lower()

    def meet(self, part: SyncPart) -> None:
        """Add what a listing counted for this employee; pages belong to the listing, perhaps to several at once."""
        if part.state != SyncPart.State.SPLIT:
            self.state = max(self.state, part.state, key=_STATES.index)
        self.pages += part.pages
        self.sharing = max(self.sharing, len(part.userids))
        if len(part.userids) == 1:
            self.add({name: getattr(part, name) for name in OF_PARTS})
        elif part.seen and not part.by_employee:
            self.is_told = False

    def add(self, counts: Mapping[str, int]) -> None:
        for name, number in counts.items():
            if name in self.counts:
                self.counts[name] += number


def label_of(count: str) -> str | Promise:
    return SyncRun._meta.get_field(count).verbose_name  # type: ignore[union-attr]


def lines_of(run: SyncRun, parts: Sequence[SyncPart]) -> list[Line]:
    """Every employee whom a listing, an error or an ending of the run names, worst first. Two queries."""
    lines = _Lines()
    for part in parts:
        for userid in part.userids:
            lines[userid].meet(part)
        if len(part.userids) > 1:
            for userid, counts in part.by_employee.items():
                lines[userid].add(counts)
    for userid, number in [*run.ended_by_employee.items(), *_from_words(run.errors)]:
        line = lines[userid]
        if isinstance(number, int):
            line.add({"ended": number})
        else:
            line.troubles.append(number)
            line.state = SyncPart.State.FAILED
    for userid, number in _out_of_range(run):
        if not lines[userid].state:
            lines[userid].add({"absent": number})
    _name(run, lines)
    return sorted(lines.values(), key=lambda line: line.rank)


class _Lines(dict[str, Line]):
    """Lines by userid; the provider ignores its case."""

    def __getitem__(self, userid: str) -> Line:
        return self.setdefault(userid.lower(), Line(userid, userid))


def _from_words(errors: Iterable[Mapping[str, Any]]) -> list[tuple[str, Any]]:
    return [(line["userid"], words_of(line)) for line in errors if line.get("userid")]


def words_of(line: Mapping[str, Any]) -> dict[str, str]:
    """An entry of `errors[]` as people read it: our advice, and the provider's words."""
    code, errcode = line.get("code", ""), line.get("errcode")
    return {
        "advice": advice(code, errcode),
        "words": provider_words(code, errcode, line.get("errmsg", "")),
    }


def _out_of_range(run: SyncRun) -> Iterable[tuple[str, int]]:
    """First absences of employees who are no longer listed: no listing could count them."""
    rows = FollowUser.objects.filter(absent_run=run, employee__is_listed=False)
    return rows.order_by().values_list("employee__userid").annotate(n=Count("pk"))


def _name(run: SyncRun, lines: _Lines) -> None:
    rows = Employee.objects.filter(corp=run.corp_id).values_list("userid", "pk", "name")
    for userid, pk, name in rows:
        if userid.lower() in lines:
            line = lines[userid]
            line.pk, line.name = pk, name or userid


def table_of(lines: Sequence[Line], asked: QueryDict) -> dict[str, Any]:
    """What the table shows of the lines: `q` searches names and userids, `show` narrows, `all` lifts the cap."""
    kinds: dict[str, tuple[str | Promise, list[Line]]] = {
        "": (_("All"), list(lines)),
        "trouble": (_("With trouble"), [line for line in lines if line.has_trouble]),
        "changes": (_("With changes"), [line for line in lines if line.is_eventful]),
    }
    chosen = asked.get("show", "")
    chosen = chosen if chosen in kinds else ""
    words = asked.get("q", "").strip().lower()
    found = [line for line in kinds[chosen][1] if line.matches(words)]
    return {
        "lines": found if "all" in asked else found[:FIRST_SHOWN],
        "found": len(found),
        "total": len(lines),
        "is_capped": len(found) > FIRST_SHOWN and "all" not in asked,
        "kinds": [
            {"key": key, "label": label, "n": len(rows), "is_chosen": key == chosen}
            for key, (label, rows) in kinds.items()
        ],
        "chosen": chosen,
        "q": asked.get("q", "").strip(),
        "columns": [(name, label_of(name)) for name in COUNTS],
        "may_search": len(lines) > 10,
    }
