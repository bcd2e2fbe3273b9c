"""The DingTalk dialect: tokens of both generations, how refusals are worded, people, and external contacts."""

import json
import urllib.error
import urllib.request
from typing import Any

import pytest

from crm.simulator.server import Simulator

LIST = "topapi/extcontact/list"


class Caller:
    """Calls both generations of the API as the app of the DingTalk corp."""

    def __init__(self, sim: Simulator) -> None:
        self.sim = sim
        self.credentials = sim.corp("dingtalk")
        self.corp: str = self.credentials["corp"]
        self.pair = {"appkey": self.credentials["app_key"], "appsecret": self.credentials["secret"]}
        self.renew()

    def renew(self) -> None:
        self.token = str(self.sim.get("/gettoken", **self.pair)["access_token"])

    def post(self, api: str, **body: Any) -> Any:
        return self.sim.post(f"/{api}?access_token={self.token}", body)

    def truth(self) -> Any:
        return self.sim.world(self.corp)

    def everything(self, size: int = 10) -> list[Any]:
        found: list[Any] = []
        while page := self.post(LIST, offset=len(found), size=size)["results"]:
            found += page
        return found

    def new_contact(self, **fields: Any) -> dict[str, Any]:
        told = {"name": "林微", "state_code": "86", "mobile": "13900000001", "label_ids": [7001]}
        return told | {"follower_user_id": self.truth()["employees"][0]["userid"]} | fields


@pytest.fixture
def ding(sim: Simulator) -> Caller:
    return Caller(sim)


def test_token_when_asked_again_then_the_same_and_it_lives_anew(ding: Caller) -> None:
    ding.sim.advance(3600)
    again = ding.sim.get("/gettoken", **ding.pair)
    assert (again["access_token"], again["expires_in"]) == (ding.token, 7200)
    new = ding.sim.post(
        "/v1.0/oauth2/accessToken", {"appKey": ding.pair["appkey"], "appSecret": ding.pair["appsecret"]}
    )
    assert new == {"accessToken": ding.token, "expireIn": 7200}


@pytest.mark.parametrize(("change", "errcode"), [({"appsecret": "x"}, 40096), ({"appsecret": ""}, 40035)])
def test_token_when_credentials_are_bad_then_a_bare_code(ding: Caller, change: Any, errcode: int) -> None:
    assert ding.sim.get("/gettoken", **(ding.pair | change))["errcode"] == errcode


def test_new_generation_when_refused_then_http_400_and_words(ding: Caller) -> None:
    body = json.dumps({"appKey": ding.pair["appkey"], "appSecret": "wrong"}).encode()
    asked = urllib.request.Request(
        f"{ding.sim.url}/v1.0/oauth2/accessToken", body, {"Content-Type": "application/json"}
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked)
    assert (refused.value.code, json.load(refused.value)["code"]) == (400, "invalidClientIdOrSecret")


def test_gateway_errors_of_topapi_then_wrapped_in_88(ding: Caller) -> None:
    told = ding.sim.post(f"/{LIST}?access_token=nonsense", {})
    assert (told["errcode"], told["sub_code"]) == (88, "40014")
    assert "subcode=40014" in told["errmsg"]
    ding.sim.post("/_sim/tokens/", {"corp": ding.corp, "op": "expire"})
    assert ding.post(LIST)["sub_code"] == "40014"
    assert ding.sim.post(f"/{LIST}", {})["sub_code"] == "40000"


def test_business_errors_of_topapi_then_bare(ding: Caller) -> None:
    assert ding.post("topapi/extcontact/get", user_id="nobody")["errcode"] == 33012
    assert ding.post("topapi/no/such")["errcode"] == 22


def test_too_many_calls_in_a_second_then_90018_with_the_time_of_release(ding: Caller) -> None:
    ding.sim.settings(calls_per_second=2)
    told = [ding.post(LIST) for _ in range(6)]
    refused = [each for each in told if each.get("sub_code") == "90018"]
    assert refused
    assert "will end at 20" in refused[0]["sub_msg"]


def test_banned_address_then_a_body_that_is_no_answer(ding: Caller) -> None:
    ding.sim.fault(api="*", kind="errcode", errcode=1111)
    assert ding.post(LIST)["punish"] == "deny"


def test_wecom_and_dingtalk_do_not_take_each_others_tokens(ding: Caller) -> None:
    official = ding.sim.corp("official")
    query = {"corpid": official["corp"], "corpsecret": official["secret"]}
    theirs = ding.sim.get("/cgi-bin/gettoken", **query)["access_token"]
    assert ding.sim.post(f"/{LIST}?access_token={theirs}", {})["sub_code"] == "40014"
    assert ding.sim.get("/cgi-bin/user/get", access_token=ding.token, userid="x")["errcode"] == 40014


def test_departments_one_level_at_a_time_and_people_by_cursor(ding: Caller) -> None:
    waiting, found = [1], set()
    while waiting:
        number = waiting.pop()
        waiting += [
            each["dept_id"] for each in ding.post("topapi/v2/department/listsub", dept_id=number)["result"]
        ]
        cursor, more = 0, True
        while more:
            told = ding.post("topapi/user/listsimple", dept_id=number, cursor=cursor, size=1)["result"]
            found |= {each["userid"] for each in told["list"]}
            more, cursor = told["has_more"], told.get("next_cursor")
    assert found == {each["userid"] for each in ding.truth()["employees"]}


def test_employee_by_phone_unless_they_left(ding: Caller) -> None:
    told = ding.truth()["employees"][0]
    asked = {"mobile": told["mobile"]}
    assert ding.post("topapi/v2/user/getbymobile", **asked)["result"] == {"userid": told["userid"]}
    ding.sim.change(ding.corp, "edit_employee", userid=told["userid"], left=True)
    assert ding.post("topapi/v2/user/getbymobile", **asked)["errcode"] == 60121


def test_list_pages_by_offset_without_total_until_an_empty_page(ding: Caller) -> None:
    listed = ding.everything(size=20)
    world = {each["external_userid"]: each for each in ding.truth()["contacts"]}
    assert [each["userid"] for each in listed] == list(world)
    for item in listed:
        told = world[item["userid"]]
        people = [each["userid"] for each in told["follow_user"]]
        assert [item["follower_user_id"], *item.get("share_user_ids", [])] == people
        assert [str(each) for each in item["label_ids"]] == told["labels"]
        assert item["mobile"] == told["mobile"]
    assert ding.post(LIST, offset=len(listed), size=20)["results"] == []


def test_list_when_only_one_of_offset_and_size_then_neither_counts(ding: Caller) -> None:
    assert len(ding.post(LIST, size=3)["results"]) == 20
    assert ding.post(LIST, offset=0, size=0)["errcode"] == 40069
    assert ding.post(LIST, offset=-1, size=5)["errcode"] == 40068


def test_list_for_third_parties_then_without_mobile(ding: Caller) -> None:
    ding.sim.settings(tells_mobile=False)
    assert not any("mobile" in each for each in ding.everything())


def test_create_then_listed_and_a_second_one_with_the_phone_is_22005(ding: Caller) -> None:
    other = ding.truth()["employees"][1]["userid"]
    told = ding.new_contact(title="采购", share_user_ids=[other])
    made = ding.post("topapi/extcontact/create", contact=told)["userid"]
    item = ding.post("topapi/extcontact/get", user_id=made)["result"]
    assert {key: item[key] for key in told} == told
    assert ding.post("topapi/extcontact/create", contact=told | {"name": "另一位"})["errcode"] == 22005


@pytest.mark.parametrize(
    ("change", "errcode"),
    [
        ({"label_ids": []}, 60204),
        ({"mobile": ""}, 40036),
        ({"follower_user_id": ""}, 40036),
        ({"follower_user_id": "nobody"}, 60121),
        ({"mobile": "no phone"}, 60103),
        ({"share_user_ids": ["x"] * 21}, 40035),
        ({"label_ids": [1]}, 40035),
    ],
)
def test_create_when_something_is_wrong_then_says_which(ding: Caller, change: Any, errcode: int) -> None:
    assert ding.post("topapi/extcontact/create", contact=ding.new_contact(**change))["errcode"] == errcode


def test_update_hands_over_and_keeps_the_phone(ding: Caller) -> None:
    made = ding.post("topapi/extcontact/create", contact=ding.new_contact())["userid"]
    owner = ding.truth()["employees"][1]["userid"]
    change = {"name": "林大", "follower_user_id": owner, "label_ids": [7002], "mobile": "13900000009"}
    assert ding.post("topapi/extcontact/update", contact={"user_id": made, **change})["errcode"] == 0
    item = ding.post("topapi/extcontact/get", user_id=made)["result"]
    assert (item["follower_user_id"], item["label_ids"], item["mobile"]) == (owner, [7002], "13900000001")
    assert ding.post("topapi/extcontact/update", contact={"user_id": "x", **change})["errcode"] == 60121


def test_delete_then_gone(ding: Caller) -> None:
    made = ding.everything()[0]["userid"]
    assert ding.post("topapi/extcontact/delete", user_id=made)["errcode"] == 0
    assert ding.post("topapi/extcontact/get", user_id=made)["errcode"] == 33012
    assert ding.post("topapi/extcontact/delete", user_id=made)["errcode"] == 33012


def test_label_groups_have_names_colours_and_no_id(ding: Caller) -> None:
    groups = ding.post("topapi/extcontact/listlabelgroups", offset=0, size=100)["results"]
    assert {key for group in groups for key in group} == {"name", "color", "labels"}
    told = {str(label["id"]): label["name"] for group in groups for label in group["labels"]}
    assert told == {tag["id"]: tag["name"] for group in ding.truth()["tags"] for tag in group["tag"]}


def test_transfer_in_the_client_then_the_other_is_the_owner(ding: Caller) -> None:
    contact = ding.truth()["contacts"][0]
    owner = contact["follow_user"][0]["userid"]
    following = {each["userid"] for each in contact["follow_user"]}
    other = next(e["userid"] for e in ding.truth()["employees"] if e["userid"] not in following)
    one = {"external_userid": contact["external_userid"], "from": owner, "to": other}
    ding.sim.change(ding.corp, "transfer", **one)
    item = ding.post("topapi/extcontact/get", user_id=contact["external_userid"])["result"]
    assert item["follower_user_id"] == other
