"""contact-ways/: what is asked for, what is refused, and who sees whom."""

from typing import Any

import pytest

from contacts.models import Arrival, ContactWay
from tests import factories
from tests.api.conftest import Caller, Cast, pointers


@pytest.fixture(autouse=True)
def official(cast: Cast) -> None:
    cast.corp.dialect = "official"
    cast.corp.save()


def way(**more: Any) -> dict[str, Any]:
    return {"corp": "ww-south", "campaign": "Autumn fair", "employees": ["lin"], **more}


def test_a_new_way_is_201_pending_and_read_back(cast: Cast, lin: Caller) -> None:
    answer = lin.post("contact-ways/", way(tags=["et1"], remark="stand 4", skip_verify=False))
    assert answer.status_code == 201, answer.content
    told = answer.json()
    assert {
        name: told[name] for name in ("campaign", "remark", "state", "employees", "type", "arrivals")
    } == {
        "campaign": "Autumn fair",
        "remark": "stand 4",
        "state": "pending",
        "employees": ["lin"],
        "type": 1,
        "arrivals": 0,
    }
    assert told["tags"] == [{"id": "et1", "name": "VIP", "group": "Level", "type": 1}]
    assert told["created_by"] == "lin"
    assert lin.get(answer["Location"]).json() == told
    assert lin.get(f"{answer['Location']}qr/").status_code == 404


def test_the_same_key_makes_one_way(cast: Cast, lin: Caller) -> None:
    answers = [lin.post("contact-ways/", way(), HTTP_IDEMPOTENCY_KEY="k1") for _ in range(2)]
    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert ContactWay.objects.count() == 1


@pytest.mark.parametrize(
    ("more", "pointer"),
    [
        ({"campaign": ""}, "/campaign"),
        ({"campaign": "x" * 65}, "/campaign"),
        ({"remark": "x" * 31}, "/remark"),
        ({"employees": []}, "/employees"),
        ({"employees": ["qian"]}, "/employees/0"),
        ({"teams": [2]}, "/teams/0"),
        ({"tags": ["none"]}, "/tags/0"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"corp": "ww-unknown"}, "/corp"),
        ({"token": "x"}, "/token"),
    ],
)
def test_a_bad_field_is_400_with_its_pointer_and_writes_nothing(
    lin: Caller, more: dict[str, Any], pointer: str
) -> None:
    answer = lin.post("contact-ways/", way(**more))
    assert (answer.status_code, list(pointers(answer))) == (400, [pointer])
    assert not ContactWay.objects.exists()


def test_a_leader_names_the_team_but_not_others(cast: Cast) -> None:
    zhao = cast.caller("zhao")
    assert zhao.post("contact-ways/", way(teams=[2], employees=[])).json()["teams"] == [2]
    assert pointers(zhao.post("contact-ways/", way(employees=["qian"]))) == {"/employees/0": "not_found"}


def test_who_does_not_lead_all_behind_a_way_sees_it_and_changes_nothing(cast: Cast, lin: Caller) -> None:
    shared = factories.contact_way(cast.corp, cast.employees["lin"], cast.employees["wang"])
    assert lin.get(f"contact-ways/{shared.pk}/").status_code == 200
    assert lin.patch(f"contact-ways/{shared.pk}/", {"campaign": "x"}).status_code == 403
    assert lin.delete(f"contact-ways/{shared.pk}/").status_code == 403
    assert cast.caller("zhao").patch(f"contact-ways/{shared.pk}/", {"campaign": "x"}).status_code == 200


def test_a_deleted_way_is_kept_and_cannot_be_changed(cast: Cast, lin: Caller) -> None:
    made = factories.contact_way(cast.corp, cast.employees["lin"])
    assert lin.delete(f"contact-ways/{made.pk}/").status_code == 204
    assert lin.get(f"contact-ways/{made.pk}/").json()["state"] == "deleted"
    again = lin.delete(f"contact-ways/{made.pk}/")
    assert (again.status_code, again.json()["code"]) == (409, "ended")
    assert lin.patch(f"contact-ways/{made.pk}/", {"campaign": "x"}).status_code == 409


def test_filters_and_counts_keep_to_ones_reach(cast: Cast, lin: Caller) -> None:
    shared = factories.contact_way(cast.corp, cast.employees["lin"], cast.employees["qian"])
    hidden = factories.contact_way(
        cast.corp, cast.employees["qian"], campaign="Other", config_id="c2", state="failed"
    )
    for name in ("lin", "qian"):
        Arrival.objects.create(way=shared, follow_user=cast.follows[name])
    sun = cast.caller("sun")

    def ids(caller: Caller, path: str) -> list[int]:
        return [row["id"] for row in caller.get(path).json()["results"]]

    assert ids(lin, "contact-ways/") == [shared.pk]
    assert ids(sun, "contact-ways/?state=failed") == ids(sun, "contact-ways/?campaign=Other") == [hidden.pk]
    assert ids(sun, "contact-ways/?employee=lin") == [shared.pk]
    assert lin.get(f"contact-ways/{shared.pk}/").json()["arrivals"] == 1
    assert sun.get(f"contact-ways/{shared.pk}/").json()["arrivals"] == 2
    assert ids(lin, f"contacts/?way={shared.pk}") == [cast.contacts["lin"].pk]
    assert len(ids(sun, "contacts/?campaign=Autumn fair")) == 2
    assert ids(lin, f"contacts/?way={hidden.pk}") == []


def test_the_picture_is_a_png_that_no_browser_runs(cast: Cast, lin: Caller) -> None:
    made = factories.contact_way(cast.corp, cast.employees["lin"], campaign="秋季展会")
    answer = lin.get(f"contact-ways/{made.pk}/qr/")
    assert (answer.status_code, answer.content) == (200, factories.PNG)
    assert (answer["Content-Type"], answer["X-Content-Type-Options"]) == ("image/png", "nosniff")
    assert "attachment" in answer["Content-Disposition"]
