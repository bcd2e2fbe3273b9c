"""Every page of every role: who may open it, and what it costs."""

from collections.abc import Callable

import pytest
from django.contrib import admin

from contacts.models import Arrival, SyncRun, Tag, Team
from crm.admin_base import ScopedAdmin
from crm.events import event, record
from messaging.models import Delivery, Message
from tests import factories
from tests.admin.conftest import Browser, Cast

WORK = (
    "contacts/contact/",
    "contacts/followuser/",
    "contacts/employee/",
    "contacts/tag/",
    "contacts/contactway/",
    "messaging/message/",
    "messaging/receivedmessage/",
    "messaging/delivery/",
    "messaging/greeting/",
)
TEAM = ("contacts/team/", "contacts/syncrun/")
OPERATIONS = ("crm/corp/", "crm/agent/", "crm/apikey/", "crm/event/", "auth/user/")
WRITE = ("messaging/template/", "messaging/mediafile/", "messaging/welcome/")
LISTS = (*WORK, *WRITE, *TEAM, *OPERATIONS)
MAY = {
    "lin": (*WORK, *WRITE),
    "zhao": (*WORK, *WRITE, *TEAM),
    "sun": LISTS,
    "shen": (*WORK, *TEAM, *OPERATIONS),
}


@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("name", MAY)
def test_list_opens_exactly_for_the_roles_of_the_matrix(
    as_role: Callable[[str], Browser], name: str, path: str
) -> None:
    assert as_role(name).get(path).status_code == (200 if path in MAY[name] else 403)


@pytest.mark.parametrize("name", MAY)
def test_overview_opens_for_every_role_and_offers_only_what_opens(
    as_role: Callable[[str], Browser], name: str
) -> None:
    page = as_role(name).get("").content.decode()
    offered = {path for path in LISTS if f'href="/admin/{path}"' in page}
    assert offered == set(MAY[name])


def test_login_page_offers_both_languages(client: Browser, db: None) -> None:
    page = client.get("/admin/login/").content.decode()
    assert 'value="en"' in page
    assert "简体中文" in page


def test_login_without_a_next_address_leads_to_the_overview(cast: Cast, client: Browser) -> None:
    cast.users["lin"].set_password("a-long-password")
    cast.users["lin"].is_staff = True
    cast.users["lin"].save()
    answer = client.post("/admin/login/", {"username": "lin", "password": "a-long-password"})
    assert answer["Location"] == "/admin/"


def test_every_registered_admin_stands_on_the_scoped_base() -> None:
    strangers = [model for model, one in admin.site._registry.items() if not isinstance(one, ScopedAdmin)]
    assert strangers == []


@pytest.mark.parametrize("path", ["django_q/schedule/", "django_q/success/", "django_q/ormq/", "auth/group/"])
def test_pages_that_could_run_code_do_not_exist(sun: Browser, path: str) -> None:
    assert sun.get(path).status_code == 404


@pytest.mark.parametrize("path", LISTS)
def test_nothing_can_be_deleted(cast: Cast, sun: Browser, path: str) -> None:
    assert sun.get(f"{path}1/delete/").status_code in {403, 404}


# --- Cost: the same number of queries for 3 rows and for 60


def fill(cast: Cast, n: int) -> None:
    contacts = cast.add_contacts(n)
    for number, contact in enumerate(contacts):
        message = Message.objects.create(
            corp=cast.corp,
            agent=cast.agent,
            to_kind="contact",
            msgtype="text",
            content={"msgtype": "text", "text": {"content": "hello"}},
            created_by=cast.users["lin"],
        )
        Delivery.objects.create(
            message=message, to_kind="contact", to=contact.external_userid, contact=contact
        )
        SyncRun.objects.create(
            corp=cast.corp, trigger="admin", state="complete", errors=[{"userid": "lin", "code": "timeout"}]
        )
        factories.template(cast.corp, "Hello {contact.name}")
        factories.media_file(cast.corp)
        factories.welcome(cast.corp, is_active=False, scope="employees", employees=[cast.employees["lin"]])
        factories.greeting(cast.employees["lin"], contact)
        way = factories.contact_way(cast.corp, cast.employees["lin"], cast.employees["wang"])
        Arrival.objects.create(way=way, follow_user=contact.follow_users.all()[0])
        Tag.objects.create(corp=cast.corp, tag_id=f"et-more-{contact.pk}", name="more")
        team = Team.objects.create(corp=cast.corp, department_id=1000 + contact.pk, name="more")
        staff = factories.employee(cast.corp, user=factories.user("sales"))
        staff.memberships.create(team=team, is_leader=bool(number % 2))
        factories.api_key(staff.user)
    record(
        event("contact.updated", "contact", c.pk, actor="worker", corp_id=cast.corp.pk, contact_id=c.pk)
        for c in contacts
    )


@pytest.mark.parametrize("name", ["lin", "zhao", "sun"])
def test_every_list_costs_the_same_with_60_rows_as_with_3(cast: Cast, name: str) -> None:
    browser = cast.browser(name)
    fill(cast, 3)
    few = {path: browser.queries(path) for path in ("", *MAY[name])}
    fill(cast, 57)
    many = {path: browser.queries(path) for path in ("", *MAY[name])}
    assert many == few
    assert max(many.values()) <= 30


def test_contact_page_costs_the_same_with_many_followers_and_events(cast: Cast, sun: Browser) -> None:
    contact = cast.contacts["lin"]
    path = f"contacts/contact/{contact.pk}/change/"
    few = sun.queries(path)
    for _ in range(20):
        factories.follow(contact, factories.employee(cast.corp))
    record(
        event("contact.updated", "contact", contact.pk, actor="worker", contact_id=contact.pk)
        for _ in range(40)
    )
    assert sun.queries(path) == few


@pytest.mark.parametrize(
    "path", ["contacts/employee/{e}/", "contacts/team/{t}/", "contacts/tag/{g}/", "contacts/followuser/{f}/"]
)
@pytest.mark.parametrize("name", ["lin", "zhao", "sun", "shen"])
def test_detail_pages_open(cast: Cast, name: str, path: str) -> None:
    team, tag = Team.objects.get(), Tag.objects.get()
    at = path.format(e=cast.employees["lin"].pk, t=team.pk, g=tag.pk, f=cast.follows["lin"].pk)
    expected = 403 if name == "lin" and "team" in path else 200
    assert cast.browser(name).get(f"{at}change/").status_code == expected


def newcomer(role: str) -> Browser:
    """Somebody at an installation to which no corp is connected yet."""
    user = factories.user(role)
    user.is_staff = True
    user.save()
    browser = Browser()
    browser.force_login(user)
    return browser


FIRST = ("", "contacts/contact/", "messaging/message/", "contacts/syncrun/", "crm/corp/", "crm/agent/")


@pytest.mark.parametrize("path", FIRST)
def test_empty_installation_says_the_next_step(db: None, path: str) -> None:
    page = newcomer("administrator").get(path).content.decode()
    assert "manage.py connect" in page
    assert 'href="/admin/crm/corp/add/"' in page


@pytest.mark.parametrize("path", ["", "contacts/contact/", "messaging/message/"])
def test_empty_installation_tells_a_seller_whom_to_ask(db: None, path: str) -> None:
    page = newcomer("sales").text(path)
    assert "An administrator connects the company" in page
    assert "manage.py" not in page


def test_lists_without_rows_say_where_rows_come_from(cast: Cast, lin: Browser) -> None:
    assert "press Send text" in lin.text("messaging/message/")
    assert "with what became of it" in lin.text("messaging/delivery/")
    assert "Nothing matches" in lin.text("contacts/contact/?q=nobody-at-all")


def test_contact_of_several_followers_names_ones_own_and_counts_the_others(cast: Cast, lin: Browser) -> None:
    contact = cast.contacts["lin"]
    for name in ("wang", "zhao"):
        factories.follow(contact, cast.employees[name])
    assert 'title="wang, zhao"' in lin.get("contacts/contact/").content.decode()
    assert 'title="lin, zhao"' in cast.browser("wang").get("contacts/contact/").content.decode()


def test_inputs_of_the_follow_list_are_named_after_their_row(cast: Cast, lin: Browser) -> None:
    page = lin.get("contacts/followuser/").content.decode()
    for label in ("Stage", "Next follow-up"):
        assert f'aria-label="{label}: lin → Customer of lin"' in page


def test_date_on_the_contact_page_can_be_set_without_typing(cast: Cast, lin: Browser) -> None:
    page = lin.get(f"contacts/contact/{cast.contacts['lin'].pk}/change/").content.decode()
    assert [f'data-in-days="{days}"' in page for days in (1, 3, 7)] == [True] * 3
