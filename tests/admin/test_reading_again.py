"""The button on a contact's page that asks the provider for this contact now (docs/explanation/mirror.md)."""

from dataclasses import dataclass

import pytest

from contacts import history
from contacts.models import Contact, FollowUser
from crm import roles
from crm.events import record
from crm.models import Corp
from crm.simulator.server import Simulator
from tests import factories
from tests.admin.conftest import Browser, Cast
from tests.contacts.house import run

pytestmark = pytest.mark.django_db(transaction=True)

BUTTON = "Read again from WeCom"


@dataclass
class Stage:
    """A synced corp of the dialect that can read one contact, and a seller who alone follows `contact`."""

    sim: Simulator
    corp: Corp
    contact: Contact
    seller: Browser

    @property
    def page(self) -> str:
        return f"contacts/contact/{self.contact.pk}/change/"

    @property
    def button(self) -> str:
        return f"contacts/contact/{self.contact.pk}/read/"

    def change(self, op: str, **fields: object) -> None:
        self.sim.change(self.corp.corpid, op, external_userid=self.contact.external_userid, **fields)

    def press(self, browser: Browser | None = None) -> str:
        """What the page says on which one arrives."""
        answer = (browser or self.seller).post(self.button)
        assert answer.status_code == 302
        return (browser or self.seller).text(answer["Location"])

    def browser(self, role: str) -> Browser:
        user = factories.user(role)
        user.is_staff = True
        user.save()
        browser = Browser()
        browser.force_login(user)
        return browser


@pytest.fixture
def stage(official_corp: Corp, sim: Simulator) -> Stage:
    run(official_corp)
    follow = next(f for f in FollowUser.objects.all() if f.contact.follow_users.count() == 1)
    made = Stage(sim, official_corp, follow.contact, Browser())
    user = factories.user(roles.SALES)
    user.is_staff = True
    user.save()
    follow.employee.user = user
    follow.employee.save()
    made.seller.force_login(user)
    return made


def test_button_brings_what_changed_at_the_provider(stage: Stage) -> None:
    assert BUTTON in stage.seller.text(stage.page)
    stage.change("edit_contact", name="陈改名")
    page = stage.press()
    assert "It was read again and is up to date." in page
    assert "陈改名" in page


def test_contact_that_leaves_ones_reach_leads_to_the_list_and_says_why(stage: Stage) -> None:
    userid = stage.contact.follow_users.get().employee.userid
    stage.change("unfollow", userid=userid)
    page = stage.press()
    assert f"Nobody whom you can see follows {stage.contact} any more." in page
    assert stage.seller.get(stage.page).status_code == 404


def test_refusal_of_the_provider_is_said_in_its_words_and_ours(stage: Stage) -> None:
    stage.change("delete_contact")
    page = stage.press()
    assert "It was not read again, and nothing was changed." in page
    assert "The provider does not know this contact, or it is outside the app's range." in page
    assert "40096" in page
    assert stage.contact.name in page


def test_provider_that_cannot_be_reached_is_said(stage: Stage) -> None:
    stage.sim.fault(corp=stage.corp.corpid, api="externalcontact/get", kind="reset", times=None)
    assert "The provider could not be reached." in stage.press()


def test_only_a_press_reads(stage: Stage) -> None:
    assert stage.seller.get(stage.button).status_code == 405
    strict = Browser(enforce_csrf_checks=True)
    strict.cookies = stage.seller.cookies
    assert strict.post(stage.button).status_code == 403
    assert stage.sim.journal(corp=stage.corp.corpid, api="externalcontact/get") == []


def test_contact_out_of_reach_is_not_found(stage: Stage) -> None:
    employee = stage.corp.employees.exclude(user__isnull=False).first()
    assert employee is not None
    stranger = factories.contact(stage.corp)
    factories.follow(stranger, employee)
    assert stage.seller.post(f"contacts/contact/{stranger.pk}/read/").status_code == 404
    assert stage.seller.post("contacts/contact/999999/read/").status_code == 404


def test_role_that_only_reads_has_no_button_and_is_forbidden(stage: Stage) -> None:
    auditor = stage.browser(roles.AUDITOR)
    assert BUTTON not in auditor.text(stage.page)
    assert auditor.post(stage.button).status_code == 403


def test_administrator_reaches_every_contact(stage: Stage) -> None:
    administrator = stage.browser(roles.ADMINISTRATOR)
    assert BUTTON in administrator.text(stage.page)
    assert "is up to date" in stage.press(administrator)


def test_corp_that_is_switched_off_is_not_asked(stage: Stage) -> None:
    Corp.objects.filter(pk=stage.corp.pk).update(is_active=False)
    assert BUTTON not in stage.seller.text(stage.page)
    assert "This corp is switched off." in stage.press()
    assert stage.sim.journal(corp=stage.corp.corpid, api="externalcontact/get") == []


def test_dialect_without_such_a_call_has_no_button_and_says_so(cast: Cast, lin: Browser) -> None:
    page = f"contacts/contact/{cast.contacts['lin'].pk}/"
    assert BUTTON not in lin.text(f"{page}change/")
    lin.post(f"{page}read/")
    assert "It was not read again, and nothing was changed." in lin.text(f"{page}change/")


def test_timeline_says_in_words_that_the_provider_called(cast: Cast, lin: Browser) -> None:
    contact = cast.contacts["lin"]
    record([history.of_contact("contact.updated", contact, actor="callback")])
    assert "told by the provider" in lin.text(f"contacts/contact/{contact.pk}/change/")
