"""messages/preview/: what the provider still takes, and whom it may not reach."""

from typing import Any

from crm.models import Corp
from messaging.models import Delivery, Message
from tests.api.conftest import Caller, Cast, pointers, text


def to_employees(*userids: str) -> dict[str, Any]:
    return {**text(), "to": {"employees": list(userids)}}


def test_a_preview_to_employees_tells_the_apps_quota_of_today(cast: Cast, sun: Caller) -> None:
    told = sun.post("messages/preview/", to_employees("lin")).json()
    limit = 200 * cast.corp.employees.count()
    assert told["quota"] == {
        "kind": "app",
        "period": "day",
        "limit": limit,
        "used": 0,
        "left": limit,
        "last": 0,
    }


def test_a_preview_of_a_mass_send_tells_the_least_that_is_left(
    cast: Cast, sun: Caller, settings: Any
) -> None:
    settings.CRM_MASS_CAP = (2, "month")
    Corp.objects.update(dialect="official")
    ids = [cast.contacts["lin"].pk, cast.contacts["wang"].pk]
    assert sun.post("messages/", text(ids[0])).status_code == 202
    told = sun.post("messages/preview/", text(*ids)).json()["quota"]
    assert told == {"kind": "mass", "period": "month", "limit": 2, "used": 1, "left": 1, "last": 1}


def test_who_is_over_the_cap_is_excluded_and_refuses_the_send(cast: Cast, sun: Caller, settings: Any) -> None:
    settings.CRM_MASS_CAP = (1, "day")
    Corp.objects.update(dialect="official")
    body = text(cast.contacts["wang"].pk, cast.contacts["lin"].pk)
    sun.post("messages/", text(cast.contacts["lin"].pk))
    (excluded,) = sun.post("messages/preview/", body).json()["excluded"]
    assert (excluded["pointer"], excluded["code"]) == ("/to/contacts/1", "over_cap")
    answer = sun.post("messages/", body)
    assert (answer.status_code, pointers(answer)) == (400, {"/to/contacts/1": "over_cap"})
    assert Message.objects.count() == 1


def test_a_preview_to_contacts_who_are_written_to_directly_has_no_quota(cast: Cast, sun: Caller) -> None:
    told = sun.post("messages/preview/", text(cast.contacts["lin"].pk)).json()
    assert (told["quota"], told["doubtful"]) == (None, [])


def test_a_preview_names_who_may_have_no_licence_and_where(cast: Cast, sun: Caller) -> None:
    sun.post("messages/", to_employees("lin", "wang"))
    Delivery.objects.filter(to="wang").update(state="failed", code="unlicensed")
    told = sun.post("messages/preview/", to_employees("lin", "wang")).json()
    (doubtful,) = told["doubtful"]
    assert (doubtful["pointer"], doubtful["to"], doubtful["code"]) == (
        "/to/employees/1",
        "wang",
        "unlicensed",
    )
    assert (len(told["recipients"]), told["excluded"]) == (2, [])
