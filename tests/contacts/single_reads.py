"""What the tests of single reads ask: of the mirror, of its history, and of the simulator."""

from typing import Any

from contacts.models import Contact, Employee, FollowUser
from crm.models import Corp, Event
from crm.simulator.server import Simulator

ACTOR = "user:sun"
MIRRORED = (Contact, FollowUser, Employee)


def followers_of(sim: Simulator, corp: Corp, external_userid: str) -> set[str]:
    told = next(c for c in sim.world(corp.corpid)["contacts"] if c["external_userid"] == external_userid)
    return {follow["userid"] for follow in told["follow_user"]}


def with_followers(sim: Simulator, corp: Corp, number: int) -> str:
    """The external_userid of somebody whom so many follow."""
    contacts = sim.world(corp.corpid)["contacts"]
    return str(next(c["external_userid"] for c in contacts if len(c["follow_user"]) == number))


def current(external_userid: str) -> set[str]:
    rows = FollowUser.objects.current().filter(contact__external_userid=external_userid)
    return set(rows.values_list("employee__userid", flat=True))


def the_relation(external_userid: str, userid: str) -> FollowUser:
    return FollowUser.objects.get(contact__external_userid=external_userid, employee__userid=userid)


def state_of(external_userid: str) -> str:
    return Contact.objects.get(external_userid=external_userid).state


def rows() -> list[Any]:
    """Every mirrored row, the number of the last read aside."""
    kept = [[f.attname for f in table._meta.concrete_fields if f.name != "read_number"] for table in MIRRORED]
    return [
        list(t.objects.order_by("pk").values_list(*names)) for t, names in zip(MIRRORED, kept, strict=True)
    ]


def verbs(*, since: int) -> list[str]:
    return sorted(Event.objects.filter(actor=ACTOR, seq__gt=since).values_list("verb", flat=True))


def last_event() -> int:
    return Event.objects.order_by("-seq").values_list("seq", flat=True)[0]


def asked(sim: Simulator, corp: Corp) -> int:
    """How many requests single reads have cost."""
    return len(sim.journal(corp=corp.corpid, api="externalcontact/get"))
