"""Who came by a contact way: told by the relation's state, wherever a relation is written.

A person whom somebody created here becomes the one who scanned; the tags of the way wait for the worker.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from django.utils import timezone

from contacts import history
from contacts.models import Arrival, Contact, ContactWay, FollowUser
from contacts.models.ways import TOKEN_PREFIX
from crm import events
from crm.events import Line, record
from crm.models import Corp
from crm.providers.records import CONTACT_FIELDS, ContactRecord
from crm.queue import ring

WAITING = (Contact.State.PENDING, Contact.State.FAILED)
PLANNED = ("stage", "next_follow_up_at", "last_follow_up_at")
_UNPLANNED = {"stage": FollowUser.Stage.NEW}  # the others: None


class Arrivals:
    """The relations of a batch that bear the token of a way; without one it costs no query."""

    def __init__(self, corp: Corp, items: Iterable[ContactRecord], *, actor: str) -> None:
        self.corp, self.actor = corp, actor
        found = [
            (item.external_userid, follow.userid, follow.state)
            for item in items
            for follow in item.follows
            if isinstance(follow.state, str) and follow.state.startswith(TOKEN_PREFIX)
        ]
        self.ways = _ways(corp, {token for *_, token in found}) if found else {}
        self.relations = [each for each in found if each[2] in self.ways]

    def adopt(self) -> None:
        """Before the batch looks its contacts up: give the created ones the id of who scanned their code."""
        first = {self.ways[token].pk: each for each in reversed(self.relations) for token in [each[2]]}
        for way in self.ways.values():
            if _is_waiting(way):
                self._adopt(way, first[way.pk][0])

    def _adopt(self, way: ContactWay, external_userid: str) -> None:
        if Contact.objects.filter(corp=self.corp, external_userid=external_userid).exists():
            return  # somebody we knew: `note` merges the two
        contact = _waiting(way)
        # What was typed here of the mirrored fields holds until the provider tells of the person; a name it always has.
        told = {**_blank(), "external_userid": external_userid}
        changes = {
            name: [getattr(contact, name), new] for name, new in told.items() if getattr(contact, name) != new
        }
        changed = Contact.objects.filter(pk=contact.pk, state__in=WAITING)
        if changed.update(**told):
            contact.state = Contact.State.ACTIVE  # as the batch is about to write; nobody else is this person
            record([history.of_contact("contact.updated", contact, actor=self.actor, changes=changes)])

    def note(self) -> None:
        """After the batch has written its relations: note who came, once each time."""
        if not self.relations:
            return
        rows = self._rows()
        known = {
            (way_id, follow_id): createtime
            for way_id, follow_id, createtime in Arrival.objects.filter(
                way__in=self.ways.values(), follow_user__in=rows.values()
            ).values_list("way_id", "follow_user_id", "createtime")
        }
        for external_userid, userid, token in self.relations:
            way, follow = self.ways[token], rows.get((external_userid, userid.lower()))
            if follow is None or known.get((way.pk, follow.pk), ()) == follow.createtime:
                continue
            known[way.pk, follow.pk] = follow.createtime
            self._join(way, follow)

    def _rows(self) -> dict[tuple[str, str], FollowUser]:
        named = {external_userid for external_userid, *_ in self.relations}
        follows = FollowUser.objects.filter(contact__corp=self.corp, contact__external_userid__in=named)
        follows = follows.select_related("contact", "employee").defer("raw", "contact__external_profile")
        return {(row.contact.external_userid, row.employee.userid.lower()): row for row in follows}

    def _join(self, way: ContactWay, follow: FollowUser) -> None:
        told = {"campaign": [None, way.campaign], "way": [None, way.pk]}
        told["userid"] = [None, follow.employee.userid]
        made_for = way.contact
        if made_for is not None and made_for.pk == follow.contact_id:
            _end_others(way, follow, actor=self.actor)
        elif _is_waiting(way):
            _merge(way, follow, actor=self.actor)
        to_tag = way.tags.filter(deleted_at__isnull=True).exists()
        now = timezone.now()
        told_of = {"createtime": follow.createtime, "tagged_at": None, "error": "", "tries": 0}
        arrival, _ = Arrival.objects.update_or_create(
            way=way, follow_user=follow, defaults={**told_of, "due_at": now if to_tag else None}
        )
        if to_tag:
            ring("contacts.tasks.mark_arrival", arrival.pk)
        record([history.of_contact("contact.joined", follow.contact, actor=self.actor, changes=told)])


def _ways(corp: Corp, tokens: set[str]) -> dict[str, ContactWay]:
    rows = ContactWay.objects.filter(corp=corp, token__in=tokens).defer("picture").select_related("contact")
    return {way.token: way for way in rows}


@cache
def _blank() -> Mapping[str, Any]:
    """A contact of whom nothing but a name is known."""
    names = [name for name in CONTACT_FIELDS if name != "name"]
    fields = {field.attname: field for field in Contact._meta.concrete_fields}
    return {name: fields[name].get_default() for name in names}


def _is_waiting(way: ContactWay) -> bool:
    return way.contact is not None and way.contact.state in WAITING


def _waiting(way: ContactWay) -> Contact:
    assert way.contact is not None
    return way.contact


def _end_others(way: ContactWay, follow: FollowUser, *, actor: str) -> None:
    """Colleagues who stood by for the person: one was chosen, and the provider never knew of the others."""
    others = FollowUser.objects.current().filter(contact=follow.contact_id, createtime__isnull=True)
    others = others.filter(employee__in=way.employees.all()).exclude(pk=follow.pk)
    now = timezone.now()
    rows = list(others.select_related("employee").defer("raw"))
    FollowUser.objects.filter(pk__in=[row.pk for row in rows]).update(
        ended_at=now, ended_source=FollowUser.EndSource.NOT_CHOSEN, updated_at=now
    )
    record([_not_chosen(row, actor=actor) for row in rows])


def _not_chosen(row: FollowUser, *, actor: str) -> Line:
    """With what was planned: the row may go."""
    changes = {
        "userid": [row.employee.userid, None],
        "ended_source": ["", FollowUser.EndSource.NOT_CHOSEN.value],
    }
    planned = {name: getattr(row, name) for name in PLANNED if getattr(row, name) != _UNPLANNED.get(name)}
    changes |= {name: [_plain(value), None] for name, value in planned.items()}
    return history.of_follow("follow.ended", row, actor=actor, changes=changes)


def _merge(way: ContactWay, follow: FollowUser, *, actor: str) -> None:
    """The person created here is one we knew: what people noted here goes over to them, and the double goes."""
    # Locked before its way, as everybody does who writes both; and as it is now, with an opt-out just noted.
    double, real = Contact.objects.select_for_update().get(pk=_waiting(way).pk), follow.contact
    kept = {name: getattr(double, name) for name in ("created_by_id", "opted_out_at")}
    kept = {name: value for name, value in kept.items() if value and not getattr(real, name)}
    Contact.objects.filter(pk=real.pk).update(**kept, updated_at=timezone.now())
    planned = FollowUser.objects.filter(contact=double, employee=follow.employee_id).first()
    changes = _take_plan(planned, follow) if planned else {}
    lines = [
        events.event(
            "contact.merged",
            "contact",
            double.pk,
            actor=actor,
            corp_id=real.corp_id,
            contact_id=real.pk,
            changes={"into": [None, real.pk], "name": [double.name, real.name]},
        )
    ]
    if changes:
        lines.append(history.of_follow("follow.updated", follow, actor=actor, changes=changes))
    others = FollowUser.objects.current().filter(contact=double).exclude(employee=follow.employee_id)
    for row in others.select_related("employee").defer("raw"):
        row.contact = real
        lines.append(_not_chosen(row, actor=actor))
    record(lines)
    free = not ContactWay.objects.filter(contact=real).exists()
    ContactWay.objects.filter(pk=way.pk).update(contact=real if free else None)
    way.contact = real if free else None
    double.delete()


def _take_plan(planned: FollowUser, follow: FollowUser) -> Mapping[str, Any]:
    """Stage and dates that were planned for the created one, where the relation has none of its own."""
    changes: dict[str, list[Any]] = {}
    for name in PLANNED:
        old, new = getattr(follow, name), getattr(planned, name)
        if new != _UNPLANNED.get(name) and old == _UNPLANNED.get(name):
            setattr(follow, name, new)
            changes[name] = [_plain(old), _plain(new)]
    if changes:
        FollowUser.objects.filter(pk=follow.pk).update(**{name: getattr(follow, name) for name in changes})
    return changes


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
