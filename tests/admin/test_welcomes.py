"""Welcome messages at the browser, and what became of each."""

from typing import Any

import pytest

from contacts.models import ContactWay
from crm.models import Corp
from messaging.models import Welcome
from tests import factories
from tests.admin.conftest import Browser, Cast


@pytest.fixture(autouse=True)
def official(cast: Cast) -> None:
    Corp.objects.update(dialect="official")


def form(cast: Cast, words: str = "欢迎", **more: Any) -> dict[str, Any]:
    template = factories.template(cast.corp, words).pk
    return {"name": "hello", "template": template, "scope": "corp", "is_active": "on", **more}


def test_welcome_is_kept_changed_and_retired(cast: Cast) -> None:
    zhao = cast.browser("zhao")
    staff = [cast.employees[name].pk for name in ("lin", "wang")]
    told = form(cast, scope="employees", employees=staff)
    answer = zhao.post("messaging/welcome/add/", told)
    welcome = Welcome.objects.get()
    assert answer["Location"] == f"/admin/messaging/welcome/{welcome.pk}/change/"
    assert (welcome.created_by, welcome.employees.count()) == (cast.users["zhao"], 2)
    way = ContactWay.objects.create(corp=cast.corp, campaign="展会", created_by=cast.users["zhao"])
    del told["is_active"]
    zhao.post(answer["Location"], told | {"scope": "way", "way": way.pk})
    welcome.refresh_from_db()
    assert (welcome.scope, welcome.way, welcome.employees.count(), welcome.is_active) == (
        "way",
        way,
        0,
        False,
    )
    assert "展会" in zhao.text("messaging/welcome/")


@pytest.mark.parametrize(
    ("words", "told", "said"),
    [
        ("Hello {contact.name}", {}, "does not tell the name in time"),
        ("See you {day}", {}, "Nobody is there to give a value for {day}"),
        ("字" * 1334, {}, "Too long: 4002 bytes, at most 4000"),
        ("x", {"scope": "employees"}, "Name at least one employee"),
        ("x", {"scope": "way"}, "This field is required"),
        ("x", {"name": ""}, "This field is required"),
    ],
)
def test_fault_is_said_beside_its_field(
    cast: Cast, sun: Browser, words: str, told: dict[str, Any], said: str
) -> None:
    answer = sun.post("messaging/welcome/add/", form(cast, words, **told))
    assert answer.status_code == 200
    assert said in answer.content.decode().replace("&#x27;", "'")
    assert not Welcome.objects.exists()


def test_manager_chooses_among_the_led_people_alone(cast: Cast) -> None:
    zhao = cast.browser("zhao")
    strange = form(cast, scope="employees", employees=[cast.employees["qian"].pk])
    assert zhao.post("messaging/welcome/add/", strange).status_code == 200
    assert not Welcome.objects.exists()
    hidden = ContactWay.objects.create(corp=cast.corp, campaign="theirs")
    hidden.employees.add(cast.employees["qian"])
    answer = zhao.get(f"messaging/welcome/ways/?corp={cast.corp.pk}&term=the")
    assert answer.json()["results"] == []
    sun = cast.browser("sun").get(f"messaging/welcome/ways/?corp={cast.corp.pk}&term=the")
    assert [each["text"] for each in sun.json()["results"]] == ["theirs"]


def test_form_says_what_the_provider_does_not_allow_and_shows_the_phone(cast: Cast, sun: Browser) -> None:
    template = factories.template(cast.corp, "Dear {contact.name}")
    page = sun.text(f"messaging/welcome/add/?template={template.pk}")
    assert "own console has an active welcome" in page
    assert "Dear Customer of lin" in page


def test_sales_read_and_cannot_write(cast: Cast, lin: Browser) -> None:
    welcome = factories.welcome(cast.corp, "欢迎光临")
    assert "欢迎光临" in lin.text(f"messaging/welcome/{welcome.pk}/change/")
    assert lin.post(f"messaging/welcome/{welcome.pk}/change/", form(cast)).status_code == 403
    assert lin.get("messaging/welcome/add/").status_code == 403
    assert lin.get("messaging/welcome/ways/").status_code == 403


def test_corp_without_welcomes_says_so(cast: Cast, sun: Browser) -> None:
    Corp.objects.update(dialect="direct")
    assert "None of your corps" in sun.text("messaging/welcome/add/")


def test_greetings_tell_what_became_of_them_to_whom_it_concerns(cast: Cast, lin: Browser) -> None:
    told = {"lin": ("failed", "welcomed_already", 41051), "qian": ("expired", "no_worker", None)}
    for name, (state, code, errcode) in told.items():
        factories.greeting(cast.employees[name], cast.contacts[name], state=state, code=code, errcode=errcode)
    page = lin.text("messaging/greeting/")
    assert "They talk already, or WeCom or another app has welcomed them." in page
    assert "Customer of qian" not in page
    everything = cast.browser("sun").text("messaging/greeting/?state=expired")
    assert "No worker came by within 20 seconds" in everything
    assert "Customer of lin" not in everything
    audited = cast.browser("shen").get("messaging/greeting/").content.decode()
    assert "hello" not in audited
    assert "/messaging/welcome/" not in audited


def test_greeting_stands_in_the_timeline_of_its_contact(cast: Cast, lin: Browser) -> None:
    factories.greeting(cast.employees["lin"], cast.contacts["lin"])
    page = lin.text(f"contacts/contact/{cast.contacts['lin'].pk}/change/")
    assert "Welcomed by  lin" in page
    assert "hello" in page


def test_list_of_welcomes_counts_what_was_said(cast: Cast, sun: Browser) -> None:
    welcome = factories.welcome(cast.corp)
    for name in ("lin", "wang"):
        factories.greeting(cast.employees[name], cast.contacts[name], welcome=welcome)
    page = sun.get("messaging/welcome/").content.decode()
    assert f'href="/admin/messaging/greeting/?welcome={welcome.pk}">2 in 30 days</a>' in page
    assert "Customer of lin" in sun.text(f"messaging/greeting/?welcome={welcome.pk}")
    assert "Customer of lin" not in sun.text(f"messaging/greeting/?welcome={welcome.pk + 1}")
