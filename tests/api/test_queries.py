"""A read costs a fixed number of queries, however many rows (docs/reference/contract.md, Figures)."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from contacts.models import SyncRun
from crm import events
from messaging.models import Delivery, Message
from tests import factories
from tests.api.conftest import Caller, Cast, text

AUTH = 4  # the key with its user, the groups of the user, permissions by user and by group


def fill(cast: Cast, number: int) -> None:
    for n in range(number):
        contact = factories.contact(cast.corp, f"wm-x{n}")
        for name in ("lin", "wang"):
            factories.follow(contact, cast.employees[name], tag_ids=["et1"], remark_mobiles=["13900000042"])
        events.record([events.event("contact.created", "contact", 1, actor="w", contact_id=contact.pk)])
        SyncRun.objects.create(corp=cast.corp, trigger="schedule", state="complete")


def queries(caller: Caller, path: str) -> int:
    caller.get(path)
    with CaptureQueriesContext(connection) as found:
        assert caller.get(path).status_code == 200
    return len(found) - AUTH


@pytest.mark.parametrize(
    ("path", "budget"),
    [
        ("contacts/?limit=200", 4),
        ("contacts/?limit=200&q=wm&employee=lin&tag=et1&stage=new&silent_days=0", 4),
        ("follow-users/?limit=200", 2),
        ("employees/?limit=200", 2),
        ("tags/?limit=200", 1),
        ("teams/?limit=200", 2),
        ("sync-runs/?limit=200", 1),
    ],
)
def test_a_list_costs_the_same_with_3_rows_and_with_60(
    cast: Cast, sun: Caller, path: str, budget: int
) -> None:
    few = queries(sun, path)
    fill(cast, 60)
    assert (few, queries(sun, path)) == (budget, budget)


@pytest.mark.parametrize("who", ["lin", "zhao", "sun", "shen"])
def test_a_list_of_contacts_stays_within_its_budget_for_every_role(cast: Cast, who: str) -> None:
    fill(cast, 60)
    assert queries(cast.caller(who), "contacts/?limit=200") <= 6


def test_a_contact_costs_the_same_with_2_followers_and_with_60(cast: Cast, sun: Caller) -> None:
    path = f"contacts/{cast.contacts['lin'].pk}/"
    assert queries(sun, path) == 4
    for n in range(60):
        follower = factories.employee(cast.corp, f"e{n}")
        factories.follow(cast.contacts["lin"], follower, tag_ids=["et1"])
    assert queries(sun, path) == 4


def test_messages_and_deliveries_cost_the_same_however_many(cast: Cast, sun: Caller) -> None:
    def cost() -> tuple[Any, ...]:
        return (
            queries(sun, "messages/"),
            queries(sun, f"messages/{pk}/"),
            queries(sun, f"messages/{pk}/deliveries/"),
        )

    pk = sun.post("messages/", text(cast.contacts["lin"].pk)).json()["id"]
    before = cost()
    fill(cast, 20)
    for _ in range(5):
        sun.post("messages/", text(cast.contacts["lin"].pk))
    message = Message.objects.get(pk=pk)
    Delivery.objects.bulk_create(
        Delivery(message=message, to_kind="contact", to=f"wm-x{n}") for n in range(60)
    )
    assert cost() == before == (3, 3, 2)
