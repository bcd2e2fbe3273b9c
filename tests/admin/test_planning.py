"""Stage and next date: on the contact's page, in the list of relations, and only within reach."""

import pytest
from django.utils import timezone

from contacts.models import FollowUser
from crm.models import Event
from tests.admin.conftest import Browser, Cast


def plan(browser: Browser, follow: FollowUser, **fields: str) -> int:
    form = {"stage": "won", "next_follow_up_at": "", **fields}
    return browser.post(f"contacts/contact/{follow.contact_id}/plan/{follow.pk}/", form).status_code


def test_plan_sets_stage_and_date_and_writes_one_event(cast: Cast, lin: Browser) -> None:
    follow = cast.follows["lin"]
    assert plan(lin, follow, next_follow_up_at="2030-01-02T09:30") == 302
    follow.refresh_from_db()
    assert follow.stage == "won"
    assert timezone.localtime(follow.next_follow_up_at).strftime("%Y-%m-%d %H:%M") == "2030-01-02 09:30"
    line = Event.objects.get(verb="follow.updated")
    assert line.actor == "user:lin"
    assert line.changes["stage"] == ["new", "won"]
    assert "won" in lin.text(f"contacts/contact/{follow.contact_id}/change/")


def test_plan_twice_the_same_writes_nothing_more(cast: Cast, lin: Browser) -> None:
    for _ in range(2):
        plan(lin, cast.follows["lin"])
    assert Event.objects.filter(verb="follow.updated").count() == 1


@pytest.mark.parametrize(
    ("name", "of", "status", "stage"),
    [("lin", "qian", 404, "new"), ("zhao", "wang", 302, "won"), ("shen", "lin", 302, "new")],
)
def test_plan_reaches_as_far_as_the_role(cast: Cast, name: str, of: str, status: int, stage: str) -> None:
    follow = cast.follows[of]
    assert plan(cast.browser(name), follow) == status
    follow.refresh_from_db()
    assert follow.stage == stage


def test_colleagues_relation_of_a_shared_contact_is_not_mine_to_plan(cast: Cast, lin: Browser) -> None:
    theirs = cast.contacts["lin"].follow_users.create(employee=cast.employees["wang"])
    assert plan(lin, theirs) == 302
    theirs.refresh_from_db()
    assert theirs.stage == "new"


def test_list_of_relations_saves_what_was_edited_in_it(cast: Cast, lin: Browser) -> None:
    form = {
        "form-TOTAL_FORMS": "1",
        "form-INITIAL_FORMS": "1",
        "form-0-id": str(cast.follows["lin"].pk),
        "form-0-stage": "interested",
        "form-0-next_follow_up_at": "2030-05-06T08:00",
        "_save": "Save",
    }
    assert lin.post("contacts/followuser/", form).status_code == 302
    assert FollowUser.objects.get(pk=cast.follows["lin"].pk).stage == "interested"
    assert Event.objects.get(verb="follow.updated").actor == "user:lin"


def test_auditor_finds_nothing_to_edit_in_the_list(cast: Cast) -> None:
    page = cast.browser("shen").get("contacts/followuser/").content.decode()
    assert "form-0-stage" not in page


def test_follow_page_shows_the_mirrored_fields_and_saves_the_plan(cast: Cast, lin: Browser) -> None:
    path = f"contacts/followuser/{cast.follows['lin'].pk}/change/"
    assert "met by lin" in lin.text(path)
    assert lin.post(path, {"stage": "dropped", "next_follow_up_at": ""}).status_code == 302
    assert FollowUser.objects.get(pk=cast.follows["lin"].pk).stage == "dropped"
