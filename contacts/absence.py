"""What a complete listing did not show: suspected first, ended when confirmed, held when there is too much of it."""

from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from contacts.listing import Applied, Listing, RelationKey
from contacts.models import Contact, FollowUser, SyncRun
from contacts.runs import held_runs
from crm import events

CHUNK = 1000


def mark_absent(listing: Listing, run: SyncRun, read: Set[int], last: Applied) -> Counter[int]:
    """Mark the live relations that a complete listing of `read`, up to its `last` batch, did not show.

    Returns the newly marked by employee.
    """
    unseen: dict[int, list[int]] = defaultdict(list)
    for pk, employee_id in listing.live.items():
        if employee_id in read and pk not in listing.seen and pk not in last.seen:
            unseen[employee_id].append(pk)
    suspects = _suspects().filter(contact__read_number__lte=listing.asked_at.reads)
    marked: Counter[int] = Counter()
    for employee_id, pks in unseen.items():
        marked[employee_id] = _mark(suspects.filter(pk__among=pks), run)
    return +marked


def mark_out_of_range(run: SyncRun, seen_unlisted: Set[RelationKey]) -> int:
    """Mark the relations of employees who are no longer listed, except those that a colleague's page showed."""
    gone = _suspects().filter(employee__corp=run.corp, employee__is_listed=False)
    rows = gone.order_by().values_list("pk", "contact__external_userid", "employee_id")
    pks = [pk for pk, *key in rows.iterator(chunk_size=5000) if tuple(key) not in seen_unlisted]
    return _mark(FollowUser.objects.filter(pk__among=pks), run)


def _suspects() -> QuerySet[FollowUser]:
    """Live relations that may go: a contact still being created here is not at the provider yet."""
    waiting = (Contact.State.PENDING, Contact.State.FAILED)
    return FollowUser.objects.current().exclude(contact__state__in=waiting)


def _mark(rows: QuerySet[FollowUser], run: SyncRun) -> int:
    return rows.filter(absent_since__isnull=True).update(absent_since=timezone.now(), absent_run=run)


@dataclass(frozen=True, slots=True)
class Scope:
    """The live relations a run can conclude about: of the employees `read` to the end, perhaps of the unlisted."""

    run: SyncRun
    read: frozenset[int]
    with_unlisted: bool

    def absent(self) -> QuerySet[FollowUser]:
        employees = Q(employee__among=self.read)
        if self.with_unlisted:
            employees |= Q(employee__is_listed=False)
        return _suspects().filter(employees, employee__corp=self.run.corp, absent_since__isnull=False)

    def live(self) -> QuerySet[FollowUser]:
        rows = _suspects().filter(employee__corp=self.run.corp)
        return rows.filter(employee__userid=self.run.userid) if self.run.userid else rows


def trips_guard(scope: Scope) -> bool:
    """Whether more is absent in the scope than a run may believe by itself (contract A8)."""
    count, share = settings.CRM_SYNC_REMOVAL_GUARD
    absent = scope.absent().count()
    return absent > count and absent > share * scope.live().count()


def end_confirmed(scope: Scope) -> Counter[str]:
    """End what was absent in an earlier run and is absent in this one; how many, by userid.

    A relation that was seen again has lost its `absent_since`, so what still bears one from an earlier run and
    belongs to an employee read completely now is confirmed.
    """
    run = scope.run
    rows = scope.absent().exclude(absent_run=run)
    if run.confirms_id:
        rows = rows.filter(absent_run__lte=run.confirms_id)
    elif run.userid and (held := held_runs().filter(corp=run.corp_id, userid="").first()):
        rows = rows.filter(absent_run__gt=held.pk)  # the others wait for a person's word about the whole corp
    ended: Counter[str] = Counter()
    while chunk := list(rows.select_related("employee").defer("raw")[:CHUNK]):
        for follow in chunk:
            listed = follow.employee.is_listed or follow.employee.userid == run.userid
            source = FollowUser.EndSource
            follow.ended_source = source.SYNC if listed else source.OUT_OF_RANGE
            ended[follow.employee.userid] += 1
        end(chunk, actor=f"sync:{run.pk}", corp_id=run.corp_id)
    return ended


def end(follows: Sequence[FollowUser], *, actor: str, corp_id: int) -> None:
    """End the relations, whose `ended_source` the caller has set; contacts whom nobody follows become lost."""
    now = timezone.now()
    contact_ids = {follow.contact_id for follow in follows}
    # Contacts before follows, as everybody locks them: two orders would be a deadlock on PostgreSQL.
    Contact.objects.filter(pk__among=contact_ids).update(updated_at=now)
    lines = []
    for follow in follows:
        follow.ended_at = follow.updated_at = now
        changes = {"userid": [follow.employee.userid, None], "ended_source": ["", follow.ended_source]}
        lines.append(
            events.event(
                "follow.ended",
                "follow_user",
                follow.pk,
                actor=actor,
                corp_id=corp_id,
                contact_id=follow.contact_id,
                changes=changes,
            )
        )
    FollowUser.objects.bulk_update(follows, ["ended_at", "ended_source", "updated_at"], batch_size=200)
    lines += _lose(contact_ids, actor=actor, corp_id=corp_id)
    events.record(lines)


def _lose(contact_ids: set[int], *, actor: str, corp_id: int) -> list[events.Line]:
    followed = FollowUser.objects.current().filter(contact=OuterRef("pk"))
    lost = Contact.objects.filter(~Exists(followed), pk__among=contact_ids, state=Contact.State.ACTIVE)
    pks = list(lost.values_list("pk", flat=True))
    Contact.objects.filter(pk__among=pks).update(state=Contact.State.LOST)
    return [
        events.event("contact.lost", "contact", pk, actor=actor, corp_id=corp_id, contact_id=pk) for pk in pks
    ]
