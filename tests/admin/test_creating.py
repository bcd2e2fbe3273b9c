"""Creating a contact at the browser, and what its page says while the provider has not answered."""

from contacts.models import Contact, ContactWay, Tag
from crm.models import Corp
from tests import factories
from tests.admin.conftest import Browser, Cast


def form(cast: Cast, *names: str, **fields: str) -> dict[str, object]:
    followers = [str(cast.employees[name].pk) for name in names]
    return {
        "corp": str(cast.corp.pk),
        "name": "Chen Wei",
        "follow_users": followers,
        "gender": "2",
        "type": "1",
        **fields,
    }


def test_contact_is_written_as_being_created_and_its_page_says_so(cast: Cast, lin: Browser) -> None:
    answer = lin.post("contacts/contact/add/", form(cast, "lin", corp_name="North Mill"))
    contact = Contact.objects.get(name="Chen Wei")
    assert contact.state == "pending"
    assert contact.created_by == cast.users["lin"]
    page = lin.text(answer["Location"])
    assert "being created" in page
    assert "Send text" not in page


def test_form_begins_with_ones_own_employee(cast: Cast, lin: Browser) -> None:
    page = lin.get("contacts/contact/add/").content.decode()
    assert f'<option value="{cast.employees["lin"].pk}" selected>' in page


def test_follower_out_of_reach_is_refused_beside_the_field(cast: Cast, lin: Browser) -> None:
    answer = lin.post("contacts/contact/add/", form(cast, "lin", "qian"))
    assert answer.status_code == 200
    assert not Contact.objects.filter(name="Chen Wei").exists()


def test_missing_name_is_refused_beside_the_field(cast: Cast, lin: Browser) -> None:
    answer = lin.post("contacts/contact/add/", form(cast, "lin", name=" "))
    assert answer.status_code == 200
    assert "required" in answer.content.decode()


def test_auditor_cannot_create(cast: Cast) -> None:
    assert cast.browser("shen").get("contacts/contact/add/").status_code == 403


def test_a_corp_that_can_create_nobody_says_so(cast: Cast, lin: Browser) -> None:
    Corp.objects.update(is_active=False)
    assert "People cannot be created here" in lin.text("contacts/contact/add/")
    lin.post("contacts/contact/add/", form(cast, "lin"))
    assert not Contact.objects.filter(name="Chen Wei").exists()


def test_official_corp_says_before_the_click_that_a_code_is_made(cast: Cast, lin: Browser) -> None:
    Corp.objects.update(dialect="official")
    page = lin.text("contacts/contact/add/")
    assert "A QR code is made for this person instead" in page
    assert "Nickname" not in page
    answer = lin.post("contacts/contact/add/", form(cast, "lin"))
    contact = Contact.objects.get(name="Chen Wei")
    assert contact.state == "pending"
    assert "The QR code is being made" in lin.text(answer["Location"])
    ContactWay.objects.update(state="active", config_id="c1", picture=factories.PNG)
    page = lin.get(answer["Location"]).content.decode()
    assert "Let Chen Wei scan this code with WeChat" in page
    way = ContactWay.objects.get()
    assert f'src="/admin/contacts/contactway/{way.pk}/qr/"' in page
    assert lin.get(f"contacts/contactway/{way.pk}/qr/").content == factories.PNG


def test_contact_whose_code_was_deleted_says_so_and_gets_a_new_one_on_a_post(
    cast: Cast, lin: Browser
) -> None:
    Corp.objects.update(dialect="official")
    lin.post("contacts/contact/add/", form(cast, "lin"))
    contact, way = Contact.objects.get(name="Chen Wei"), ContactWay.objects.get()
    assert "cannot be undone" in lin.text(f"contacts/contactway/{way.pk}/end/")
    lin.post(f"contacts/contactway/{way.pk}/end/")
    ContactWay.objects.update(due_at=None)
    assert "Its QR code was deleted" in lin.text(f"contacts/contact/{contact.pk}/change/")
    lin.post(f"contacts/contact/{contact.pk}/retry/")
    way.refresh_from_db()
    assert (way.state, Contact.objects.get(pk=contact.pk).state) == ("pending", "pending")


def test_failed_creation_shows_the_reason_and_is_tried_again_on_a_post(cast: Cast, lin: Browser) -> None:
    contact = cast.contacts["lin"]
    Contact.objects.filter(pk=contact.pk).update(state="failed", create_error="errcode 60011: no privilege")
    page = lin.text(f"contacts/contact/{contact.pk}/change/")
    assert "no right on this employee" in page
    assert "60011" in page
    assert lin.get(f"contacts/contact/{contact.pk}/retry/").status_code == 405
    lin.post(f"contacts/contact/{contact.pk}/retry/")
    assert Contact.objects.get(pk=contact.pk).state == "pending"
    assert (
        "not waiting for a retry"
        in lin.post(f"contacts/contact/{contact.pk}/retry/", follow=True).content.decode()
    )


def test_form_of_a_dingtalk_corp_asks_for_phone_and_labels(cast: Cast, lin: Browser) -> None:
    Corp.objects.update(dialect="dingtalk", provider="dingtalk")
    label = Tag.objects.create(corp=cast.corp, tag_id="7001", name="客户", group_name="类型")
    page = lin.get("contacts/contact/add/").content.decode()
    assert "exactly one, its owner" in page
    assert 'name="mobile"' in page
    assert 'name="nickname"' not in page
    told = form(cast, "lin", mobile="13900000042", tags=str(label.pk))
    lin.post("contacts/contact/add/", told | {"mobile": ""})
    assert not Contact.objects.filter(name="Chen Wei").exists()
    lin.post("contacts/contact/add/", told)
    relation = Contact.objects.get(name="Chen Wei").follow_users.get()
    assert (relation.role, relation.tag_ids, relation.remark_mobiles) == (
        "owner",
        ["7001"],
        ["+86-13900000042"],
    )


def test_form_without_a_dingtalk_corp_asks_for_neither(lin: Browser) -> None:
    page = lin.get("contacts/contact/add/").content.decode()
    assert 'name="nickname"' in page
    assert 'name="mobile"' not in page
