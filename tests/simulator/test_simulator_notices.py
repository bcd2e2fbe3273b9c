"""DingTalk's work notifications: queued at once, told later, dropped without a word at a limit."""

from typing import Any

import pytest

from crm.simulator.server import Simulator
from tests.simulator.test_simulator_dingtalk import Caller

API = "topapi/message/corpconversation/"


class Sender(Caller):
    def __init__(self, sim: Simulator) -> None:
        super().__init__(sim)
        self.agent_id = self.credentials["agentid"]
        self.staff = [each["userid"] for each in self.truth()["employees"]]

    def send(self, to: str, content: str = "你好", **fields: Any) -> Any:
        msg = {"msgtype": "text", "text": {"content": content}}
        body = {"agent_id": self.agent_id, "userid_list": to, "msg": msg}
        return self.post(API + "asyncsend_v2", **(body | fields))

    def ask(self, call: str, task_id: int, name: str = "task_id") -> Any:
        return self.post(API + call, agent_id=self.agent_id, **{name: task_id})


@pytest.fixture
def ding(sim: Simulator) -> Sender:
    return Sender(sim)


def test_send_then_progress_and_after_a_while_the_result(ding: Sender) -> None:
    first, second, *_ = ding.staff
    task = ding.send(f"{first},{second},nobody")["task_id"]
    assert ding.ask("getsendprogress", task)["progress"]["status"] < 2
    assert not any(ding.ask("getsendresult", task)["send_result"].values())
    ding.sim.advance(3)
    assert ding.ask("getsendprogress", task)["progress"] == {"progress_in_percent": 100, "status": 2}
    told = ding.ask("getsendresult", task)["send_result"]
    assert (told["unread_user_id_list"], told["invalid_user_id_list"]) == ([first, second], ["nobody"])
    assert [each["to"] for each in ding.sim.messages(corp=ding.corp)] == [first, second]


def test_same_content_twice_a_day_then_the_second_is_dropped(ding: Sender) -> None:
    (one, *_) = ding.staff
    ding.send(one)
    again = ding.send(one)
    assert again["errcode"] == 0
    ding.sim.advance(3)
    told = ding.ask("getsendresult", again["task_id"])["send_result"]
    assert told["forbidden_list"] == [{"code": "143106", "count": 1, "userid": one}]
    ding.sim.advance(86_400)
    ding.renew()
    ding.send(one)
    assert len(ding.sim.messages(corp=ding.corp)) == 2


def test_too_many_to_one_person_a_day_then_143105(ding: Sender) -> None:
    ding.sim.settings(notice_per_day=1)
    (one, *_) = ding.staff
    ding.send(one, "甲")
    ding.send(one, "乙")
    assert [each["forbidden"] for each in ding.sim.notices(corp=ding.corp)] == [{}, {one: 143105}]


def test_recall_within_a_day_and_not_later(ding: Sender) -> None:
    task = ding.send(ding.staff[0])["task_id"]
    assert ding.ask("recall", task, "msg_task_id")["errcode"] == 0
    assert ding.sim.messages(corp=ding.corp)[0]["recalled"]
    ding.sim.advance(90_000)
    ding.renew()
    assert ding.ask("recall", task, "msg_task_id")["errcode"] == 400002
    assert ding.ask("getsendresult", task)["errcode"] == 40035


@pytest.mark.parametrize(
    ("msg", "errcode"),
    [
        ({"msgtype": "text", "text": {"content": ""}}, 44004),
        ({"msgtype": "text", "text": {"content": "x" * 5001}}, 34016),
        ({"msgtype": "poem", "poem": {}}, 34004),
        ({"msgtype": "text"}, 34014),
        ({"msgtype": "image", "image": {}}, 34008),
        ({"msgtype": "voice", "voice": {"media_id": "@1", "duration": "60"}}, 40035),
        ({"msgtype": "file", "file": {"media_id": "@1"}}, 0),
        ({"msgtype": "link", "link": {"title": "t", "text": "x", "messageUrl": "http://a"}}, 40035),
        ({"msgtype": "markdown", "markdown": {"title": "t" * 65, "text": "x"}}, 34016),
        (
            {"msgtype": "oa", "oa": {"message_url": "http://a", "head": {"bgcolor": "FF1E90FF"}, "body": {}}},
            0,
        ),
        ({"msgtype": "oa", "oa": {"message_url": "http://a", "body": {}}}, 40035),
        (
            {
                "msgtype": "action_card",
                "action_card": {"markdown": "x", "single_title": "t" * 21, "single_url": "http://a"},
            },
            34016,
        ),
        (
            {
                "msgtype": "action_card",
                "action_card": {
                    "markdown": "x",
                    "btn_orientation": "0",
                    "btn_json_list": [{"title": "t", "action_url": "http://a"}],
                },
            },
            0,
        ),
    ],
)
def test_send_when_content_is_beyond_its_limits_then_says_which(ding: Sender, msg: Any, errcode: int) -> None:
    assert ding.send(ding.staff[0], msg=msg)["errcode"] == errcode


@pytest.mark.parametrize(
    ("fields", "errcode"),
    [
        ({"userid_list": ",".join(f"u{n}" for n in range(101))}, 40035),
        ({"userid_list": ""}, 40035),
        ({"agent_id": 7}, 40056),
        ({"userid_list": ["a"]}, 40035),
    ],
)
def test_send_when_receivers_or_agent_are_wrong_then_refused(ding: Sender, fields: Any, errcode: int) -> None:
    assert ding.send("x", **fields)["errcode"] == errcode


def test_send_to_a_department_reaches_those_below_it(ding: Sender) -> None:
    ding.send("", dept_id_list="1", userid_list=None)
    assert {each["to"] for each in ding.sim.messages(corp=ding.corp)} == set(ding.staff)
