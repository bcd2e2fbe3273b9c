"""Creating a contact of DingTalk: a phone, one owner and labels are asked for, and reach the provider."""

from typing import Any

import pytest

from contacts import actions, sync
from contacts.models import Contact, Employee, FollowUser, Tag
from crm.errors import Invalid
from crm.models import Corp
from crm.queue import drain
from crm.simulator.server import Simulator
from tests import factories
from tests.truth import differences

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def owner(dingtalk_corp: Corp) -> Employee:
    """Of a corp that is synced."""
    sync.run_now(dingtalk_corp, trigger="command", actor="test")
    return Employee.objects.order_by("pk")[0]


def create(owner: Employee, **fields: Any) -> Contact:
    told: dict[str, Any] = {"name": "林微", "mobile": "139 0000 0001", "tags": ["7001", "7012"]}
    told |= {"follow_user": [owner.userid]} | fields
    return actions.create_contact(user=factories.user(), actor="test", corp=owner.corp, **told)


def test_created_contact_reaches_the_provider_with_phone_owner_and_labels(
    owner: Employee, sim: Simulator
) -> None:
    made = create(owner, position="采购", remark="展会")
    relation = made.follow_users.get()
    assert (made.state, relation.role, relation.remark_mobiles) == ("pending", "owner", ["+86-13900000001"])
    drain()
    made.refresh_from_db()
    assert (made.state, made.external_userid[:3]) == ("active", "ext")
    told = next(
        c for c in sim.world(owner.corp.corpid)["contacts"] if c["external_userid"] == made.external_userid
    )
    assert (told["mobile"], told["labels"], told["position"], told["remark"]) == (
        "13900000001",
        ["7001", "7012"],
        "采购",
        "展会",
    )
    again = sync.run_now(owner.corp, trigger="command", actor="test")
    assert (again.new, again.absent) == (0, 0)
    assert differences(owner.corp, sim.world(owner.corp.corpid)) == []


@pytest.mark.parametrize(
    ("fields", "pointer", "code"),
    [
        ({"mobile": ""}, "/mobile", "required"),
        ({"mobile": "call me"}, "/mobile", "invalid"),
        ({"tags": []}, "/tags", "required"),
        ({"tags": ["7001", "1"]}, "/tags/1", "not_found"),
        ({"tags": [str(n) for n in range(21)]}, "/tags", "too_many"),
        ({"nickname": "Wei"}, "/nickname", "unsupported"),
        ({"gender": 1}, "/gender", "unsupported"),
        ({"type": 2}, "/type", "unsupported"),
        ({"external_userid": "wm1"}, "/external_userid", "unsupported"),
        ({"remark": "x" * 256}, "/remark", "too_long"),
    ],
)
def test_what_dingtalk_needs_or_does_not_keep_is_said_before_accepting(
    owner: Employee, fields: dict[str, Any], pointer: str, code: str
) -> None:
    before = Contact.objects.count()
    with pytest.raises(Invalid) as refused:
        create(owner, **fields)
    assert [(each.pointer, each.code) for each in refused.value.errors] == [(pointer, code)]
    assert Contact.objects.count() == before


def test_two_owners_are_refused(owner: Employee) -> None:
    other = Employee.objects.exclude(pk=owner.pk)[0]
    with pytest.raises(Invalid) as refused:
        create(owner, follow_user=[owner.userid, other.userid])
    assert [each.code for each in refused.value.errors] == ["one_owner"]


def test_phone_that_is_being_created_already_is_refused(owner: Employee) -> None:
    create(owner)
    with pytest.raises(Invalid) as refused:
        create(owner, mobile="+86-13900000001")
    assert [(each.pointer, each.code) for each in refused.value.errors] == [("/mobile", "exists")]


def test_phone_that_somebody_at_dingtalk_has_fails_with_the_reason(owner: Employee, sim: Simulator) -> None:
    taken = sim.world(owner.corp.corpid)["contacts"][0]["mobile"]
    made = create(owner, mobile=taken)
    drain()
    made.refresh_from_db()
    assert (made.state, "22005" in made.create_error) == ("failed", True)


def test_lost_answer_is_tried_again_and_makes_nobody_twice(owner: Employee, sim: Simulator) -> None:
    sim.fault(api="topapi/extcontact/create", kind="after")
    before = len(sim.world(owner.corp.corpid)["contacts"])
    made = create(owner)
    drain()
    made.refresh_from_db()
    assert made.state == "pending"
    actions.push_contact(made.pk)
    made.refresh_from_db()
    assert (made.state, len(sim.world(owner.corp.corpid)["contacts"])) == ("active", before + 1)


def test_label_that_was_deleted_cannot_be_given(owner: Employee) -> None:
    Tag.objects.filter(tag_id="7012").update(deleted_at=owner.created_at)
    with pytest.raises(Invalid) as refused:
        create(owner)
    assert [each.pointer for each in refused.value.errors] == ["/tags/1"]


def test_phone_and_labels_are_refused_where_the_provider_keeps_none(direct_corp: Corp) -> None:
    employee = factories.employee(direct_corp)
    with pytest.raises(Invalid) as refused:
        create(employee)
    assert [(each.pointer, each.code) for each in refused.value.errors] == [
        ("/mobile", "unsupported"),
        ("/tags", "unsupported"),
    ]
    assert not FollowUser.objects.exists()
