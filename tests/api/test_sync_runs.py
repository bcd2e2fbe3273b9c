"""sync-runs/: reports, starting, confirming (contract A7, C4)."""

from contacts.models import Quarantine, SyncRun
from crm.models import Corp
from tests import factories
from tests.api.conftest import Caller, Cast, pointers

RUN = set(
    "id corp state trigger calls pages seen new changed unchanged absent ended quarantined errors started_at "
    "finished_at seconds".split()
)


def test_a_posted_run_is_202_and_queued_until_a_worker_takes_it(cast: Cast, sun: Caller) -> None:
    answer = sun.post("sync-runs/", {"corp": "ww-south"})
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert set(told) >= RUN
    assert (told["corp"], told["state"], told["trigger"]) == ("ww-south", "queued", "api")
    assert sun.get(answer["Location"]).json() == told
    assert sun.get("sync-runs/?state=queued&corp=ww-south").json()["results"] == [told]


def test_a_second_run_is_409_already_running_and_names_the_first(cast: Cast, sun: Caller) -> None:
    first = sun.post("sync-runs/", {"corp": "ww-south"}).json()["id"]
    answer = sun.post("sync-runs/", {"corp": "ww-south"})
    assert (answer.status_code, answer.json()["code"], answer.json()["run"]) == (
        409,
        "already_running",
        first,
    )


def test_runs_of_two_employees_do_not_exclude_each_other(cast: Cast, sun: Caller) -> None:
    for userid, status in (("lin", 202), ("newcomer", 202), ("lin", 409)):
        answer = sun.post("sync-runs/", {"corp": "ww-south", "employee": userid})
        assert answer.status_code == status


def test_a_bad_body_is_400_by_field(cast: Cast, sun: Caller) -> None:
    assert pointers(sun.post("sync-runs/", {})) == {"/corp": "required"}
    assert pointers(sun.post("sync-runs/", {"corp": "ww-x"})) == {"/corp": "not_found"}
    assert pointers(sun.post("sync-runs/", {"corp": "ww-south", "full": 1})) == {"/full": "unknown_field"}


def test_a_held_run_is_confirmed_once(cast: Cast, sun: Caller) -> None:
    held = SyncRun.objects.create(corp=cast.corp, trigger="schedule", state="held")
    answer = sun.post(f"sync-runs/{held.pk}/confirm/")
    assert (answer.status_code, answer.json()["trigger"]) == (202, "confirm")
    again = sun.post(f"sync-runs/{held.pk}/confirm/")
    assert (again.status_code, again.json()["code"]) == (409, "not_held")


def test_a_run_that_is_not_held_cannot_be_confirmed(cast: Cast, sun: Caller) -> None:
    run = SyncRun.objects.create(corp=cast.corp, trigger="schedule", state="complete")
    assert sun.post(f"sync-runs/{run.pk}/confirm/").json()["code"] == "not_held"


def test_the_quarantine_of_a_run_holds_what_it_met(cast: Cast, sun: Caller) -> None:
    first, second, third = (
        SyncRun.objects.create(corp=cast.corp, trigger="schedule", state="complete") for _ in range(3)
    )
    met = {"corp": cast.corp, "userid": "lin", "reason": "no_id"}
    Quarantine.objects.create(first_run=first, run=second, key="a", position=3, **met)
    (told,) = sun.get(f"sync-runs/{second.pk}/quarantine/").json()["results"]
    assert set(told) == {"external_userid", "userid", "position", "reason", "first_seen_at", "cleared_at"}
    assert (told["userid"], told["position"], told["reason"]) == ("lin", 3, "no_id")
    assert sun.get(f"sync-runs/{third.pk}/quarantine/").json()["results"] == []


def test_a_manager_sees_the_runs_of_the_corps_of_the_led_teams(cast: Cast) -> None:
    other = Corp.objects.create(corpid="ww-north", provider="wecom", dialect="official")
    factories.agent(other, agentid="1")
    for corp in (cast.corp, other):
        SyncRun.objects.create(corp=corp, trigger="schedule", state="complete")
    seen = [run["corp"] for run in cast.caller("zhao").get("sync-runs/").json()["results"]]
    assert seen == ["ww-south"]
