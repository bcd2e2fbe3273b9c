"""POST contacts/ (contract C5): rows and history here, the push is the worker's."""

from typing import Any

import pytest

from contacts.models import Contact, ContactWay, Tag
from crm.models import Event
from tests.api.conftest import Caller, Cast, person, pointers


def test_a_new_contact_is_201_pending_with_its_follower_and_history(cast: Cast, lin: Caller) -> None:
    answer = lin.post(
        "contacts/", person(external_userid="wm-new", nickname="Wei", gender=1, corp_name="Acme")
    )
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert (told["state"], told["external_userid"], told["corp_name"]) == ("pending", "wm-new", "Acme")
    assert [follow["userid"] for follow in told["follow_users"]] == ["lin"]
    assert answer["Location"] == f"/api/v1/contacts/{told['id']}/"
    assert lin.get(answer["Location"]).json() == told
    assert set(Event.objects.filter(contact_id=told["id"]).values_list("verb", flat=True)) == {
        "contact.created",
        "follow.started",
    }


def test_the_history_names_the_key_that_created(cast: Cast, lin: Caller) -> None:
    lin.post("contacts/", person())
    key = cast.users["lin"].api_keys.get()
    assert set(Event.objects.values_list("actor", flat=True)) == {f"key:{key.prefix}"}


def test_an_external_userid_is_made_when_none_is_given(lin: Caller) -> None:
    assert lin.post("contacts/", person()).json()["external_userid"]


def test_every_fault_of_a_body_is_named_at_once(lin: Caller) -> None:
    answer = lin.post("contacts/", {"corp": "ww-south", "gender": 7, "phone": "139", "state": "active"})
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert pointers(answer) == {
        "/name": "required",
        "/follow_users": "required",
        "/gender": "invalid_choice",
        "/phone": "unknown_field",
        "/state": "unknown_field",
    }


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"corp": "ww-unknown"}, "/corp"),
        ({"name": ""}, "/name"),
        ({"name": "x" * 256}, "/name"),
        ({"name": "a\x00b"}, "/name"),
        ({"name": None}, "/name"),
        ({"external_userid": "wm-lin"}, "/external_userid"),
        ({"external_userid": ""}, "/external_userid"),
        ({"follow_users": []}, "/follow_users"),
        ({"follow_users": "lin"}, "/follow_users"),
        ({"follow_users": ["lin", "ghost"]}, "/follow_users/1"),
        ({"follow_users": ["qian"]}, "/follow_users/0"),
        ({"type": "x"}, "/type"),
    ],
)
def test_a_bad_field_is_400_with_its_pointer_and_writes_nothing(
    lin: Caller, more: dict[str, Any], pointer: str
) -> None:
    answer = lin.post("contacts/", person(**more))
    assert (answer.status_code, list(pointers(answer))) == (400, [pointer])
    assert Contact.objects.count() == 3
    assert not Event.objects.exists()


def test_a_manager_may_name_a_follower_of_the_team_but_not_of_another(cast: Cast) -> None:
    zhao = cast.caller("zhao")
    assert zhao.post("contacts/", person(follow_users=["wang", "lin"])).status_code == 201
    assert pointers(zhao.post("contacts/", person(follow_users=["qian"]))) == {"/follow_users/0": "not_found"}


@pytest.fixture
def official(cast: Cast) -> None:
    cast.corp.dialect = "official"
    cast.corp.save()


def test_in_an_official_corp_a_new_contact_waits_with_its_contact_way(
    cast: Cast, lin: Caller, official: None
) -> None:
    answer = lin.post("contacts/", person())
    assert answer.status_code == 201, answer.content
    told, way = answer.json(), ContactWay.objects.get()
    assert told["state"] == "pending"
    assert told["contact_way"] == {"id": way.pk, "qr_code": "", "state": "pending", "expires_at": None}
    assert lin.get(answer["Location"]).json() == told
    shown = lin.get(f"contact-ways/{way.pk}/").json()
    assert (shown["contact"], shown["employees"], shown["campaign"]) == (told["id"], ["lin"], "Chen Wei")
    Contact.objects.filter(pk=told["id"]).update(state="active")
    assert lin.get(answer["Location"]).json()["contact_way"] is None


def test_in_an_official_corp_an_id_of_ones_own_is_refused(lin: Caller, official: None) -> None:
    answer = lin.post("contacts/", person(external_userid="wm-mine"))
    assert (answer.status_code, pointers(answer)) == (400, {"/external_userid": "unsupported"})
    assert not ContactWay.objects.exists()


@pytest.fixture
def ding(cast: Cast) -> Cast:
    """The corp as one of DingTalk, with a label."""
    cast.corp.dialect = cast.corp.provider = "dingtalk"
    cast.corp.save()
    Tag.objects.create(corp=cast.corp, tag_id="7001", name="客户", group_name="类型")
    return cast


def test_dingtalk_takes_a_phone_labels_and_a_remark(ding: Cast, lin: Caller) -> None:
    answer = lin.post("contacts/", person(mobile="13900000042", tags=["7001"], remark="展会"))
    assert answer.status_code == 201, answer.content
    (follow,) = answer.json()["follow_users"]
    assert (follow["role"], follow["remark"], [tag["name"] for tag in follow["tags"]]) == (
        "owner",
        "展会",
        ["客户"],
    )
    assert follow["remark_mobiles"] == ["+86-13900000042"]


def test_dingtalk_asks_for_phone_and_label(ding: Cast, lin: Caller) -> None:
    answer = lin.post("contacts/", person())
    assert (answer.status_code, pointers(answer)) == (400, {"/mobile": "required", "/tags": "required"})


def test_phone_is_refused_where_the_provider_keeps_none(lin: Caller) -> None:
    answer = lin.post("contacts/", person(mobile="13900000042"))
    assert (answer.status_code, pointers(answer)) == (400, {"/mobile": "unsupported"})
