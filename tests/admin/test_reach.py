"""What a person cannot reach is not there: on lists, details, filters, choices, timelines, and in lookups."""

import pytest
from django.utils import timezone

from crm.events import event, record
from crm.models import Event
from messaging.models import Delivery, Message
from tests.admin.conftest import Browser, Cast


def message_of(cast: Cast, name: str, to: str) -> Message:
    message = Message.objects.create(
        corp=cast.corp,
        agent=cast.agent,
        to_kind="contact",
        msgtype="text",
        content={"msgtype": "text", "text": {"content": f"canary of {name}"}},
        created_by=cast.users[name],
    )
    Delivery.objects.create(message=message, to_kind="contact", to=f"wm-{to}", contact=cast.contacts[to])
    return message


@pytest.mark.parametrize(
    ("name", "seen"), [("lin", {"lin"}), ("zhao", {"lin", "wang"}), ("sun", {"lin", "wang", "qian"})]
)
def test_contact_list_shows_exactly_the_reach(cast: Cast, name: str, seen: set[str]) -> None:
    page = cast.browser(name).text("contacts/contact/")
    assert {one for one in ("lin", "wang", "qian") if f"Customer of {one}" in page} == seen


@pytest.mark.parametrize(
    "path",
    [
        "contacts/contact/{c}/change/",
        "contacts/contact/{c}/history/",
        "contacts/followuser/{f}/change/",
        "messaging/message/{m}/change/",
        "messaging/message/{m}/live/",
        "messaging/delivery/{d}/change/",
    ],
)
def test_objects_out_of_reach_are_404_like_missing_ones(cast: Cast, lin: Browser, path: str) -> None:
    message = message_of(cast, "qian", "qian")
    ids = {
        "c": cast.contacts["qian"].pk,
        "f": cast.follows["qian"].pk,
        "m": message.pk,
        "d": message.deliveries.get().pk,
    }
    assert lin.get(path.format(**ids)).status_code == 404
    assert lin.get(path.format(**dict.fromkeys(ids, 999_999))).status_code == 404
    assert cast.browser("sun").get(path.format(**ids)).status_code in {200, 302}


def test_contact_leaves_the_reach_when_the_follow_ends(cast: Cast, lin: Browser) -> None:
    cast.follows["lin"].ended_at = timezone.now()
    cast.follows["lin"].save()
    assert "Customer of lin" not in lin.text("contacts/contact/")
    assert lin.get(f"contacts/contact/{cast.contacts['lin'].pk}/change/").status_code == 404
    assert "Customer of lin" not in lin.text("contacts/followuser/?ended=all")


@pytest.mark.parametrize(
    "query",
    [
        "follow_users__remark_mobiles__startswith=139",
        "follow_users__remark__startswith=met",
        "unionid__startswith=o",
        "created_by__password__startswith=p",
        "follow_users__employee__user__username=lin",
        "name__startswith=C",
    ],
)
@pytest.mark.parametrize("name", ["lin", "sun"])
def test_lookups_beside_the_filters_are_refused(cast: Cast, name: str, query: str) -> None:
    assert cast.browser(name).get(f"contacts/contact/?{query}").status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "contacts/followuser/?remark_mobiles__startswith=139",
        "auth/user/?password__startswith=a",
        "crm/agent/?secret__startswith=c",
        "crm/apikey/?digest__startswith=a",
    ],
)
def test_lookups_on_hidden_columns_are_refused(sun: Browser, path: str) -> None:
    assert sun.get(path).status_code == 400


@pytest.mark.parametrize("term", ["13900000042", "139", "0042", "met by"])
def test_search_does_not_find_phones_or_remarks(sun: Browser, term: str) -> None:
    assert "Customer of" not in sun.text(f"contacts/contact/?q={term}")


@pytest.mark.parametrize("name", ["lin", "zhao", "sun", "shen"])
def test_phones_stand_masked(cast: Cast, name: str) -> None:
    page = cast.browser(name).text(f"contacts/contact/{cast.contacts['lin'].pk}/change/")
    assert "139****0042" in page
    assert "13900000042" not in page


def test_unionid_and_profile_are_told_in_clear_nowhere(cast: Cast) -> None:
    contact = cast.contacts["lin"]
    type(contact).objects.filter(pk=contact.pk).update(unionid="oUNIONID-secret-1")
    changes = {"unionid": ["", "oUNIONID-secret-1"], "external_profile": [{}, {"corp": "secret mill"}]}
    line = event(
        "contact.updated", "contact", contact.pk, actor="sync:1", contact_id=contact.pk, changes=changes
    )
    record([line])
    page = cast.browser("sun").text(f"contacts/contact/{contact.pk}/change/")
    history = cast.browser("sun").text(f"crm/event/{Event.objects.get().pk}/change/")
    assert page.count("oUN****et-1") == 2
    assert "profile" in page
    assert "external_profile" in history
    for told in (page, history):
        assert "oUN****et-1" in told
        assert "oUNIONID" not in told
        assert "secret mill" not in told


def test_auditor_reads_no_free_text(cast: Cast) -> None:
    contact, follow = cast.contacts["lin"], cast.follows["lin"]
    change = {"remark": ["an old remark", "met by lin"]}
    record(
        [
            event(
                "follow.updated",
                "follow_user",
                follow.pk,
                actor="worker",
                contact_id=contact.pk,
                changes=change,
            )
        ]
    )
    message_of(cast, "lin", "lin")
    shen = cast.browser("shen")
    pages = [
        shen.text(f"contacts/contact/{contact.pk}/change/"),
        shen.text(f"contacts/followuser/{follow.pk}/change/"),
        shen.text("messaging/message/"),
        shen.text(f"messaging/message/{Message.objects.get().pk}/change/"),
        shen.text("messaging/delivery/"),
        shen.text(f"crm/event/{Event.objects.get().pk}/change/"),
        shen.text(""),
    ]
    for secret in ("met by lin", "an old remark", "likes tea", "canary of lin"):
        assert [page for page in pages if secret in page] == []


def test_colleagues_stand_side_by_side_and_only_ones_own_relation_can_be_planned(
    cast: Cast, lin: Browser
) -> None:
    contact = cast.contacts["lin"]
    cast.follows["wang"].delete()
    wang = contact.follow_users.create(employee=cast.employees["wang"])
    page = lin.get(f"contacts/contact/{contact.pk}/change/").content.decode()
    assert "wang" in page
    assert f"/plan/{cast.follows['lin'].pk}/" in page
    assert f"/plan/{wang.pk}/" not in page


def test_colleagues_message_is_told_without_its_words(cast: Cast, lin: Browser) -> None:
    message_of(cast, "sun", "lin")
    page = lin.text(f"contacts/contact/{cast.contacts['lin'].pk}/change/")
    assert "sun" in page
    assert "canary of sun" not in page


def test_choices_and_autocompletes_are_as_narrow_as_the_lists(cast: Cast, lin: Browser) -> None:
    every = lin.get("contacts/employee/choices/").json()["results"]
    own = lin.get("contacts/employee/choices/?reach=1").json()["results"]
    assert {one["text"] for one in own} == {"lin"}
    assert {one["text"] for one in every} >= {"lin", "wang"}
    found = lin.get("autocomplete/?app_label=contacts&model_name=followuser&field_name=contact&term=").json()[
        "results"
    ]
    assert [one["text"] for one in found] == ["Customer of lin"]


def test_autocomplete_of_logins_is_closed_to_sales(lin: Browser) -> None:
    path = "autocomplete/?app_label=contacts&model_name=employee&field_name=user&term="
    assert lin.get(path).status_code == 403


def test_filter_does_not_tell_the_name_of_an_employee_out_of_reach(cast: Cast) -> None:
    stranger = cast.employees["qian"]
    lin = cast.browser("lin")
    page = lin.text(f"contacts/followuser/?employee={stranger.pk}")
    assert "qian" not in page


@pytest.mark.parametrize(
    "query",
    [
        "?employee=abc",
        "?employee=99999999999999999999",
        "?tag=x",
        "?state=nope",
        "?type=nope",
        "?stage=nope",
        "?p=abc",
        "?o=99",
        "?q=%00",
        "?corp=nope",
    ],
)
def test_nonsense_in_the_address_shows_an_empty_list_and_no_fault(sun: Browser, query: str) -> None:
    assert sun.get(f"contacts/contact/{query}", follow=True).status_code == 200
