"""Customers edited through the API, and the world edited behind it."""

from typing import Any

import pytest


def relation(caller: Any, external_userid: str, userid: str) -> Any:
    contact = next(each for each in caller.truth()["contacts"] if each["external_userid"] == external_userid)
    return next((each for each in contact["follow_user"] if each["userid"] == userid), None)


@pytest.fixture
def pair(official: Any) -> tuple[str, str]:
    """A contact and a member who follows it."""
    official.sim.change(
        official.corp, "add_contact", external_userid="wmX", follow_user=[official.employees()[0]]
    )
    return "wmX", official.employees()[0]


def test_add_when_new_and_again_then_creates_and_updates(direct: Any) -> None:
    first, second, *_ = direct.employees()
    told = {"external_userid": "wmA1", "name": "林梅", "gender": 2, "position": "Buyer", "type": 1}
    answer = direct.post("externalcontact/add", external_contact=told, follow_user=[first])
    assert answer["external_contact"] == {"external_userid": "wmA1"}
    changed = {"external_userid": "wmA1", "name": "林小梅"}
    direct.post("externalcontact/add", external_contact=changed, follow_user=[second])
    item = direct.walk("externalcontact/list", userid=second)[-1]
    assert (item["name"], item["position"], item["follow_user"]) == ("林小梅", "Buyer", [first, second])


@pytest.mark.parametrize(
    ("told", "follow_user", "errcode"),
    [
        ({"name": "A"}, [], 41035),
        ({"external_userid": "wm A", "name": "A"}, [], 40096),
        ({"external_userid": "wmA"}, [], 40063),
        ({"external_userid": "wmA", "name": "A"}, ["nobody"], 60111),
        ({"external_userid": "wmA", "name": "A", "gender": 7}, [], 40058),
    ],
)
def test_add_when_bad_then_refused_and_nothing_made(
    direct: Any, told: Any, follow_user: Any, errcode: int
) -> None:
    before = len(direct.truth()["contacts"])
    answer = direct.post("externalcontact/add", external_contact=told, follow_user=follow_user)
    assert answer["errcode"] == errcode
    assert len(direct.truth()["contacts"]) == before


def test_remark_when_written_then_only_the_given_fields_change(official: Any, pair: Any) -> None:
    external_userid, userid = pair
    who = {"external_userid": external_userid, "userid": userid}
    official.post("externalcontact/remark", **who, remark="老林", remark_mobiles=["13900000001"])
    official.post("externalcontact/remark", **who, description="展会")
    now = relation(official, external_userid, userid)
    assert (now["remark"], now["description"], now["remark_mobiles"]) == ("老林", "展会", ["13900000001"])
    official.post("externalcontact/remark", **who, remark_mobiles=[""])
    assert relation(official, external_userid, userid)["remark_mobiles"] == []


def test_remark_when_not_a_follower_or_too_long_then_refused(official: Any, pair: Any) -> None:
    external_userid, userid = pair
    other = official.employees()[1]
    body = {"external_userid": external_userid, "remark": "x"}
    assert official.post("externalcontact/remark", userid=other, **body)["errcode"] == 84061
    body["remark"] = "x" * 21
    assert official.post("externalcontact/remark", userid=userid, **body)["errcode"] == 40058


def test_mark_tag_when_added_and_removed_then_listing_follows(official: Any, pair: Any) -> None:
    who = dict(zip(("external_userid", "userid"), pair, strict=True))
    tags = [
        tag["id"]
        for group in official.post("externalcontact/get_corp_tag_list")["tag_group"]
        for tag in group["tag"]
    ]
    official.post("externalcontact/mark_tag", **who, add_tag=tags[:2])
    official.post("externalcontact/mark_tag", **who, add_tag=tags[2:3], remove_tag=tags[:1])
    items = official.walk("externalcontact/batch/get_by_user", userid_list=[pair[1]])
    assert items[-1]["follow_info"]["tag_id"] == tags[1:3]
    assert official.post("externalcontact/mark_tag", **who, add_tag=["etnone"])["errcode"] == 40068


def test_tag_list_when_asked_by_group_or_tag_then_narrows(official: Any) -> None:
    groups = official.post("externalcontact/get_corp_tag_list")["tag_group"]
    told = official.post("externalcontact/get_corp_tag_list", group_id=[groups[1]["group_id"]])["tag_group"]
    assert told == [groups[1]]
    tag = groups[0]["tag"][2]
    told = official.post("externalcontact/get_corp_tag_list", tag_id=[tag["id"]])["tag_group"]
    assert [each["tag"] for each in told] == [[tag]]


def test_world_when_people_part_then_listing_and_get_agree(official: Any, sim: Any, pair: Any) -> None:
    external_userid, userid = pair
    sim.change(official.corp, "unfollow", external_userid=external_userid, userid=userid)
    assert relation(official, external_userid, userid) is None
    assert official.get("externalcontact/get", external_userid=external_userid)["errcode"] == 84061
    items = official.walk("externalcontact/batch/get_by_user", userid_list=[userid])
    assert external_userid not in [each["external_contact"]["external_userid"] for each in items]
    sim.change(official.corp, "delete_contact", external_userid=external_userid)
    assert official.get("externalcontact/get", external_userid=external_userid)["errcode"] == 40096


def test_world_when_transferred_then_notes_move_along(official: Any, sim: Any, pair: Any) -> None:
    external_userid, userid = pair
    other = official.employees()[1]
    who = {"external_userid": external_userid}
    sim.change(official.corp, "edit_follow", **who, userid=userid, remark="大客户", remark_mobiles=["1"])
    sim.change(official.corp, "transfer", **who, **{"from": userid, "to": other})
    assert relation(official, external_userid, userid) is None
    moved = relation(official, external_userid, other)
    assert (moved["remark"], moved["remark_mobiles"], moved["add_way"]) == ("大客户", ["1"], 202)


def test_world_when_contact_is_renamed_then_listed_anew(direct: Any, sim: Any) -> None:
    userid = direct.employees()[0]
    item = direct.walk("externalcontact/list", userid=userid)[0]
    sim.change(direct.corp, "edit_contact", external_userid=item["external_userid"], name="新名字")
    assert direct.walk("externalcontact/list", userid=userid)[0]["name"] == "新名字"


def test_world_when_employee_leaves_the_range_then_comes_back(official: Any, sim: Any) -> None:
    userid = official.employees()[0]
    sim.change(official.corp, "set_visible", userid=userid, visible=False)
    assert userid not in official.employees()
    assert official.post("externalcontact/batch/get_by_user", userid_list=[userid])["errcode"] == 60111
    sim.change(official.corp, "set_visible", userid=userid, visible=True)
    assert official.post("externalcontact/batch/get_by_user", userid_list=[userid])["errcode"] == 0


def test_world_when_tag_is_deleted_then_gone_from_everybody(official: Any, sim: Any) -> None:
    made = sim.change(official.corp, "add_tag", group_name="客户等级", tag_name="新标签")
    userid = official.employees()[0]
    relation_of = {"userid": userid, "tags": [made["tag_id"]]}
    sim.change(official.corp, "add_contact", external_userid="wmT", follow_user=[relation_of])
    assert relation(official, "wmT", userid)["tags"][0]["tag_name"] == "新标签"
    sim.change(official.corp, "delete_tag", tag_id=made["tag_id"])
    assert relation(official, "wmT", userid)["tags"] == []


def test_world_when_many_ops_then_all_applied_in_order(direct: Any, sim: Any) -> None:
    userid = direct.employees()[0]
    ops = [
        {"op": "add_contact", "external_userid": "wmB", "follow_user": [userid]},
        {"op": "edit_follow", "external_userid": "wmB", "userid": userid, "remark": "乙"},
    ]
    sim.post("/_sim/world/", {"corp": direct.corp, "ops": ops})
    assert relation(direct, "wmB", userid)["remark"] == "乙"


def test_world_when_op_is_wrong_then_says_what(direct: Any, sim: Any) -> None:
    with pytest.raises(RuntimeError, match="op must be one of"):
        sim.change(direct.corp, "explode")
    with pytest.raises(RuntimeError, match="no employee"):
        sim.change(direct.corp, "remove_employee", userid="nobody")
    with pytest.raises(RuntimeError, match="needs 'external_userid'"):
        sim.change(direct.corp, "edit_contact", name="x")


def test_contact_way_when_scanned_then_a_customer_with_its_state(official: Any, sim: Any) -> None:
    userid = official.employees()[0]
    body = {"type": 1, "scene": 2, "user": [userid], "state": "expo-hz"}
    made = official.post("externalcontact/add_contact_way", **body)
    assert made["qr_code"].startswith(sim.url)
    told = official.post("externalcontact/get_contact_way", config_id=made["config_id"])["contact_way"]
    assert (told["user"], told["state"]) == ([userid], "expo-hz")
    sim.change(official.corp, "scan", config_id=made["config_id"], external_userid="wmScan", name="扫码客户")
    assert relation(official, "wmScan", userid)["state"] == "expo-hz"


def test_contact_way_when_deleted_then_unknown(official: Any) -> None:
    body = {"type": 1, "scene": 2, "user": [official.employees()[0]]}
    config_id = official.post("externalcontact/add_contact_way", **body)["config_id"]
    assert official.post("externalcontact/list_contact_way")["contact_way"] == [{"config_id": config_id}]
    official.post("externalcontact/del_contact_way", config_id=config_id)
    assert official.post("externalcontact/get_contact_way", config_id=config_id)["errcode"] == 41044
