"""follow-users/: the assignments, their filters, and planning the follow-up (contract C3)."""

import pytest
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from contacts.models import FollowUser
from crm.models import Event
from tests import factories
from tests.api.conftest import Caller, Cast, pointers


def followers(caller: Caller, query: str) -> list[str]:
    answer = caller.get(f"follow-users/?{query}")
    assert answer.status_code == 200, answer.content
    return [row["userid"] for row in answer.json()["results"]]


def test_a_follow_user_on_its_own_names_its_contact(cast: Cast, sun: Caller) -> None:
    told = sun.get(f"follow-users/{cast.follows['lin'].pk}/").json()
    assert (told["contact"], told["external_userid"]) == (cast.contacts["lin"].pk, "wm-lin")
    assert (told["corp"], told["userid"], told["stage"]) == ("ww-south", "lin", "new")


def test_the_followers_of_a_contact_include_colleagues_out_of_reach(cast: Cast, lin: Caller) -> None:
    factories.follow(cast.contacts["lin"], cast.employees["qian"])
    told = lin.get(f"contacts/{cast.contacts['lin'].pk}/follow-users/").json()["results"]
    assert [follow["userid"] for follow in told] == ["qian", "lin"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ["qian", "wang", "lin"]),
        ("employee=lin", ["lin"]),
        ("stage=new", ["qian", "wang", "lin"]),
        ("stage=won", []),
        ("ended=true", ["wang"]),
        ("ended=false", ["qian", "lin"]),
        ("due_before=2026-06-01", ["lin"]),
        ("due_before=2026-01-01", []),
        ("silent_days=30", ["qian", "wang", "lin"]),
    ],
)
def test_a_filter_selects_what_it_says(cast: Cast, sun: Caller, query: str, expected: list[str]) -> None:
    FollowUser.objects.filter(employee=cast.employees["wang"]).update(ended_at=timezone.now())
    due = parse_datetime("2026-03-01T09:00:00+08:00")
    FollowUser.objects.filter(employee=cast.employees["lin"]).update(next_follow_up_at=due)
    assert followers(sun, query) == expected


def test_ended_takes_true_or_false_only(sun: Caller) -> None:
    assert pointers(sun.get("follow-users/?ended=maybe")) == {"/ended": "invalid"}


def test_planning_a_follow_up_writes_the_row_the_history_and_the_change_of_the_contact(
    cast: Cast, lin: Caller
) -> None:
    before = cast.contacts["lin"].updated_at
    body = {"stage": "interested", "next_follow_up_at": "2026-12-01T09:00:00+08:00"}
    answer = lin.patch(f"follow-users/{cast.follows['lin'].pk}/", body)
    assert answer.status_code == 200, answer.content
    assert answer.json()["stage"] == "interested"
    assert parse_datetime(answer.json()["next_follow_up_at"]) == parse_datetime(body["next_follow_up_at"])
    event = Event.objects.get()
    assert (event.verb, event.contact_id) == ("follow.updated", cast.contacts["lin"].pk)
    assert event.changes["stage"] == ["new", "interested"]
    cast.contacts["lin"].refresh_from_db()
    assert cast.contacts["lin"].updated_at > before


def test_a_follow_up_can_be_cleared_and_an_unchanged_patch_writes_no_history(cast: Cast, lin: Caller) -> None:
    path = f"follow-users/{cast.follows['lin'].pk}/"
    lin.patch(path, {"next_follow_up_at": "2026-12-01T09:00:00+08:00"})
    assert lin.patch(path, {"next_follow_up_at": None}).json()["next_follow_up_at"] is None
    number = Event.objects.count()
    assert lin.patch(path, {"next_follow_up_at": None, "stage": "new"}).status_code == 200
    assert Event.objects.count() == number


def test_mirrored_and_unknown_fields_are_refused_by_name(cast: Cast, lin: Caller) -> None:
    answer = lin.patch(
        f"follow-users/{cast.follows['lin'].pk}/", {"remark": "x", "stag": "won", "stage": "bad"}
    )
    assert pointers(answer) == {"/remark": "read_only", "/stag": "unknown_field", "/stage": "invalid_choice"}


def test_a_colleagues_relation_can_be_seen_but_not_planned(cast: Cast, lin: Caller) -> None:
    theirs = factories.follow(cast.contacts["lin"], cast.employees["wang"])
    path = f"follow-users/{theirs.pk}/"
    assert lin.get(path).status_code == 200
    assert lin.patch(path, {"stage": "won"}).json()["code"] == "forbidden"
    assert cast.caller("zhao").patch(path, {"stage": "won"}).status_code == 200


def test_a_past_relation_cannot_be_planned(cast: Cast, sun: Caller) -> None:
    FollowUser.objects.filter(pk=cast.follows["lin"].pk).update(ended_at=timezone.now())
    answer = sun.patch(f"follow-users/{cast.follows['lin'].pk}/", {"stage": "won"})
    assert (answer.status_code, answer.json()["code"]) == (409, "ended")


def test_when_a_follow_ends_the_contact_leaves_the_reach_at_once(cast: Cast, lin: Caller) -> None:
    path = f"contacts/{cast.contacts['lin'].pk}/"
    assert lin.get(path).status_code == 200
    FollowUser.objects.filter(pk=cast.follows["lin"].pk).update(ended_at=timezone.now())
    assert lin.get(path).status_code == 404
    assert lin.get("contacts/").json()["results"] == []
