"""One batch of changed items: read the rows it touches, decide in memory, write in bulk with the events."""

from collections.abc import Iterable, Mapping
from functools import cache
from operator import itemgetter
from typing import Any, Final

from django.db.models import Q
from django.utils import timezone

from contacts.arrivals import Arrivals
from contacts.listing import Applied, Listing, RelationKey
from contacts.models import Contact, Employee, FollowUser, Tag
from contacts.rows import Rows
from crm import events
from crm.providers.records import (
    CONTACT_FIELDS,
    FOLLOW_FIELDS,
    ContactRecord,
    FollowRecord,
    TagRecord,
    digest_of,
    told,
)

RELATION: Final = ("contact__external_userid", "employee_id")
FOLLOW_COLUMNS: Final = (*RELATION, "contact_id", "raw_digest", "ended_at", "absent_since", *FOLLOW_FIELDS)
LISTS: Final = frozenset({"tag_ids", "personal_tags", "remark_mobiles"})  # tuples in a record


class BatchChanges:
    """What fresh items change."""

    def __init__(self, listing: Listing, applied: Applied, *, actor: str) -> None:
        self.listing = listing
        self.applied = applied
        self.corp = listing.corp
        self.actor = actor
        self.now = timezone.now()
        self.met: dict[str, int] = {}  # employees first named by this batch: lower-case userid -> pk
        self.met_userids: dict[int, str] = {}
        self.contacts: Rows[str] = Rows(
            Contact, columns=("external_userid", "state", *CONTACT_FIELDS), key=itemgetter("external_userid")
        )
        self.follows: Rows[RelationKey] = Rows(FollowUser, columns=FOLLOW_COLUMNS, key=itemgetter(*RELATION))
        self.restored: set[RelationKey] = set()
        self._beginnings: dict[
            int, dict[str, list[str | None]]
        ] = {}  # as the history tells them, by employee
        self.found_again: set[str] = set()
        # What this listing is authoritative for, with the digest of the item (b"": it cannot be known again).
        self.mine: dict[RelationKey, bytes] = {}

    def apply(self, fresh: list[ContactRecord]) -> None:
        arrivals = Arrivals(self.corp, fresh, actor=self.actor)
        arrivals.adopt()
        self._load(fresh)
        for item in fresh:
            self._decide(item)
        self._write()
        arrivals.note()

    def _load(self, items: list[ContactRecord]) -> None:
        self._meet({follow.userid for item in items for follow in item.follows})
        self._ensure_tags(tag for item in items for follow in item.follows for tag in follow.tags)
        named = {item.external_userid for item in items}
        self.contacts.load(Contact.objects.filter(corp=self.corp, external_userid__among=named))
        if self.contacts.held:
            self._load_follows(items)

    def _load_follows(self, items: list[ContactRecord]) -> None:
        """The relations that the items may concern: of this listing's employees, and of others they name."""
        named = {self._employee(follow.userid) for item in items for follow in item.follows}
        contacts = [row["id"] for row in self.contacts.held.values()]
        self.follows.load(
            FollowUser.objects.filter(contact__among=contacts, employee__among=named | self.listing.members)
        )

    def _employee(self, userid: str) -> int:
        return self.listing.roll.find(userid) or self.met[userid.lower()]

    def _meet(self, userids: set[str]) -> None:
        """A follower we have not met gets a row: being named by the provider is enough (contract A15, F7)."""
        missing = {
            userid.lower(): userid for userid in sorted(userids) if self.listing.roll.find(userid) is None
        }
        if not missing:
            return
        made = Employee.objects.bulk_create(
            [Employee(corp=self.corp, userid=userid) for userid in missing.values()]
        )
        self.met = {employee.userid.lower(): employee.pk for employee in made}
        self.met_userids = {employee.pk: employee.userid for employee in made}
        self.applied.employees += [(employee.userid, employee.pk) for employee in made]
        events.record(self._event("employee.created", "employee", employee.pk) for employee in made)

    def _ensure_tags(self, tags: Iterable[TagRecord]) -> None:
        named = {tag.tag_id: tag for tag in tags if tag.tag_id}
        if not named:
            return
        held = Tag.objects.filter(corp=self.corp, tag_id__among=named).values_list("tag_id", flat=True)
        missing = [named[tag_id] for tag_id in named.keys() - set(held)]
        if not missing:
            return
        Tag.objects.bulk_create(
            [
                Tag(corp=self.corp, tag_id=tag.tag_id, name=tag.name, group_name=tag.group, type=tag.type)
                for tag in missing
            ],
            ignore_conflicts=True,
        )
        events.record(self._event("tag.created", "tag", tag.tag_id) for tag in missing)

    def _decide(self, item: ContactRecord) -> None:
        is_new = self._decide_contact(item)
        records = {self._employee(follow.userid): follow for follow in item.follows}
        owners = self.listing.owners(item)
        for pk in owners:
            self.mine[item.external_userid, pk] = self._stamp(item, pk, is_alone=len(owners) == 1)
            if pk not in records:
                records[pk] = FollowRecord(userid=self.listing.roll.userid(pk))
        for pk, record in records.items():
            is_new |= self._decide_follow(item, pk, record, is_mine=pk in owners)
            if pk not in self.listing.listed:
                self.applied.seen_unlisted.add((item.external_userid, pk))
        # An item of several is counted once, for the first: its owner.
        self.applied.count("new" if is_new else self._outcome(item.external_userid, records), owners[:1])

    def _stamp(self, item: ContactRecord, pk: int, *, is_alone: bool) -> bytes:
        """What the relation is known by. An item known by its own digest shows one relation again, and no other.

        Where an item tells several relations of the listing, each is stamped with a digest that no item has: it
        says only whether the item is another than the last time.
        """
        if not self.listing.is_whole:
            return item.digest if is_alone else b""
        is_only_follower = is_alone and len(item.follows) == 1
        return item.digest if is_only_follower or not item.digest else digest_of(b"%d/%b" % (pk, item.digest))

    def _outcome(self, external_userid: str, employees: Iterable[int]) -> str:
        if external_userid in self.contacts.changes or external_userid in self.found_again:
            return "changed"
        keys = [(external_userid, pk) for pk in employees]
        return (
            "changed"
            if any(key in self.follows.changes or key in self.restored for key in keys)
            else "unchanged"
        )

    def _decide_contact(self, item: ContactRecord) -> bool:
        values = told(item, CONTACT_FIELDS)
        key = item.external_userid
        held = self.contacts.held.get(key)
        if held is None:  # or it is new already: the same person again, on another follower's item
            return self.contacts.add(key, values)
        if held["state"] == Contact.State.LOST:
            self.found_again.add(key)
            self.contacts.put(key, state=Contact.State.ACTIVE)
        elif held["state"] != Contact.State.ACTIVE:  # created here, and met before the push was answered
            values["state"] = Contact.State.ACTIVE
            self.contacts.put(key, create_error="")
        self.contacts.tell(key, values)
        return False

    def _decide_follow(self, item: ContactRecord, pk: int, record: FollowRecord, *, is_mine: bool) -> bool:
        """Apply one relation; another employee's that an item names is only added (contract A15)."""
        key = (item.external_userid, pk)
        values = told(record, FOLLOW_FIELDS)
        for name in LISTS & values.keys():
            values[name] = list(values[name])
        digest = self.mine.get(key)
        stamp = {"raw_digest": digest, "raw": item.raw.decode()} if digest else {}
        held = self.follows.held.get(key)
        if held is None:
            values.update(stamp)
            return self.follows.add(key, values)
        if "createtime" in values and held["createtime"] not in (None, values["createtime"]):
            values = (
                _blank() | values
            )  # another relation of the same two: what is not told of it is not the old one's
        if stamp and (held["raw_digest"] is None or bytes(held["raw_digest"]) != digest):
            self.follows.put(key, **stamp)
        self.follows.tell(key, values)
        if is_mine or pk not in self.listing.listed:  # else its own listing says whether it lives
            self._bring_back(key, held)
        return False

    def _bring_back(self, key: RelationKey, held: Mapping[str, Any]) -> None:
        if held["ended_at"] is not None:
            self.follows.put(key, ended_at=None, ended_source="")
            self.restored.add(key)
        if held["absent_since"] is not None:
            self.follows.put(key, absent_since=None, absent_run_id=None)

    def _write(self) -> None:
        # Contacts before follows, as everybody locks them: two orders would be a deadlock on PostgreSQL.
        self._write_contacts()
        self._let_others_be_read_anew()
        self._write_follows()
        self._write_events()
        self._remember()

    def _write_contacts(self) -> None:
        for key, values in self.contacts.new.items():
            values |= {"corp_id": self.corp.pk, "external_userid": key}
        self.contacts.number()
        self.contacts.insert()
        changed = self.contacts.changes.keys() | self.found_again
        for key in changed:
            self.contacts.put(key, updated_at=self.now)
        self.contacts.update()
        # `updated_since` also finds a contact whose relations changed (contract F12).
        touched = {key for key, _ in self.follows.new.keys() | self.restored | self.follows.changes.keys()}
        touched -= changed | self.contacts.new.keys()
        if touched:
            pks = sorted(self.contacts.pk(key) for key in touched)
            Contact.objects.filter(pk__among=pks).update(updated_at=self.now)

    def _let_others_be_read_anew(self) -> None:
        """Forget the digests of what this listing changed and another one tells too.

        A colleague's item may show the old name again, unchanged since that colleague's last listing; known by
        its digest alone, it would never be compared with the row.
        """
        unstamped = [key for key in self.follows.changes if not self.mine.get(key)]
        told_for = [self.follows.pk(key) for key in unstamped]
        changed = [self.contacts.pk(key) for key in self.contacts.changes]
        if told_for or changed:
            mine = [row["id"] for key, row in self.follows.held.items() if self.mine.get(key)]
            others = Q(contact__among=changed) & ~Q(pk__among=mine)
            FollowUser.objects.filter(others | Q(pk__among=told_for)).update(raw_digest=None)

    def _write_follows(self) -> None:
        for (external_userid, pk), values in self.follows.new.items():
            values |= {"contact_id": self.contacts.pk(external_userid), "employee_id": pk}
        self.follows.number()
        self.follows.insert()
        for key in self.follows.changes.keys() | self.restored:
            self.follows.put(key, updated_at=self.now)
        self.follows.update()

    def _write_events(self) -> None:
        lines = [
            self._event("contact.created", "contact", row["id"], row["id"])
            for row in self.contacts.new.values()
        ]
        for key in self.found_again:
            lines.append(self._event("contact.restored", "contact", pk := self.contacts.pk(key), pk))
        for key, changes in self.contacts.changes.items():
            lines.append(
                self._event("contact.updated", "contact", pk := self.contacts.pk(key), pk, _masked(changes))
            )
        for relation, row in self.follows.new.items():
            lines.append(self._follow_event("follow.started", row, self._begins(relation[1])))
        for relation in self.restored:
            row = self.follows.held[relation]
            lines.append(self._follow_event("follow.restored", row, self._begins(relation[1])))
        for relation, changes in self.follows.changes.items():
            lines.append(self._follow_event("follow.updated", self.follows.held[relation], _masked(changes)))
        events.record(lines)

    def _begins(self, employee_id: int) -> dict[str, list[str | None]]:
        if employee_id not in self._beginnings:
            userid = self.met_userids.get(employee_id) or self.listing.roll.userid(employee_id)
            self._beginnings[employee_id] = {"userid": [None, userid]}
        return self._beginnings[employee_id]

    def _follow_event(self, verb: str, row: Mapping[str, Any], changes: Mapping[str, Any]) -> events.Line:
        return self._event(verb, "follow_user", row["id"], row["contact_id"], changes)

    def _event(
        self,
        verb: str,
        subject_type: str,
        subject_id: object,
        contact_id: int | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> events.Line:
        return events.event(
            verb,
            subject_type,
            subject_id,
            actor=self.actor,
            corp_id=self.corp.pk,
            contact_id=contact_id,
            changes=changes,
        )

    def _remember(self) -> None:
        """What the listing will have seen and will know, once the transaction has committed."""
        for key, digest in self.mine.items():
            pk = self.follows.pk(key)
            self.applied.seen.add(pk)
            self.applied.live[pk] = key[1]
            if digest:
                self.applied.quiet[digest] = pk


@cache
def _blank() -> dict[str, Any]:
    """A relation of which nothing was told."""
    fields = {field.attname: field for field in FollowUser._meta.concrete_fields}
    return {name: fields[name].get_default() for name in FOLLOW_FIELDS}


def _masked(changes: Mapping[str, list[Any]]) -> dict[str, Any]:
    """`changes` fit for the history: {field: [old, new]} without personal values."""
    return {name: [_public(name, value) for value in change] for name, change in changes.items()}


def _public(name: str, value: Any) -> Any:
    if name == "remark_mobiles":
        return [events.mask_phone(phone) for phone in value]
    if name == "external_profile":
        return None  # links and names of a person: that it changed is enough
    return events.mask_id(value) if name == "unionid" else value
