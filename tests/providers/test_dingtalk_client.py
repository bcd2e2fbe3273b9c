"""What the client of DingTalk promises, against the simulator and against a hostile server."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crm.providers.base import Credentials, Provider
from crm.providers.content import Text
from crm.providers.dingtalk.errcodes import TABLE, error_for, fix_for
from crm.providers.dingtalk.items import read_item
from crm.providers.errors import (
    BadCredential,
    Gone,
    Malformed,
    ProviderError,
    RateLimited,
    Refused,
    Unavailable,
    Unsupported,
)
from crm.providers.records import UNSET, BadItem, ContactRecord, NewContact
from tests.providers.corps import Corp

LIST = "topapi/extcontact/list"
SUB = "topapi/v2/department/listsub"


def every_page(provider: Provider, userids: tuple[str, ...] = (), limit: int = 100) -> list[Any]:
    items: list[Any] = []
    cursor = ""
    while True:
        page = provider.contact_page(userids, cursor=cursor, limit=limit)
        items += page.items
        cursor = page.next_cursor
        if not cursor:
            return items


def someone(dingtalk: Corp, **fields: Any) -> NewContact:
    owner = dingtalk.world()["employees"][0]["userid"]
    told = NewContact("", "林微", (owner,), mobile="+86-13900000001", tag_ids=("7001",))
    return replace(told, **fields)


def test_directory_walks_every_department_and_knows_leaders(dingtalk: Corp) -> None:
    world, told = dingtalk.world(), dingtalk.provider.directory()
    assert set(told.listed) == {each["userid"] for each in world["employees"]}
    assert {team.department_id for team in told.teams} == {each["id"] for each in world["departments"]}
    leaders = {(d["id"], userid) for d in world["departments"] for userid in d["department_leader"]}
    found = {(number, each.userid) for each in told.employees for number in each.leads or ()}
    assert (leaders <= found, told.teams_complete, told.warnings) == (True, True, ())


def test_directory_without_the_right_to_details_still_has_names(dingtalk: Corp) -> None:
    dingtalk.sim.fault(api="topapi/v2/user/list", kind="errcode", errcode=60011, times=None)
    told = dingtalk.provider.directory()
    names = {each["userid"]: each["name"] for each in dingtalk.world()["employees"]}
    assert {each.userid: each.name for each in told.employees} == names
    assert [(each.call, each.errcode) for each in told.warnings] == [("topapi/v2/user/list", 60011)]


def test_directory_with_a_department_out_of_scope_is_not_complete(dingtalk: Corp) -> None:
    dingtalk.sim.fault(api=SUB, kind="errcode", errcode=50004, match={"dept_id": 5}, times=None)
    told = dingtalk.provider.directory()
    assert (told.teams_complete, told.warnings[0].errcode) == (False, 50004)


def test_directory_when_every_department_is_refused_raises(dingtalk: Corp) -> None:
    for api in ("topapi/v2/user/list", "topapi/user/listsimple"):
        dingtalk.sim.fault(api=api, kind="errcode", errcode=50004, times=None)
    with pytest.raises(Refused, match="50004"):
        dingtalk.provider.directory()


def test_listing_tells_owner_sharers_labels_and_phone(dingtalk: Corp) -> None:
    world = {each["external_userid"]: each for each in dingtalk.world()["contacts"]}
    items = every_page(dingtalk.provider, limit=7)
    assert [each.external_userid for each in items] == list(world)
    for item in items:
        told = world[item.external_userid]
        assert (item.name, item.position, item.corp_name) == (
            told["name"],
            told["position"],
            told["corp_name"],
        )
        assert [(f.userid, f.role) for f in item.follows] == [
            (f["userid"], f["role"]) for f in told["follow_user"]
        ]
        assert item.follows[0].tag_ids == tuple(told["labels"])
        assert item.follows[0].remark_mobiles == (f"+86-{told['mobile']}",)
        assert item.follows[0].remark == told["remark"]


def test_listing_of_one_employee_tells_only_theirs(dingtalk: Corp) -> None:
    world = dingtalk.world()
    userid = world["employees"][1]["userid"]
    theirs = [
        c["external_userid"] for c in world["contacts"] if userid in {f["userid"] for f in c["follow_user"]}
    ]
    assert [item.external_userid for item in every_page(dingtalk.provider, (userid,), limit=5)] == theirs


def test_known_item_comes_back_as_its_digest(dingtalk: Corp) -> None:
    first = dingtalk.provider.contact_page(()).items
    known = {item.digest for item in first if isinstance(item, ContactRecord)}
    assert list(dingtalk.provider.contact_page((), known=known).items) == [item.digest for item in first]


def test_listing_that_never_moves_on_is_malformed(dingtalk: Corp) -> None:
    dingtalk.sim.settings(ignored_offset=True)
    with pytest.raises(Malformed) as caught:
        every_page(dingtalk.provider)
    assert caught.value.code == "cursor_repeated"


def test_listing_without_its_list_is_no_list(dingtalk: Corp) -> None:
    dingtalk.sim.fault(api=LIST, kind="no_list")
    with pytest.raises(Malformed) as caught:
        dingtalk.provider.contact_page(())
    assert caught.value.code == "no_list"


def test_single_read_tells_the_same_and_says_when_it_is_gone(dingtalk: Corp) -> None:
    (first, *_) = dingtalk.provider.contact_page((), limit=1).items
    again = dingtalk.provider.contact(first.external_userid)
    assert replace(again, raw=b"", digest=b"") == replace(first, raw=b"", digest=b"")
    with pytest.raises(Gone):
        dingtalk.provider.contact("ext0")


def test_labels_have_their_groups_name(dingtalk: Corp) -> None:
    told = {(tag.tag_id, tag.name, tag.group) for tag in dingtalk.provider.tags()}
    world = dingtalk.world()["tags"]
    assert told == {(t["id"], t["name"], group["group_name"]) for group in world for t in group["tag"]}


def test_created_contact_is_at_the_provider_whole(dingtalk: Corp) -> None:
    owner, shared, *_ = [each["userid"] for each in dingtalk.world()["employees"]]
    new = someone(dingtalk, follow_user=(owner, shared), position="采购", corp_name="东湖", remark="展会")
    made = dingtalk.provider.contact(dingtalk.provider.create_contact(new))
    assert (made.name, made.position, made.corp_name) == ("林微", "采购", "东湖")
    assert [(f.userid, f.role, f.remark) for f in made.follows] == [
        (owner, "owner", "展会"),
        (shared, "shared", "展会"),
    ]
    assert (made.follows[0].tag_ids, made.follows[0].remark_mobiles) == (("7001",), ("+86-13900000001",))


def test_creating_again_after_a_lost_answer_finds_what_was_made(dingtalk: Corp) -> None:
    dingtalk.sim.fault(api="topapi/extcontact/create", kind="after")
    with pytest.raises(Unavailable) as caught:
        dingtalk.provider.create_contact(someone(dingtalk))
    assert caught.value.outcome == "unknown"
    before = len(dingtalk.world()["contacts"])
    found = dingtalk.provider.create_contact(someone(dingtalk))
    assert dingtalk.provider.contact(found).name == "林微"
    assert len(dingtalk.world()["contacts"]) == before


def test_phone_that_somebody_else_has_is_refused(dingtalk: Corp) -> None:
    dingtalk.provider.create_contact(someone(dingtalk))
    with pytest.raises(Refused) as caught:
        dingtalk.provider.create_contact(someone(dingtalk, name="另一位"))
    assert caught.value.errcode == 22005


@pytest.mark.parametrize("how", ["revoke", "expire"])
def test_token_that_is_good_no_more_costs_one_refresh(dingtalk: Corp, how: str) -> None:
    dingtalk.provider.contact_page(())
    dingtalk.sim.post("/_sim/tokens/", {"corp": dingtalk.corp, "op": how})
    dingtalk.provider.contact_page(())
    assert len(dingtalk.sim.journal(api="gettoken")) == 2


def test_token_refused_after_its_renewal_is_a_bad_credential(dingtalk: Corp) -> None:
    dingtalk.sim.fault(api=LIST, kind="errcode", errcode=40014, times=None)
    with pytest.raises(BadCredential):
        dingtalk.provider.contact_page(())
    assert len(dingtalk.sim.journal(api=LIST)) == 2


def test_wrong_secret_is_a_bad_credential_of_gettoken(dingtalk: Corp) -> None:
    wrong = Credentials(dingtalk.corp, "wrong", "1", dingtalk.told["app_key"])
    with pytest.raises(BadCredential) as caught:
        dingtalk.reopen(credentials=wrong).contact_page(())
    assert (caught.value.errcode, caught.value.api) == (40096, "gettoken")
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("errcode", [90018, 90002])
def test_too_many_calls_in_a_second_are_made_again(dingtalk: Corp, errcode: int) -> None:
    dingtalk.sim.fault(api=LIST, kind="errcode", errcode=errcode)
    assert dingtalk.provider.contact_page(()).items


def test_banned_address_is_told_to_wait_five_minutes(dingtalk: Corp) -> None:
    dingtalk.sim.fault(api=LIST, kind="errcode", errcode=1111)
    with pytest.raises(RateLimited) as caught:
        dingtalk.provider.contact_page(())
    assert (caught.value.retry_after, caught.value.outcome) == (300, "not_done")
    before = len(dingtalk.sim.journal())
    with pytest.raises(RateLimited):  # whatever it asks next
        dingtalk.provider.tags()
    assert len(dingtalk.sim.journal()) == before


def test_missing_permission_and_address_are_named_in_the_fix(dingtalk: Corp) -> None:
    for errcode, word in ((60011, "qyapi_ext_read"), (60020, "127.0.0.1")):
        dingtalk.sim.fault(api=LIST, kind="errcode", errcode=errcode)
        with pytest.raises(BadCredential) as caught:
            dingtalk.provider.contact_page(())
        assert (caught.value.errcode, word in caught.value.fix) == (errcode, True)


@pytest.mark.parametrize(
    ("body", "errcode"),
    [
        (b'{"errcode":88,"sub_code":"33012","sub_msg":"x","errmsg":"y"}', 33012),
        (b'{"errcode":"88","errmsg":"ding talk error[subcode=50002,submsg=x]"}', 50002),
        (b'{"errcode":88,"errmsg":"no number"}', 88),
        (b'{"errcode":"60121","errmsg":"x"}', 60121),
    ],
)
def test_refusal_is_known_by_the_code_inside(
    hostile: Any, client: Callable[..., Provider], body: bytes, errcode: int
) -> None:
    hostile.answers |= {"/gettoken": hostile.answers["gettoken"], f"/{LIST}": body}
    with pytest.raises(ProviderError) as caught:
        client("dingtalk").contact_page(())
    assert caught.value.errcode == errcode


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ({"name": "x"}, "no_external_userid"),
        ({"userid": "", "name": "x"}, "no_external_userid"),
        ({"userid": True}, "no_external_userid"),
        ({"userid": "e1", "name": "x"}, "no_userid"),
        ({"userid": "e1", "name": "a\0", "follower_user_id": "u"}, "nul: name"),
        ({"userid": "e1", "name": "x" * 300, "follower_user_id": "u"}, "too_long: name 300 > 255"),
        ({"userid": "e1", "follower_user_id": "u", "label_ids": [True]}, "wrong_type: tag_id"),
        ({"userid": "e1", "follower_user_id": "u", "mobile": "1" * 70}, "too_long: mobile 70 > 64"),
        ("text", "not_an_object"),
    ],
)
def test_item_that_cannot_be_stored_says_why(told: Any, reason: str) -> None:
    item = read_item(told)
    assert isinstance(item, BadItem)
    assert item.reason == reason


def test_item_says_empty_by_leaving_out_but_for_the_phone() -> None:
    item = read_item({"userid": 7, "name": "x", "follower_user_id": "U", "share_user_ids": ["u", "V"]})
    assert isinstance(item, ContactRecord)
    assert (item.external_userid, item.position, item.corp_name) == ("7", "", "")
    assert [(f.userid, f.role) for f in item.follows] == [("U", "owner"), ("V", "shared")]
    assert (item.follows[0].remark, item.follows[0].remark_mobiles, item.follows[0].tag_ids) == (
        "",
        UNSET,
        UNSET,
    )


def test_table_of_codes_is_closed_and_refuses_by_default() -> None:
    assert isinstance(error_for(987654, "?"), Refused)
    assert all(entry.meaning for entry in TABLE.values())
    assert "{" not in "".join(fix_for(code) for code in TABLE)


def test_what_dingtalk_cannot_do_asks_nothing(dingtalk: Corp) -> None:
    provider = dingtalk.provider
    for call in (
        lambda: provider.upload_media("image", "a.png", b"x"),
        lambda: provider.body(Text("x"), to_kind="tag", to=["1"]),
        lambda: provider.body(Text("x"), to_kind="contact", to=["ext1"]),
        lambda: provider.remind("1"),
        lambda: provider.message_counts(),
    ):
        with pytest.raises(Unsupported):
            call()
    assert dingtalk.sim.journal() == []
