"""The memory of one listing while it is walked: what we hold, what its pages have shown."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from contacts.models import Contact, FollowUser
from crm.models import Corp
from crm.providers.records import ContactRecord


@dataclass(slots=True)
class Counts:
    """What a page did, in the words of the run's report (contract F5)."""

    seen: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    quarantined: int = 0


@dataclass(slots=True)
class Known:
    """What we hold of one relation: enough to tell that an item changes nothing without reading its row."""

    follow_id: int
    digest: bytes | None
    is_live: bool
    is_quiet: bool  # live, not suspected absent, of a contact in state active


RelationKey = tuple[str, str]  # (external_userid, userid)


@dataclass(slots=True)
class Listing:
    """The memory of one listing while it is walked. `seen` are the follow rows its pages showed."""

    corp: Corp
    userids: frozenset[str]
    known: dict[RelationKey, Known]
    employees: dict[str, int]  # userid -> pk, of the whole corp
    listed: frozenset[str]  # userids whose own listing tells about their relations
    seen: set[int] = field(default_factory=set)
    seen_unlisted: set[RelationKey] = field(default_factory=set)


def load_known(corp: Corp, userids: Iterable[str]) -> dict[RelationKey, Known]:
    """Every relation we hold of the employees `userids`: one query."""
    rows = FollowUser.objects.filter(employee__corp=corp, employee__userid__in=list(userids)).values_list(
        "contact__external_userid",
        "employee__userid",
        "pk",
        "raw_digest",
        "ended_at",
        "absent_since",
        "contact__state",
    )
    return {
        (external_userid, userid): Known(
            pk,
            bytes(digest) if digest else None,
            ended_at is None,
            ended_at is None and absent_since is None and state == Contact.State.ACTIVE,
        )
        for external_userid, userid, pk, digest, ended_at, absent_since, state in rows.iterator(
            chunk_size=5000
        )
    }


def digest_of(raw: bytes) -> bytes:
    return hashlib.blake2b(raw, digest_size=16).digest()


def own_userids(listing: Listing, item: ContactRecord) -> list[str]:
    """The employees of this listing whom the item belongs to. Where only one is listed, it is that one's."""
    named = [follow.userid for follow in item.follows if follow.userid in listing.userids]
    return named or (list(listing.userids) if len(listing.userids) == 1 else [])


def note_unlisted(listing: Listing, item: ContactRecord) -> None:
    for follow in item.follows:
        if follow.userid not in listing.listed:
            listing.seen_unlisted.add((item.external_userid, follow.userid))
