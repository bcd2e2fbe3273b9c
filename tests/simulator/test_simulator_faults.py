"""Faults on order, the journal that shows them, and hostile items."""

import http.client
import itertools
import json
from contextlib import closing
from typing import Any

import pytest

LIST = "externalcontact/list"


def raw(direct: Any, *, timeout: float = 5, **body: Any) -> tuple[int, bytes]:
    """Status and bytes of a direct listing, redirects and HTTP errors unfollowed."""
    told = {"userid": direct.employees()[0], "limit": 3} | body
    host = direct.sim.url.removeprefix("http://")
    with closing(http.client.HTTPConnection(host, timeout=timeout)) as connection:
        connection.request("POST", f"/cgi-bin/{LIST}?access_token={direct.token}", json.dumps(told))
        with connection.getresponse() as answer:
            return answer.status, answer.read()


def test_errcode_when_ordered_once_then_hits_once_after_the_skipped(direct: Any, sim: Any) -> None:
    sim.fault(api=LIST, kind="errcode", errcode=-1, skip=1)
    codes = [direct.post(LIST, userid=direct.employees()[0])["errcode"] for _ in range(3)]
    assert codes == [0, -1, 0]


@pytest.mark.parametrize(
    ("order", "status", "start"),
    [
        ({"kind": "http_status", "status": 503}, 503, b""),
        ({"kind": "html"}, 502, b"<html>"),
        ({"kind": "empty"}, 200, b""),
        ({"kind": "redirect", "location": "http://example.invalid/"}, 302, b""),
    ],
)
def test_answer_when_replaced_then_status_and_body_are_as_ordered(
    direct: Any, sim: Any, order: Any, status: int, start: bytes
) -> None:
    sim.fault(api=LIST, **order)
    told_status, body = raw(direct)
    assert told_status == status
    assert body.startswith(start)
    assert start or not body


@pytest.mark.parametrize("kind", ["reset", "after", "timeout", "cut"])
def test_line_when_it_breaks_then_the_client_gets_no_whole_answer(direct: Any, sim: Any, kind: str) -> None:
    sim.fault(api=LIST, kind=kind, seconds=3)
    with pytest.raises((OSError, http.client.HTTPException)):
        raw(direct, timeout=0.5)
    assert raw(direct)[0] == 200


def test_after_when_a_message_is_sent_then_performed_though_unanswered(official: Any, sim: Any) -> None:
    sim.fault(api="message/send", kind="after")
    with pytest.raises((OSError, http.client.HTTPException)):
        official.send(official.employees()[0])
    assert len(sim.messages()) == 1
    assert sim.journal(api="message/send")[0]["status"] == 0


def test_reset_when_a_message_is_sent_then_not_performed(official: Any, sim: Any) -> None:
    sim.fault(api="message/send", kind="reset")
    with pytest.raises((OSError, http.client.HTTPException)):
        official.send(official.employees()[0])
    assert sim.messages() == []


def test_truncated_when_ordered_then_the_json_is_cut(direct: Any, sim: Any) -> None:
    sim.fault(api=LIST, kind="truncated")
    with pytest.raises(json.JSONDecodeError):
        json.loads(raw(direct)[1])


def test_no_list_when_ordered_then_the_key_is_missing(direct: Any, sim: Any) -> None:
    sim.fault(api=LIST, kind="no_list")
    page = direct.post(LIST, userid=direct.employees()[0])
    assert page["errcode"] == 0
    assert "external_contact_list" not in page


def test_bad_cursor_when_ordered_then_the_next_page_is_50100(direct: Any, sim: Any) -> None:
    sim.fault(api=LIST, kind="bad_cursor")
    userid = direct.employees()[0]
    cursor = direct.post(LIST, userid=userid, limit=2)["next_cursor"]
    assert direct.post(LIST, userid=userid, limit=2, cursor=cursor)["errcode"] == 50100


def test_repeat_cursor_when_ordered_then_the_second_page_leads_to_itself(direct: Any, sim: Any) -> None:
    sim.fault(api=LIST, kind="repeat_cursor")
    body = {"userid": direct.employees()[0], "limit": 2}
    first = direct.post(LIST, **body)["next_cursor"]
    assert direct.post(LIST, **body, cursor=first)["next_cursor"] == first
    assert direct.post(LIST, **body, cursor=first)["next_cursor"] != first


def test_loop_cursor_when_ordered_then_pages_go_round(direct: Any, sim: Any) -> None:
    sim.fault(api=LIST, kind="loop_cursor")
    body, cursor, seen = {"userid": direct.employees()[0], "limit": 2}, "", []
    for _ in range(7):
        cursor = direct.post(LIST, **body, cursor=cursor)["next_cursor"]
        seen.append(cursor)
    assert len(set(seen)) < len(seen)
    assert all(one != other for one, other in itertools.pairwise(seen))


def test_empty_page_when_ordered_then_nothing_is_lost(direct: Any, sim: Any) -> None:
    userid = direct.employees()[0]
    whole = direct.walk(LIST, userid=userid, limit=5)
    sim.fault(api=LIST, kind="empty_page", match={"cursor_page": 2})
    assert direct.walk(LIST, userid=userid, limit=5) == whole


def test_fields_when_ordered_then_merged_into_the_answer(direct: Any, sim: Any) -> None:
    sim.fault(api=LIST, fields={"next_cursor": None, "more": [1]})
    page = direct.post(LIST, userid=direct.employees()[0], limit=2)
    assert page["next_cursor"] is None
    assert page["more"] == [1]
    assert page["external_contact_list"]


def test_match_when_a_member_is_named_then_only_its_calls_are_hit(
    direct: Any, official: Any, sim: Any
) -> None:
    first, second, *_ = direct.employees()
    sim.fault(corp=direct.corp, api=LIST, kind="errcode", errcode=60011, times=None, match={"userid": second})
    assert [direct.post(LIST, userid=each)["errcode"] for each in (first, second, second)] == [
        0,
        60011,
        60011,
    ]
    sim.clear_faults()
    assert direct.post(LIST, userid=second)["errcode"] == 0


def test_slow_answers_when_ordered_then_arrive_late_but_whole(direct: Any, sim: Any) -> None:
    sim.fault(api=LIST, kind="delay", seconds=0.05)
    sim.fault(api=LIST, kind="slow_drip", seconds=0.0001)
    assert [json.loads(raw(direct)[1])["errcode"] for _ in range(2)] == [0, 0]


def test_huge_when_ordered_then_the_body_is_huge(direct: Any, sim: Any) -> None:
    sim.fault(api=LIST, kind="huge", size=3_000_000)
    assert len(raw(direct)[1]) > 3_000_000


def test_fault_when_kind_is_unknown_then_refused(sim: Any) -> None:
    with pytest.raises(RuntimeError, match="kind must be one of"):
        sim.fault(api=LIST, kind="sulk")


def test_journal_when_calls_were_made_then_tells_them_without_tokens(direct: Any, sim: Any) -> None:
    direct.post(LIST, userid="nobody")
    entry = sim.journal(api=LIST)[-1]
    assert (entry["corp"], entry["method"], entry["errcode"], entry["status"]) == (
        direct.corp,
        "POST",
        60111,
        200,
    )
    assert entry["params"] == {"access_token": "#1"}
    assert entry["body"] == {"userid": "nobody"}
    assert direct.credentials["secret"] not in json.dumps(sim.journal())
    assert sim.stats()["corps"][direct.corp][LIST] == {
        "calls": 1,
        "errcodes": {"60111": 1},
        "statuses": {"200": 1},
    }


def test_journal_when_ring_is_small_then_forgets_but_still_counts(direct: Any, sim: Any) -> None:
    sim.settings(journal_size=3)
    for _ in range(5):
        direct.get("department/list")
    assert len(sim.journal()) == 3
    assert sim.stats()["corps"][direct.corp]["department/list"]["calls"] == 5


@pytest.mark.parametrize("item", [None, 7, {"name": "a\0b\ud800"}, {"external_userid": "wm" * 400}])
def test_poison_when_on_a_page_then_served_between_good_items(direct: Any, sim: Any, item: Any) -> None:
    userid = direct.employees()[0]
    sim.post("/_sim/poison/", {"corp": direct.corp, "userid": userid, "page": 2, "item": item})
    pages = [direct.post(LIST, userid=userid, limit=3)]
    pages.append(direct.post(LIST, userid=userid, limit=3, cursor=pages[0]["next_cursor"]))
    assert [len(each["external_contact_list"]) for each in pages] == [3, 4]
    assert item in pages[1]["external_contact_list"]


def test_poison_when_a_contact_then_its_item_is_replaced_until_cleared(official: Any, sim: Any) -> None:
    contact = official.truth()["contacts"][0]["external_userid"]
    body = {"userid_list": official.employees()}
    whole = official.walk("externalcontact/batch/get_by_user", **body)
    sim.post("/_sim/poison/", {"corp": official.corp, "external_userid": contact, "raw": '{"broken":true}'})
    assert {"broken": True} in official.walk("externalcontact/batch/get_by_user", **body)
    sim.delete("/_sim/poison/")
    assert official.walk("externalcontact/batch/get_by_user", **body) == whole
