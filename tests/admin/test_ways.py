"""Contact ways at the browser: made, changed, deleted after a question; who came by each."""

import pytest
from django.utils import timezone

from contacts.models import Arrival, ContactWay
from crm.models import Corp
from tests import factories
from tests.admin.conftest import Browser, Cast


@pytest.fixture(autouse=True)
def official(cast: Cast) -> None:
    Corp.objects.update(dialect="official")


def form(cast: Cast, *names: str, **fields: object) -> dict[str, object]:
    people = [str(cast.employees[name].pk) for name in names]
    told = {"corp": str(cast.corp.pk), "campaign": "Autumn fair", "employees": people, "skip_verify": "on"}
    return {**told, **fields}


def page_of(way: ContactWay) -> str:
    return f"contacts/contactway/{way.pk}/change/"


def test_way_is_made_and_its_page_waits_for_the_code(cast: Cast, lin: Browser) -> None:
    answer = lin.post("contacts/contactway/add/", form(cast, "lin", remark="stand 4"))
    way = ContactWay.objects.get()
    assert (way.campaign, way.remark, way.created_by) == ("Autumn fair", "stand 4", cast.users["lin"])
    assert answer["Location"] == f"/admin/{page_of(way)}"
    assert "WeCom is drawing the code" in lin.text(answer["Location"])


def test_end_is_read_as_the_local_time_it_was_typed(cast: Cast, lin: Browser) -> None:
    lin.post("contacts/contactway/add/", form(cast, "lin", expires_at="2037-05-01T18:00"))
    ends_at = ContactWay.objects.get().expires_at
    assert timezone.localtime(ends_at).isoformat() == "2037-05-01T18:00:00+08:00"
    assert (
        'value="2037-05-01T18:00"'
        in lin.get(f"contacts/contactway/{ContactWay.objects.get().pk}/edit/").content.decode()
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"campaign": ""}, "required"),
        ({"employees": []}, "Name at least one employee"),
        ({"expires_at": "2020-01-01T00:00"}, "This moment has passed"),
        ({"remark": "x" * 31}, "at most 30"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    cast: Cast, lin: Browser, fields: dict[str, object], words: str
) -> None:
    answer = lin.post("contacts/contactway/add/", form(cast, "lin", **fields))
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not ContactWay.objects.exists()


def test_seller_offers_only_themselves(cast: Cast, lin: Browser) -> None:
    assert lin.post("contacts/contactway/add/", form(cast, "qian")).status_code == 200
    assert not ContactWay.objects.exists()
    assert "And to the members of" not in lin.text("contacts/contactway/add/")
    assert "And to the members of" in cast.browser("zhao").text("contacts/contactway/add/")


def test_way_is_changed_in_its_form(cast: Cast, lin: Browser) -> None:
    way = factories.contact_way(cast.corp, cast.employees["lin"])
    lin.post(f"contacts/contactway/{way.pk}/edit/", form(cast, "lin", campaign="Winter fair", remark="w"))
    way.refresh_from_db()
    assert (way.campaign, way.remark, way.due_at is not None) == ("Winter fair", "w", True)


def test_way_that_leads_to_others_too_is_looked_at_and_not_changed(cast: Cast, lin: Browser) -> None:
    way = factories.contact_way(cast.corp, cast.employees["lin"], cast.employees["qian"])
    assert f"{way.pk}/edit/" not in lin.get(page_of(way)).content.decode()
    for place in ("edit", "end"):
        assert lin.get(f"contacts/contactway/{way.pk}/{place}/").status_code == 403
        assert lin.post(f"contacts/contactway/{way.pk}/{place}/", form(cast, "lin")).status_code == 403
    way.refresh_from_db()
    assert way.state == "active"


def test_way_out_of_reach_is_not_there(cast: Cast, lin: Browser) -> None:
    way = factories.contact_way(cast.corp, cast.employees["qian"])
    for place in ("change", "edit", "end", "qr", "download", "retry"):
        assert lin.get(f"contacts/contactway/{way.pk}/{place}/").status_code in {404, 405}
    assert "Autumn fair" not in lin.text("contacts/contactway/")


def test_deletion_asks_first_and_says_what_it_means(cast: Cast, lin: Browser) -> None:
    way = factories.contact_way(cast.corp, cast.employees["lin"])
    Arrival.objects.create(way=way, follow_user=cast.follows["lin"])
    page = lin.text(f"contacts/contactway/{way.pk}/end/")
    assert "1 person came by it and stays." in page
    assert ContactWay.objects.get().state == "active"
    lin.post(f"contacts/contactway/{way.pk}/end/")
    assert "being removed" in lin.text(page_of(way))
    ContactWay.objects.update(due_at=None, config_id="", picture=None)
    assert "opens nothing any more" in lin.text(page_of(way))


def test_failed_way_says_why_and_is_tried_again_on_a_post(cast: Cast, lin: Browser) -> None:
    way = factories.contact_way(
        cast.corp, cast.employees["lin"], state="failed", config_id="", error="errcode 41054: not active"
    )
    assert "has not activated WeCom" in lin.text(page_of(way))
    assert lin.get(f"contacts/contactway/{way.pk}/retry/").status_code == 405
    lin.post(f"contacts/contactway/{way.pk}/retry/")
    assert ContactWay.objects.get().state == "pending"


def test_page_and_list_name_those_within_reach_who_came(cast: Cast, lin: Browser) -> None:
    way = factories.contact_way(cast.corp, cast.employees["lin"], cast.employees["qian"])
    for name in ("lin", "qian"):
        Arrival.objects.create(way=way, follow_user=cast.follows[name])
    page = lin.text(page_of(way))
    assert "Customer of lin" in page
    assert "Customer of qian" not in page
    filtered = f"contacts/contact/?way={way.pk}"
    assert f'href="/admin/{filtered}">1 person</a>' in lin.get("contacts/contactway/").content.decode()
    assert "Customer of lin" in lin.text(filtered)
    assert "Customer of wang" not in cast.browser("sun").text(filtered)


def test_contact_page_names_the_campaign_and_not_its_token(cast: Cast, lin: Browser) -> None:
    way = factories.contact_way(cast.corp, cast.employees["lin"])
    cast.follows["lin"].state = way.token
    cast.follows["lin"].save()
    page = lin.get(f"contacts/contact/{cast.contacts['lin'].pk}/change/").content.decode()
    assert f'href="/admin/{page_of(way)}"><bdi>Autumn fair</bdi>' in page
    assert way.token not in page


def test_picture_is_shown_and_downloaded_under_the_name_of_the_campaign(cast: Cast, lin: Browser) -> None:
    way = factories.contact_way(cast.corp, cast.employees["lin"], campaign="Autumn fair")
    page = lin.get(page_of(way)).content.decode()
    assert f'src="/admin/contacts/contactway/{way.pk}/qr/"' in page
    got = lin.get(f"contacts/contactway/{way.pk}/download/")
    assert (got.content, got["Content-Type"]) == (factories.PNG, "image/png")
    assert got["Content-Disposition"] == 'attachment; filename="Autumn fair.png"'


def test_empty_list_says_what_a_way_is_for_or_that_there_are_none_here(cast: Cast, lin: Browser) -> None:
    assert "whoever scans it becomes a contact" in lin.text("contacts/contactway/")
    Corp.objects.update(dialect="direct")
    assert "Only official WeCom corps" in lin.text("contacts/contactway/")
    assert "Only official WeCom corps" in lin.text("contacts/contactway/add/")
