"""The imagined corps: who exists, who follows whom, what was sent. The truth that every dialect renders."""

import threading
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from crm.simulator.callbacks import Callbacks
from crm.simulator.clock import Clock
from crm.simulator.corps import CorpSpec
from crm.simulator.events import Event
from crm.simulator.faults import FaultBook
from crm.simulator.journal import Journal
from crm.simulator.limits import Gate, Windows
from crm.simulator.records import (
    Callback,
    CardCode,
    Contact,
    ContactWay,
    Department,
    Employee,
    Follow,
    MassTask,
    Media,
    MemberTag,
    Message,
    Notice,
    Sent,
    Tag,
    TagGroup,
    Welcome,
)
from crm.simulator.switches import Switches
from crm.simulator.tokens import TokenDesk


class Corp:
    """One tenant. Changes go through its methods, which keep both sides of a relation and the caches true."""

    def __init__(self, spec: CorpSpec) -> None:
        self.spec = spec
        self.departments: dict[int, Department] = {}
        self.employees: dict[str, Employee] = {}  # by lower-cased userid: ids differ by more than case
        self.contacts: dict[str, Contact] = {}
        self.tag_groups: dict[str, TagGroup] = {}
        self.tags: dict[str, Tag] = {}
        self.member_tags: dict[int, MemberTag] = {}
        self.messages: list[Message] = []
        self.sent: dict[str, Sent] = {}
        self.tasks: dict[str, MassTask] = {}
        self.notices: dict[int, Notice] = {}
        self.noticed: dict[str, int] = defaultdict(int)  # "userid|day" and "userid|day|digest of the content"
        self.media: dict[str, Media] = {}
        self.ways: dict[str, ContactWay] = {}
        self.mass_received: dict[str, int] = defaultdict(int)  # "external_userid|2026-11" and "…|2026-11-20"
        self.poison_pages: dict[tuple[str, int], list[bytes]] = {}  # (lower-cased userid, page) -> raw items
        self.callback: Callback | None = None
        self.untold: list[Event] = []  # what people did since the sender was last given something
        self.welcomes: dict[str, Welcome] = {}
        self.card_codes: dict[str, CardCode] = {}
        self.greeted: set[tuple[str, str]] = set()  # (external_userid, userid) who talk already
        self.last_n = 0
        self.revision = 0

    def next_n(self) -> int:
        """The next number of this corp's one sequence; rising, never reused."""
        self.last_n += 1
        return self.last_n

    def changed(self) -> None:
        """Say that something worth saving happened."""
        self.revision += 1

    def employee(self, userid: object) -> Employee | None:
        """The member of that id, whatever its case."""
        return self.employees.get(userid.lower()) if isinstance(userid, str) else None

    def add_employee(self, employee: Employee) -> None:
        self.employees[employee.userid.lower()] = employee
        self.changed()

    def rename_employee(self, employee: Employee, userid: str) -> None:
        """Give the member another id. Raises ValueError when somebody else has it."""
        if self.employee(userid) not in (None, employee):
            raise ValueError(f"{userid} exists")
        del self.employees[employee.userid.lower()]
        for department in self.departments.values():
            leaders = department.department_leader
            department.department_leader = [userid if u == employee.userid else u for u in leaders]
        employee.userid = userid
        self.add_employee(employee)

    def remove_employee(self, employee: Employee) -> None:
        """Delete the member and every relation; the contacts stay, followed by whoever else follows them."""
        for follow in list(employee.follows):
            self.end(follow)
        del self.employees[employee.userid.lower()]
        for department in self.departments.values():
            department.department_leader = [u for u in department.department_leader if u != employee.userid]
        for tag in self.member_tags.values():
            tag.userids = [u for u in tag.userids if u != employee.userid]
        self.changed()

    def add_contact(self, contact: Contact) -> None:
        self.contacts[contact.external_userid] = contact
        self.changed()

    def delete_contact(self, contact: Contact) -> None:
        for follow in contact.follows:
            self._unlist(follow)
        del self.contacts[contact.external_userid]
        self.changed()

    def following(self, employee: Employee, contact: Contact) -> Follow | None:
        """The live relation between the two, if there is one."""
        return next((each for each in contact.follows if each.employee is employee), None)

    def follow(self, employee: Employee, contact: Contact, *, createtime: int, **fields: Any) -> Follow:
        """Begin a relation; the employee must not follow the contact yet."""
        follow = Follow(self.next_n(), contact, employee, createtime, **fields)
        employee.follows.append(follow)
        contact.follows += (follow,)
        self.touch(contact)
        return follow

    def end(self, follow: Follow) -> None:
        """End a relation, as when the member deletes the customer."""
        self._unlist(follow)
        follow.contact.follows = tuple(each for each in follow.contact.follows if each is not follow)
        self.touch(follow.contact)

    def _unlist(self, follow: Follow) -> None:
        follows = follow.employee.follows
        del follows[bisect_left(follows, follow.n, key=lambda each: each.n)]

    def put_first(self, follow: Follow) -> None:
        """Let the relation stand before the others of its contact: in DingTalk, its employee is the owner."""
        contact = follow.contact
        contact.follows = (follow, *(each for each in contact.follows if each is not follow))
        self.touch(contact)

    def touch(self, contact: Contact) -> None:
        """Forget the served bytes of a contact whose truth changed."""
        contact.listed = None
        for follow in contact.follows:
            follow.listed = None
        self.changed()

    def touch_all(self, contacts: Iterable[Contact]) -> None:
        for contact in contacts:
            self.touch(contact)

    def follows_after(self, employee: Employee, n: int, limit: int) -> list[Follow]:
        """The next `limit` relations of the employee after relation `n`: a keyset, so stable."""
        start = bisect_right(employee.follows, n, key=lambda each: each.n) if n else 0
        return employee.follows[start : start + limit]

    def reachable_employees(self) -> list[Employee]:
        return [each for each in self.employees.values() if each.is_reachable]

    def members_of(self, department_id: int) -> list[Employee]:
        """The members that stand directly in the department and have not left."""
        return [
            each for each in self.employees.values() if department_id in each.department and each.is_present
        ]

    def members_of_way(self, way: ContactWay) -> list[Employee]:
        """The members a contact way names, then those of its departments and of what is below them."""
        named = [each for each in map(self.employee, way.user) if each is not None]
        below = [d.id for party in way.party for d in self.subtree(party)]
        return list(dict.fromkeys(named + [each for number in below for each in self.members_of(number)]))

    def subtree(self, department_id: int) -> list[Department]:
        """The department and everything below it, parents first."""
        found = [self.departments[department_id]] if department_id in self.departments else []
        for parent in found:
            found.extend(each for each in self.departments.values() if each.parentid == parent.id != each.id)
        return found

    def add_tag(self, group: TagGroup, tag: Tag) -> None:
        self.tag_groups[group.group_id] = group
        group.tags.append(tag)
        self.tags[tag.id] = tag
        self.changed()

    def delete_tag(self, tag: Tag) -> None:
        """Take the tag off everybody; a group without tags disappears with it."""
        del self.tags[tag.id]
        tag.group.tags.remove(tag)
        if not tag.group.tags:
            del self.tag_groups[tag.group.group_id]
        for contact in self.contacts.values():
            if contact.card is not None and tag.id in contact.card.labels:
                contact.card.labels = tuple(each for each in contact.card.labels if each != tag.id)
                self.touch(contact)
            if any(tag.id in follow.tags for follow in contact.follows):
                for follow in contact.follows:
                    follow.tags = tuple(each for each in follow.tags if each != tag.id)
                self.touch(contact)
        self.changed()

    def tell(self, event: Event) -> None:
        """Note what people did; without a callback URL nobody wants to know."""
        if self.callback is not None:
            self.untold.append(event)

    def deliver(
        self, *, at: int, kind: str, to: str, sender: str, msgtype: str, content: Any, msgid: str
    ) -> None:
        """Put a message on somebody's phone."""
        self.messages.append(Message(self.next_n(), at, kind, to, sender, msgtype, content, msgid))
        self.changed()


class World:
    """All corps, the clock, the switches and what watches over them; hold `lock` to read or change any."""

    def __init__(self, switches: Switches | None = None) -> None:
        self.lock = threading.RLock()
        self.clock = Clock()
        self.switches = switches or Switches()
        self.gate = Gate()
        self.callbacks = Callbacks(self.switches)
        self.generations = 0
        self.forget()

    def forget(self) -> None:
        """Empty the world and all that was counted and ordered in it; the switches stay."""
        self.generations += 1
        self.clock.offset = 0.0
        self.corps: dict[str, Corp] = {}
        self.tokens = TokenDesk(self.clock)
        self.windows = Windows(self.clock)
        self.faults = FaultBook()
        self.journal = Journal(self.switches.journal_size)
        self.callbacks.clear()

    def emit(self, corp: Corp) -> None:
        """Give the sender what people did in this corp."""
        if corp.callback is not None and corp.untold:
            self.callbacks.emit(corp.spec, corp.callback, corp.untold)
        corp.untold.clear()

    @property
    def revision(self) -> tuple[int, ...]:
        """A value that differs whenever something worth saving happened."""
        return (self.generations, *(corp.revision for corp in self.corps.values()))
