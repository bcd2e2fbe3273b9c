"""Mass messages to customers: task, confirmation, result."""

from typing import Any

import pytest


@pytest.fixture
def task(official: Any) -> Any:
    """Three customers of one member, and the answer to a task for them."""
    userid = official.employees()[0]
    for name in ("wm1", "wm2", "wm3"):
        official.sim.change(official.corp, "add_contact", external_userid=name, follow_user=[userid])
    answer = official.post(
        "externalcontact/add_msg_template",
        external_userid=["wm1", "wm2", "wm3", "wmNobody"],
        sender=userid,
        text={"content": "春季报价"},
    )
    return {"userid": userid, **answer}


def results(official: Any, task: Any) -> dict[str, int]:
    who = {"msgid": task["msgid"], "userid": task["userid"]}
    told = official.post("externalcontact/get_groupmsg_send_result", **who)["send_list"]
    return {each["external_userid"]: each["status"] for each in told}


def test_task_when_made_then_waits_for_the_member(official: Any, sim: Any, task: Any) -> None:
    assert task["fail_list"] == ["wmNobody"]
    parts = official.post("externalcontact/get_groupmsg_task", msgid=task["msgid"])["task_list"]
    assert parts == [{"userid": task["userid"], "status": 0}]
    assert results(official, task) == {"wm1": 0, "wm2": 0, "wm3": 0}
    assert sim.messages() == []


def test_task_when_confirmed_then_customers_receive_it_by_relation_and_cap(
    official: Any, sim: Any, task: Any
) -> None:
    sim.settings(mass_cap_month=1)
    sim.change(official.corp, "unfollow", external_userid="wm2", userid=task["userid"])
    sim.change(official.corp, "customer_leaves", external_userid="wm3", userid=task["userid"])
    sim.confirm(official.corp, task["msgid"], task["userid"])
    assert results(official, task) == {"wm1": 1, "wm2": 2, "wm3": 2}
    assert [(m["kind"], m["to"], m["from"]) for m in sim.messages()] == [("contact", "wm1", task["userid"])]
    again = official.post(
        "externalcontact/add_msg_template",
        external_userid=["wm1"],
        sender=task["userid"],
        text={"content": "x"},
    )
    sim.confirm(official.corp, again["msgid"], task["userid"])
    assert results(official, {**again, "userid": task["userid"]}) == {"wm1": 3}


def test_task_when_confirmed_twice_then_nothing_more_happens(official: Any, sim: Any, task: Any) -> None:
    sim.confirm(official.corp, task["msgid"], task["userid"])
    with pytest.raises(RuntimeError, match="404"):
        sim.confirm(official.corp, task["msgid"], task["userid"])
    assert len(sim.messages()) == 3


def test_task_when_cancelled_then_cannot_be_sent(official: Any, sim: Any, task: Any) -> None:
    assert official.post("externalcontact/cancel_groupmsg_send", msgid=task["msgid"])["errcode"] == 0
    assert official.post("externalcontact/cancel_groupmsg_send", msgid=task["msgid"])["errcode"] == 41093
    with pytest.raises(RuntimeError, match="404"):
        sim.confirm(official.corp, task["msgid"], task["userid"])


def test_task_when_reminded_too_often_then_41094(official: Any, sim: Any, task: Any) -> None:
    body = {"msgid": task["msgid"]}
    codes = [official.post("externalcontact/remind_groupmsg_send", **body)["errcode"] for _ in range(4)]
    assert codes == [0, 0, 0, 41094]


def test_task_when_just_made_then_still_dispatching_if_so_switched(
    official: Any, sim: Any, task: Any
) -> None:
    sim.settings(groupmsg_delay=60)
    assert official.post("externalcontact/get_groupmsg_task", msgid=task["msgid"])["errcode"] == 41063
    sim.advance(61)
    assert official.post("externalcontact/get_groupmsg_task", msgid=task["msgid"])["errcode"] == 0


def test_results_when_paged_then_complete_and_large_limit_falls_back(official: Any, task: Any) -> None:
    who = {"msgid": task["msgid"], "userid": task["userid"]}
    first = official.post("externalcontact/get_groupmsg_send_result", **who, limit=2)
    rest = official.post(
        "externalcontact/get_groupmsg_send_result", **who, limit=5000, cursor=first["next_cursor"]
    )
    assert [each["external_userid"] for each in first["send_list"] + rest["send_list"]] == [
        "wm1",
        "wm2",
        "wm3",
    ]


@pytest.mark.parametrize(
    ("fields", "errcode"),
    [
        ({"external_userid": ["wmNobody"]}, 41048),
        ({"text": None}, 40063),
        ({"sender": "nobody"}, 40003),
        ({"text": {"content": "字" * 1334}}, 45002),
        ({"attachments": [{"msgtype": "image", "image": {"pic_url": "x"}}] * 10}, 41064),
        ({"attachments": [{"msgtype": "dance"}]}, 41065),
        ({"attachments": [{"msgtype": "miniprogram", "miniprogram": {"title": "t"}}]}, 90200),
    ],
)
def test_task_when_bad_then_refused(official: Any, task: Any, fields: Any, errcode: int) -> None:
    body = {"external_userid": ["wm1"], "sender": task["userid"], "text": {"content": "x"}} | fields
    assert official.post("externalcontact/add_msg_template", **body)["errcode"] == errcode


def test_task_when_only_a_sender_then_all_its_customers(official: Any, task: Any) -> None:
    answer = official.post("externalcontact/add_msg_template", sender=task["userid"], text={"content": "x"})
    known = official.get("externalcontact/list", userid=task["userid"])["external_userid"]
    assert set(results(official, {**answer, "userid": task["userid"]})) == set(known)


def test_task_when_it_carries_a_mini_program_then_needs_its_picture(official: Any, task: Any) -> None:
    mini = {"title": "报价", "appid": "wx00000000000000aa", "page": "p", "pic_media_id": official.upload()}
    body = {"external_userid": ["wm1"], "sender": task["userid"]}
    attachments = [{"msgtype": "miniprogram", "miniprogram": mini}]
    assert official.post("externalcontact/add_msg_template", **body, attachments=attachments)["errcode"] == 0


LIST = "externalcontact/get_groupmsg_list_v2"


def listed(official: Any, **more: Any) -> Any:
    now = int(official.sim.get("/_sim/clock/")["now"])
    asked = {"chat_type": "single", "start_time": now - 60, "end_time": now + 60, **more}
    return official.post(LIST, **asked)


def test_list_tells_the_tasks_of_that_time_in_either_kind_of_number(
    official: Any, sim: Any, task: Any
) -> None:
    (entry,) = listed(official)["group_msg_list"]
    assert (entry["msgid"], entry["text"], entry["create_type"]) == (
        task["msgid"],
        {"content": "春季报价"},
        0,
    )
    assert isinstance(entry["create_time"], str)
    assert "creator" not in entry
    sim.settings(groupmsg_times="number")
    assert isinstance(listed(official)["group_msg_list"][0]["create_time"], int)
    now = int(sim.get("/_sim/clock/")["now"])
    assert listed(official, start_time=now - 900, end_time=now - 600)["group_msg_list"] == []
    assert listed(official, filter_type=1)["group_msg_list"] == []


def test_list_pages_and_a_limit_that_is_too_large_falls_back_to_50(official: Any, task: Any) -> None:
    for n in range(59):
        official.post(
            "externalcontact/add_msg_template",
            external_userid=["wm1"],
            sender=task["userid"],
            text={"content": f"{n}"},
        )
    first = listed(official, limit=101)
    assert len(first["group_msg_list"]) == 50
    now = int(official.sim.get("/_sim/clock/")["now"])
    window = {"start_time": now - 50, "end_time": now + 50}
    page = listed(official, limit=20, **window)
    rest = listed(official, limit=100, cursor=page["next_cursor"], **window)
    assert (len(page["group_msg_list"]), len(rest["group_msg_list"]), rest["next_cursor"]) == (20, 40, "")


@pytest.mark.parametrize(
    ("wrong", "errcode"),
    [
        ({"chat_type": ""}, 40063),
        ({"chat_type": "all"}, 40058),
        ({"end_time": ""}, 40058),
        ({"start_time": 1}, 40058),
    ],
)
def test_list_when_asked_wrongly_then_refused(official: Any, wrong: Any, errcode: int) -> None:
    assert listed(official, **wrong)["errcode"] == errcode


def test_statistics_count_who_got_the_apps_messages_by_day(official: Any, sim: Any) -> None:
    userids = official.employees()[:2]
    official.send("|".join(userids))
    official.send(userids[0])
    (told,) = official.post("message/get_statistics", time_type=0)["statistics"]
    assert (told["agentid"], told["count"]) == (official.agentid, 3)
    assert official.post("message/get_statistics", time_type=1)["statistics"] == []
    assert official.post("message/get_statistics", time_type=2)["errcode"] == 40058
