"""The pages that change and delete a contact at DingTalk."""

import pytest

from contacts.models import Contact, Employee, FollowUser, Tag
from crm import roles
from crm.models import Corp
from crm.simulator.server import Simulator
from tests import factories
from tests.admin.conftest import Browser
from tests.contacts.house import run

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def follow(dingtalk_corp: Corp) -> FollowUser:
    run(dingtalk_corp)
    return next(f for f in FollowUser.objects.all() if f.contact.follow_users.count() == 1)


def browser(role: str, employee: Employee | None = None) -> Browser:
    user = factories.user(role)
    user.is_staff = True
    user.save()
    if employee is not None:
        Employee.objects.filter(pk=employee.pk).update(user=user)
    made = Browser()
    made.force_login(user)
    return made


def path(contact: Contact, page: str) -> str:
    return f"contacts/contact/{contact.pk}/{page}/"


def html(browser: Browser, contact: Contact, page: str) -> str:
    return browser.get(path(contact, page)).content.decode()


def told(follow: FollowUser, **fields: object) -> dict[str, object]:
    """The form as it was shown, with `fields` changed."""
    contact = follow.contact
    labels = Tag.objects.filter(tag_id__in=follow.tag_ids).values_list("pk", flat=True)
    known = {"name": contact.name, "corp_name": contact.corp_name, "position": contact.position}
    return {
        **known,
        "remark": follow.remark,
        "tags": [str(pk) for pk in labels],
        "owner": follow.employee_id,
        **fields,
    }


def test_form_changes_only_what_differs_and_hands_over(follow: FollowUser, sim: Simulator) -> None:
    manager = browser(roles.ADMINISTRATOR)
    assert path(follow.contact, "edit") in html(manager, follow.contact, "change")
    assert follow.contact.name in manager.text(path(follow.contact, "edit"))
    other = Employee.objects.exclude(pk=follow.employee_id)[0]
    manager.post(path(follow.contact, "edit"), told(follow, remark="新备注", owner=other.pk))
    now = FollowUser.objects.current().get(contact=follow.contact)
    assert (now.employee, now.role, now.remark) == (other, "owner", "新备注")


def test_seller_is_not_asked_for_an_owner_and_cannot_delete(follow: FollowUser) -> None:
    seller = browser(roles.SALES, follow.employee)
    page = html(seller, follow.contact, "edit")
    assert 'name="remark"' in page
    assert 'name="owner"' not in page
    assert seller.get(path(follow.contact, "delete-there")).status_code == 403
    assert "delete-there" not in html(seller, follow.contact, "change")
    seller.post(path(follow.contact, "edit"), told(follow, name="林大"))
    follow.contact.refresh_from_db()
    assert follow.contact.name == "林大"


def test_provider_that_says_no_is_shown_on_the_form(follow: FollowUser, sim: Simulator) -> None:
    sim.fault(api="topapi/extcontact/update", kind="errcode", errcode=60203)
    answer = browser(roles.ADMINISTRATOR).post(path(follow.contact, "edit"), told(follow, name="林大"))
    assert answer.status_code == 200
    assert "keeps no more external contacts" in answer.content.decode()


def test_delete_asks_first_and_leaves_the_contact_as_lost(follow: FollowUser, sim: Simulator) -> None:
    admin = browser(roles.ADMINISTRATOR)
    assert "deleted for everybody" in admin.text(path(follow.contact, "delete-there"))
    follow.contact.refresh_from_db()
    assert follow.contact.state == "active"
    admin.post(path(follow.contact, "delete-there"))
    follow.contact.refresh_from_db()
    assert follow.contact.state == "lost"
    assert "delete-there" not in html(admin, follow.contact, "change")


def test_pages_of_a_wecom_contact_offer_neither(direct_corp: Corp) -> None:
    contact = factories.contact(direct_corp)
    admin = browser(roles.ADMINISTRATOR)
    assert path(contact, "edit") not in html(admin, contact, "change")
    assert (
        "cannot be changed at the provider"
        in admin.post(path(contact, "delete-there"), follow=True).content.decode()
    )


def test_page_says_that_dingtalk_sends_nothing_to_contacts(follow: FollowUser) -> None:
    page = html(browser(roles.ADMINISTRATOR), follow.contact, "change")
    assert "DingTalk sends nothing to contacts" in page
    assert "Send text" not in page
