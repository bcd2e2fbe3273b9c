"""One contact read again by itself: its answer tells all its followers, so what it does not show has ended."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from django.db import IntegrityError, OperationalError, transaction
from django.utils.translation import gettext as _

from contacts import clock
from contacts.absence import end
from contacts.changes import BatchChanges
from contacts.clock import Moment
from contacts.directory import apply_directory, apply_tags, rename
from contacts.listing import Applied, Listing
from contacts.models import Contact, FollowUser
from contacts.roll import Roll
from crm.connections import first_agent, open_provider
from crm.errors import Conflict
from crm.models import Corp
from crm.providers.base import Provider
from crm.providers.errors import Absent, Gone
from crm.providers.records import ContactRecord, Directory

T = TypeVar("T")

log = logging.getLogger("renmai.sync")

NO_RELATION: Final = 84061
TRIES: Final = 5
PATIENCE_S: Final = 10  # with the pace: whoever asks for one contact waits, or is asked again by a bell


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What the provider told of one contact, and what the mirror knew when it was asked."""

    corp: Corp
    record: ContactRecord
    asked_at: Moment


def read_contact(corp: Corp, external_userid: str, *, actor: str) -> None:
    """Read the contact at the provider and make the mirror say the same (product.md 7: a direct read confirms).

    Raises ProviderError (Unsupported where the dialect has no such read), and Conflict `outrun` when a sync
    writes faster than we can read.
    """
    for _try in range(TRIES):
        if apply(ask(corp, external_userid), actor=actor):
            log.info("contact %s of %s was read again", external_userid, corp.corpid)
            return
    raise _outrun()


def read_tags(corp: Corp, *, actor: str) -> None:
    """Read the tag list and make the mirror say the same. Raises as `read_contact`."""
    _read_whole(corp, lambda provider: provider.tags(), lambda told: apply_tags(corp, told, actor=actor))


def read_directory(corp: Corp, *, actor: str, renamed: Mapping[str, str]) -> None:
    """Read employees and departments and make the mirror say the same. Raises as `read_contact`.

    An employee of `renamed`, {old userid: new userid}, stays the same one where the directory has only the new.
    """

    def write(directory: Directory) -> None:
        known = {each.userid.lower() for each in directory.employees}
        for old, new in renamed.items():
            if new.lower() in known and old.lower() not in known:
                rename(corp, old, new, actor=actor)
        apply_directory(corp, directory, actor=actor)

    _read_whole(corp, lambda provider: provider.directory(), write)


def _read_whole(corp: Corp, request: Callable[[Provider], T], write: Callable[[T], None]) -> None:
    for _try in range(TRIES):
        asked_at = clock.now(corp)
        answer = request(open_provider(first_agent(corp), patience_s=PATIENCE_S))
        with transaction.atomic():
            moment = clock.tick(corp)
            if moment.ticks - moment.reads == asked_at.ticks - asked_at.reads + 1:
                write(answer)
                return
            transaction.set_rollback(True)
    raise _outrun()


def _outrun() -> Conflict:
    words = _("A sync is writing to this corp right now. Try again in a moment.")
    return Conflict(words, code="outrun")


def ask(corp: Corp, external_userid: str) -> Answer:
    """One request; touches no row of the mirror. A contact whom nobody follows is told without followers."""
    asked_at = clock.now(corp)
    try:
        record = open_provider(first_agent(corp), patience_s=PATIENCE_S).contact(external_userid)
    except Absent as error:
        if error.errcode != NO_RELATION and not isinstance(error, Gone):
            raise
        record = ContactRecord(external_userid)
    # Without a digest: the listing's item has other bytes, and must be compared when it comes.
    return Answer(corp, dataclasses.replace(record, raw=b"", digest=b""), asked_at)


def apply(answer: Answer, *, actor: str) -> bool:
    """False when the mirror was told something since this one was asked for that may be newer."""
    contact = Contact.objects.filter(corp=answer.corp, external_userid=answer.record.external_userid)
    try:
        with transaction.atomic():
            moment = clock.tick(answer.corp, is_read=True)
            # Locked before its relations, as everybody does who writes both.
            held = contact.select_for_update(no_key=True).values_list("read_number", flat=True).first()
            if _may_be_older(answer.asked_at, moment, held):
                raise _Outrun
            _write(answer, actor=actor)
            contact.update(read_number=moment.reads)
    except (_Outrun, IntegrityError, OperationalError):
        return False
    return True


class _Outrun(Exception):
    pass


def _may_be_older(asked_at: Moment, moment: Moment, last_read: int | None) -> bool:
    """Whether a run wrote since, or another read of this contact; of an unknown one (None) any read may have been."""
    if moment.ticks - moment.reads != asked_at.ticks - asked_at.reads:
        return True
    return (moment.reads - 1 if last_read is None else last_read) > asked_at.reads


def _write(answer: Answer, *, actor: str) -> None:
    corp, record = answer.corp, answer.record
    roll = Roll(corp)
    named = roll.pks(follow.userid for follow in record.follows)
    listing = Listing(corp=corp, members=named, roll=roll, listed=named, asked_at=answer.asked_at)
    applied = Applied()
    if record.follows:
        BatchChanges(listing, applied, actor=actor).apply([record])
    held = FollowUser.objects.current().filter(contact__corp=corp, employee__is_listed=True)
    held = held.filter(contact__external_userid=record.external_userid).exclude(pk__in=applied.seen)
    gone = list(held.select_related("employee").defer("raw"))
    for follow in gone:
        follow.ended_source = FollowUser.EndSource.READ
    end(gone, actor=actor, corp_id=corp.pk)
