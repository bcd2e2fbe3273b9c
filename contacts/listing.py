"""The memory of one listing while it is walked: what we hold, what its pages have shown."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from contacts.clock import Moment
from contacts.models import FollowUser
from contacts.roll import Roll
from crm.models import Corp
from crm.providers.records import ContactRecord

Counts = Counter[str]
RelationKey = tuple[str, int]  # (external_userid, primary key of the employee)


@dataclass(slots=True)
class Applied:
    """What a batch came to; true, and told to the listing, once its transaction has committed.

    `counts` are in the words of the run's report (contract F5): seen, new, changed, unchanged, quarantined.
    """

    read_since: frozenset[str] = frozenset()  # contacts of whom we hold something newer than this listing
    counts: Counts = field(default_factory=Counter)
    by_employee: defaultdict[int, Counts] = field(default_factory=lambda: defaultdict(Counter))
    seen: set[int] = field(default_factory=set)
    seen_unlisted: set[RelationKey] = field(default_factory=set)
    live: dict[int, int] = field(default_factory=dict)  # as the listing's, of what the batch wrote
    quiet: dict[bytes, int] = field(default_factory=dict)
    employees: list[tuple[str, int]] = field(default_factory=list)

    def count(self, outcome: str, employees: Iterable[int], number: int = 1) -> None:
        """`number` items that belong to `employees` had this outcome."""
        self.counts[outcome] += number
        self.counts["seen"] += number
        for pk in employees:
            self.by_employee[pk][outcome] += number
            self.by_employee[pk]["seen"] += number


@dataclass(slots=True)
class Listing:
    """One listing: of the employees `members`. `seen` are the follow rows its pages showed.

    `live` are the relations that stand, `quiet` the digests of items that change nothing: a page made of them needs
    no parsing. No more is kept of a relation, so that a listing of many takes little memory. `restless` are
    relations of unlisted employees that an item naming them brings back, however well its own digest is known.
    """

    corp: Corp
    members: frozenset[int]
    roll: Roll
    listed: frozenset[int]  # employees whose own listing tells about their relations
    asked_at: Moment  # the corp's clock before the first page was asked for
    sole: int | None = None  # whose listing this is, when it is of one employee: items need not name that one
    is_whole: bool = False  # the corp's only listing: an item tells all followers of its contact
    restless: frozenset[RelationKey] = frozenset()
    live: dict[int, int] = field(default_factory=dict)  # follow row -> employee
    quiet: dict[bytes, int] = field(default_factory=dict)  # digest -> follow row
    seen: set[int] = field(default_factory=set)
    seen_unlisted: set[RelationKey] = field(default_factory=set)

    def load(self) -> None:
        """Every live relation we hold of this listing's employees: one query."""
        rows = FollowUser.objects.current().filter(employee__among=self.members).order_by()
        for pk, employee_id, digest, absent_since in rows.values_list(
            "pk", "employee_id", "raw_digest", "absent_since"
        ).iterator(5000):
            self.live[pk] = employee_id
            # Who has a digest was told by the provider: only such a contact's state needs no second look.
            if digest is not None and absent_since is None:
                self.quiet[bytes(digest)] = pk

    def absorb(self, applied: Applied) -> None:
        self.roll.add(applied.employees)
        self.seen |= applied.seen
        self.seen_unlisted |= applied.seen_unlisted
        self.live |= applied.live
        self.quiet |= applied.quiet

    def held(self, external_userids: Iterable[str]) -> dict[RelationKey, int]:
        """The follow rows between these contacts and this listing's employees, ended ones too."""
        rows = (
            FollowUser.objects.filter(
                contact__corp=self.corp,
                contact__external_userid__among=set(external_userids),
                employee__among=self.members,
            )
            .order_by()
            .values_list("contact__external_userid", "employee_id", "pk")
        )
        return {(external_userid, employee_id): pk for external_userid, employee_id, pk in rows}

    def owners(self, item: ContactRecord) -> list[int]:
        """The employees of this listing whom the item belongs to."""
        named = [pk for follow in item.follows if (pk := self.roll.find(follow.userid)) in self.members]
        return named or ([] if self.sole is None else [self.sole])

    def unlisted(self, item: ContactRecord) -> set[RelationKey]:
        """The relations the item names of employees who have no listing of their own."""
        named = self.roll.pks(follow.userid for follow in item.follows)
        return {(item.external_userid, pk) for pk in named - self.listed}


def restless_relations(corp: Corp) -> frozenset[RelationKey]:
    """The live relations of unlisted employees that are suspected to be gone.

    An ended one needs no care: the items that named it have come without it since, so one that does is new bytes.
    """
    rows = FollowUser.objects.current().filter(employee__corp=corp, employee__is_listed=False)
    rows = rows.filter(absent_since__isnull=False).order_by()
    return frozenset(rows.values_list("contact__external_userid", "employee_id"))
