"""Sync runs at the browser: start, watch, and decide about a held one."""

import re

import pytest
from django.utils import timezone

from contacts.models import SyncPart, SyncRun
from tests.admin.conftest import Browser, Cast


def held(cast: Cast) -> SyncRun:
    now = timezone.now()
    run = SyncRun.objects.create(
        corp=cast.corp, trigger="schedule", state="held", absent=1, started_at=now, finished_at=now
    )
    cast.follows["lin"].absent_since, cast.follows["lin"].absent_run = now, run
    cast.follows["lin"].save()
    return run


def start(browser: Browser, cast: Cast) -> str:
    return str(browser.post(f"contacts/syncrun/start/{cast.corp.pk}/")["Location"])


def test_sync_now_queues_one_run_and_leads_to_its_page(cast: Cast, sun: Browser) -> None:
    run_page = start(sun, cast)
    run = SyncRun.objects.get()
    assert (run.state, run.trigger, run.actor) == ("queued", "admin", "user:sun")
    assert f"/syncrun/{run.pk}/" in run_page
    assert "data-live=" in sun.get(run_page).content.decode()


def test_sync_now_while_one_runs_leads_to_that_one(cast: Cast, sun: Browser) -> None:
    first = start(sun, cast)
    assert start(sun, cast) == first
    assert SyncRun.objects.count() == 1


def test_sync_now_is_for_administrators_and_never_a_get(cast: Cast, sun: Browser) -> None:
    path = f"contacts/syncrun/start/{cast.corp.pk}/"
    assert sun.get(path).status_code == 405
    for name in ("lin", "zhao", "shen"):
        assert cast.browser(name).post(path).status_code == 403
    assert not SyncRun.objects.exists()


def test_run_page_names_whose_listing_failed_and_why(cast: Cast, sun: Browser) -> None:
    run = SyncRun.objects.create(
        corp=cast.corp,
        trigger="admin",
        state="partial",
        listings=2,
        errors=[{"userid": "lin", "code": "errcode", "errcode": 60011, "errmsg": "no privilege", "pages": 0}],
        warnings=[
            {"userid": None, "code": "errcode", "errcode": 48009, "errmsg": "api forbidden", "pages": 0}
        ],
    )
    SyncPart.objects.create(run=run, userids=["lin"], state="failed")
    SyncPart.objects.create(run=run, userids=["wang"], state="complete", seen=7)
    page = sun.text(f"contacts/syncrun/{run.pk}/change/")
    for words in (
        "60011 no privilege",
        "no right on this employee",
        "48009 api forbidden",
        "2 of 2 listings",
        "wang",
    ):
        assert words in page


def test_live_fragment_goes_on_while_the_run_works_and_then_ends(cast: Cast, sun: Browser) -> None:
    run = SyncRun.objects.create(corp=cast.corp, trigger="admin", state="running", listings=4)
    path = f"contacts/syncrun/{run.pk}/live/"
    assert "data-live-done" not in sun.get(path).content.decode()
    SyncRun.objects.update(state="complete")
    assert "data-live-done" in sun.get(path).content.decode()


def test_held_run_stands_on_every_page_of_an_administrator_and_of_nobody_else(
    cast: Cast, sun: Browser
) -> None:
    run = held(cast)
    link = f"/admin/contacts/syncrun/{run.pk}/change/"
    for path in (
        "",
        "contacts/contact/",
        "crm/corp/",
        "messaging/message/",
        f"contacts/contact/{cast.contacts['lin'].pk}/change/",
    ):
        assert link in sun.get(path).content.decode(), path
    assert link not in cast.browser("lin").get("contacts/contact/").content.decode()


def test_held_run_leaves_the_pages_once_a_later_run_judged(cast: Cast, sun: Browser) -> None:
    run = held(cast)
    SyncRun.objects.create(corp=cast.corp, trigger="schedule", state="complete")
    assert f"/syncrun/{run.pk}/" not in sun.get("crm/corp/").content.decode()


def test_confirm_page_names_whom_it_concerns_and_its_post_queues_the_confirmation(
    cast: Cast, sun: Browser
) -> None:
    run = held(cast)
    path = f"contacts/syncrun/{run.pk}/confirm/"
    assert "Customer of lin" in sun.text(path)
    assert SyncRun.objects.count() == 1
    sun.post(path)
    confirmation = SyncRun.objects.get(trigger="confirm")
    assert (confirmation.confirms, confirmation.actor) == (run, "user:sun")
    assert f"/syncrun/{run.pk}/" not in sun.get("crm/corp/").content.decode()


def test_confirming_twice_or_what_is_not_held_is_refused_in_words(cast: Cast, sun: Browser) -> None:
    run = held(cast)
    path = f"contacts/syncrun/{run.pk}/confirm/"
    sun.post(path)
    assert "not waiting for a confirmation" in sun.post(path, follow=True).content.decode()
    assert SyncRun.objects.filter(trigger="confirm").count() == 1


def test_confirm_is_for_administrators(cast: Cast) -> None:
    run = held(cast)
    assert cast.browser("lin").post(f"contacts/syncrun/{run.pk}/confirm/").status_code == 404
    assert cast.browser("shen").post(f"contacts/syncrun/{run.pk}/confirm/").status_code == 403
    assert cast.browser("zhao").post(f"contacts/syncrun/{run.pk}/confirm/").status_code == 403


@pytest.mark.parametrize(
    ("trigger", "actor", "said"),
    [
        ("command", "command", "command line"),
        ("schedule", "schedule", "schedule"),
        ("admin", "user:sun", "sun"),
        ("api", "key:ab12", "API key ab12"),
        ("resume", "worker", "resumed after an interruption"),
    ],
)
def test_list_says_once_who_or_what_began_a_run(
    cast: Cast, sun: Browser, trigger: str, actor: str, said: str
) -> None:
    SyncRun.objects.create(corp=cast.corp, trigger=trigger, actor=actor, state="complete")
    cell = sun.get("contacts/syncrun/").content.decode().split("field-starter_cell")[1].split("</td>")[0]
    assert re.findall(r"<bdi[^>]*>([^<]*)</bdi>", cell) == [said, ""]


def test_list_says_who_confirmed_and_that_it_was_a_confirmation(cast: Cast, sun: Browser) -> None:
    SyncRun.objects.create(corp=cast.corp, trigger="confirm", actor="user:sun", state="complete")
    cell = sun.get("contacts/syncrun/").content.decode().split("field-starter_cell")[1].split("</td>")[0]
    assert re.findall(r"<bdi[^>]*>([^<]*)</bdi>", cell) == ["sun", "confirmation of removals"]


def test_unchanged_run_is_one_quiet_line(cast: Cast, sun: Browser) -> None:
    run = SyncRun.objects.create(corp=cast.corp, trigger="schedule", state="complete", seen=7, unchanged=7)
    page = sun.get(f"contacts/syncrun/{run.pk}/change/").content.decode()
    assert "Nothing has changed: 7 read" in page
    assert "rm-tally" not in page
    assert "no changes" in sun.text("contacts/syncrun/")


@pytest.mark.parametrize("state", ["failed", "partial"])
def test_run_with_trouble_says_it_above_its_counts(cast: Cast, sun: Browser, state: str) -> None:
    error = {"userid": "lin", "code": "errcode", "errcode": 60011, "errmsg": "no privilege", "pages": 0}
    run = SyncRun.objects.create(corp=cast.corp, trigger="admin", state=state, seen=7, errors=[error])
    page = sun.text(f"contacts/syncrun/{run.pk}/change/")
    said = [
        "Some employees could not" if state == "partial" else "Nothing could be read",
        "no right on this employee",
    ]
    said += ["unchanged", "60011 no privilege"]  # the provider's words stand beside the employee
    assert sorted(said, key=page.index) == said
    assert "no right on this employee" in sun.text("contacts/syncrun/")
