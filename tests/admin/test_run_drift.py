"""What a run found: missing, extra and changed, before a person decides about a held one."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from contacts import sync
from contacts.models import Contact, FollowUser, SyncRun
from crm import events
from crm.models import Corp
from crm.simulator.server import Simulator
from tests import factories
from tests.admin.conftest import Browser, Cast


def held_run(cast: Cast, **fields: Any) -> SyncRun:
    now = timezone.now()
    told = {
        "trigger": "schedule",
        "state": "held",
        "started_at": now - timedelta(seconds=9),
        "finished_at": now,
    }
    return SyncRun.objects.create(corp=cast.corp, **{**told, **fields})


def absent(run: SyncRun, *follows: FollowUser) -> None:
    for follow in follows:
        follow.absent_since, follow.absent_run = timezone.now(), run
        follow.save()


def started(run: SyncRun, follow: FollowUser, verb: str = "follow.started") -> None:
    tell(run, verb, follow, {"userid": [None, follow.employee.userid]})


def tell(run: SyncRun, verb: str, row: FollowUser | Contact, changes: dict[str, Any]) -> None:
    """What the mirror writes when a run found it: the event, and the time on the contact."""
    is_follow = isinstance(row, FollowUser)
    contact_id = row.contact_id if is_follow else row.pk
    about: dict[str, Any] = {"actor": f"sync:{run.pk}", "corp_id": run.corp_id, "contact_id": contact_id}
    subject = "follow_user" if is_follow else "contact"
    events.record([events.event(verb, subject, row.pk, changes=changes, **about)])
    Contact.objects.filter(pk=contact_id).update(updated_at=timezone.now())


def groups(browser: Browser, path: str) -> dict[str, str]:
    """{key of a group: what one reads in it}."""
    html = browser.get(path).content.decode()
    found = re.findall(r'<section[^>]* id="(\w+)">(.*?)</section>', html, re.S)
    return {key: " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split()) for key, text in found}


def confirm_page(run: SyncRun, query: str = "") -> str:
    return f"contacts/syncrun/{run.pk}/confirm/{query}"


def test_confirm_page_shows_three_groups_with_counts_per_employee(cast: Cast, sun: Browser) -> None:
    run = held_run(cast)
    absent(run, cast.follows["lin"], cast.follows["wang"])
    fresh = [
        factories.follow(factories.contact(cast.corp, name=f"New {n}"), cast.employees["qian"])
        for n in range(2)
    ]
    for follow in fresh:
        started(run, follow)
    tell(run, "follow.updated", cast.follows["qian"], {"remark": ["old mill", "new mill"]})
    tell(run, "contact.updated", cast.contacts["wang"], {"corp_name": ["South Mill", "North Mill"]})
    told = groups(sun, confirm_page(run))
    assert list(told) == ["extra", "missing", "changed"]
    assert "at the provider 2 They end when the removals are confirmed" in told["extra"]
    assert "lin · 1" in told["extra"]
    assert "Customer of wang" in told["extra"]
    assert "qian · 2" in told["missing"]
    assert "New 1" in told["missing"]
    assert "new contact" in told["missing"]
    assert "remark: old mill → new mill" in told["changed"]
    assert "the contact's own data · 1" in told["changed"]
    assert "South Mill → North Mill" in told["changed"]


def test_confirm_page_counts_what_an_earlier_run_missed_and_leaves_out_what_came_later(
    cast: Cast, sun: Browser
) -> None:
    earlier, run = held_run(cast), held_run(cast)
    absent(earlier, cast.follows["lin"])
    absent(run, cast.follows["wang"])
    absent(held_run(cast, state="partial"), cast.follows["qian"])
    assert groups(sun, confirm_page(run))["extra"].startswith(
        "link_off Here, but no longer at the provider 2"
    )
    assert "2 relations would have ended" in sun.text("crm/corp/")


def test_drift_report_of_a_resumed_run_tells_what_its_forerunners_found(cast: Cast, sun: Browser) -> None:
    first = held_run(cast, state="interrupted")
    second = held_run(cast, state="interrupted", resumes=first)
    other, run = held_run(cast, state="complete"), held_run(cast, resumes=second)
    for each, name in ((first, "lin"), (second, "wang"), (other, "qian")):
        tell(each, "follow.updated", cast.follows[name], {"remark": ["", f"told by {name}"]})
    changed = groups(sun, confirm_page(run))["changed"]
    assert [name for name in ("lin", "wang", "qian") if f"told by {name}" in changed] == ["lin", "wang"]


def test_drift_report_hides_free_text_from_an_auditor(cast: Cast) -> None:
    run = held_run(cast)
    tell(run, "follow.updated", cast.follows["lin"], {"remark": ["canary old", "canary new"]})
    tell(run, "follow.updated", cast.follows["wang"], {"remark_mobiles": [[], ["139****0042"]]})
    changed = groups(cast.browser("shen"), f"contacts/syncrun/{run.pk}/found/")["changed"]
    assert "canary" not in changed
    assert "•••" in changed
    assert "139****0042" in changed


def test_drift_report_stays_within_the_reach_of_a_manager(cast: Cast, sun: Browser) -> None:
    run = held_run(cast)
    absent(run, cast.follows["lin"], cast.follows["qian"])
    tell(run, "follow.updated", cast.follows["lin"], {"remark": ["a", "b"]})
    tell(run, "follow.updated", cast.follows["qian"], {"remark": ["c", "d"]})
    path = f"contacts/syncrun/{run.pk}/found/"
    seen = " ".join(groups(cast.browser("zhao"), path).values())
    assert ("Customer of lin" in seen, "Customer of qian" in seen) == (True, False)
    assert "within your reach" in cast.browser("zhao").text(path)
    assert "Customer of qian" in " ".join(groups(sun, path).values())
    assert cast.browser("lin").get(path).status_code == 404


def test_drift_report_only_looks(cast: Cast, sun: Browser) -> None:
    run = held_run(cast)
    path = f"contacts/syncrun/{run.pk}/found/"
    assert '<form method="post" data-once>' not in sun.get(path).content.decode()
    assert sun.post(path).status_code == 405
    sun.get(confirm_page(run))
    assert SyncRun.objects.count() == 1


def test_drift_report_of_one_employee_shows_theirs_alone(cast: Cast, sun: Browser) -> None:
    run = held_run(cast)
    absent(run, cast.follows["lin"], cast.follows["qian"])
    told = groups(sun, confirm_page(run, f"?employee={cast.employees['qian'].pk}"))["extra"]
    assert ("Customer of lin" in told, "Customer of qian" in told) == (False, True)
    assert "lin · 1" in told
    assert sun.get(confirm_page(run, "?employee=nobody")).status_code == 200


def test_drift_report_shows_samples_then_all_in_as_many_queries(cast: Cast, sun: Browser) -> None:
    run = held_run(cast)
    path = confirm_page(run)
    sun.get(path)
    for name in ("lin", "wang", "qian"):
        tell(run, "follow.updated", cast.follows[name], {"tag_ids": [["et1"], []]})
        started(run, cast.follows[name])
    absent(run, *cast.follows.values())
    budget = sun.queries(path)
    for contact in cast.add_contacts(40):
        absent(run, *contact.follow_users.all())
        for follow in contact.follow_users.all():
            tell(run, "follow.updated", follow, {"tag_ids": [["et1"], []]})
            started(run, follow)
    html = sun.get(path).content.decode()
    assert html.count("<tr>") == 3 * (1 + 20)
    assert sun.queries(f"{path}?all=1") == sun.queries(path) == budget
    assert "VIP" in " ".join(groups(sun, path).values())


def test_complete_run_shows_what_it_ended_and_what_has_ended_since(cast: Cast, sun: Browser) -> None:
    run = held_run(cast, state="complete", ended=1)
    tell(run, "follow.ended", cast.follows["lin"], {"userid": ["lin", None]})
    absent(run, cast.follows["wang"])
    FollowUser.objects.filter(pk=cast.follows["wang"].pk).update(ended_at=timezone.now())
    told = groups(sun, f"contacts/syncrun/{run.pk}/found/")
    assert list(told) == ["extra", "ended"]
    assert "ended since" in told["extra"]
    assert "Customer of lin" in told["ended"]


@pytest.mark.django_db(transaction=True)
def test_drift_report_of_a_real_held_run_tells_what_happened_at_the_provider(
    corp: Corp, sim: Simulator
) -> None:
    sync.run_now(corp, trigger="command", actor="test")
    one, *others = sim.world(corp.corpid)["contacts"]
    userid = one["follow_user"][0]["userid"]
    sim.change(corp.corpid, "edit_contact", external_userid=one["external_userid"], name="Renamed Mill")
    sim.change(corp.corpid, "add_contact", name="Newly Met", follow_user=[userid])
    pairs = [(each["external_userid"], follow["userid"]) for each in others for follow in each["follow_user"]]
    for external_userid, follower in pairs[:25]:
        sim.change(corp.corpid, "unfollow", external_userid=external_userid, userid=follower)
    run = sync.run_now(corp, trigger="command", actor="test")
    assert (run.state, run.absent) == ("held", 25)
    user = factories.user()
    User.objects.filter(pk=user.pk).update(is_staff=True)
    browser = Browser()
    browser.force_login(user)
    told = groups(browser, confirm_page(run))
    assert "no longer at the provider 25 " in told["extra"]
    assert "Newly Met" in told["missing"]
    assert "→ Renamed Mill" in told["changed"]
    browser.post(confirm_page(run))
    assert SyncRun.objects.get(trigger="confirm").confirms == run
