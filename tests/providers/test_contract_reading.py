"""What every dialect promises about reading, against the simulator."""

from typing import Any

import pytest

from crm.providers.base import Capability, Credentials
from crm.providers.errors import (
    Absent,
    BadCredential,
    Malformed,
    ProviderError,
    RateLimited,
    Refused,
    StaleCursor,
    Unavailable,
    Unsupported,
)
from crm.providers.records import UNSET, BadItem, ContactRecord
from tests.providers.corps import Corp

LISTING = {"direct": "externalcontact/list", "official": "externalcontact/batch/get_by_user"}


def visible_relations(corp: Corp) -> set[tuple[str, str]]:
    """(external_userid, userid) of everything the app may see."""
    world = corp.world()
    visible = {each["userid"] for each in world["employees"] if each["visible"] and each["status"] == 1}
    return {
        (contact["external_userid"], follow["userid"])
        for contact in world["contacts"]
        for follow in contact["follow_user"]
        if follow["userid"] in visible
    }


def test_listing_equals_the_world(corp: Corp) -> None:
    items = corp.everything(limit=7)
    assert not [item for item in items if isinstance(item, BadItem)]
    found = {(item.external_userid, follow.userid) for item in items for follow in item.follows}  # type: ignore[union-attr]
    assert found == visible_relations(corp)


def test_listed_fields_equal_the_world(corp: Corp) -> None:
    world = {contact["external_userid"]: contact for contact in corp.world()["contacts"]}
    for item in corp.everything():
        assert isinstance(item, ContactRecord)
        truth = world[item.external_userid]
        assert (item.name, item.type) == (truth["name"], truth["type"])
        for name in ("nickname", "gender", "position", "corp_name", "avatar", "unionid"):
            assert getattr(item, name) in (UNSET, truth[name]), name
        assert item.raw


def test_official_follow_fields_equal_the_world(official: Corp) -> None:
    world = {contact["external_userid"]: contact for contact in official.world()["contacts"]}
    for item in official.everything():
        assert isinstance(item, ContactRecord)
        (follow,) = item.follows
        truth = next(f for f in world[item.external_userid]["follow_user"] if f["userid"] == follow.userid)
        for name in ("remark", "description", "createtime", "remark_corp_name", "oper_userid", "add_way"):
            assert getattr(follow, name) == truth[name], name
        assert follow.remark_mobiles == tuple(truth["remark_mobiles"])
        assert follow.tag_ids == tuple(tag["tag_id"] for tag in truth["tags"] if tag["type"] == 1)
        assert follow.personal_tags is UNSET


def test_direct_pages_with_objects_carry_the_whole_relation(direct: Corp) -> None:
    direct.sim.settings(follow_user_objects=True)
    world = {contact["external_userid"]: contact for contact in direct.world()["contacts"]}
    for item in direct.everything():
        assert isinstance(item, ContactRecord)
        for follow in item.follows:
            truth = next(
                f for f in world[item.external_userid]["follow_user"] if f["userid"] == follow.userid
            )
            assert follow.remark == truth["remark"]
            assert follow.personal_tags == tuple(t["tag_name"] for t in truth["tags"] if t["type"] == 2)


@pytest.mark.parametrize("end_style", ["empty", "absent", "null"])
def test_every_way_to_end_a_listing_ends_it(corp: Corp, end_style: str) -> None:
    corp.sim.settings(end_style=end_style)
    found = {(item.external_userid, f.userid) for item in corp.everything(limit=5) for f in item.follows}  # type: ignore[union-attr]
    assert found == visible_relations(corp)


def test_directory_names_employees_teams_and_scopes(corp: Corp) -> None:
    directory, world = corp.provider.directory(), corp.world()
    assert directory.teams_complete
    assert directory.listed_complete
    assert not directory.warnings
    assert {team.department_id for team in directory.teams} == {each["id"] for each in world["departments"]}
    names = {each["userid"]: each["name"] for each in world["employees"]}
    assert directory.listed
    for employee in directory.employees:
        assert employee.name == names[employee.userid]
    assert set(directory.listed) <= {employee.userid for employee in directory.employees}
    leaders = {team.department_id: team.leaders for team in directory.teams}
    assert leaders == {each["id"]: tuple(each["department_leader"]) for each in world["departments"]}


def test_directory_of_direct_finds_every_department(direct: Corp) -> None:
    direct.sim.change(direct.corp, "edit_department", id=77, name="New", parentid=1)
    direct.sim.change(direct.corp, "add_employee", userid="Newcomer", name="新人", department=[77])
    assert "Newcomer" in direct.provider.directory().listed


@pytest.mark.parametrize("errcode", [60011, 48002, 48009])
def test_refused_name_lookups_are_warnings(official: Corp, errcode: int) -> None:
    official.sim.fault(api="department/list", kind="errcode", errcode=errcode, times=None)
    official.sim.fault(api="user/list", kind="errcode", errcode=errcode, times=None)
    directory = official.provider.directory()
    assert directory.listed
    assert not directory.teams_complete
    assert {(warned.call, warned.errcode) for warned in directory.warnings} == {
        ("department/list", errcode),
        ("user/list", errcode),
    }


def test_direct_falls_back_to_the_root_department(direct: Corp) -> None:
    direct.sim.fault(api="department/list", kind="errcode", errcode=48002, times=None)
    direct.sim.change(direct.corp, "add_employee", userid="Rooted", name="根", department=[1])
    directory = direct.provider.directory()
    assert "Rooted" in directory.listed
    assert (directory.teams, directory.teams_complete, directory.listed_complete) == ((), False, False)
    direct.sim.clear_faults()
    direct.sim.fault(api="department/list", kind="html", times=None)
    assert not direct.provider.directory().listed_complete


def test_unreadable_employee_list_raises(corp: Corp) -> None:
    api = {"direct": "user/simplelist", "official": "externalcontact/get_follow_user_list"}[corp.dialect]
    corp.sim.fault(api=api, kind="no_list", times=None)
    with pytest.raises(Malformed) as caught:
        corp.provider.directory()
    assert caught.value.code == "no_list"


def test_an_employee_without_contacts_gives_an_empty_page(corp: Corp) -> None:
    corp.sim.change(corp.corp, "add_employee", userid="Fresh", name="新", department=[1])
    assert len(corp.provider.contact_page(["Fresh"]).items) == 0
    corp.sim.fault(api=LISTING[corp.dialect], kind="errcode", errcode=84061)
    page = corp.provider.contact_page(["Fresh"])
    assert (len(page.items), page.next_cursor) == (0, "")


def test_unknown_employee_is_absent(corp: Corp) -> None:
    with pytest.raises(Absent) as caught:
        corp.provider.contact_page(["nobody"])
    assert caught.value.errcode == 60111


def test_bad_cursor_is_stale(corp: Corp) -> None:
    userid, _ = corp.listed_contact()
    with pytest.raises(StaleCursor):
        corp.provider.contact_page([userid], cursor="tampered")
    corp.sim.fault(api=LISTING[corp.dialect], kind="errcode", errcode=40035)
    with pytest.raises(StaleCursor):
        corp.provider.contact_page([userid], cursor="c2")
    corp.sim.fault(api=LISTING[corp.dialect], kind="errcode", errcode=40035)
    with pytest.raises(Refused):
        corp.provider.contact_page([userid])


@pytest.mark.parametrize(
    ("fault", "error", "code"),
    [
        ({"kind": "html"}, Unavailable, "http_status"),
        ({"kind": "html", "status": 200}, Unavailable, "not_json"),
        ({"kind": "http_status", "status": 503}, Unavailable, "http_status"),
        ({"kind": "http_status", "status": 404}, Malformed, "http_status"),
        ({"kind": "redirect"}, Malformed, "http_status"),
        ({"kind": "empty"}, Unavailable, "not_json"),
        ({"kind": "truncated"}, Unavailable, "truncated"),
        ({"kind": "cut"}, Unavailable, "truncated"),
        ({"kind": "reset", "times": 3}, Unavailable, "network"),
        ({"kind": "timeout"}, Unavailable, "timeout"),
        ({"kind": "slow_drip", "seconds": 0.2}, Unavailable, "timeout"),
        ({"kind": "huge"}, Malformed, "truncated"),
        ({"kind": "no_list"}, Malformed, "no_list"),
        ({"kind": "fields", "fields": {"next_cursor": 5}}, Malformed, "bad_cursor"),
        ({"kind": "fields", "fields": {"next_cursor": False}}, Malformed, "bad_cursor"),
        ({"kind": "fields", "fields": {"next_cursor": {}}}, Malformed, "bad_cursor"),
        ({"kind": "fields", "fields": {"external_contact_list": "x"}}, Malformed, "no_list"),
        ({"kind": "errcode", "errcode": -1, "times": 3}, Unavailable, "errcode"),
        ({"kind": "errcode", "errcode": 45009}, RateLimited, "errcode"),
        ({"kind": "errcode", "errcode": 45033, "times": 3}, RateLimited, "errcode"),
        ({"kind": "errcode", "errcode": 48002}, BadCredential, "errcode"),
        ({"kind": "errcode", "errcode": 701008}, Refused, "errcode"),
        ({"kind": "errcode", "errcode": 123456}, Refused, "errcode"),
    ],
)
def test_each_fault_is_its_error(
    corp: Corp, fault: dict[str, Any], error: type[ProviderError], code: str
) -> None:
    userid, _ = corp.listed_contact()
    provider = corp.reopen()
    corp.sim.fault(api=LISTING[corp.dialect], **fault)
    with pytest.raises(error) as caught:
        provider.contact_page([userid])
    assert caught.value.code == code
    assert (code == "errcode") == (caught.value.errcode is not None)
    corp.sim.clear_faults()
    assert provider.contact_page([userid]).items


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "errcode", "errcode": 6000}])
def test_a_passing_fault_costs_a_retry_and_counts(corp: Corp, fault: dict[str, Any]) -> None:
    userid, _ = corp.listed_contact()
    corp.sim.fault(api=LISTING[corp.dialect], times=2, **fault)
    before = corp.provider.tally.calls
    assert corp.provider.contact_page([userid]).items
    assert corp.provider.tally.calls == before + 3


@pytest.mark.parametrize("errcode", [40014, 42001, 40001])
def test_a_refused_token_costs_one_refresh_and_one_retry(corp: Corp, errcode: int) -> None:
    userid, _ = corp.listed_contact()
    corp.sim.fault(api=LISTING[corp.dialect], kind="errcode", errcode=errcode)
    before = corp.provider.tally.calls
    assert corp.provider.contact_page([userid]).items
    assert corp.provider.tally.calls == before + 3
    corp.sim.fault(api=LISTING[corp.dialect], kind="errcode", errcode=errcode, times=2)
    with pytest.raises(BadCredential) as caught:
        corp.provider.contact_page([userid])
    assert caught.value.errcode == errcode


@pytest.mark.parametrize("op", ["revoke", "expire"])
def test_a_token_that_ended_early_is_replaced(corp: Corp, op: str) -> None:
    userid, _ = corp.listed_contact()
    corp.sim.post("/_sim/tokens/", {"corp": corp.corp, "op": op})
    before = len(corp.sim.journal(corp=corp.corp, api="gettoken"))
    assert corp.provider.contact_page([userid]).items
    assert len(corp.sim.journal(corp=corp.corp, api="gettoken")) == before + 1


def test_a_wrong_secret_is_said_once(corp: Corp) -> None:
    provider = corp.reopen(credentials=Credentials(corp.corp, "wrong-secret-canary"))
    with pytest.raises(BadCredential) as caught:
        provider.directory()
    assert caught.value.errcode == 40001
    assert caught.value.fix
    assert "canary" not in str(caught.value)
    assert provider.tally.calls == 1


def test_poison_is_quarantined_and_its_neighbours_live(corp: Corp) -> None:
    userid, external_userid = corp.listed_contact()
    before = len(corp.provider.contact_page([userid]).items)
    for item in (
        {"external_userid": "wmBad", "name": "a\0b"},
        {"external_userid": ""},
        {"name": "\ud800"},
        7,
        None,
    ):
        corp.sim.post("/_sim/poison/", {"corp": corp.corp, "userid": userid, "item": item})
    raw = '{"external_userid":"wmRaw","name":"\ud800"}'
    corp.sim.post("/_sim/poison/", {"corp": corp.corp, "userid": userid, "raw": raw})
    items = corp.provider.contact_page([userid]).items
    reasons = [item.reason for item in items if isinstance(item, BadItem)]
    assert len(items) == before + 6
    assert sorted(reasons) == [
        "no_external_userid",
        "no_external_userid",
        "not_an_object",
        "not_an_object",
        "nul: name",
        "surrogate: name",
    ]
    assert external_userid in {item.external_userid for item in items}


def test_what_is_known_comes_back_as_its_digest(corp: Corp) -> None:
    userid, _ = corp.listed_contact()
    page = corp.provider.contact_page([userid], limit=5)
    digests = [item.digest for item in page.items if isinstance(item, ContactRecord)]
    assert len(set(digests)) == len(page.items) > 1
    again = corp.provider.contact_page([userid], limit=5, known=set(digests))
    assert again.items == digests
    assert bool(again.next_cursor) == bool(page.next_cursor)
    part = corp.provider.contact_page([userid], limit=5, known={digests[1]})
    assert part.items == [page.items[0], digests[1], *page.items[2:]]


def test_what_changed_is_told_whatever_was_known(corp: Corp) -> None:
    userid, external_userid = corp.listed_contact()
    known = {item.digest for item in corp.provider.contact_page([userid]).items}  # type: ignore[union-attr]
    corp.sim.change(corp.corp, "edit_contact", external_userid=external_userid, name="新名字")
    items = corp.provider.contact_page([userid], known=known).items
    (told,) = [item for item in items if not isinstance(item, bytes)]
    assert isinstance(told, ContactRecord)
    assert (told.external_userid, told.name) == (external_userid, "新名字")


def test_known_items_beside_poison_are_digests_too(corp: Corp) -> None:
    userid, _ = corp.listed_contact()
    page = corp.provider.contact_page([userid])
    known = {item.digest for item in page.items}  # type: ignore[union-attr]
    corp.sim.post("/_sim/poison/", {"corp": corp.corp, "userid": userid, "raw": "null"})
    items = corp.provider.contact_page([userid], known=known).items
    assert [item for item in items if not isinstance(item, bytes)] == [
        BadItem(len(page.items) // 2, "not_an_object", "", userid, b"null")
    ]
    assert {item for item in items if isinstance(item, bytes)} == known


def test_several_employees_in_one_listing(official: Corp) -> None:
    listed = official.provider.directory().listed
    found, cursor = set(), ""
    while True:
        page = official.provider.contact_page(listed, cursor=cursor, limit=10)
        found |= {(i.external_userid, f.userid) for i in page.items for f in i.follows}  # type: ignore[union-attr]
        cursor = page.next_cursor
        if not cursor:
            break
    assert found == visible_relations(official)


def test_unlicensed_employees_are_named(official: Corp) -> None:
    listed = official.provider.directory().listed
    official.sim.change(official.corp, "edit_employee", userid=listed[0], licensed=False)
    assert official.provider.contact_page(listed).unlicensed == (listed[0],)
    with pytest.raises(Refused) as caught:
        official.provider.contact_page(listed[:1])
    assert caught.value.errcode == 701008


def test_a_contact_is_read_with_all_its_followers(official: Corp) -> None:
    official.sim.settings(follower_page=1)
    world = {contact["external_userid"]: contact for contact in official.world()["contacts"]}
    several = [key for key, contact in world.items() if len(contact["follow_user"]) > 1]
    record = official.provider.contact(several[0])
    assert {follow.userid for follow in record.follows} <= {
        f["userid"] for f in world[several[0]]["follow_user"]
    }
    assert len(record.follows) > 1
    assert record.follows[0].personal_tags is not UNSET
    with pytest.raises(Absent):
        official.provider.contact("wmNobody")


def test_a_looping_read_ends(official: Corp) -> None:
    _, external_userid = official.listed_contact()
    official.sim.fault(api="externalcontact/get", fields={"next_cursor": "again"}, times=None)
    official.sim.fault(api="externalcontact/get", kind="repeat_cursor", times=None)
    with pytest.raises(ProviderError):
        official.provider.contact(external_userid)
    assert len(official.sim.journal(api="externalcontact/get")) <= 3


def test_tags_equal_the_world(official: Corp) -> None:
    world = official.world()["tags"]
    found = {(tag.tag_id, tag.name, tag.group, tag.group_id) for tag in official.provider.tags()}
    assert found == {(t["id"], t["name"], g["group_name"], g["group_id"]) for g in world for t in g["tag"]}


def test_what_a_dialect_cannot_do_asks_nothing(direct: Corp) -> None:
    assert Capability.READ_CONTACT not in direct.provider.capabilities
    with pytest.raises(Unsupported):
        direct.provider.contact("wm1")
    assert direct.provider.tags() == ()
    assert direct.provider.tally.calls == 0
