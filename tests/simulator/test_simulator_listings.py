"""The contact listings: what a complete walk yields, and how cursors behave."""

from typing import Any

import pytest


def followed_by(truth: Any, userid: str) -> set[str]:
    return {
        contact["external_userid"]
        for contact in truth["contacts"]
        if userid in [follow["userid"] for follow in contact["follow_user"]]
    }


def test_batch_walk_when_complete_then_equals_the_truth(official: Any) -> None:
    items = official.walk("externalcontact/batch/get_by_user", userid_list=official.employees(), limit=7)
    listed = [(i["external_contact"]["external_userid"], i["follow_info"]["userid"]) for i in items]
    true = [
        (contact["external_userid"], follow["userid"])
        for contact in official.truth()["contacts"]
        for follow in contact["follow_user"]
    ]
    assert len(listed) == len(set(listed))
    assert sorted(listed) == sorted(true)


def test_batch_item_when_read_then_tells_every_field_of_the_relation(official: Any) -> None:
    items = official.walk("externalcontact/batch/get_by_user", userid_list=official.employees(), limit=100)
    told = {(i["external_contact"]["external_userid"], i["follow_info"]["userid"]): i for i in items}
    for contact in official.truth()["contacts"]:
        for follow in contact["follow_user"]:
            info = told[contact["external_userid"], follow["userid"]]["follow_info"]
            assert info["tag_id"] == [tag["tag_id"] for tag in follow["tags"] if tag["type"] == 1]
            assert info.get("state", "") == follow["state"]
            assert all(info[name] == follow[name] for name in info if name != "tag_id")


def test_direct_walk_when_complete_then_equals_the_truth(direct: Any) -> None:
    truth = direct.truth()
    for userid in direct.employees():
        items = direct.walk("externalcontact/list", userid=userid, limit=9)
        assert {each["external_userid"] for each in items} == followed_by(truth, userid)
        assert all(userid in each["follow_user"] for each in items)


def test_direct_item_when_listed_then_has_the_documented_keys(direct: Any) -> None:
    item = direct.post("externalcontact/list", userid=direct.employees()[0])["external_contact_list"][0]
    assert list(item) == ["external_userid", "name", "position", "corp_name", "type", "follow_user"]


def test_direct_follow_user_when_switched_then_holds_objects(direct: Any, sim: Any) -> None:
    userid = direct.employees()[0]
    direct.post("externalcontact/list", userid=userid)
    sim.settings(follow_user_objects=True)
    item = direct.post("externalcontact/list", userid=userid)["external_contact_list"][0]
    assert {"userid", "remark", "createtime", "tags"} <= set(item["follow_user"][0])


@pytest.mark.parametrize(("asked", "served"), [(1000, 100), (0, 50), (None, 50), (3, 3), ("4", 4)])
def test_batch_limit_when_out_of_range_then_clamps(official: Any, asked: Any, served: int) -> None:
    for number in range(120):
        official.sim.change(
            official.corp, "add_contact", follow_user=[official.employees()[0]], name=str(number)
        )
    page = official.post("externalcontact/batch/get_by_user", userid_list=official.employees(), limit=asked)
    assert len(page["external_contact_list"]) == served


def test_page_limit_when_set_then_lowers_every_listing(official: Any, direct: Any, sim: Any) -> None:
    sim.settings(page_limit=5)
    page = official.post("externalcontact/batch/get_by_user", userid_list=official.employees(), limit=100)
    assert len(page["external_contact_list"]) == 5
    assert (
        len(direct.post("externalcontact/list", userid=direct.employees()[0])["external_contact_list"]) == 5
    )


def test_walk_when_records_come_and_go_between_pages_then_loses_and_repeats_none(direct: Any) -> None:
    userid = direct.employees()[0]
    before = followed_by(direct.truth(), userid)
    page = direct.post("externalcontact/list", userid=userid, limit=5)
    first = [each["external_userid"] for each in page["external_contact_list"]]
    direct.sim.change(direct.corp, "unfollow", external_userid=first[0], userid=userid)
    direct.sim.change(direct.corp, "add_contact", external_userid="wmNEW", follow_user=[userid])
    items = direct.walk("externalcontact/list", cursor=page["next_cursor"], userid=userid, limit=5)
    rest = [each["external_userid"] for each in items]
    assert sorted(first + rest) == sorted(before | {"wmNEW"})


@pytest.mark.parametrize("spoil", [lambda c: ("B" if c[0] == "A" else "A") + c[1:], lambda c: "junk"])
def test_cursor_when_tampered_with_then_50100(direct: Any, spoil: Any) -> None:
    userid = direct.employees()[0]
    cursor = direct.post("externalcontact/list", userid=userid, limit=2)["next_cursor"]
    assert direct.post("externalcontact/list", userid=userid, cursor=spoil(cursor))["errcode"] == 50100


def test_cursor_when_of_another_member_then_50100(direct: Any) -> None:
    first, second, *_ = direct.employees()
    cursor = direct.post("externalcontact/list", userid=first, limit=2)["next_cursor"]
    assert direct.post("externalcontact/list", userid=second, cursor=cursor)["errcode"] == 50100


def test_cursor_when_too_old_then_50100(official: Any, sim: Any) -> None:
    sim.settings(token_ttl=10**6)
    official.sim.post("/_sim/tokens/", {"corp": official.corp, "op": "expire"})
    official.token = official.fetch_token()
    body = {"userid_list": official.employees(), "limit": 2}
    cursor = official.post("externalcontact/batch/get_by_user", **body)["next_cursor"]
    assert official.post("externalcontact/batch/get_by_user", **body, cursor=cursor)["errcode"] == 0
    sim.advance(14_500)
    assert official.post("externalcontact/batch/get_by_user", **body, cursor=cursor)["errcode"] == 50100


@pytest.mark.parametrize(
    ("style", "told"), [("empty", {"next_cursor": ""}), ("null", {"next_cursor": None}), ("absent", {})]
)
def test_last_page_when_end_style_is_switched_then_tells_it_so(direct: Any, style: str, told: Any) -> None:
    direct.sim.settings(end_style=style)
    direct.sim.change(direct.corp, "add_employee", userid="New")
    direct.sim.change(direct.corp, "add_contact", follow_user=["New"])
    page = direct.post("externalcontact/list", userid="New")
    assert {key: page[key] for key in ("next_cursor",) if key in page} == told


def test_ids_when_member_has_no_customers_then_84061(official: Any) -> None:
    official.sim.change(official.corp, "add_employee", userid="New")
    assert official.get("externalcontact/list", userid="New")["errcode"] == 84061
    known = official.get("externalcontact/list", userid=official.employees()[0])["external_userid"]
    assert set(known) == followed_by(official.truth(), official.employees()[0])


def test_listing_when_some_members_lack_a_licence_then_names_them(official: Any) -> None:
    first, *others = official.employees()
    official.sim.change(official.corp, "edit_employee", userid=first, licensed=False)
    page = official.post("externalcontact/batch/get_by_user", userid_list=[first, *others])
    assert page["fail_info"] == {"unlicensed_userid_list": [first]}
    assert official.post("externalcontact/batch/get_by_user", userid_list=[first])["errcode"] == 701008


def test_listing_when_member_left_then_60111_and_not_named_elsewhere(direct: Any) -> None:
    first, *_ = direct.employees()
    direct.sim.change(direct.corp, "edit_employee", userid=first, left=True)
    assert first not in direct.employees()
    assert direct.post("externalcontact/list", userid=first)["errcode"] == 60111
    for userid in direct.employees():
        items = direct.walk("externalcontact/list", userid=userid)
        assert all(first not in each["follow_user"] for each in items)


def test_userid_list_when_too_long_then_40058(official: Any) -> None:
    answer = official.post("externalcontact/batch/get_by_user", userid_list=["a"] * 101)
    assert answer["errcode"] == 40058


def test_get_when_many_followers_then_pages_them(official: Any, sim: Any) -> None:
    sim.settings(follower_page=2)
    userids = official.employees()
    sim.change(official.corp, "add_contact", external_userid="wmMany", follow_user=userids)
    first = official.get("externalcontact/get", external_userid="wmMany")
    second = official.get("externalcontact/get", external_userid="wmMany", cursor=first["next_cursor"])
    assert [each["userid"] for each in first["follow_user"] + second["follow_user"]] == userids
    assert second["next_cursor"] == ""


def test_get_when_read_then_equals_the_truth(official: Any) -> None:
    contact = official.truth()["contacts"][0]
    told = official.get("externalcontact/get", external_userid=contact["external_userid"])
    assert "next_cursor" not in told
    assert all(contact[name] == value for name, value in told["external_contact"].items())
    for follow, true in zip(told["follow_user"], contact["follow_user"], strict=True):
        assert [tag["tag_name"] for tag in follow.pop("tags")] == [tag["tag_name"] for tag in true["tags"]]
        assert all(true[name] == value for name, value in follow.items())
