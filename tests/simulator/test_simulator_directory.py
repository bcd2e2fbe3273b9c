"""Members and departments."""

from typing import Any


def test_simplelist_when_a_department_then_its_own_members_only(official: Any) -> None:
    truth = official.truth()
    for department in truth["departments"]:
        told = official.get("user/simplelist", department_id=department["id"])["userlist"]
        true = [each["userid"] for each in truth["employees"] if department["id"] in each["department"]]
        assert [each["userid"] for each in told] == true


def test_list_when_fetching_children_then_everybody_without_phones(official: Any) -> None:
    told = official.get("user/list", department_id=1, fetch_child=1)["userlist"]
    assert {each["userid"] for each in told} == {each["userid"] for each in official.truth()["employees"]}
    assert "mobile" not in told[0]
    official.sim.settings(member_details=True)
    assert official.get("user/list", department_id=1, fetch_child=1)["userlist"][0]["mobile"]


def test_member_when_gone_then_60111(official: Any) -> None:
    userid = official.employees()[0]
    assert official.get("user/get", userid=userid.upper())["userid"] == userid
    official.sim.change(official.corp, "edit_employee", userid=userid, left=True)
    assert official.get("user/get", userid=userid)["errcode"] == 60111


def test_getuserid_when_number_is_known_or_not_then_tells(direct: Any) -> None:
    employee = direct.truth()["employees"][0]
    assert direct.post("user/getuserid", mobile=employee["mobile"])["userid"] == employee["userid"]
    assert direct.post("user/getuserid", mobile="10000000000")["errcode"] == 46004


def test_list_id_when_paged_then_yields_every_place(official: Any) -> None:
    assert official.post("user/list_id")["errcode"] == 48002
    official.token = official.fetch_token("sync_secret")
    first = official.post("user/list_id", limit=3)
    rest = official.post("user/list_id", limit=100, cursor=first["next_cursor"])
    told = [each["userid"] for each in first["dept_user"] + rest["dept_user"]]
    assert told == [each["userid"] for each in official.truth()["employees"]]


def test_departments_when_read_then_a_tree_with_leaders(official: Any) -> None:
    told = official.get("department/list")["department"]
    assert [each["id"] for each in told if each["parentid"] == 0] == [1]
    assert any(each["department_leader"] for each in told)
    below = official.get("department/simplelist", id=2)["department_id"]
    assert {each["id"] for each in below} == {2, 5, 6, 7, 8}
    assert official.get("department/list", id=99)["errcode"] == 60003
