"""What a confirmation says of the quota, what was sent per day beside the provider's count, how far a mass send is."""

from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.models import Corp
from crm.simulator.server import Simulator
from messaging import tasks
from messaging.models import Delivery, Message
from tests.admin.conftest import Browser, Cast
from tests.messaging.house import House, house

USAGE = "messaging/message/usage/"


def confirmation(browser: Browser, query: str) -> str:
    at = browser.get(f"messaging/message/send/start/text/?{query}")["Location"]
    return str(browser.post(at, {"content": "Hello"})["Location"])


@pytest.fixture
def official(sim: Simulator, db: None) -> House:
    return house(sim, "official")


@pytest.fixture
def admin(official: House) -> Browser:
    official.user.is_staff = True
    official.user.save()
    browser = Browser()
    browser.force_login(official.user)
    return browser


def test_the_confirmation_tells_what_is_left_of_the_apps_day(cast: Cast, sun: Browser, settings: Any) -> None:
    settings.CRM_APP_DAILY_QUOTA = 7
    page = sun.text(confirmation(sun, f"employee={cast.employees['lin'].pk}"))
    assert "still send to 7 persons of 7" in page
    assert "after midnight" not in page
    settings.CRM_APP_DAILY_QUOTA = 1
    agent = cast.agent
    message = Message.objects.create(
        corp=cast.corp, agent=agent, to_kind="employee", msgtype="text", content={}
    )
    attempt = message.tries.create(to=["lin"], body=b"", lease_token=agent.uuid, lease_until=agent.created_at)
    Delivery.objects.create(message=message, to_kind="employee", to="lin", state="accepted", attempt=attempt)
    page = sun.text(confirmation(sun, f"employee={cast.employees['lin'].pk}"))
    assert "still send to 0 persons of 1" in page
    assert "1 recipient gets it after midnight" in page


def test_the_confirmation_tells_how_often_a_contact_may_still_be_written_to(
    cast: Cast, lin: Browser, settings: Any
) -> None:
    settings.CRM_MASS_CAP = (2, "month")
    Corp.objects.update(dialect="official")
    query = f"contact={cast.contacts['lin'].pk}"
    confirm = confirmation(lin, query)
    page = lin.text(confirm)
    assert "at least 2 of 2" in page
    assert "the last one" not in page
    lin.post(confirm)
    page = lin.text(confirmation(lin, query))
    assert "at least 1 of 2" in page
    assert "For 1 recipient this is the last one" in page
    lin.post(confirmation(lin, query))
    page = lin.text(confirmation(lin, query))
    assert "as many mass messages as the provider allows" in page
    assert "Nobody can get it" in page


def test_the_confirmation_names_who_may_have_no_licence(cast: Cast, sun: Browser) -> None:
    message = Message.objects.create(
        corp=cast.corp, agent=cast.agent, to_kind="employee", msgtype="text", content={}
    )
    Delivery.objects.create(message=message, to_kind="employee", to="lin", state="failed", code="unlicensed")
    page = sun.text(confirmation(sun, f"employee={cast.employees['lin'].pk}"))
    assert "has no licence: it may not arrive" in page
    assert "1 will get it" in page


@pytest.mark.parametrize(("name", "status"), [("lin", 403), ("zhao", 200), ("sun", 200), ("shen", 200)])
def test_usage_opens_for_who_leads_or_oversees(cast: Cast, name: str, status: int) -> None:
    browser = cast.browser(name)
    assert browser.get(USAGE).status_code == status
    assert (USAGE in browser.get("messaging/message/").content.decode()) == (status == 200)


def test_usage_counts_by_state_and_asks_nobody_to_be_drawn(official: House, admin: Browser) -> None:
    tasks.deliver(official.compose(contacts=(), employees=official.userids).pk)
    tasks.deliver(official.compose().pk)
    before = len(official.sim.journal())
    page = admin.text(USAGE)
    assert "5 accepted" in page
    assert "3 accepted" in page
    assert "597 of 600 are left" in page
    assert len(official.sim.journal()) == before


def test_the_providers_count_stands_beside_ours_when_asked_for(official: House, admin: Browser) -> None:
    tasks.deliver(official.compose(contacts=(), employees=official.userids).pk)
    page = admin.post(USAGE, {"agent": official.corp.agents.get().pk}).content.decode()
    assert "3 today, 0 yesterday" in page
    assert "Counted by WeCom" in page


def test_when_the_provider_is_down_the_page_says_so_and_shows_our_numbers(
    official: House, admin: Browser
) -> None:
    tasks.deliver(official.compose(contacts=(), employees=official.userids).pk)
    official.sim.fault(api="message/get_statistics", kind="http_status", status=502, times=None)
    answer = admin.post(USAGE, {"agent": official.corp.agents.get().pk})
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "The provider answered with an HTTP error" in page
    assert "3 accepted" in page


@pytest.mark.parametrize("name", ["lin", "zhao", "shen"])
def test_only_an_administrator_asks_the_provider(cast: Cast, name: str) -> None:
    Corp.objects.update(dialect="official")
    assert cast.browser(name).post(USAGE, {"agent": cast.agent.pk}).status_code == 403
    assert "Compare with WeCom" not in cast.browser("zhao").text(USAGE)


@pytest.mark.parametrize("agent", ["", "x", "987654"])
def test_asking_about_no_app_is_404(cast: Cast, sun: Browser, agent: str) -> None:
    assert sun.post(USAGE, {"agent": agent}).status_code == 404


def test_a_manager_counts_only_what_the_team_sent(cast: Cast) -> None:
    for name, state in (("lin", "accepted"), ("qian", "delivered")):
        message = Message.objects.create(
            corp=cast.corp,
            agent=cast.agent,
            to_kind="contact",
            msgtype="text",
            content={},
            created_by=cast.users[name],
        )
        attempt = message.tries.create(
            to=[], body=b"", lease_token=cast.agent.uuid, lease_until=cast.agent.created_at
        )
        Delivery.objects.create(message=message, to_kind="contact", to=name, state=state, attempt=attempt)
    page = cast.browser("zhao").text(USAGE)
    assert "1 accepted" in page
    assert "1 delivered" not in page
    assert "1 delivered" in cast.browser("sun").text(USAGE)


def test_usage_costs_the_same_however_much_was_sent(official: House, admin: Browser) -> None:
    def cost() -> int:
        admin.get(USAGE)
        with CaptureQueriesContext(connection) as captured:
            admin.get(USAGE)
        return len(captured)

    tasks.deliver(official.compose(contacts=(), employees=official.userids).pk)
    before = cost()
    for _ in range(3):
        tasks.deliver(official.compose(contacts=(), employees=official.userids).pk)
    assert cost() == before


def test_the_page_of_a_mass_send_tells_who_confirmed_and_whom_it_reached(
    official: House, admin: Browser
) -> None:
    message = official.compose()
    tasks.deliver(message.pk)
    senders = sorted(set(message.deliveries.values_list("sender", flat=True)))
    at = f"messaging/message/{message.pk}/change/"
    assert f"0 of {len(senders)} employees" in admin.text(at)
    row = message.deliveries.filter(sender=senders[0]).first()
    assert row is not None
    official.sim.confirm(official.corp.corpid, row.msgid, senders[0])
    tasks.poll_results()
    reached = message.deliveries.filter(sender=senders[0]).count()
    page = admin.text(at)
    assert f"1 of {len(senders)} employees" in page
    assert f"{reached} of 5 contacts" in page


def test_the_page_of_another_message_tells_nothing_of_confirming(cast: Cast, lin: Browser) -> None:
    lin.post(confirmation(lin, f"contact={cast.contacts['lin'].pk}"))
    message = Message.objects.get()
    assert "Confirmed by" not in lin.text(f"messaging/message/{message.pk}/change/")
