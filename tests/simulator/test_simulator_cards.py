"""Cards on the phones: pressed, told to the app, and changed once with the code of the press."""

import urllib.request
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.simulator.app import App

CARD = {
    "card_type": "button_interaction",
    "task_id": "lead-7",
    "main_title": {"title": "线索 <b>", "desc": "North Mill"},
    "button_list": [{"text": "我来跟进", "key": "take"}],
}


def card_on(caller: Any, userid: str, **more: Any) -> int:
    told = caller.send(userid, "template_card", CARD | more)
    assert told["errcode"] == 0, told
    return int(caller.sim.messages(corp=caller.corp, to=userid)[-1]["n"])


def pressed(caller: Any, app: App, n: int) -> str:
    """The response code of a press of the card's button."""
    caller.sim.press(caller.corp, n, "take")
    caller.sim.wait_for_callbacks()
    return str(app.told[-1]["fields"]["ResponseCode"])


def change(caller: Any, code: str, *userids: str, name: str = "已跟进") -> int:
    told = caller.post(
        "message/update_template_card",
        userids=list(userids),
        agentid=caller.agentid,
        response_code=code,
        button={"replace_name": name},
    )
    return int(told["errcode"])


def replaced(caller: Any, userid: str) -> str | None:
    name: str | None = caller.sim.messages(corp=caller.corp, to=userid)[-1]["content"].get("replaced")
    return name


def test_press_when_made_then_tells_who_which_and_a_code(official: Any, app: App) -> None:
    userid = official.employees()[0]
    code = pressed(official, app, card_on(official, userid))
    told = app.told[-1]["fields"]
    assert (told["FromUserName"], told["Event"], told["TaskId"]) == (userid, "template_card_event", "lead-7")
    assert (told["EventKey"], told["CardType"]) == ("take", "button_interaction")
    assert code


def test_change_when_made_with_the_code_of_a_press_then_once_and_on_that_phone(
    official: Any, app: App
) -> None:
    first, second = official.employees()[:2]
    official.send(f"{first}|{second}", "template_card", CARD)
    code = pressed(official, app, official.sim.messages(corp=official.corp, to=first)[-1]["n"])
    assert change(official, code, first, second) == 0
    assert (replaced(official, first), replaced(official, second)) == ("已跟进", None)
    assert change(official, code, first) == 60140


def test_change_when_the_code_came_with_the_send_then_on_every_phone(official: Any) -> None:
    first, second = official.employees()[:2]
    code = official.send(f"{first}|{second}", "template_card", CARD)["response_code"]
    assert change(official, code, first, second) == 0
    assert replaced(official, first) == replaced(official, second) == "已跟进"


def test_change_when_the_code_is_unknown_or_old_then_60140(official: Any, app: App) -> None:
    userid = official.employees()[0]
    assert change(official, "nonsense", userid) == 60140
    code = pressed(official, app, card_on(official, userid))
    official.sim.advance(72 * 3600 + 1)
    official.token = official.fetch_token()
    assert change(official, code, userid) == 60140


@pytest.mark.parametrize(
    ("wrong", "errcode"),
    [
        ({"agentid": 1}, 301002),
        ({"button": {}}, 40063),
        ({"response_code": ""}, 40063),
        ({"userids": ["x"]}, 81013),
    ],
)
def test_change_when_something_is_wrong_then_refused_and_the_code_is_still_good(
    official: Any, wrong: dict[str, Any], errcode: int
) -> None:
    userid = official.employees()[0]
    code = official.send(userid, "template_card", CARD)["response_code"]
    right = {
        "userids": [userid],
        "agentid": official.agentid,
        "response_code": code,
        "button": {"replace_name": "x"},
    }
    assert official.post("message/update_template_card", **(right | wrong))["errcode"] == errcode
    assert change(official, code, userid) == 0


def test_press_when_there_is_no_such_button_then_refused(official: Any, app: App) -> None:
    userid = official.employees()[0]
    n = card_on(official, userid)
    for number, key in ((n, "other"), (987654, "take")):
        with pytest.raises(RuntimeError):
            official.sim.press(official.corp, number, key)
    change(official, pressed(official, app, n), userid)
    with pytest.raises(RuntimeError):
        official.sim.press(official.corp, n, "take")


def test_page_when_a_card_arrived_then_its_button_can_be_pressed_there(official: Any, app: App) -> None:
    userid = official.employees()[0]
    n = card_on(official, userid)
    page = urllib.request.urlopen(f"{official.sim.url}/_sim/?corp={official.corp}").read().decode()
    assert "线索 &lt;b&gt;" in page
    assert '<button name="key" value="take">我来跟进</button>' in page
    form = urlencode({"corp": official.corp, "n": n, "key": "take"}).encode()
    with urllib.request.urlopen(f"{official.sim.url}/_sim/press/", form) as answer:
        assert answer.url.endswith(f"?corp={official.corp}")
    official.sim.wait_for_callbacks()
    assert app.told[-1]["fields"]["EventKey"] == "take"


def test_page_when_an_employee_writes_then_the_app_hears_it(official: Any, app: App) -> None:
    form = urlencode({"corp": official.corp, "userid": official.employees()[0], "text": "库存?"}).encode()
    with urllib.request.urlopen(f"{official.sim.url}/_sim/app-events/", form) as answer:
        assert answer.url.endswith(f"?corp={official.corp}")
    official.sim.wait_for_callbacks()
    assert app.told[-1]["fields"]["Content"] == "库存?"
