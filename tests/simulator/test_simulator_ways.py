"""Contact ways: documented limits, temporary ones, and people who scan them."""

import urllib.parse
import urllib.request
from typing import Any

import pytest

DAY = 86_400


def make(official: Any, **told: Any) -> str:
    """A QR code of the first member; its config_id."""
    body = {"type": 1, "scene": 2, "user": [official.employees()[0]]} | told
    answer = official.post("externalcontact/add_contact_way", **body)
    assert answer["errcode"] == 0, answer
    return str(answer["config_id"])


def read(official: Any, config_id: str) -> Any:
    return official.post("externalcontact/get_contact_way", config_id=config_id)["contact_way"]


def refusal(official: Any, **told: Any) -> int:
    body = {"type": 1, "scene": 2, "user": [official.employees()[0]]} | told
    return int(official.post("externalcontact/add_contact_way", **body)["errcode"])


def test_way_when_made_then_read_back_whole(official: Any) -> None:
    first, second, *_ = official.employees()
    told = {"remark": "展会", "state": "expo", "skip_verify": False, "user": [first, second], "party": [2]}
    way = read(official, make(official, type=2, **told))
    assert {name: way[name] for name in told} == told
    assert (way["type"], way["scene"]) == (2, 2)
    button = official.post("externalcontact/add_contact_way", type=1, scene=1, user=[first], style=2)
    assert "qr_code" not in button
    assert read(official, button["config_id"])["style"] == 2


@pytest.mark.parametrize(
    ("told", "errcode"),
    [
        ({"type": 3}, 41037),
        ({"scene": 0}, 41038),
        ({"scene": 1, "style": 9}, 41039),
        ({"remark": "长" * 31}, 40058),
        ({"state": "长" * 31}, 40058),
        ({"user": []}, 40058),
        ({"type": 2, "user": []}, 40058),
        ({"user": ["nobody"]}, 40003),
        ({"party": [2]}, 40058),
        ({"type": 2, "party": [12345]}, 60003),
        ({"skip_verify": "yes"}, 40035),
        ({"is_temp": True, "expires_in": 14 * DAY + 1}, 40058),
        ({"is_temp": True, "chat_expires_in": 0}, 40058),
        ({"is_temp": True, "scene": 1}, 40058),
        ({"is_temp": True, "type": 2}, 40058),
    ],
)
def test_way_when_beyond_a_limit_then_its_errcode(official: Any, told: Any, errcode: int) -> None:
    assert refusal(official, **told) == errcode
    assert official.post("externalcontact/list_contact_way")["contact_way"] == []


def test_way_when_at_the_limit_then_made(official: Any) -> None:
    make(official, remark="长" * 30, state="长" * 30)
    make(official, is_temp=True, expires_in=14 * DAY, chat_expires_in=14 * DAY)


def test_way_when_more_than_a_hundred_members_then_refused(official: Any, sim: Any) -> None:
    ops = [{"op": "edit_department", "id": 900, "name": "大部门", "parentid": 2}]
    ops += [{"op": "add_employee", "userid": f"m{n}", "department": [900]} for n in range(100)]
    ops += [{"op": "add_employee", "userid": "above", "department": [2]}]
    sim.post("/_sim/world/", {"corp": official.corp, "ops": ops})
    assert refusal(official, type=2, user=[], party=[900]) == 0
    assert refusal(official, type=2, party=[900]) == 41041
    assert refusal(official, type=2, user=[], party=[2]) == 41041
    assert refusal(official, type=2, user=["x"] * 101) == 41041


def test_way_when_the_member_is_not_active_then_41054(official: Any, sim: Any) -> None:
    userid = official.employees()[0]
    sim.change(official.corp, "edit_employee", userid=userid, status=4)
    assert refusal(official, user=[userid]) == 41054


def test_way_when_the_quota_is_reached_then_41045(official: Any, sim: Any) -> None:
    sim.settings(contact_way_quota=1, temp_way_quota_day=1)
    make(official)
    assert refusal(official) == 41045
    make(official, is_temp=True)
    assert refusal(official, is_temp=True) == 41045


def test_way_when_updated_then_only_the_given_changes_and_lists_are_replaced(official: Any) -> None:
    first, second, *_ = official.employees()
    config_id = make(official, type=2, user=[first], party=[2], remark="旧", state="a")
    update = {"config_id": config_id, "state": "b", "type": 1, "scene": 1}
    assert official.post("externalcontact/update_contact_way", **update)["errcode"] == 0
    way = read(official, config_id)
    assert (way["remark"], way["state"], way["type"], way["scene"], way["user"], way["party"]) == (
        "旧", "b", 2, 2, [first], [2]
    )  # fmt: skip
    official.post("externalcontact/update_contact_way", config_id=config_id, user=[second])
    assert (read(official, config_id)["user"], read(official, config_id)["party"]) == ([second], [])


def test_way_when_an_update_is_bad_then_nothing_changes(official: Any) -> None:
    config_id = make(official, state="a")
    bad = {"config_id": config_id, "state": "b", "user": ["nobody"]}
    assert official.post("externalcontact/update_contact_way", **bad)["errcode"] == 40003
    assert read(official, config_id)["state"] == "a"
    assert official.post("externalcontact/update_contact_way", config_id="none")["errcode"] == 41044


def test_way_when_temporary_then_ends_by_itself_and_is_not_listed(official: Any, sim: Any) -> None:
    config_id = make(official, is_temp=True, expires_in=600)
    assert read(official, config_id)["expires_in"] == 600
    assert official.post("externalcontact/list_contact_way")["contact_way"] == []
    sim.advance(599)
    sim.scan(config_id)
    sim.advance(2)
    assert official.post("externalcontact/get_contact_way", config_id=config_id)["errcode"] == 41044
    with pytest.raises(RuntimeError, match="has expired"):
        sim.scan(config_id)
    with urllib.request.urlopen(f"{sim.url}/_sim/scan/{config_id}/") as answer:
        assert "此码已过期" in answer.read().decode()


def test_code_when_fetched_then_a_png_of_its_own(official: Any) -> None:
    addresses = [
        official.post("externalcontact/add_contact_way", type=1, scene=2, user=official.employees()[:1])[
            "qr_code"
        ]
        for _ in range(2)
    ]
    pictures = []
    for address in addresses:
        with urllib.request.urlopen(address) as answer:
            assert answer.headers["Content-Type"] == "image/png"
            pictures.append(answer.read())
    assert pictures[0] != pictures[1]
    assert pictures[0].startswith(b"\x89PNG\r\n\x1a\n")


def test_scan_when_posted_then_a_new_customer_with_the_state(official: Any, app: Any, sim: Any) -> None:
    userid = official.employees()[0]
    made = sim.scan(make(official, state="expo"), name="林梅")
    [told] = sim.wait_for_callbacks()
    fields = told["fields"]
    assert made == {"ok": True, "external_userid": fields["ExternalUserID"], "userid": userid}
    assert (fields["ChangeType"], fields["UserID"], fields["State"]) == (
        "add_external_contact",
        userid,
        "expo",
    )
    assert fields["WelcomeCode"]
    contact = official.get("externalcontact/get", external_userid=made["external_userid"])
    assert contact["external_contact"]["name"] == "林梅"
    assert contact["follow_user"][0]["state"] == "expo"


def test_scan_when_several_members_then_by_turns(official: Any, sim: Any) -> None:
    first, second, *_ = official.employees()
    config_id = make(official, type=2, user=[first, second])
    assert [sim.scan(config_id)["userid"] for _ in range(3)] == [first, second, first]
    sim.change(official.corp, "edit_employee", userid=second, left=True)
    assert [sim.scan(config_id)["userid"] for _ in range(2)] == [first, first]


def test_scan_when_only_half_then_told_as_half(official: Any, app: Any, sim: Any) -> None:
    sim.scan(make(official, state="h"), half=True)
    [told] = sim.wait_for_callbacks()
    assert (told["change"], told["fields"]["State"]) == ("add_half_external_contact", "h")


def test_pages_when_opened_then_the_code_can_be_scanned_with_a_button(official: Any, sim: Any) -> None:
    hostile = "<script>alert(1)</script>"
    config_id = make(official, remark=hostile, state="<i>x")
    with urllib.request.urlopen(f"{sim.url}/_sim/?corp={official.corp}") as answer:
        phones = answer.read().decode()
    assert f'href="/_sim/scan/{config_id}/"' in phones
    with urllib.request.urlopen(f"{sim.url}/_sim/scan/{config_id}/") as answer:
        page = answer.read().decode()
    assert '<form method="post">' in page
    assert "<script>" not in phones + page
    assert "<i>x" not in phones + page
    form = urllib.parse.urlencode({"name": "<b>新客户"}).encode()
    with urllib.request.urlopen(f"{sim.url}/_sim/scan/{config_id}/", form) as answer:
        html = answer.read().decode()
    assert "&lt;b&gt;新客户 已添加" in html
    assert any(each["name"] == "<b>新客户" for each in official.truth()["contacts"])


def test_scan_when_unknown_then_404(sim: Any) -> None:
    with pytest.raises(RuntimeError, match="404"):
        sim.scan("none")
