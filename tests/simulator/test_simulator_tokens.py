"""Tokens, methods, limits: the rules at the door."""

import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest


def test_gettoken_when_asked_twice_then_gives_the_same_token(official: Any) -> None:
    assert official.fetch_token() == official.token
    assert official.fetch_token("sync_secret") != official.token


def test_token_when_lifetime_passed_then_expired_and_a_new_one(official: Any, sim: Any) -> None:
    sim.advance(7200)
    assert official.get("department/list")["errcode"] == 42001
    sim.settings(expired_errcode=40014)
    assert official.get("department/list")["errcode"] == 40014
    assert official.fetch_token() != official.token


@pytest.mark.parametrize(("op", "errcode"), [("revoke", 40014), ("expire", 42001)])
def test_token_when_ended_early_then_refused(official: Any, sim: Any, op: str, errcode: int) -> None:
    assert sim.post("/_sim/tokens/", {"corp": official.corp, "op": op})["tokens"] == 1
    assert official.get("department/list")["errcode"] == errcode


def test_token_when_absent_or_unknown_then_refused(official: Any, sim: Any) -> None:
    assert sim.get("/cgi-bin/department/list")["errcode"] == 41001
    assert sim.get("/cgi-bin/department/list", access_token="x")["errcode"] == 40014


def test_token_in_body_when_official_then_41001_but_direct_accepts(
    official: Any, direct: Any, sim: Any
) -> None:
    body = {"access_token": official.token, "userid_list": official.employees()}
    assert sim.post("/cgi-bin/externalcontact/batch/get_by_user", body)["errcode"] == 41001
    body = {"access_token": direct.token, "userid": direct.employees()[0]}
    assert sim.post("/cgi-bin/externalcontact/list", body)["errcode"] == 0


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ({"corpid": "ww0000000000000000", "corpsecret": "x"}, 40013),
        ({"corpid": "wwd12ec70000000001", "corpsecret": "x"}, 40001),
        ({"corpid": "wwd12ec70000000001"}, 41004),
        ({"corpsecret": "x"}, 41002),
    ],
)
def test_gettoken_when_credentials_are_bad_then_says_which(sim: Any, query: Any, errcode: int) -> None:
    assert sim.get("/cgi-bin/gettoken", **query)["errcode"] == errcode


def test_gettoken_when_secret_of_another_corp_then_40091(sim: Any) -> None:
    direct, official, _dingtalk = sim.corps
    query = {"corpid": direct["corp"], "corpsecret": official["secret"]}
    assert sim.get("/cgi-bin/gettoken", **query)["errcode"] == 40091


def test_gettoken_when_wrong_too_often_then_blocks_even_the_right_secret(official: Any, sim: Any) -> None:
    sim.settings(wrong_secret_limit=3)
    for _ in range(3):
        assert sim.get("/cgi-bin/gettoken", corpid=official.corp, corpsecret="x")["errcode"] == 40001
    query = {"corpid": official.corp, "corpsecret": official.credentials["secret"]}
    assert sim.get("/cgi-bin/gettoken", **query)["errcode"] == 45009
    sim.advance(3601)
    assert sim.get("/cgi-bin/gettoken", **query)["errcode"] == 0


def test_post_endpoint_when_called_with_get_then_40063(official: Any) -> None:
    assert official.get("externalcontact/batch/get_by_user")["errcode"] == 40063


def test_sync_secret_when_it_sends_or_reads_customers_then_48002(official: Any) -> None:
    userid = official.employees()[0]
    official.token = official.fetch_token("sync_secret")
    assert official.send(userid)["errcode"] == 48002
    assert official.get("externalcontact/get_follow_user_list")["errcode"] == 48002
    assert official.post("user/list_id")["errcode"] == 0


def test_errmsg_when_refused_then_has_the_documented_shape(official: Any) -> None:
    errmsg = official.get("user/get", userid="nobody")["errmsg"]
    assert ", hint: [" in errmsg
    assert ", from ip: 127.0.0.1, more info at https://" in errmsg
    assert errmsg.endswith("?e=60111")


def test_unknown_path_when_called_then_404_or_minus_one(official: Any, sim: Any) -> None:
    with pytest.raises(RuntimeError, match="404"):
        official.get("no/such/path")
    sim.settings(unknown_path="-1")
    assert official.get("no/such/path")["errcode"] == -1


def test_add_when_official_then_does_not_exist(official: Any) -> None:
    with pytest.raises(RuntimeError, match="404"):
        official.post("externalcontact/add", external_contact={"external_userid": "wmA", "name": "A"})


def test_rate_when_window_is_full_then_45009_until_it_ends(official: Any, direct: Any, sim: Any) -> None:
    sim.post("/_sim/clock/", {"set": 1_800_000_000})
    official.token, direct.token = official.fetch_token(), direct.fetch_token()
    sim.settings(rate_limit_minute=3)
    codes = [official.get("department/list")["errcode"] for _ in range(4)]
    assert codes == [0, 0, 0, 45009]
    assert direct.get("department/list")["errcode"] == 0
    sim.advance(61)
    assert official.get("department/list")["errcode"] == 0


def test_parallel_calls_when_gate_is_narrow_then_45033(official: Any, sim: Any) -> None:
    sim.settings(concurrency_limit=1, latency_ms=200)
    with ThreadPoolExecutor(4) as pool:
        codes = [each["errcode"] for each in pool.map(lambda _: official.get("department/list"), range(4))]
    assert codes.count(45033) >= 1
    assert codes.count(0) >= 1


def test_body_when_not_json_then_40035(official: Any, sim: Any) -> None:
    url = f"{sim.url}/cgi-bin/externalcontact/batch/get_by_user?access_token={official.token}"
    with urllib.request.urlopen(url, b"{nonsense") as answer:
        assert b'"errcode":40035' in answer.read()
