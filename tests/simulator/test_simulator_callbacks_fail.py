"""Callbacks that go wrong: the proof of the URL, retries, and the luck that can be ordered."""

import time
from pathlib import Path
from typing import Any

import pytest

from crm.simulator.remote import running
from tests.simulator.app import App, listening


def people(sim: Any, corp: str, userid: str, number: int) -> list[str]:
    """So many new customers of the member, at once; their ids."""
    ids = [f"wmP{each}" for each in range(number)]
    ops = [{"op": "add_contact", "external_userid": each, "follow_user": [userid]} for each in ids]
    sim.post("/_sim/world/", {"corp": corp, "ops": ops})
    return ids


def heard(app: App) -> list[str]:
    return [each["fields"]["ExternalUserID"] for each in app.told]


def test_url_when_it_proves_itself_then_saved(official: Any, app: App, sim: Any) -> None:
    assert sim.get("/_sim/callbacks/")["urls"] == {official.corp: {"url": app.url, "mode": "encrypted"}}


@pytest.mark.parametrize("around", [(b'"', b'"'), (b"\xef\xbb\xbf", b""), (b"", b"\n")])
def test_url_when_the_answer_is_not_the_bare_text_then_refused(
    official: Any, sim: Any, around: tuple[bytes, bytes]
) -> None:
    with listening(App(official.credentials)) as app:
        app.around = around
        with pytest.raises(RuntimeError, match="not the echostr's text"):
            sim.set_callback(official.corp, app.url)
    assert sim.get("/_sim/callbacks/")["urls"] == {}


def test_url_when_too_slow_then_refused(official: Any, sim: Any) -> None:
    sim.settings(verify_timeout=0.2)
    with listening(App(official.credentials)) as app:
        app.pause = 0.5
        with pytest.raises(RuntimeError, match=r"not verified: .*(timed out|after)"):
            sim.set_callback(official.corp, app.url)


def test_url_when_it_redirects_or_fails_then_refused_with_its_status(official: Any, sim: Any) -> None:
    with listening(App(official.credentials)) as app:
        for status in (302, 403, 500):
            app.answers.append(status)
            with pytest.raises(RuntimeError, match=f"it answered HTTP {status}"):
                sim.set_callback(official.corp, app.url)


@pytest.mark.parametrize("url", ["ftp://a.example/", "callbacks/", "http://127.0.0.1:1/"])
def test_url_when_it_leads_nowhere_then_refused(official: Any, sim: Any, url: str) -> None:
    with pytest.raises(RuntimeError, match="400"):
        sim.set_callback(official.corp, url)


def test_url_when_verified_then_its_query_is_kept(official: Any, app: App, sim: Any) -> None:
    sim.set_callback(official.corp, app.url + "?tenant=1")
    people(sim, official.corp, official.employees()[0], 1)
    sim.wait_for_callbacks()
    assert app.told[0]["query"]["tenant"] == "1"


def test_callback_when_refused_three_times_then_tried_a_fourth_time(
    official: Any, app: App, sim: Any
) -> None:
    app.answers.extend([500, 302, 403])
    people(sim, official.corp, official.employees()[0], 1)
    [told] = sim.wait_for_callbacks()
    assert [each["status"] for each in told["tries"]] == [500, 302, 403, 200]
    assert told["state"] == "delivered"
    assert len({each["xml"] for each in app.told}) == 1
    assert len({each["outer"]["Encrypt"] for each in app.told}) == 4
    assert len({each["query"]["nonce"] for each in app.told}) == 4


def test_callback_when_refused_four_times_then_given_up(official: Any, app: App, sim: Any) -> None:
    app.answers.extend([500] * 4)
    userid = official.employees()[0]
    people(sim, official.corp, userid, 1)
    [told] = sim.wait_for_callbacks()
    assert (told["state"], [each["status"] for each in told["tries"]]) == ("failed", [500] * 4)
    sim.change(official.corp, "unfollow", external_userid="wmP0", userid=userid)
    assert sim.wait_for_callbacks()[-1]["state"] == "delivered"


def test_callback_when_answered_too_late_then_tried_again(official: Any, app: App, sim: Any) -> None:
    sim.settings(callback_timeout=0.1, callback_retries=1)
    app.pause = 0.3
    people(sim, official.corp, official.employees()[0], 1)
    [told] = sim.wait_for_callbacks()
    assert told["state"] == "failed"
    assert [each["status"] for each in told["tries"]] == [0, 0]


def test_change_when_the_app_is_slow_then_does_not_wait(official: Any, app: App, sim: Any) -> None:
    userid = official.employees()[0]
    app.pause = 1.0
    started = time.monotonic()
    people(sim, official.corp, userid, 3)
    assert time.monotonic() - started < 0.9
    assert sim.get("/_sim/callbacks/")["waiting"] == 3
    assert len(sim.wait_for_callbacks()) == 3


def test_clock_when_moved_then_calls_are_signed_with_the_real_time(official: Any, app: App, sim: Any) -> None:
    userid = official.employees()[0]
    before = sim.get("/_sim/clock/")["now"]
    sim.advance(86_400)
    people(sim, official.corp, userid, 1)
    sim.wait_for_callbacks()
    assert abs(int(app.told[0]["query"]["timestamp"]) - time.time()) < 10
    assert int(app.told[0]["fields"]["CreateTime"]) >= int(before) + 86_400


def unlucky(official: Any, app: App, sim: Any, **luck: Any) -> list[str]:
    """Whom the app heard of, in order, of twenty after a fresh start."""
    sim.reset()
    sim.settings(callback_retry_pause=0.01, **luck)
    official.token = official.fetch_token()
    sim.set_callback(official.corp, app.url)
    app.told.clear()
    people(sim, official.corp, official.employees()[0], 20)
    sim.wait_for_callbacks()
    return heard(app)


EVERYBODY = [f"wmP{each}" for each in range(20)]


def test_loss_when_ordered_then_the_same_share_again_with_the_same_seed(
    official: Any, app: App, sim: Any
) -> None:
    first = unlucky(official, app, sim, callback_loss=0.4)
    assert 3 < len(first) < 18
    assert first == [each for each in EVERYBODY if each in first]
    lost = [each["fields"]["ExternalUserID"] for each in sim.callbacks() if each["state"] == "lost"]
    assert sorted(first + lost) == sorted(EVERYBODY)
    assert unlucky(official, app, sim, callback_loss=0.4) == first
    assert unlucky(official, app, sim, callback_loss=0.4, callback_seed=2) != first


def test_doubles_when_ordered_then_the_same_event_twice(official: Any, app: App, sim: Any) -> None:
    first = unlucky(official, app, sim, callback_double=0.4)
    assert 22 < len(first) < 38
    assert sorted(set(first)) == sorted(EVERYBODY)
    copies = [each for each in sim.callbacks() if each["copy_of"]]
    assert len(copies) == len(first) - 20
    assert len({each["xml"] for each in app.told}) == 20
    assert unlucky(official, app, sim, callback_double=0.4) == first


def test_reorder_when_ordered_then_some_are_overtaken(official: Any, app: App, sim: Any) -> None:
    first = unlucky(official, app, sim, callback_reorder=0.4)
    assert sorted(first) == sorted(EVERYBODY)
    assert first != EVERYBODY
    assert unlucky(official, app, sim, callback_reorder=0.4) == first


def test_delay_when_ordered_then_told_later(official: Any, app: App, sim: Any) -> None:
    sim.settings(callback_delay=1.0)
    people(sim, official.corp, official.employees()[0], 1)
    time.sleep(0.1)
    assert app.told == []
    sim.wait_for_callbacks()
    assert len(app.told) == 1


def test_callbacks_when_forgotten_then_nothing_is_told_any_more(official: Any, app: App, sim: Any) -> None:
    sim.settings(callback_delay=0.5)
    people(sim, official.corp, official.employees()[0], 1)
    sim.delete("/_sim/callbacks/")
    sim.change(official.corp, "add_contact", follow_user=[official.employees()[0]])
    time.sleep(0.7)
    assert app.told == []
    assert sim.get("/_sim/callbacks/") == {"waiting": 0, "callbacks": [], "urls": {}}


def test_corps_when_one_has_a_url_then_the_other_is_not_told(
    official: Any, direct: Any, app: App, sim: Any
) -> None:
    people(sim, direct.corp, direct.employees()[0], 1)
    people(sim, official.corp, official.employees()[0], 1)
    sim.wait_for_callbacks()
    assert [each["fields"]["ToUserName"] for each in app.told] == [official.corp]


def test_url_when_the_simulator_restarts_then_kept(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with running(contacts=6, employees=3, state=state) as sim:
        corp = sim.corp("official")
        with listening(App(corp)) as app:
            sim.set_callback(corp["corp"], app.url)
    with running(contacts=6, employees=3, state=state) as sim:
        assert sim.get("/_sim/callbacks/")["urls"][corp["corp"]]["url"] == app.url
