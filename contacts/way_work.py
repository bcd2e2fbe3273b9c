"""What the provider is told of contact ways: made, changed, removed. One way at a time, claimed, outside transactions.

The call that makes one is not idempotent: once it was spoken without a certain answer, ours is looked for by its token
before another one is made, and what was made twice is removed.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from contacts import pending
from contacts.models import Contact, ContactWay
from contacts.ways import line
from crm.connections import fetch_picture, first_agent, open_provider
from crm.events import record
from crm.providers.base import Provider
from crm.providers.errors import Absent, ProviderError
from crm.providers.records import ContactWayRecord, NewContactWay
from crm.retry import backoff_s

log = logging.getLogger("renmai.contacts")

LEASE: Final = timedelta(seconds=120)  # longer than the calls of a turn: token, pace, listing, making
PATIENCE_S: Final = 20
CLOCKS_DIFFER: Final = timedelta(days=1)
LONGEST_WAIT_S: Final = 300
State = ContactWay.State


def due() -> QuerySet[ContactWay]:
    """Ways of which the provider has yet to hear: what a lost bell, a dead worker or an outage left."""
    return ContactWay.objects.filter(due_at__lte=timezone.now(), corp__is_active=True).order_by("due_at")


def work_on(way_id: int) -> None:
    """Bring one way up to date at the provider. Safe to repeat; one worker at a time has it."""
    now = timezone.now()
    if not due().filter(pk=way_id).exists():
        return
    claimed = ContactWay.objects.filter(pk=way_id, due_at__lte=now)
    if not claimed.update(due_at=now + LEASE, tries=F("tries") + 1):
        return
    way = ContactWay.objects.select_related("corp").get(pk=way_id)
    try:
        provider = open_provider(first_agent(way.corp), patience_s=PATIENCE_S)
        if way.state in ContactWay.ENDED:
            _remove(way, provider)
        elif way.state == State.PENDING:
            _make(way, provider)
        elif way.state == State.ACTIVE:
            _change(way, provider)
    except ProviderError as error:
        _put_off(way, error)
    else:
        _rest(way)


def _rest(way: ContactWay) -> None:
    """Nothing is left to do, unless somebody asked for more meanwhile: then it is due at once."""
    now = ContactWay.objects.filter(pk=way.pk).values_list("state", "revision", "told_revision").get()
    state, revision, told_revision = now
    is_left = state != way.state if state in ContactWay.ENDED else revision != told_revision
    rows = ContactWay.objects.filter(pk=way.pk, state=state, revision=revision)
    rows.update(due_at=timezone.now() if is_left else None, tries=0, error="")


# --- making
def _make(way: ContactWay, provider: Provider) -> None:
    made = _found(way, provider) if way.asked_at else None
    made = made or _add(way, provider)
    if _keep(way, made):
        way.config_id, way.qr_code, way.told_revision = made.config_id, made.qr_code, way.revision
        way.state = State.ACTIVE
        log.info("contact way %s of %s is made: %s", way.pk, way.corp.corpid, made.config_id)
        _fetch(way)
    else:  # another worker's is kept
        _delete(provider, made.config_id)


def _add(way: ContactWay, provider: Provider) -> ContactWayRecord:
    was_asked = way.asked_at is not None
    if not was_asked:
        way.asked_at = timezone.now()
        ContactWay.objects.filter(pk=way.pk).update(asked_at=way.asked_at)
    try:
        return provider.add_contact_way(_wanted(way))
    except ProviderError as error:
        if error.outcome == "not_done" and not was_asked:
            ContactWay.objects.filter(pk=way.pk).update(asked_at=None)
        raise


def _found(way: ContactWay, provider: Provider) -> ContactWayRecord | None:
    """The way that an unanswered call made; whatever else bears its token is removed."""
    found: ContactWayRecord | None = None
    for each in _bearing_token(way, provider):
        if found is None:
            # Its answer was lost, and with it what we have changed since.
            provider.update_contact_way(each.config_id, _wanted(way))
            found = each
        else:
            _delete(provider, each.config_id)
    return found


def _bearing_token(way: ContactWay, provider: Provider) -> Iterator[ContactWayRecord]:
    asked_at = way.asked_at or way.created_at
    begin, end = asked_at - CLOCKS_DIFFER, timezone.now() + CLOCKS_DIFFER
    listed = list(provider.contact_ways(begin=int(begin.timestamp()), end=int(end.timestamp())))
    others = ContactWay.objects.filter(corp=way.corp_id).exclude(config_id="").exclude(pk=way.pk)
    known = set(others.values_list("config_id", flat=True))
    for config_id in dict.fromkeys(listed):
        if config_id in known:
            continue
        try:
            told = provider.contact_way(config_id)
        except Absent:
            continue
        if told.state == way.token:
            yield told


def _keep(way: ContactWay, made: ContactWayRecord) -> bool:
    """Note what was made; False when the way has another one."""
    now = timezone.now()
    with transaction.atomic():
        rows = ContactWay.objects.filter(pk=way.pk, config_id="")
        if not rows.update(
            config_id=made.config_id,
            qr_code=made.qr_code,
            told_revision=way.revision,
            asked_at=None,
            updated_at=now,
        ):
            return ContactWay.objects.filter(pk=way.pk, config_id=made.config_id).exists()
        if ContactWay.objects.filter(pk=way.pk, state=State.PENDING).update(state=State.ACTIVE):
            record([line("contact_way.made", way, actor="worker")])
    return True


def _wanted(way: ContactWay) -> NewContactWay:
    return NewContactWay(
        state=way.token,
        users=tuple(way.employees.order_by("pk").values_list("userid", flat=True)),
        departments=tuple(way.teams.order_by("pk").values_list("department_id", flat=True)),
        remark=way.remark,
        skip_verify=way.skip_verify,
        is_of_several=way.type == ContactWay.Type.SEVERAL,
    )


# --- changing
def _change(way: ContactWay, provider: Provider) -> None:
    if way.told_revision != way.revision:
        try:
            provider.update_contact_way(way.config_id, _wanted(way))
        except Absent as error:
            _note_gone(way, error)
            return
        ContactWay.objects.filter(pk=way.pk).update(told_revision=way.revision)
    _fetch(way)


def _fetch(way: ContactWay) -> None:
    if way.picture is None and way.qr_code:
        picture = fetch_picture(way.qr_code)
        ContactWay.objects.filter(pk=way.pk, config_id=way.config_id).update(picture=picture)


def _note_gone(way: ContactWay, error: ProviderError) -> None:
    """Somebody removed it at the provider: then it is deleted here as well."""
    log.warning("contact way %s is gone at the provider: %s", way.pk, error)
    with transaction.atomic():
        contact = (
            Contact.objects.select_for_update(no_key=True, of=("self",)).filter(contact_way=way.pk).first()
        )
        rows = ContactWay.objects.filter(pk=way.pk, state=State.ACTIVE)
        gone = {"state": State.DELETED, "config_id": "", "error": str(error)[:500]}
        if rows.update(**gone, updated_at=timezone.now()):
            changes = {"error": ["", gone["error"]]}
            record([line("contact_way.deleted", way, actor="worker", changes=changes)])
            if contact is not None:
                waiting, failed = Contact.State.PENDING, Contact.State.FAILED
                pending.move(contact, waiting, failed, actor="worker", error="way_deleted")
    way.state = State.DELETED


# --- removing
def _remove(way: ContactWay, provider: Provider) -> None:
    if way.config_id:
        _delete(provider, way.config_id)
    if way.asked_at:
        for each in list(_bearing_token(way, provider)):
            _delete(provider, each.config_id)
    rows = ContactWay.objects.filter(pk=way.pk, config_id=way.config_id)
    rows.update(config_id="", qr_code="", picture=None, asked_at=None)
    log.info("contact way %s of %s is removed", way.pk, way.corp.corpid)


def _delete(provider: Provider, config_id: str) -> None:
    with suppress(Absent):  # it is what we wanted
        provider.delete_contact_way(config_id)


# --- trouble
def _put_off(way: ContactWay, error: ProviderError) -> None:
    log.warning("contact way %s (%s) waits: %s", way.pk, way.state, error)
    rows, words = ContactWay.objects.filter(pk=way.pk), str(error)[:500]
    wait_s = max(backoff_s(way.tries, cap_s=LONGEST_WAIT_S), error.retry_after or 0)
    later = timezone.now() + timedelta(seconds=wait_s)
    is_passing = error.retryable or error.outcome == "unknown"
    if (
        is_passing or way.state in ContactWay.ENDED
    ):  # a removal is never given up: the code would go on working
        rows.update(error=words, due_at=later)
    elif way.state == State.PENDING:
        _fail(way, words)
    else:
        rows.update(error=words, due_at=None)
        rows.exclude(state=way.state, revision=way.revision).update(due_at=timezone.now())


def _fail(way: ContactWay, words: str) -> None:
    with transaction.atomic():
        contact = (
            Contact.objects.select_for_update(no_key=True, of=("self",)).filter(contact_way=way.pk).first()
        )
        rows = ContactWay.objects.filter(pk=way.pk, state=State.PENDING)
        if not rows.update(state=State.FAILED, error=words, due_at=None, updated_at=timezone.now()):
            ContactWay.objects.filter(pk=way.pk).update(due_at=timezone.now())  # it was ended meanwhile
            return
        record([line("contact_way.failed", way, actor="worker", changes={"error": ["", words]})])
        if contact is not None:
            waiting, failed = Contact.State.PENDING, Contact.State.FAILED
            pending.move(contact, waiting, failed, actor="worker", error=words)
