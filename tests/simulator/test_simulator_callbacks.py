"""Callbacks: what people do is told, and how; what the API does is not."""

from typing import Any

import pytest

from crm.simulator import events
from tests.simulator.app import App, listening


def told(app: App, sim: Any, change: str) -> dict[str, Any]:
    """The fields of the one event of this change, once all was told."""
    sim.wait_for_callbacks()
    [found] = [each["fields"] for each in app.told if each["fields"].get("ChangeType") == change]
    return dict(found)


@pytest.fixture
def pair(official: Any, app: App) -> dict[str, str]:
    """A customer of the first member; what was told of it is forgotten."""
    userid = official.employees()[0]
    official.sim.change(official.corp, "add_contact", external_userid="wmX", follow_user=[userid])
    official.sim.wait_for_callbacks()
    app.told.clear()
    return {"external_userid": "wmX", "userid": userid}


def test_event_when_written_then_as_the_worked_vector() -> None:
    more = {"State": "expo-杭州", "WelcomeCode": "WELCOME-CODE-0001"}
    who = {"userid": "sales01", "external_userid": "wmDEMO00000000000000000000000001"}
    event = events.customer("add_external_contact", 1735689600, **who, **more)
    assert event.xml("ww5ad0c0ffee123456") == (
        "<xml><ToUserName><![CDATA[ww5ad0c0ffee123456]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName>"
        "<CreateTime>1735689600</CreateTime><MsgType><![CDATA[event]]></MsgType>"
        "<Event><![CDATA[change_external_contact]]></Event>"
        "<ChangeType><![CDATA[add_external_contact]]></ChangeType>"
        "<UserID><![CDATA[sales01]]></UserID>"
        "<ExternalUserID><![CDATA[wmDEMO00000000000000000000000001]]></ExternalUserID>"
        "<State><![CDATA[expo-杭州]]></State><WelcomeCode><![CDATA[WELCOME-CODE-0001]]></WelcomeCode></xml>"
    )


def test_event_when_text_is_hostile_then_still_one_xml_with_the_same_text(
    official: Any, app: App, sim: Any
) -> None:
    hostile = "]]></Content><A>\x00&lt;\ud800你"
    userid = official.employees()[0]
    sim.app_event(official.corp, "text", userid=userid, fields={"Content": hostile})
    sim.wait_for_callbacks()
    assert app.told[0]["fields"]["Content"] == "]]></Content><A>&lt;你"


def test_follow_when_made_then_told_with_state_and_welcome_code(official: Any, app: App, sim: Any) -> None:
    userid = official.employees()[0]
    relation = {"userid": userid, "state": "expo"}
    sim.change(official.corp, "add_contact", external_userid="wmN", follow_user=[relation])
    fields = told(app, sim, "add_external_contact")
    assert (fields["UserID"], fields["ExternalUserID"], fields["State"]) == (userid, "wmN", "expo")
    assert fields["WelcomeCode"]
    assert (fields["ToUserName"], fields["FromUserName"], fields["MsgType"]) == (
        official.corp,
        "sys",
        "event",
    )
    assert abs(int(fields["CreateTime"]) - sim.get("/_sim/clock/")["now"]) < 10


def test_call_when_made_then_names_corp_and_agent_outside(official: Any, app: App, sim: Any) -> None:
    sim.change(official.corp, "add_contact", follow_user=[official.employees()[0]])
    sim.change(official.corp, "add_employee", userid="NewOne", department=[1])
    sim.wait_for_callbacks()
    customer, member = (each["outer"] for each in app.told)
    assert (customer["ToUserName"], customer["AgentID"]) == (official.corp, str(official.agentid))
    assert set(member) == {"ToUserName", "Encrypt"}


def test_customer_changes_when_people_make_them_then_each_told(
    official: Any, app: App, sim: Any, pair: Any
) -> None:
    other = official.employees()[1]
    move = {"external_userid": "wmX", "from": pair["userid"], "to": other}
    sim.change(official.corp, "edit_follow", **pair, remark="老林")
    sim.change(official.corp, "edit_follow", **pair, remark_mobiles=["13900000001"])
    sim.change(official.corp, "customer_leaves", **pair)
    sim.change(official.corp, "transfer", **move, fails="customer_refused")
    sim.change(official.corp, "transfer", **move)
    sim.change(official.corp, "unfollow", external_userid="wmX", userid=other)
    sim.wait_for_callbacks()
    assert [
        (each["fields"]["ChangeType"], each["fields"]["UserID"], each["fields"].get("Source", ""))
        for each in app.told
    ] == [
        ("edit_external_contact", pair["userid"], ""),
        ("del_follow_user", pair["userid"], ""),
        ("transfer_fail", other, ""),
        ("del_external_contact", pair["userid"], "DELETE_BY_TRANSFER"),
        ("add_external_contact", other, ""),
        ("del_external_contact", other, ""),
    ]
    assert app.told[2]["fields"]["FailReason"] == "customer_refused"
    assert "WelcomeCode" not in app.told[4]["fields"]


def test_customer_when_only_half_added_then_told_and_told_again_when_added_back(
    official: Any, app: App, sim: Any, pair: Any
) -> None:
    other = official.employees()[1]
    sim.change(official.corp, "follow", external_userid="wmX", userid=other, half=True, state="s")
    assert told(app, sim, "add_half_external_contact")["State"] == "s"
    sim.change(official.corp, "add_back", external_userid="wmX", userid=other)
    assert told(app, sim, "add_external_contact")["UserID"] == other


def test_contact_when_deleted_by_everybody_then_each_end_is_told(
    official: Any, app: App, sim: Any, pair: Any
) -> None:
    sim.change(official.corp, "delete_contact", external_userid="wmX")
    assert told(app, sim, "del_external_contact")["UserID"] == pair["userid"]


def test_tags_when_changed_by_people_then_told(official: Any, app: App, sim: Any) -> None:
    made = sim.change(official.corp, "add_tag", group_name="新组", tag_name="甲")
    sim.change(official.corp, "edit_tag", tag_id=made["tag_id"], tag_name="乙", group_name="改名")
    sim.change(official.corp, "shuffle_tags", group_id=made["group_id"])
    sim.change(official.corp, "delete_tag", tag_id=made["tag_id"])
    sim.wait_for_callbacks()
    tag, group = made["tag_id"], made["group_id"]
    assert {each["fields"]["Event"] for each in app.told} == {"change_external_tag"}
    assert [
        (each["fields"]["ChangeType"], each["fields"]["Id"], each["fields"].get("TagType"))
        for each in app.told
    ] == [
        ("create", group, "tag_group"),
        ("create", tag, "tag"),
        ("update", tag, "tag"),
        ("update", group, "tag_group"),
        ("shuffle", group, None),
        ("delete", tag, "tag"),
        ("delete", group, "tag_group"),
    ]


def test_directory_when_changed_then_told(official: Any, app: App, sim: Any) -> None:
    sim.change(official.corp, "add_employee", userid="NewOne", department=[1, 2])
    sim.change(official.corp, "edit_employee", userid="NewOne", new_userid="OldHand")
    sim.change(official.corp, "edit_employee", userid="OldHand", left=True)
    sim.change(official.corp, "edit_department", id=99, name="新部门", parentid=1)
    sim.change(official.corp, "edit_department", id=99, name="改名")
    sim.change(official.corp, "remove_department", id=99)
    sim.wait_for_callbacks()
    fields = [each["fields"] for each in app.told]
    assert [each["ChangeType"] for each in fields] == [
        "create_user", "update_user", "delete_user", "create_party", "update_party", "delete_party"
    ]  # fmt: skip
    assert (fields[0]["UserID"], fields[0]["Department"]) == ("NewOne", "1,2")
    assert (fields[1]["UserID"], fields[1]["NewUserID"]) == ("NewOne", "OldHand")
    assert (fields[2]["UserID"], fields[4]["Name"], fields[5]["Id"]) == ("OldHand", "改名", "99")


def test_changes_when_made_through_the_api_then_not_told(
    official: Any, app: App, sim: Any, pair: Any
) -> None:
    tag = official.post("externalcontact/get_corp_tag_list")["tag_group"][0]["tag"][0]["id"]
    assert official.post("externalcontact/remark", **pair, remark="经接口")["errcode"] == 0
    assert official.post("externalcontact/mark_tag", **pair, add_tag=[tag])["errcode"] == 0
    official.post("externalcontact/add_contact_way", type=1, scene=2, user=[pair["userid"]])
    sim.change(official.corp, "edit_follow", **pair, remark="由人")  # what comes after is told, they were not
    sim.wait_for_callbacks()
    assert app.changes() == [("change_external_contact", "edit_external_contact")]


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("text", {"Content"}),
        ("image", {"PicUrl", "MediaId"}),
        ("voice", {"MediaId", "Format"}),
        ("video", {"MediaId", "ThumbMediaId"}),
        ("location", {"Location_X", "Location_Y", "Scale", "Label"}),
        ("link", {"Title", "Description", "Url", "PicUrl"}),
    ],
)
def test_message_to_the_app_when_ordered_then_told(
    official: Any, app: App, sim: Any, kind: str, names: set[str]
) -> None:
    userid = official.employees()[0]
    sim.app_event(official.corp, kind, userid=userid)
    sim.wait_for_callbacks()
    fields = app.told[0]["fields"]
    assert (fields["FromUserName"], fields["MsgType"], fields["AgentID"]) == (
        userid, kind, str(official.agentid)
    )  # fmt: skip
    common = {"ToUserName", "FromUserName", "CreateTime", "MsgType", "MsgId", "AgentID"}
    assert set(fields) == common | names


def test_app_events_when_ordered_then_told(official: Any, app: App, sim: Any) -> None:
    kinds = ["enter_agent", "click", "view", "subscribe", "unsubscribe", "template_card_event"]
    for kind in kinds:
        sim.app_event(official.corp, kind, userid=official.employees()[0])
    sim.wait_for_callbacks()
    assert [each["fields"]["Event"] for each in app.told] == kinds
    assert app.told[-1]["fields"]["SelectedItems"]["SelectedItem"]["OptionIds"] == {"OptionId": "yes"}


def test_customer_group_when_ordered_then_told(official: Any, app: App, sim: Any) -> None:
    for change in ("create", "update", "dismiss"):
        sim.app_event(official.corp, "change_external_chat", change=change, chat_id="wr1")
    sim.wait_for_callbacks()
    told = [each["fields"] for each in app.told]
    assert [(each["ChangeType"], each["ChatId"]) for each in told] == [
        ("create", "wr1"), ("update", "wr1"), ("dismiss", "wr1")
    ]  # fmt: skip
    assert told[1]["UpdateDetail"] == "add_member"


def test_order_when_wrong_then_says_what(official: Any, sim: Any) -> None:
    with pytest.raises(RuntimeError, match="kind must be one of"):
        sim.app_event(official.corp, "explode", userid=official.employees()[0])
    with pytest.raises(RuntimeError, match="no employee nobody"):
        sim.app_event(official.corp, "text", userid="nobody")
    with pytest.raises(RuntimeError, match="change must be one of"):
        sim.app_event(official.corp, "change_external_chat", change="explode")


def test_signature_mode_when_chosen_then_told_in_the_open(direct: Any, sim: Any) -> None:
    with listening(App(direct.credentials)) as app:
        sim.set_callback(direct.corp, app.url, mode="signature")
        sim.change(direct.corp, "add_contact", external_userid="wmS", follow_user=[direct.employees()[0]])
        sim.wait_for_callbacks()
        [call] = app.told
        assert set(call["query"]) == {"signature", "timestamp", "nonce"}
        assert call["fields"]["ExternalUserID"] == "wmS"
        sim.delete("/_sim/callbacks/")
