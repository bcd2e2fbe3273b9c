"""What the tests of contact ways share: a corp with its people, a way that is made, and the provider's own word."""

from typing import Any

from django.utils import timezone

from contacts import tasks, ways
from contacts.models import Arrival, ContactWay, Employee
from crm import queue
from crm.connections import first_agent, open_provider
from crm.models import Corp
from crm.providers.records import ContactWayRecord
from crm.simulator.server import Simulator
from tests import factories


def staff(corp: Corp, sim: Simulator) -> list[Employee]:
    told = sim.world(corp.corpid)["employees"]
    known = {each.userid: each for each in Employee.objects.filter(corp=corp)}
    return [known.get(each["userid"]) or factories.employee(corp, each["userid"]) for each in told]


def ask(corp: Corp, *userids: str, **fields: Any) -> ContactWay:
    """A way as an administrator asks for it; the worker has not heard yet."""
    fields.setdefault("campaign", "Autumn fair")
    return ways.create(user=factories.user(), actor="user:test", corp=corp, employees=userids, **fields)


def work() -> None:
    """All that is due, as the workers do, without their pauses."""
    for _ in range(20):
        now = timezone.now()
        ContactWay.objects.exclude(due_at=None).update(due_at=now)
        Arrival.objects.exclude(due_at=None).update(due_at=now)
        tasks.sweep()
        if not queue.drain():
            return


def made(corp: Corp, *userids: str, **fields: Any) -> ContactWay:
    way = ask(corp, *userids, **fields)
    work()
    way.refresh_from_db()
    assert (way.state, way.error) == ("active", "")
    return way


def at_provider(corp: Corp) -> dict[str, ContactWayRecord]:
    """{state: way} of the codes that open something."""
    provider = open_provider(first_agent(corp))
    found = [provider.contact_way(each) for each in provider.contact_ways(begin=0, end=2**31)]
    assert len({each.state for each in found}) == len(found), "two codes bear one token"
    return {each.state: each for each in found}


def calls(sim: Simulator, corp: Corp, name: str) -> int:
    return len(sim.journal(corp=corp.corpid, api=f"externalcontact/{name}"))
