"""contacts/ and what hangs under one contact: shapes, filters, masking (contract C2, C14)."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from contacts.models import Contact, FollowUser
from crm import events
from tests import factories
from tests.api.conftest import Caller, Cast, pointers

CONTACT = set(
    "id corp external_userid name nickname avatar type gender position corp_name corp_full_name unionid state "
    "follow_users created_at updated_at seq".split()
)
FOLLOW_USER = set(
    "id userid name remark description createtime add_way state tags remark_corp_name remark_mobiles stage "
    "next_follow_up_at last_follow_up_at ended_at absent_since".split()
)


def found(caller: Caller, query: str) -> set[str]:
    """The external_userids that contacts/ answers, each without its `wm-`."""
    answer = caller.get(f"contacts/?{query}")
    assert answer.status_code == 200, answer.content
    return {row["external_userid"].removeprefix("wm-") for row in answer.json()["results"]}


def test_a_contact_has_the_promised_keys(cast: Cast, sun: Caller) -> None:
    told = sun.get(f"contacts/{cast.contacts['lin'].pk}/").json()
    assert set(told) >= CONTACT
    assert set(told["follow_users"][0]) >= FOLLOW_USER
    assert (told["corp"], told["state"]) == ("ww-south", "active")
    assert parse_datetime(told["created_at"]).utcoffset() is not None


def test_a_follow_user_tells_time_in_seconds_and_tags_with_their_names(cast: Cast, sun: Caller) -> None:
    (follow,) = sun.get(f"contacts/{cast.contacts['lin'].pk}/").json()["follow_users"]
    assert follow["createtime"] == 1_700_000_000
    assert follow["tags"] == [
        {"id": "et1", "name": "VIP", "group": "Level", "type": 1},
        {"id": None, "name": "golf", "group": "", "type": 2},
    ]


def test_a_tag_the_provider_has_not_named_yet_is_shown_by_its_id(cast: Cast, sun: Caller) -> None:
    FollowUser.objects.update(tag_ids=["et9"], personal_tags=[])
    (follow,) = sun.get(f"contacts/{cast.contacts['lin'].pk}/").json()["follow_users"]
    assert follow["tags"] == [{"id": "et9", "name": "", "group": "", "type": 1}]


def test_a_phone_is_masked_unless_the_key_may_see_it(cast: Cast) -> None:
    path = f"contacts/{cast.contacts['lin'].pk}/"

    def phones(who: str, *scopes: str) -> list[str]:
        return cast.caller(who, *scopes).get(path).json()["follow_users"][0]["remark_mobiles"]

    assert phones("lin", "contacts:read") == ["139****0042"]
    assert phones("lin", "contacts:read", "contacts:pii") == ["13900000042"]
    assert phones("shen", "contacts:read", "contacts:pii") == ["139****0042"]


def test_a_short_phone_is_all_stars(cast: Cast) -> None:
    FollowUser.objects.update(remark_mobiles=["1234567"])
    follow = cast.caller("lin", "contacts:read").get(f"follow-users/{cast.follows['lin'].pk}/").json()
    assert follow["remark_mobiles"] == ["*******"]


def test_a_unionid_is_masked_unless_the_key_may_see_it(cast: Cast) -> None:
    Contact.objects.update(unionid="oUnion1234567890")
    path = f"contacts/{cast.contacts['lin'].pk}/"
    assert cast.caller("lin", "contacts:read").get(path).json()["unionid"] == "oUn****7890"
    assert cast.caller("lin").get(path).json()["unionid"] == "oUnion1234567890"


def test_a_history_holding_a_clear_unionid_or_a_profile_tells_neither(cast: Cast, sun: Caller) -> None:
    contact = cast.contacts["lin"]
    profile = {"external_corp_name": "secret mill"}
    changes = {
        "unionid": ["", "oUNIONID-secret-1"],
        "external_profile": [{}, profile],
        "name": ["Old", "New"],
    }
    line = events.event(
        "contact.updated", "contact", contact.pk, actor="sync:1", contact_id=contact.pk, changes=changes
    )
    events.record([line])
    shown = {"unionid": ["", "oUN****et-1"], "external_profile": None, "name": ["Old", "New"]}
    assert sun.get("events/").json()["results"][-1]["changes"] == shown
    assert cast.caller("lin").get(f"contacts/{contact.pk}/timeline/").json()["results"][0]["changes"] == shown


def test_an_auditor_reads_neither_remark_nor_description(cast: Cast, sun: Caller) -> None:
    path = f"contacts/{cast.contacts['lin'].pk}/"
    (follow,) = cast.caller("shen").get(path).json()["follow_users"]
    assert (follow["remark"], follow["description"]) == (None, None)
    (follow,) = sun.get(path).json()["follow_users"]
    assert (follow["remark"], follow["description"]) == ("met by lin", "likes tea")


def test_an_auditor_does_not_read_a_remark_in_the_timeline_either(cast: Cast, sun: Caller) -> None:
    contact = cast.contacts["lin"]
    changes = {"remark": ["old", "new"], "stage": ["new", "won"]}
    line = events.event(
        "follow.updated", "follow_user", 1, actor="sync:1", contact_id=contact.pk, changes=changes
    )
    events.record([line])
    path = f"contacts/{contact.pk}/timeline/"
    assert sun.get(path).json()["results"][0]["changes"] == changes
    assert cast.caller("shen").get(path).json()["results"][0]["changes"] == {
        "remark": None,
        "stage": ["new", "won"],
    }


def test_ended_follow_users_stand_behind_current_ones(cast: Cast, sun: Caller) -> None:
    factories.follow(cast.contacts["lin"], cast.employees["wang"])
    FollowUser.objects.filter(employee=cast.employees["lin"]).update(ended_at=timezone.now())
    told = sun.get(f"contacts/{cast.contacts['lin'].pk}/").json()["follow_users"]
    assert [follow["userid"] for follow in told] == ["wang", "lin"]
    assert [follow["ended_at"] is None for follow in told] == [True, False]


def test_seq_is_the_last_event_that_concerns_the_contact(cast: Cast, sun: Caller) -> None:
    path = f"contacts/{cast.contacts['lin'].pk}/"
    assert sun.get(path).json()["seq"] == 0
    lines = [
        events.event(verb, "contact", 1, actor="sync:1", contact_id=cast.contacts["lin"].pk)
        for verb in ("contact.created", "contact.updated")
    ]
    events.record(lines)
    last = sun.get(f"contacts/{cast.contacts['lin'].pk}/timeline/").json()["results"][0]["seq"]
    assert sun.get(path).json()["seq"] == last > 0


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"lin", "wang", "qian"}),
        ("corp=ww-south", {"lin", "wang", "qian"}),
        ("corp=ww-other", set()),
        ("employee=lin", {"lin"}),
        ("employee=lin&employee=wang", {"lin", "wang"}),
        ("employee=lin&stage=won", set()),
        ("stage=new&corp=ww-south", {"lin", "wang", "qian"}),
        ("tag=et1", {"lin", "wang", "qian"}),
        ("tag=et1&tag=et2", set()),
        ("type=1", {"lin", "wang", "qian"}),
        ("type=2", set()),
        ("state=active", {"lin", "wang", "qian"}),
        ("state=lost&state=failed", set()),
        ("external_userid=wm-qian", {"qian"}),
        ("q=of%20WANG", {"wang"}),
        ("q=wm-q", {"qian"}),
        ("q=13900000042", set()),
        ("q=tea", set()),
        ("created_after=2100-01-01", set()),
        ("updated_since=2020-01-01T00:00:00%2B08:00", {"lin", "wang", "qian"}),
        ("updated_since=2020-01-01T00:00:00+08:00", {"lin", "wang", "qian"}),
        ("silent_days=30", {"lin", "wang", "qian"}),
    ],
)
def test_a_filter_selects_what_it_says(sun: Caller, query: str, expected: set[str]) -> None:
    assert found(sun, query) == expected


def test_silent_days_counts_from_the_last_follow_up_or_from_the_first_day(cast: Cast, sun: Caller) -> None:
    now = timezone.now()
    rows = FollowUser.objects
    rows.filter(employee=cast.employees["lin"]).update(last_follow_up_at=now - timedelta(days=3))
    rows.filter(employee=cast.employees["wang"]).update(createtime=int(now.timestamp()) - 3600)
    assert found(sun, "silent_days=7") == {"qian"}
    assert found(sun, "silent_days=2") == {"lin", "qian"}
    assert found(sun, "silent_days=0") == {"lin", "wang", "qian"}


def test_filters_of_the_follower_look_at_current_followers_only(cast: Cast, sun: Caller) -> None:
    FollowUser.objects.filter(employee=cast.employees["lin"]).update(ended_at=timezone.now())
    assert found(sun, "employee=lin") == set()
    assert found(sun, "tag=et1") == {"wang", "qian"}


def test_updated_since_includes_the_moment_itself(cast: Cast, sun: Caller) -> None:
    contact = cast.contacts["qian"]
    Contact.objects.exclude(pk=contact.pk).update(updated_at=contact.updated_at - timedelta(seconds=1))
    stamp = sun.get(f"contacts/{contact.pk}/").json()["updated_at"].replace("+", "%2B")
    assert found(sun, f"updated_since={stamp}") == {"qian"}


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("state=alive", "/state", "invalid_choice"),
        ("stage=x", "/stage", "invalid_choice"),
        ("type=x", "/type", "invalid"),
        ("type=99999999999999999999", "/type", "max_value"),
        ("silent_days=-1", "/silent_days", "min_value"),
        ("silent_days=1&silent_days=2", "/silent_days", "repeated_parameter"),
        ("created_after=yesterday", "/created_after", "invalid"),
        ("updated_since=2026-13-01", "/updated_since", "invalid"),
        ("created_after=0001-01-01", "/created_after", "invalid"),  # before the calendar begins, in UTC
        ("updated_since=9999-12-31T23:59:59-14:00", "/updated_since", "invalid"),
        ("q=%00", "/q", "null_characters_not_allowed"),
        ("corp=%00", "/corp", "invalid"),
        ("limit=201", "/limit", "out_of_range"),
        ("limit=0", "/limit", "out_of_range"),
        ("limit=x", "/limit", "out_of_range"),
        ("ordering=name", "/ordering", "invalid_choice"),
        ("cursor=x", "/cursor", "invalid"),
    ],
)
def test_a_value_that_cannot_be_read_is_400_and_named(
    sun: Caller, query: str, pointer: str, code: str
) -> None:
    answer = sun.get(f"contacts/?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "validation_error")
    assert pointers(answer) == {pointer: code}


def test_an_unknown_parameter_is_400_with_what_may_have_been_meant(sun: Caller) -> None:
    answer = sun.get("contacts/?sate=lost&remark_mobiles=139")
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_parameter")
    assert pointers(answer) == {"/sate": "unknown_parameter", "/remark_mobiles": "unknown_parameter"}
    assert "did you mean state" in answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize("field", ["remark_mobiles", "phone", "unionid", "raw"])
def test_masked_fields_can_be_neither_filtered_nor_ordered_by(sun: Caller, field: str) -> None:
    for query in (f"{field}=13900000042", f"ordering={field}", f"follow_users__{field}=1"):
        assert sun.get(f"contacts/?{query}").status_code == 400
        assert sun.get(f"follow-users/?{query}").status_code == 400


def test_a_mirrored_field_cannot_be_patched_and_is_named(cast: Cast, sun: Caller) -> None:
    path = f"contacts/{cast.contacts['lin'].pk}/"
    answer = sun.patch(path, {"name": "x", "nonsense": 1})
    assert answer.status_code == 400
    assert pointers(answer) == {"/name": "read_only", "/nonsense": "unknown_field"}
    cast.contacts["lin"].refresh_from_db()
    assert cast.contacts["lin"].name == "Customer of lin"


def test_the_timeline_is_newest_first_and_belongs_to_one_contact(cast: Cast, sun: Caller) -> None:
    def line(name: str, verb: str) -> Any:
        return events.event(verb, "contact", 1, actor="sync:1", contact_id=cast.contacts[name].pk)

    events.record(
        [line("lin", "contact.created"), line("wang", "contact.created"), line("lin", "contact.lost")]
    )
    told = sun.get(f"contacts/{cast.contacts['lin'].pk}/timeline/").json()["results"]
    assert [event["verb"] for event in told] == ["contact.lost", "contact.created"]
    assert set(told[0]) >= {"seq", "at", "verb", "subject_type", "subject_id", "actor", "changes"}


def test_opted_out_is_ours_to_set_and_to_take_back(cast: Cast, lin: Caller) -> None:
    path = f"contacts/{cast.contacts['lin'].pk}/"
    assert lin.patch(path, {"opted_out": True}).json()["opted_out_at"]
    assert lin.patch(path, {}).json()["opted_out_at"]
    assert lin.patch(path, {"opted_out": False}).json()["opted_out_at"] is None
    assert pointers(lin.patch(path, {"opted_out": "perhaps"})) == {"/opted_out": "invalid"}
