"""One page's changes: read the rows it touches, decide in memory, write in bulk with their events."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils import timezone

from contacts.listing import Counts, Known, Listing, RelationKey, note_unlisted, own_userids
from contacts.models import Contact, Employee, FollowUser, Tag
from crm import events
from crm.models import Event
from crm.providers.records import CONTACT_FIELDS, FOLLOW_FIELDS, ContactRecord, FollowRecord, TagRecord, told


class PageChanges:
    """One page's changes: read what it touches, decide in memory, write in bulk."""

    def __init__(self, listing: Listing, *, actor: str) -> None:
        self.listing = listing
        self.corp = listing.corp
        self.actor = actor
        self.now = timezone.now()
        self.contacts: dict[str, Contact] = {}
        self.follows: dict[RelationKey, FollowUser] = {}
        self.new_contacts: dict[str, Contact] = {}
        self.new_follows: dict[RelationKey, FollowUser] = {}
        self.contact_changes: dict[str, dict[str, Any]] = {}
        self.follow_changes: dict[RelationKey, dict[str, Any]] = {}
        self.restored: set[RelationKey] = set()
        self.found_again: set[str] = set()
        self.touched: set[RelationKey] = set()  # digest, raw or absence to write, though nothing told changed
        self.mine: set[RelationKey] = set()  # what this listing is authoritative for

    def apply(self, fresh: list[tuple[ContactRecord, bytes]], counts: Counts) -> None:
        self._load(item for item, _ in fresh)
        for item, digest in fresh:
            outcome = self._decide(item, digest)
            setattr(counts, outcome, getattr(counts, outcome) + 1)
        self._write()

    def _load(self, items: Iterable[ContactRecord]) -> None:
        records = {item.external_userid: item for item in items}
        userids = {
            follow.userid for item in records.values() for follow in item.follows
        } | self.listing.userids
        self._ensure_employees(userids)
        self._ensure_tags(tag for item in records.values() for follow in item.follows for tag in follow.tags)
        found = Contact.objects.filter(corp=self.corp, external_userid__in=list(records))
        self.contacts = {contact.external_userid: contact for contact in found}
        contacts = {contact.pk: contact for contact in self.contacts.values()}
        userid_of = {pk: userid for userid, pk in self.listing.employees.items()}
        for follow in FollowUser.objects.filter(contact__in=list(contacts)).defer("raw"):
            follow.contact = contacts[follow.contact_id]
            self.follows[follow.contact.external_userid, userid_of.get(follow.employee_id, "")] = follow

    def _ensure_employees(self, userids: set[str]) -> None:
        """A follower we have not met gets a row: being named by the provider is enough (contract A15, F7)."""
        missing = userids - self.listing.employees.keys()
        if not missing:
            return
        Employee.objects.bulk_create(
            [Employee(corp=self.corp, userid=userid) for userid in sorted(missing)], ignore_conflicts=True
        )
        made = list(Employee.objects.filter(corp=self.corp, userid__in=missing))
        self.listing.employees.update((employee.userid, employee.pk) for employee in made)
        events.record(self._event("employee.created", "employee", employee.pk) for employee in made)

    def _ensure_tags(self, tags: Iterable[TagRecord]) -> None:
        named = {tag.tag_id: tag for tag in tags if tag.tag_id}
        for tag_id in Tag.objects.filter(corp=self.corp, tag_id__in=list(named)).values_list(
            "tag_id", flat=True
        ):
            del named[tag_id]
        if not named:
            return
        Tag.objects.bulk_create(
            [
                Tag(corp=self.corp, tag_id=tag.tag_id, name=tag.name, group_name=tag.group, type=tag.type)
                for tag in named.values()
            ],
            ignore_conflicts=True,
        )
        events.record(self._event("tag.created", "tag", tag_id) for tag_id in named)

    def _decide(self, item: ContactRecord, digest: bytes) -> str:
        is_new = self._decide_contact(item)
        mine = own_userids(self.listing, item)
        self.mine.update((item.external_userid, userid) for userid in mine)
        told_follows = {follow.userid: follow for follow in item.follows}
        for userid in [*mine, *(u for u in told_follows if u not in mine)]:
            record = told_follows.get(userid) or FollowRecord(userid=userid)
            is_new |= self._decide_follow(item, record, digest if userid in mine else None)
        note_unlisted(self.listing, item)
        if is_new:
            return "new"
        keys = [(item.external_userid, userid) for userid in told_follows] + [
            (item.external_userid, u) for u in mine
        ]
        changed = item.external_userid in self.contact_changes or item.external_userid in self.found_again
        return (
            "changed"
            if changed or any(k in self.follow_changes or k in self.restored for k in keys)
            else "unchanged"
        )

    def _decide_contact(self, item: ContactRecord) -> bool:
        values = told(item, CONTACT_FIELDS)
        contact = self.contacts.get(item.external_userid)
        if contact is None:
            contact = Contact(corp=self.corp, external_userid=item.external_userid, **values)
            self.contacts[item.external_userid] = self.new_contacts[item.external_userid] = contact
            return True
        changes = _assign(contact, values)
        if changes and item.external_userid not in self.new_contacts:
            _merge(self.contact_changes.setdefault(item.external_userid, {}), changes)
        if contact.state == Contact.State.LOST:
            self.found_again.add(item.external_userid)
        elif contact.state != Contact.State.ACTIVE:  # created here, and met before the push was answered
            change = {"state": [contact.state, Contact.State.ACTIVE]}
            _merge(self.contact_changes.setdefault(item.external_userid, {}), change)
        contact.state, contact.create_error = Contact.State.ACTIVE, ""
        return False

    def _decide_follow(self, item: ContactRecord, record: FollowRecord, digest: bytes | None) -> bool:
        """Apply one relation; `digest` is None when the item names an employee whose listing this is not."""
        key = (item.external_userid, record.userid)
        values = told(record, FOLLOW_FIELDS)
        follow = self.follows.get(key)
        if follow is None:
            follow = FollowUser(
                contact=self.contacts[item.external_userid],
                employee_id=self.listing.employees[record.userid],
                **_columns(values),
            )
            self._stamp(key, follow, item.raw, digest)
            self.follows[key] = self.new_follows[key] = follow
            return True
        changes = _assign(follow, _columns(values))
        if changes and key not in self.new_follows:
            _merge(self.follow_changes.setdefault(key, {}), changes)
        if digest is None and record.userid in self.listing.listed:
            return False  # its own listing says whether it lives (contract A15)
        if not follow.is_current:
            follow.ended_at, follow.ended_source = None, ""
            self.restored.add(key)
        if follow.absent_since is not None:
            follow.absent_since, follow.absent_run_id = None, None
            self.touched.add(key)
        self._stamp(key, follow, item.raw, digest)
        return False

    def _stamp(self, key: RelationKey, follow: FollowUser, raw: bytes, digest: bytes | None) -> None:
        if digest is not None and (follow.raw_digest is None or bytes(follow.raw_digest) != digest):
            follow.raw_digest = digest
            follow.raw = raw.decode()
            self.touched.add(key)

    def _write(self) -> None:
        self._write_contacts()
        self._write_follows()
        self._write_events()
        self._remember()

    def _write_contacts(self) -> None:
        Contact.objects.bulk_create(list(self.new_contacts.values()), batch_size=500)
        changed = self.contact_changes.keys() | self.found_again
        rows = [self.contacts[external_userid] for external_userid in sorted(changed)]
        for contact in rows:
            contact.updated_at = self.now
        fields = {"updated_at", "state", "create_error"}
        fields.update(name for changes in self.contact_changes.values() for name in changes)
        if rows:
            Contact.objects.bulk_update(rows, sorted(fields), batch_size=200)
        # `updated_since` also finds a contact whose relations changed (contract F12).
        touched = {key[0] for key in self.new_follows.keys() | self.restored | self.follow_changes.keys()}
        touched -= changed | self.new_contacts.keys()
        if touched:
            pks = [self.contacts[external_userid].pk for external_userid in touched]
            Contact.objects.filter(pk__in=pks).update(updated_at=self.now)

    def _write_follows(self) -> None:
        FollowUser.objects.bulk_create(list(self.new_follows.values()), batch_size=500)
        keys = (self.follow_changes.keys() | self.restored | self.touched) - self.new_follows.keys()
        rows = [self.follows[key] for key in sorted(keys)]
        for key in self.follow_changes.keys() | self.restored:
            self.follows[key].updated_at = self.now
        fields = {"updated_at", "ended_at", "ended_source", "absent_since", "absent_run"}
        fields.update(name for changes in self.follow_changes.values() for name in changes)
        plain = [row for row in rows if "raw" not in row.__dict__]
        stamped = [row for row in rows if "raw" in row.__dict__]
        if plain:
            FollowUser.objects.bulk_update(plain, sorted(fields), batch_size=200)
        if stamped:
            FollowUser.objects.bulk_update(stamped, sorted(fields | {"raw", "raw_digest"}), batch_size=200)

    def _write_events(self) -> None:
        lines = [
            self._contact_event("contact.created", contact, {}) for contact in self.new_contacts.values()
        ]
        for external_userid in self.found_again:
            lines.append(self._contact_event("contact.restored", self.contacts[external_userid], {}))
        for external_userid, changes in self.contact_changes.items():
            lines.append(self._contact_event("contact.updated", self.contacts[external_userid], changes))
        for key, follow in self.new_follows.items():
            lines.append(self._follow_event("follow.started", follow, {"userid": [None, key[1]]}))
        for key in self.restored:
            lines.append(self._follow_event("follow.restored", self.follows[key], {"userid": [None, key[1]]}))
        for key, changes in self.follow_changes.items():
            lines.append(self._follow_event("follow.updated", self.follows[key], changes))
        events.record(lines)

    def _contact_event(self, verb: str, contact: Contact, changes: dict[str, Any]) -> Event:
        return self._event(verb, "contact", contact.pk, contact_id=contact.pk, changes=changes)

    def _follow_event(self, verb: str, follow: FollowUser, changes: dict[str, Any]) -> Event:
        return self._event(verb, "follow_user", follow.pk, contact_id=follow.contact_id, changes=changes)

    def _event(self, verb: str, subject_type: str, subject_id: object, **about: Any) -> Event:
        return events.event(verb, subject_type, subject_id, actor=self.actor, corp_id=self.corp.pk, **about)

    def _remember(self) -> None:
        """Tell the listing what it has seen, and what is known from now on."""
        for key in self.mine:
            follow = self.follows[key]
            self.listing.seen.add(follow.pk)
            digest = bytes(follow.raw_digest) if follow.raw_digest else None
            self.listing.known[key] = Known(follow.pk, digest, is_live=True, is_quiet=True)


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Record values as column values: tuples become lists."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _assign(row: Contact | FollowUser, values: Mapping[str, Any]) -> dict[str, Any]:
    """Set what differs on `row`; returns {field: [old, new]} fit for an event."""
    changes = {}
    for name, value in values.items():
        old = getattr(row, name)
        if old != value:
            setattr(row, name, value)
            changes[name] = [_public(name, old), _public(name, value)]
    return changes


def _public(name: str, value: Any) -> Any:
    return [events.mask_phone(phone) for phone in value] if name == "remark_mobiles" else value


def _merge(changes: dict[str, Any], more: dict[str, Any]) -> None:
    for name, (old, new) in more.items():
        changes[name] = [changes[name][0] if name in changes else old, new]
