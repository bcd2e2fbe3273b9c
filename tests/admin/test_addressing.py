"""Writing to a department and to everybody in the admin: where it is offered, to whom, and how it is shown."""

from typing import Any

import pytest
from django.urls import reverse

from contacts.models import Employee, Team, TeamMembership
from crm.models import Corp
from messaging.models import Message
from tests import factories
from tests.admin.conftest import Browser, Cast
from tests.admin.test_sending import NOTICE, begin, write


@pytest.fixture
def east(cast: Cast) -> Team:
    """A department below the one that Zhao leads, with Qian in it and one who has left."""
    team = Team.objects.create(corp=cast.corp, department_id=5, name="East team", parent=cast.south)
    gone = factories.employee(cast.corp, "gone", status=Employee.Status.LEFT)
    for employee in (cast.employees["qian"], gone):
        TeamMembership.objects.create(team=team, employee=employee)
    return team


def select(browser: Browser, action: str, *teams: Team) -> Any:
    data = {"action": action, "_selected_action": [team.pk for team in teams], "index": "0"}
    return browser.post("contacts/team/", data)


def test_text_to_a_department_from_button_to_rows(cast: Cast, east: Team) -> None:
    zhao = cast.browser("zhao")
    assert "Send text" in zhao.text(f"contacts/team/{cast.south.pk}/change/")
    at = begin(zhao, "text", f"department={cast.south.pk}")
    assert "To 1 department, with its sub-departments" in zhao.text(at)
    confirm = write(zhao, at, content="Hello")
    page = zhao.text(confirm)
    assert "South team" in page
    assert "4 will get it" in page
    assert "Send to 4" in page
    zhao.post(confirm)
    message = Message.objects.get()
    assert (message.to_kind, message.deliveries.get().to) == ("department", "2")
    page = zhao.get(f"messaging/message/{message.pk}/change/").content.decode()
    link = reverse("admin:contacts_team_change", args=(cast.south.pk,))
    assert f'<a class="rm-link" href="{link}"><bdi>South team</bdi></a>' in page
    assert "Back to South team" in page
    assert "South team" in zhao.text("messaging/delivery/")


def test_several_selected_departments_are_one_message_and_people_count_once(
    cast: Cast, east: Team, sun: Browser
) -> None:
    answer = select(sun, "send_text", cast.south, east)
    confirm = write(sun, answer["Location"], content="Hello")
    assert "4 will get it" in sun.text(confirm)
    sun.post(confirm)
    assert set(Message.objects.get().deliveries.values_list("to", flat=True)) == {"2", "5"}


def test_notice_to_a_department_is_offered_too(cast: Cast, sun: Browser) -> None:
    sun.post(write(sun, begin(sun, "miniprogram_notice", f"department={cast.south.pk}"), **NOTICE))
    assert Message.objects.get().msgtype == "miniprogram_notice"


def test_a_department_out_of_reach_is_not_offered_and_cannot_be_begun(cast: Cast) -> None:
    other = Team.objects.create(corp=cast.corp, department_id=9, name="North team")
    zhao = cast.browser("zhao")
    assert "Send text" not in zhao.text(f"contacts/team/{other.pk}/change/")
    assert zhao.get(f"messaging/message/send/start/text/?department={other.pk}").status_code == 404
    confirm = write(zhao, select(zhao, "send_text", other)["Location"], content="Hello")
    page = zhao.text(confirm)
    assert "1 cannot get it" in page
    assert "Nobody can get it" in page
    for name, status in (("lin", 404), ("qian", 404), ("shen", 403)):
        browser = cast.browser(name)
        path = f"messaging/message/send/start/text/?department={cast.south.pk}"
        assert browser.get(path).status_code == status
    assert not Message.objects.exists()


def test_a_department_that_is_gone_is_not_offered(cast: Cast, sun: Browser) -> None:
    Team.objects.filter(pk=cast.south.pk).update(absent_since=cast.users["sun"].date_joined)
    assert "Send text" not in sun.text(f"contacts/team/{cast.south.pk}/change/")
    confirm = write(sun, select(sun, "send_text", cast.south)["Location"], content="Hello")
    assert "This department no longer exists" in sun.text(confirm)


def test_the_page_of_a_team_counts_its_people_with_sub_departments(
    cast: Cast, east: Team, sun: Browser
) -> None:
    page = sun.text(f"contacts/team/{cast.south.pk}/change/")
    assert "4 active employees" in page
    assert "1 active employee" in sun.text(f"contacts/team/{east.pk}/change/")


def test_an_administrator_writes_to_everybody(cast: Cast, sun: Browser) -> None:
    page = sun.get("messaging/message/").content.decode()
    assert f"send/start/text/?everybody={cast.corp.pk}" in page
    at = begin(sun, "text", f"everybody={cast.corp.pk}")
    assert "To everybody" in sun.text(at)
    confirm = write(sun, at, content="Hello")
    assert "4 will get it" in sun.text(confirm)
    sun.post(confirm)
    sun.post(confirm)
    message = Message.objects.get()
    assert (message.to_kind, message.deliveries.get().to) == ("everybody", "@all")
    assert "Everybody" in sun.text(f"messaging/message/{message.pk}/change/")


def test_of_several_corps_one_is_chosen_first(cast: Cast, sun: Browser) -> None:
    other = Corp.objects.create(corpid="ww-north", name="North", provider="wecom", dialect="direct")
    off = Corp.objects.create(
        corpid="ww-off", name="Off", provider="wecom", dialect="direct", is_active=False
    )
    page = sun.get("messaging/message/").content.decode()
    offered = [corp.pk for corp in (cast.corp, other, off) if f"?everybody={corp.pk}" in page]
    assert offered == [cast.corp.pk, other.pk]


@pytest.mark.parametrize(("name", "status"), [("lin", 404), ("zhao", 404), ("shen", 403)])
def test_nobody_else_writes_to_everybody(cast: Cast, name: str, status: int) -> None:
    browser = cast.browser(name)
    assert "Write to everybody" not in browser.text("messaging/message/")
    path = f"messaging/message/send/start/text/?everybody={cast.corp.pk}"
    assert browser.get(path).status_code == status


def test_a_notice_to_everybody_is_refused_on_its_form(cast: Cast, sun: Browser) -> None:
    at = begin(sun, "miniprogram_notice", f"everybody={cast.corp.pk}")
    answer = sun.post(at, NOTICE)
    assert answer.status_code == 200
    assert "cannot be sent to everybody at once" in answer.content.decode()


def test_the_list_of_deliveries_costs_the_same_with_many_departments(cast: Cast, sun: Browser) -> None:
    def send(*numbers: int) -> None:
        message = Message.objects.create(
            corp=cast.corp, agent=cast.agent, to_kind="department", msgtype="text", content={}
        )
        for number in numbers:
            message.deliveries.create(to_kind="department", to=str(number))

    send(2)
    few = sun.queries("messaging/delivery/")
    for number in range(20, 30):
        Team.objects.create(corp=cast.corp, department_id=number)
    send(*range(20, 35))
    assert sun.queries("messaging/delivery/") == few
    assert "Department 34" in sun.text("messaging/delivery/")
