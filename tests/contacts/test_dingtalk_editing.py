"""Editing, handing over and deleting a contact at DingTalk: the provider is told, and its answer is the row."""

from typing import Any

import pytest

from contacts import edits, sync
from contacts.models import Contact, Employee, FollowUser
from crm import roles
from crm.errors import Conflict, Invalid, NotAllowed
from crm.models import Corp, Event
from crm.providers.errors import Refused
from crm.simulator.server import Simulator
from tests import factories
from tests.truth import differences

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def contact(dingtalk_corp: Corp, sim: Simulator) -> Contact:
    """A synced contact with an owner and one who shares it."""
    sync.run_now(dingtalk_corp, trigger="command", actor="test")
    told = next(
        c for c in sim.world(dingtalk_corp.corpid)["contacts"] if len(c["follow_user"]) == 2 and c["address"]
    )
    return Contact.objects.get(external_userid=told["external_userid"])


def there(sim: Simulator, contact: Contact) -> dict[str, Any]:
    world = sim.world(contact.corp.corpid)["contacts"]
    return next((c for c in world if c["external_userid"] == contact.external_userid), {})


def edit(contact: Contact, **fields: Any) -> None:
    edits.edit_contact(contact, user=factories.user(), actor="user:test", **fields)


def test_what_is_told_changes_and_the_rest_stays(contact: Contact, sim: Simulator) -> None:
    before = there(sim, contact)
    edit(contact, name="林大", remark="新备注", tags=["7002"])
    after = there(sim, contact)
    changed = {name for name in before if before[name] != after[name]} - {"follow_user"}
    assert changed == {"name", "remark", "labels"}
    assert (after["address"], after["mobile"]) == (before["address"], before["mobile"])
    contact.refresh_from_db()
    assert contact.name == "林大"
    assert differences(contact.corp, sim.world(contact.corp.corpid)) == []
    assert Event.objects.filter(verb="contact.updated", contact_id=contact.pk, actor="user:test").exists()


def test_field_that_is_emptied_is_cleared(contact: Contact, sim: Simulator) -> None:
    edit(contact, remark="x", position="y")
    edit(contact, remark="", position="")
    assert (there(sim, contact)["remark"], there(sim, contact)["position"]) == ("", "")
    assert differences(contact.corp, sim.world(contact.corp.corpid)) == []


def test_handed_over_at_once_and_the_old_relation_has_ended(contact: Contact, sim: Simulator) -> None:
    people = [each["userid"] for each in there(sim, contact)["follow_user"]]
    new = Employee.objects.exclude(userid__in=people)[0].userid
    edit(contact, owner=new)
    current = FollowUser.objects.current().filter(contact=contact)
    assert dict(current.values_list("employee__userid", "role")) == {new: "owner", people[1]: "shared"}
    ended = contact.follow_users.get(employee__userid=people[0])
    assert (ended.ended_at is not None, ended.ended_source) == (True, "read")


def test_sharer_who_takes_over_is_the_owner_alone(contact: Contact, sim: Simulator) -> None:
    people = [each["userid"] for each in there(sim, contact)["follow_user"]]
    edit(contact, owner=people[1])
    current = FollowUser.objects.current().filter(contact=contact)
    assert dict(current.values_list("employee__userid", "role")) == {people[1]: "owner"}


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"name": " "}, "/name", "required"),
        ({"name": "x" * 256}, "/name", "too_long"),
        ({"remark": "a\0"}, "/remark", "invalid"),
        ({"tags": []}, "/tags", "required"),
        ({"tags": ["9"]}, "/tags/0", "not_found"),
        ({"owner": "nobody"}, "/owner", "not_found"),
        ({}, "", "required"),
    ],
)
def test_what_is_wrong_is_named_and_asks_nothing(
    contact: Contact, sim: Simulator, fields: dict[str, Any], pointer: str, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        edit(contact, **fields)
    assert [(each.pointer, each.code) for each in refused.value.errors] == [(pointer, code)]
    assert sim.journal(api="topapi/extcontact/update") == []


def test_deleted_contact_is_lost_with_its_history(contact: Contact, sim: Simulator) -> None:
    edits.delete_contact(contact, user=factories.user(), actor="user:test")
    contact.refresh_from_db()
    assert (there(sim, contact), contact.state) == ({}, "lost")
    assert not contact.follow_users.filter(ended_at=None).exists()


def test_contact_that_is_gone_already_is_only_read_again(contact: Contact, sim: Simulator) -> None:
    sim.change(contact.corp.corpid, "delete_contact", external_userid=contact.external_userid)
    edits.delete_contact(contact, user=factories.user(), actor="user:test")
    contact.refresh_from_db()
    assert contact.state == "lost"


def test_provider_that_says_no_changes_nothing(contact: Contact, sim: Simulator) -> None:
    sim.fault(api="topapi/extcontact/update", kind="errcode", errcode=60112)
    with pytest.raises(Refused):
        edit(contact, name="林大")
    contact.refresh_from_db()
    assert contact.name != "林大"


def test_roles_decide_who_may_hand_over_and_delete(contact: Contact) -> None:
    seller, manager = factories.user(roles.SALES), factories.user(roles.MANAGER)
    with pytest.raises(NotAllowed):
        edits.edit_contact(contact, user=seller, actor="x", owner="anybody")
    for user in (seller, manager):
        with pytest.raises(NotAllowed):
            edits.delete_contact(contact, user=user, actor="x")
    with pytest.raises(NotAllowed):
        edits.edit_contact(contact, user=factories.user(roles.AUDITOR), actor="x", name="y")


def test_corp_of_wecom_says_it_cannot(direct_corp: Corp) -> None:
    other = factories.contact(direct_corp)
    with pytest.raises(Conflict, match="cannot be changed"):
        edit(other, name="x")
