"""Ten employees, some of whom cannot be read: the others are as fresh as ever (guarantees S6; contract A14)."""

from collections.abc import Callable
from typing import Any

import pytest

from crm.models import Corp
from crm.simulator.server import Simulator
from tests.contacts.house import (
    LISTING,
    WECOM,
    assert_nothing_is_going,
    assert_true,
    change_something_of_everybody,
    listing_calls,
    run,
)

pytestmark = [pytest.mark.django_db(transaction=True), WECOM]

FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "errcode", "errcode": 60111},
    {"kind": "no_list"},
    {"kind": "errcode", "errcode": 701008},
    {"kind": "truncated"},
    {"kind": "http_status", "status": 500},
)


@pytest.fixture
def ten(corp: Corp, sim: Simulator) -> list[str]:
    """The userids of ten employees, each with a contact of its own."""
    old = [told["userid"] for told in sim.world(corp.corpid)["employees"]]
    new = [f"colleague{number}" for number in range(10 - len(old))]
    ops = [{"op": "add_employee", "userid": userid, "department": [2]} for userid in new]
    ops += [{"op": "add_contact", "name": f"of {userid}", "follow_user": [userid]} for userid in new]
    sim.post("/_sim/world/", {"corp": corp.corpid, "ops": ops})
    return old + new


@pytest.mark.parametrize(
    "count", [pytest.param(n, marks=[] if n in (1, 9) else [pytest.mark.slow]) for n in range(1, 10)]
)
def test_employees_that_cannot_be_read_stand_alone_and_cost_the_others_nothing(
    corp: Corp, sim: Simulator, ten: list[str], manage: Callable[..., tuple[int, Any]], count: int
) -> None:
    run(corp)
    guilty = ten[1::2][:count] + ten[::2][: max(0, count - 5)]
    for number, userid in enumerate(guilty):
        fault = {**FAULTS[number % len(FAULTS)], "match": {"userid": userid}, "times": None}
        sim.fault(corp=corp.corpid, api=LISTING[corp.dialect], **fault)
    change_something_of_everybody(sim, corp)
    sim.delete("/_sim/journal/")
    code, told = manage("sync_contacts", "--corp", corp.corpid, "--json")
    assert (code, told["state"], told["absent"], told["ended"]) == (2, "partial", 0, 0)
    assert sorted(line["userid"] for line in told["errors"]) == sorted(guilty)
    assert {(userid,) for userid in guilty} <= listing_calls(sim, corp).keys()
    assert_nothing_is_going()
    assert_true(corp, sim, aside=tuple(guilty))
