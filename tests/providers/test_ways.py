"""Contact ways as a client speaks of them, and the pictures that come with them."""

import time
from typing import Any

import pytest

from crm.providers.base import Capability
from crm.providers.errors import Absent, BadCredential, Malformed, ProviderError, Refused, Unsupported
from crm.providers.pictures import fetch_picture
from crm.providers.records import NewContactWay
from tests.providers.corps import QUICK, Corp


def staff(official: Corp) -> list[str]:
    return [each["userid"] for each in official.world()["employees"]]


def listed(official: Corp) -> list[str]:
    return list(official.provider.contact_ways(begin=0, end=int(time.time()) + 86_400))


def test_way_when_made_then_read_listed_changed_and_deleted(official: Corp) -> None:
    first, second, *_ = staff(official)
    made = official.provider.add_contact_way(
        NewContactWay("token", users=(first, second), remark="展会", is_of_several=True)
    )
    assert made.qr_code.endswith(".png")
    told = official.provider.contact_way(made.config_id)
    assert (told.state, told.remark, told.users, told.skip_verify) == ("token", "展会", (first, second), True)
    assert listed(official) == [made.config_id]
    wanted = NewContactWay("token", users=(second,), skip_verify=False, is_of_several=True)
    official.provider.update_contact_way(made.config_id, wanted)
    told = official.provider.contact_way(made.config_id)
    assert (told.remark, told.users, told.skip_verify) == ("", (second,), False)
    official.provider.delete_contact_way(made.config_id)
    assert listed(official) == []
    for again in (
        lambda: official.provider.delete_contact_way(made.config_id),
        lambda: official.provider.contact_way(made.config_id),
        lambda: official.provider.update_contact_way(made.config_id, wanted),
    ):
        with pytest.raises(Absent):
            again()


@pytest.mark.parametrize(
    ("way", "errcode"),
    [
        (NewContactWay("t", users=("nobody",)), 40003),
        (NewContactWay("t" * 31), 40058),
        (NewContactWay("t", departments=(12345,), is_of_several=True), 60003),
    ],
)
def test_way_when_refused_then_the_errcode_says_why(official: Corp, way: NewContactWay, errcode: int) -> None:
    with pytest.raises(Refused) as caught:
        official.provider.add_contact_way(way)
    assert (caught.value.errcode, caught.value.outcome) == (errcode, "not_done")


def test_way_when_the_quota_is_used_up_then_41045(official: Corp) -> None:
    official.sim.settings(contact_way_quota=1)
    official.provider.add_contact_way(NewContactWay("a", users=(staff(official)[0],)))
    with pytest.raises(Refused) as caught:
        official.provider.add_contact_way(NewContactWay("b", users=(staff(official)[0],)))
    assert caught.value.errcode == 41045


@pytest.mark.parametrize(
    ("fault", "outcome"), [({"kind": "after"}, "unknown"), ({"fields": {"config_id": ""}}, "unknown")]
)
def test_way_when_the_answer_is_no_use_then_it_may_have_been_made_and_is_not_made_again(
    official: Corp, fault: dict[str, Any], outcome: str
) -> None:
    official.sim.fault(api="externalcontact/add_contact_way", **fault)
    with pytest.raises(ProviderError) as caught:
        official.provider.add_contact_way(NewContactWay("t", users=(staff(official)[0],)))
    assert caught.value.outcome == outcome
    assert len(listed(official)) == 1


def test_ways_when_the_list_is_missing_then_it_does_not_pass_for_an_empty_one(official: Corp) -> None:
    official.sim.fault(api="externalcontact/list_contact_way", kind="no_list")
    with pytest.raises(Malformed):
        listed(official)


def test_tags_when_marked_then_the_relation_has_them(official: Corp) -> None:
    userid, external_userid = official.listed_contact()
    tag = official.provider.tags()[0].tag_id
    official.provider.mark_tags(external_userid, userid, add=(tag,))
    [follow] = [f for f in official.provider.contact(external_userid).follows if f.userid == userid]
    assert tag in follow.tag_ids
    official.provider.mark_tags(external_userid, userid, remove=(tag,))
    [follow] = [f for f in official.provider.contact(external_userid).follows if f.userid == userid]
    assert tag not in follow.tag_ids
    with pytest.raises(Refused) as caught:
        official.provider.mark_tags(external_userid, userid, add=("none",))
    assert caught.value.errcode == 40068


def test_dialect_without_ways_says_so_and_asks_nobody(direct: Corp) -> None:
    assert not {Capability.CONTACT_WAY, Capability.MARK_TAGS} & direct.provider.capabilities
    for ask in (
        lambda: direct.provider.add_contact_way(NewContactWay("t")),
        lambda: direct.provider.update_contact_way("c", NewContactWay("t")),
        lambda: direct.provider.delete_contact_way("c"),
        lambda: direct.provider.contact_way("c"),
        lambda: direct.provider.contact_ways(begin=0, end=1),
        lambda: direct.provider.mark_tags("wm", "lin"),
    ):
        with pytest.raises(Unsupported):
            ask()
    assert direct.provider.tally.calls == 0


# --- the picture


def fetch(url: str, *, allow_private: bool = True) -> bytes:
    return fetch_picture(url, timeouts=QUICK, allow_private=allow_private)


def test_picture_when_fetched_then_its_bytes(official: Corp) -> None:
    made = official.provider.add_contact_way(NewContactWay("t", users=(staff(official)[0],)))
    assert fetch(made.qr_code).startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "url",
    ["", "ftp://img.example/qr", "javascript:alert(1)", "http://", "http://me@host/qr", "http://h:99999/"],
)
def test_picture_when_its_address_is_none_then_refused(url: str) -> None:
    with pytest.raises(Refused):
        fetch(url)


def test_picture_when_it_is_none_then_not_believed(official: Corp) -> None:
    with pytest.raises(Malformed):
        fetch(f"{official.sim.url}/_sim/")


def test_picture_when_it_lies_at_a_private_address_then_not_asked_for(official: Corp) -> None:
    with pytest.raises(BadCredential):
        fetch(f"{official.sim.url}/_sim/qr/x.png", allow_private=False)
