"""One batch of changed items: read the rows it touches, decide in memory, write in bulk with the events."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Q
from django.utils import timezone

from contacts.listing import Applied, Known, Listing, RelationKey
from contacts.models import Contact, Employee, FollowUser, Tag
from crm import bulk, events
from crm.providers.records import CONTACT_FIELDS, FOLLOW_FIELDS, ContactRecord, FollowRecord, TagRecord, told

Values = dict[str, Any]  # the columns of a row that is not written yet


class BatchChanges:
    """What fresh items change. New rows stay plain values: a model object for each costs more than its insert."""

    def __init__(self, listing: Listing, applied: Applied, *, actor: str) -> None:
        self.listing = listing
        self.applied = applied
        self.corp = listing.corp
        self.actor = actor
        self.now = timezone.now()
        self.met: dict[str, int] = {}  # employees first named by this batch: lower-case userid -> pk
        self.met_userids: dict[int, str] = {}
        self.contacts: dict[str, Contact] = {}
        self.follows: dict[RelationKey, FollowUser] = {}
        self.new_contacts: dict[str, Values] = {}
        self.new_follows: dict[RelationKey, Values] = {}
        self.contact_changes: dict[str, dict[str, Any]] = {}
        self.follow_changes: dict[RelationKey, dict[str, Any]] = {}
        self.restored: set[RelationKey] = set()
        self.found_again: set[str] = set()
        self.touched: set[RelationKey] = set()  # digest, raw or absence to write, though nothing told changed
        self.mine: dict[
            RelationKey, bytes
        ] = {}  # what this listing is authoritative for, with the item's digest

    def apply(self, fresh: list[ContactRecord]) -> None:
        self._load(fresh)
        for item in fresh:
            outcome = self._decide(item)
            setattr(self.applied.counts, outcome, getattr(self.applied.counts, outcome) + 1)
        self._write()

    def _load(self, items: list[ContactRecord]) -> None:
        self._meet({follow.userid for item in items for follow in item.follows})
        self._ensure_tags(tag for item in items for follow in item.follows for tag in follow.tags)
        found = Contact.objects.filter(
            corp=self.corp, external_userid__in={item.external_userid for item in items}
        )
        self.contacts = {contact.external_userid: contact for contact in found}
        if self.contacts:
            self._load_follows(items)

    def _load_follows(self, items: list[ContactRecord]) -> None:
        """The relations that the items name, and those of this listing's employees."""
        by_pk = {contact.pk: contact for contact in self.contacts.values()}
        named = {
            self._employee(follow.userid) for item in items for follow in item.follows
        } | self.listing.members
        rows = FollowUser.objects.filter(contact__in=list(by_pk), employee__in=named).defer("raw")
        for follow in rows:
            follow.contact = by_pk[follow.contact_id]
            self.follows[follow.contact.external_userid, follow.employee_id] = follow

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

    def _decide(self, item: ContactRecord) -> str:
        is_new = self._decide_contact(item)
        records = {self._employee(follow.userid): follow for follow in item.follows}
        owners = self.listing.owners(item)
        for pk in owners:
            self.mine[item.external_userid, pk] = item.digest
            records.setdefault(pk, FollowRecord(userid=self.listing.roll.userid(pk)))
        for pk, record in records.items():
            is_new |= self._decide_follow(item, pk, record, is_mine=pk in owners)
        keys = {(item.external_userid, pk) for pk in records}
        self.applied.seen_unlisted |= {key for key in keys if key[1] not in self.listing.listed}
        if is_new:
            return "new"
        contact_changed = (
            item.external_userid in self.contact_changes or item.external_userid in self.found_again
        )
        follow_changed = not keys.isdisjoint(self.follow_changes) or not keys.isdisjoint(self.restored)
        return "changed" if contact_changed or follow_changed else "unchanged"

    def _decide_contact(self, item: ContactRecord) -> bool:
        values = told(item, CONTACT_FIELDS)
        key = item.external_userid
        if key in self.new_contacts:  # the same person again, on another follower's item
            self.new_contacts[key].update(values)
            return False
        contact = self.contacts.get(key)
        if contact is None:
            self.new_contacts[key] = values
            return True
        changes = _assign(contact, values)
        if contact.state == Contact.State.LOST:
            self.found_again.add(key)
        elif contact.state != Contact.State.ACTIVE:  # created here, and met before the push was answered
            changes["state"] = [contact.state, Contact.State.ACTIVE]
        contact.state, contact.create_error = Contact.State.ACTIVE, ""
        if changes:
            _merge(self.contact_changes.setdefault(key, {}), changes)
        return False

    def _decide_follow(self, item: ContactRecord, pk: int, record: FollowRecord, *, is_mine: bool) -> bool:
        """Apply one relation; another employee's that an item names is only added (contract A15)."""
        key = (item.external_userid, pk)
        values = _columns(told(record, FOLLOW_FIELDS))
        if is_mine:
            values |= {"raw_digest": item.digest, "raw": item.raw.decode()}
        follow = self.follows.get(key)
        if follow is None:
            is_new = key not in self.new_follows
            self.new_follows.setdefault(key, {}).update(values)
            return is_new
        if is_mine and (follow.raw_digest is None or bytes(follow.raw_digest) != item.digest):
            follow.raw_digest, follow.raw = item.digest, values["raw"]
            self.touched.add(key)
        if changes := _assign(
            follow, {name: values[name] for name in values if name not in ("raw", "raw_digest")}
        ):
            _merge(self.follow_changes.setdefault(key, {}), changes)
        if is_mine or pk not in self.listing.listed:  # else its own listing says whether it lives
            self._bring_back(key, follow)
        return False

    def _bring_back(self, key: RelationKey, follow: FollowUser) -> None:
        if not follow.is_current:
            follow.ended_at, follow.ended_source = None, ""
            self.restored.add(key)
        if follow.absent_since is not None:
            follow.absent_since, follow.absent_run_id = None, None
            self.touched.add(key)

    def _write(self) -> None:
        self._write_contacts()
        self._write_follows()
        self._write_events()
        self._remember()

    def _write_contacts(self) -> None:
        for pk, (key, values) in zip(
            bulk.take_ids(Contact, len(self.new_contacts)), self.new_contacts.items(), strict=True
        ):
            values |= {"id": pk, "corp_id": self.corp.pk, "external_userid": key}
        bulk.insert(Contact, list(self.new_contacts.values()))
        changed = self.contact_changes.keys() | self.found_again
        rows = [self.contacts[key] for key in sorted(changed)]
        for contact in rows:
            contact.updated_at = self.now
        names = {name for changes in self.contact_changes.values() for name in changes}
        bulk.update(Contact, sorted(names | {"updated_at", "state", "create_error"}), rows)
        self._let_others_be_read_anew()
        # `updated_since` also finds a contact whose relations changed (contract F12).
        touched = {key for key, _ in self.new_follows.keys() | self.restored | self.follow_changes.keys()}
        touched -= changed | self.new_contacts.keys()
        if touched:
            pks = [self.contacts[key].pk for key in touched]
            Contact.objects.filter(pk__in=pks).update(updated_at=self.now)

    def _let_others_be_read_anew(self) -> None:
        """Forget the digests of what this listing changed and another one tells too.

        A colleague's item may show the old name again, unchanged since that colleague's last listing; known by
        its digest alone, it would never be compared with the row.
        """
        told_for = [self.follows[key].pk for key in self.follow_changes.keys() - self.mine.keys()]
        changed = [self.contacts[key].pk for key in self.contact_changes]
        if told_for or changed:
            mine = [follow.pk for key, follow in self.follows.items() if key in self.mine]
            others = Q(contact__in=changed) & ~Q(pk__in=mine)
            FollowUser.objects.filter(others | Q(pk__in=told_for)).update(raw_digest=None)

    def _write_follows(self) -> None:
        for pk, (key, values) in zip(
            bulk.take_ids(FollowUser, len(self.new_follows)), self.new_follows.items(), strict=True
        ):
            values |= {"id": pk, "contact_id": self._contact_pk(key[0]), "employee_id": key[1]}
        bulk.insert(FollowUser, list(self.new_follows.values()))
        told_anew = self.follow_changes.keys() | self.restored
        for key in told_anew:
            self.follows[key].updated_at = self.now
        names = {"updated_at", "ended_at", "ended_source", "absent_since", "absent_run"}
        names.update(name for changes in self.follow_changes.values() for name in changes)
        rows = [self.follows[key] for key in sorted(told_anew | self.touched)]
        # `raw` was left unread: only a row that was given a new one may write it.
        stamped = [row for row in rows if "raw" in row.__dict__]
        bulk.update(FollowUser, sorted(names), [row for row in rows if "raw" not in row.__dict__])
        bulk.update(FollowUser, sorted(names | {"raw", "raw_digest"}), stamped)

    def _contact_pk(self, external_userid: str) -> int:
        made = self.new_contacts.get(external_userid)
        return int(made["id"]) if made else self.contacts[external_userid].pk

    def _write_events(self) -> None:
        lines = [
            self._contact_event("contact.created", values["id"], {}) for values in self.new_contacts.values()
        ]
        lines += [
            self._contact_event("contact.restored", self.contacts[key].pk, {}) for key in self.found_again
        ]
        for key, changes in self.contact_changes.items():
            lines.append(self._contact_event("contact.updated", self.contacts[key].pk, changes))
        for (_, employee_id), values in self.new_follows.items():
            change = {"userid": [None, self._userid(employee_id)]}
            lines.append(self._follow_event("started", values["id"], values["contact_id"], change))
        for relation in self.restored:
            row = self.follows[relation]
            change = {"userid": [None, self._userid(row.employee_id)]}
            lines.append(self._follow_event("restored", row.pk, row.contact_id, change))
        for relation, changes in self.follow_changes.items():
            row = self.follows[relation]
            lines.append(self._follow_event("updated", row.pk, row.contact_id, changes))
        events.record(lines)

    def _contact_event(self, verb: str, pk: int, changes: Mapping[str, Any]) -> events.Line:
        return self._event(verb, "contact", pk, contact_id=pk, changes=changes)

    def _follow_event(self, what: str, pk: int, contact_id: int, changes: Mapping[str, Any]) -> events.Line:
        return self._event(f"follow.{what}", "follow_user", pk, contact_id=contact_id, changes=changes)

    def _event(self, verb: str, subject_type: str, subject_id: object, **about: Any) -> events.Line:
        return events.event(verb, subject_type, subject_id, actor=self.actor, corp_id=self.corp.pk, **about)

    def _userid(self, pk: int) -> str:
        return self.met_userids.get(pk) or self.listing.roll.userid(pk)

    def _remember(self) -> None:
        """What the listing will have seen and will know, once the transaction has committed."""
        for key, digest in self.mine.items():
            follow = self.follows.get(key)
            pk = follow.pk if follow else int(self.new_follows[key]["id"])
            self.applied.seen.add(pk)
            self.applied.known[key] = Known(pk, digest, is_live=True, is_quiet=True)


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
    if name == "remark_mobiles":
        return [events.mask_phone(phone) for phone in value]
    if name == "external_profile":
        return None  # links and names of a person: that it changed is enough
    return events.mask_id(value) if name == "unionid" else value


def _merge(changes: dict[str, Any], more: dict[str, Any]) -> None:
    for name, (old, new) in more.items():
        changes[name] = [changes[name][0] if name in changes else old, new]
