"""What the provider says against what we held, as a run found it: extra, missing, changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.db.models import (
    BigIntegerField,
    Case,
    CharField,
    Count,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    When,
)
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from contacts.access import visible_contacts, visible_tags
from contacts.admin.timeline import changes_of
from contacts.models import Contact, Employee, FollowUser, SyncRun
from crm import roles
from crm.models import Event

FIRST_SHOWN, MOST_SHOWN, MOST_CHIPS = 20, 1000, 30
APPEARED: Final = ("follow.started", "follow.restored")
CHANGED: Final = ("follow.updated", "contact.updated")


@dataclass(frozen=True, slots=True)
class Row:
    """One difference. `employee` is None where a contact's own data changed: they belong to no relation."""

    contact: Contact
    employee: Employee | None
    more: Any = ""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Share:
    employee: Employee | None
    n: int


@dataclass(frozen=True, slots=True)
class Group:
    key: str
    icon: str
    title: str | Promise
    text: str | Promise
    total: int
    shares: Sequence[Share]
    rows: Sequence[Row]
    column: str | Promise

    @property
    def tells_more(self) -> bool:
        return any(row.more for row in self.rows)

    @property
    def chips(self) -> Sequence[Share]:
        return self.shares[:MOST_CHIPS]

    @property
    def more_chips(self) -> int:
        return max(0, len(self.shares) - MOST_CHIPS)


def awaiting(corp: Any, run_id: Any) -> QuerySet[FollowUser]:
    """The live relations that confirming run `run_id` may end: it, or a run before it, did not find them."""
    return FollowUser.objects.current().filter(contact__corp=corp, absent_run__lte=run_id)


def awaiting_run(run: SyncRun) -> QuerySet[FollowUser]:
    rows = awaiting(run.corp_id, run.pk)
    return rows.filter(employee__userid=run.userid) if run.userid else rows


def waiting_count() -> Subquery:
    """How many relations wait for the decision about a held run; for `annotate` on runs."""
    scope = ExpressionWrapper(OuterRef("userid"), output_field=CharField())
    rows = awaiting(OuterRef("corp"), OuterRef("pk")).annotate(scope=scope)
    counted = rows.filter(Q(scope="") | Q(employee__userid=F("scope"))).order_by()
    return Subquery(counted.values("contact__corp").annotate(n=Count("pk")).values("n"))


def drift_of(request: HttpRequest, run: SyncRun) -> dict[str, Any]:
    """The three groups within the reader's reach, in a fixed number of queries.

    `?employee=<id>` narrows the rows to one employee, `?all` shows up to MOST_SHOWN of each group.
    """
    asked = request.GET.get("employee", "")
    chosen = int(asked) if asked.isdecimal() and len(asked) < 19 else None
    report = _Report(request, run, chosen, MOST_SHOWN if "all" in request.GET else FIRST_SHOWN)
    groups = [report.extra(), report.missing(), report.changed()]
    if run.state != SyncRun.State.HELD:
        groups = [group for group in [*groups, report.ended()] if group.total]
    known = [share.employee for group in groups for share in group.shares if share.employee]
    return {
        "groups": groups,
        "chosen": next((employee for employee in known if employee.pk == chosen), None),
        "is_cut": any(len(group.rows) >= FIRST_SHOWN for group in groups) and "all" not in request.GET,
        "is_narrow": roles.role_of(request.user) not in {roles.ADMINISTRATOR, roles.AUDITOR},
    }


class _Report:
    def __init__(self, request: HttpRequest, run: SyncRun, chosen: int | None, limit: int) -> None:
        self.request, self.run, self.chosen, self.limit = request, run, chosen, limit
        self.is_held = run.state == SyncRun.State.HELD
        self.masked = roles.role_of(request.user) == roles.AUDITOR
        actors, self.since = _walked_as(run)
        # Every event of a run touches its contact (contract F12): the indexed way to the events of a short time.
        touched = Contact.objects.visible_to(request.user).filter(
            corp=run.corp_id, updated_at__gte=self.since
        )
        self.events = _with_employee(
            Event.objects.filter(actor__in=actors, contact_id__in=touched.values("pk"))
        )

    def extra(self) -> Group:
        own = FollowUser.objects.filter(absent_run=self.run)
        rows: Any = awaiting_run(self.run) if self.is_held else own
        rows = rows.visible_to(self.request.user)
        counted = rows.order_by().values_list("employee").annotate(n=Count("pk"))
        shown = rows.filter(employee=self.chosen) if self.chosen else rows
        shown = shown.select_related("contact__corp", "employee").defer("raw", "remark_mobiles")
        return self._group(
            "extra",
            "link_off",
            _("Here, but no longer at the provider"),
            _("They end when the removals are confirmed, unless the provider shows them again.")
            if self.is_held
            else _("They end when the next complete run does not find them either."),
            counted,
            [
                Row(
                    follow.contact,
                    follow.employee,
                    "" if follow.is_current else _("ended since"),
                    follow.absent_since,
                )
                for follow in shown.order_by("employee", "pk")[: self.limit]
            ],
            _("Not found since"),
        )

    def missing(self) -> Group:
        rows, counted = self._of(APPEARED)
        return self._group(
            "missing",
            "person_add",
            _("At the provider, but not here before"),
            _("This run has taken them over already; confirming does not touch them.")
            if self.is_held
            else _("This run has taken them over."),
            counted,
            [
                Row(contact, employee, self._how(event, contact), event.at)
                for event, contact, employee in rows
            ],
            _("Found"),
        )

    def changed(self) -> Group:
        rows, counted = self._of(CHANGED)
        tags = self._tags(event for event, _contact, _employee in rows)
        return self._group(
            "changed",
            "edit",
            _("Changed at the provider"),
            _("What this run found different and has taken over: old value, then new."),
            counted,
            [
                Row(contact, employee, changes_of(event, tags, masked=self.masked), event.at)
                for event, contact, employee in rows
            ],
            _("Found"),
        )

    def ended(self) -> Group:
        rows, counted = self._of(["follow.ended"])
        return self._group(
            "ended",
            "person_off",
            _("Ended by this run"),
            _(
                "Two complete runs did not find them. They come back by themselves when the provider shows them."
            ),
            counted,
            [Row(contact, employee, at=event.at) for event, contact, employee in rows],
            _("Ended"),
        )

    def _of(self, verbs: Sequence[str]) -> tuple[list[tuple[Event, Contact, Employee | None]], Any]:
        events = self.events.filter(verb__in=verbs)
        counted = events.order_by().values_list("employee").annotate(n=Count("subject_id", distinct=True))
        shown = events.filter(employee=self.chosen) if self.chosen else events
        found: list[Any] = list(shown.order_by("-seq")[: self.limit])
        contacts = visible_contacts(self.request.user, {event.contact_id for event in found})
        employees = Employee.objects.in_bulk({event.employee for event in found if event.employee})
        return [
            (event, contacts[event.contact_id], employees.get(event.employee))
            for event in found
            if event.contact_id in contacts
        ], counted

    def _how(self, event: Event, contact: Contact) -> str | Promise:
        if event.verb == "follow.restored":
            return _("followed again")
        return _("new contact") if contact.created_at >= self.since else _("new follower")

    def _tags(self, events: Iterable[Event]) -> dict[str, str]:
        pairs = [event.changes.get("tag_ids") or () for event in events]
        ids = {str(tag) for pair in pairs for side in pair for tag in side or ()}
        tags = visible_tags(self.request.user).filter(corp=self.run.corp_id, tag_id__in=ids)
        return dict(tags.values_list("tag_id", "name"))

    def _group(
        self, key: str, icon: str, title: Any, text: Any, counted: Any, rows: list[Row], column: Any
    ) -> Group:
        numbers = {pk: n for pk, n in counted if n}
        employees = Employee.objects.in_bulk([pk for pk in numbers if pk])
        shares = [Share(employees.get(pk), n) for pk, n in sorted(numbers.items(), key=lambda pair: -pair[1])]
        return Group(key, icon, title, text, sum(numbers.values()), shares, rows, column)


def _walked_as(run: SyncRun) -> tuple[list[str], datetime]:
    """The actors of the run and of those it resumed one after the other, and when the first of them began."""
    rows = SyncRun.objects.filter(
        corp=run.corp_id, userid=run.userid, pk__lt=run.pk, resumed_by__isnull=False
    )
    before: Mapping[int | None, SyncRun] = {
        row.pk: row for row in rows.only("resumes", "started_at", "created_at")
    }
    actors, at = [f"sync:{run.pk}"], run
    while at.resumes_id in before:
        at = before[at.resumes_id]
        actors.append(f"sync:{at.pk}")
    return actors, at.started_at or at.created_at


def _with_employee(events: QuerySet[Event]) -> Any:
    """`employee`: id of the employee whose relation the event is about, null for a contact's own data."""
    follow = FollowUser.objects.filter(pk=Cast(OuterRef("subject_id"), BigIntegerField()))
    of_relation = When(subject_type="follow_user", then=Subquery(follow.values("employee")[:1]))
    return events.annotate(employee=Case(of_relation, output_field=BigIntegerField()))
