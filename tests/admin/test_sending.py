"""Form, confirmation, message: what a click writes, and what it never does twice."""

import threading
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from contacts.models import Contact
from crm.models import Corp
from crm.providers.content import Text
from messaging import outbox
from messaging.models import Delivery, Message
from tests.admin.conftest import Browser, Cast


def begin(browser: Browser, kind: str, query: str) -> str:
    """Open the form; its address."""
    answer = browser.get(f"messaging/message/send/start/{kind}/?{query}")
    assert answer.status_code == 302, answer.status_code
    assert browser.get(answer["Location"]).status_code == 200
    return str(answer["Location"])


def write(browser: Browser, at: str, **form: str) -> str:
    """Fill in the form; the address of the confirmation."""
    answer = browser.post(at, form)
    assert answer.status_code == 302, answer.content.decode()
    assert not Message.objects.exists()
    return str(answer["Location"])


NOTICE = {
    "appid": "wx00000000000000aa",
    "title": "合同待确认",
    "page": "pages/order/view?id=7",
    "key_0": "客户",
    "value_0": "北方工厂",
    "key_4": "截止",
    "value_4": "周五",
}


def test_text_to_one_contact_from_button_to_rows(cast: Cast, lin: Browser) -> None:
    contact = cast.contacts["lin"]
    assert "Send text" in lin.text(f"contacts/contact/{contact.pk}/change/")
    confirm = write(lin, begin(lin, "text", f"contact={contact.pk}"), content="Hello\r\nyou")
    page = lin.text(confirm)
    assert "Customer of lin" in page
    assert "1 will get it" in page
    answer = lin.post(confirm)
    message = Message.objects.get()
    assert answer["Location"] == reverse("admin:messaging_message_change", args=(message.pk,))
    assert message.content == {"msgtype": "text", "text": {"content": "Hello\nyou"}}
    assert message.created_by == cast.users["lin"]
    assert message.deliveries.get().contact == contact


def test_notice_keeps_its_lines_and_leaves_empty_ones_out(cast: Cast, lin: Browser) -> None:
    confirm = write(lin, begin(lin, "miniprogram_notice", f"contact={cast.contacts['lin'].pk}"), **NOTICE)
    lin.post(confirm)
    notice = Message.objects.get().content["miniprogram_notice"]
    assert notice["content_item"] == [{"key": "客户", "value": "北方工厂"}, {"key": "截止", "value": "周五"}]
    assert notice["title"] == "合同待确认"


def test_next_notice_remembers_the_mini_program(cast: Cast, lin: Browser) -> None:
    query = f"contact={cast.contacts['lin'].pk}"
    lin.post(write(lin, begin(lin, "miniprogram_notice", query), **NOTICE))
    at = lin.get(f"messaging/message/send/start/miniprogram_notice/?{query}")["Location"]
    assert 'value="wx00000000000000aa"' in lin.get(at).content.decode()


@pytest.mark.parametrize(
    ("kind", "form", "said"),
    [
        ("text", {"content": "字" * 683}, "2049"),
        ("text", {"content": "   "}, "Write something first"),
        ("miniprogram_notice", {**NOTICE, "title": "一二三四五六七八九十一二三"}, "13"),
        ("miniprogram_notice", {**NOTICE, "key_1": "only a key"}, "Fill in both"),
        ("miniprogram_notice", {**NOTICE, "appid": ""}, "required"),
    ],
)
def test_content_over_a_limit_is_refused_beside_its_field(
    cast: Cast, lin: Browser, kind: str, form: Any, said: str
) -> None:
    at = begin(lin, kind, f"contact={cast.contacts['lin'].pk}")
    answer = lin.post(at, form)
    assert answer.status_code == 200
    assert said in answer.content.decode()


def test_notice_to_contacts_of_an_official_corp_asks_for_what_a_card_shows(cast: Cast, lin: Browser) -> None:
    Corp.objects.update(dialect="official")
    at = begin(lin, "miniprogram_notice", f"contact={cast.contacts['lin'].pk}")
    page = lin.get(at).content.decode()
    assert "At most 64 bytes" in page
    assert "4 to 12 characters" not in page
    assert 'name="description"' not in page
    assert 'name="key_0"' not in page
    assert lin.post(at, {**NOTICE, "page": ""}).status_code == 200
    lin.post(write(lin, at, **NOTICE))
    assert Message.objects.get().content["miniprogram_notice"]["page"] == NOTICE["page"]


def test_message_to_one_person_leads_back_to_them(cast: Cast, lin: Browser) -> None:
    contact = cast.contacts["lin"]
    page = lin.post(write(lin, begin(lin, "text", f"contact={contact.pk}"), content="Hello"), follow=True)
    assert "Back to Customer of lin" in page.content.decode()
    assert f'href="/admin/contacts/contact/{contact.pk}/change/"' in page.content.decode()


def test_message_to_several_leads_back_to_nobody(cast: Cast, lin: Browser) -> None:
    cast.add_contacts(1)
    contacts = list(Contact.objects.visible_to(cast.users["lin"]))
    message = outbox.compose(
        user=cast.users["lin"],
        actor="user:lin",
        corp=cast.corp,
        contacts=[contact.pk for contact in contacts],
        content=Text("Hello"),
    )
    assert len(contacts) == 2
    assert "Back to" not in lin.text(f"messaging/message/{message.pk}/change/")


def test_warning_is_shown_on_the_confirmation_and_does_not_block(cast: Cast, lin: Browser) -> None:
    confirm = write(
        lin,
        begin(lin, "miniprogram_notice", f"contact={cast.contacts['lin'].pk}"),
        **{**NOTICE, "title": "短"},
    )
    assert "Shorter than 4" in lin.text(confirm)
    assert lin.post(confirm).status_code == 302
    assert Message.objects.exists()


def test_selected_contacts_are_sent_to_and_who_cannot_get_it_is_named(cast: Cast, sun: Browser) -> None:
    Contact.objects.filter(pk=cast.contacts["wang"].pk).update(state="pending")
    ids = [str(cast.contacts[name].pk) for name in ("lin", "wang", "qian")]
    answer = sun.post("contacts/contact/", {"action": "send_text", "_selected_action": ids, "index": "0"})
    confirm = write(sun, answer["Location"], content="Hello")
    page = sun.text(confirm)
    assert "2 will get it" in page
    assert "1 cannot get it" in page
    assert "still being created" in page
    sun.post(confirm)
    assert set(Delivery.objects.values_list("to", flat=True)) == {"wm-lin", "wm-qian"}


def test_select_across_takes_all_that_match_and_no_other(cast: Cast) -> None:
    zhao = cast.browser("zhao")  # of sellers it would be too many
    cast.add_contacts(60)
    chosen = [str(cast.contacts["lin"].pk)]
    form = {"action": "send_text", "_selected_action": chosen, "select_across": "1", "index": "0"}
    confirm = write(zhao, zhao.post("contacts/contact/", form)["Location"], content="Hello")
    zhao.post(confirm)
    assert Delivery.objects.count() == 62
    assert not Delivery.objects.filter(contact=cast.contacts["qian"]).exists()


def test_selection_of_more_than_the_role_may_reach_is_refused_in_words(cast: Cast, lin: Browser) -> None:
    cast.add_contacts(50)
    form = {"action": "send_text", "_selected_action": [str(cast.contacts["lin"].pk)], "select_across": "1"}
    answer = lin.post("contacts/contact/", {**form, "index": "0"}, follow=True)
    assert "At most 50 at a time" in answer.content.decode()


def test_selected_employees_get_an_app_message(cast: Cast, sun: Browser) -> None:
    ids = [str(cast.employees[name].pk) for name in ("lin", "wang")]
    answer = sun.post("contacts/employee/", {"action": "send_text", "_selected_action": ids, "index": "0"})
    sun.post(write(sun, answer["Location"], content="Hello"))
    assert set(Delivery.objects.values_list("to_kind", "to")) == {("employee", "lin"), ("employee", "wang")}


def test_selection_across_corps_is_refused_in_words(cast: Cast, sun: Browser) -> None:
    other = type(cast.corp).objects.create(corpid="ww-north", provider="wecom", dialect="direct")
    stranger = Contact.objects.create(corp=other, external_userid="wm-x", name="X")
    ids = [str(stranger.pk), str(cast.contacts["lin"].pk)]
    answer = sun.post(
        "contacts/contact/", {"action": "send_text", "_selected_action": ids, "index": "0"}, follow=True
    )
    assert "one corp" in answer.content.decode()


@pytest.mark.parametrize("query", ["contact=999999", "contact=x", "employee=999999", ""])
def test_form_for_a_recipient_out_of_reach_is_404(cast: Cast, lin: Browser, query: str) -> None:
    assert lin.get(f"messaging/message/send/start/text/?{query}").status_code == 404
    assert (
        lin.get(f"messaging/message/send/start/text/?contact={cast.contacts['qian'].pk}").status_code == 404
    )


def test_auditor_cannot_send(cast: Cast) -> None:
    shen = cast.browser("shen")
    assert (
        shen.get(f"messaging/message/send/start/text/?contact={cast.contacts['lin'].pk}").status_code == 403
    )
    assert "Send text" not in shen.text(f"contacts/contact/{cast.contacts['lin'].pk}/change/")


def test_draft_of_another_person_is_not_there(cast: Cast, lin: Browser) -> None:
    confirm = write(lin, begin(lin, "text", f"contact={cast.contacts['lin'].pk}"), content="Hello")
    cast.browser("wang").post(confirm)
    assert not Message.objects.exists()


def test_confirming_twice_sends_once_and_leads_to_the_same_message(cast: Cast, lin: Browser) -> None:
    confirm = write(lin, begin(lin, "text", f"contact={cast.contacts['lin'].pk}"), content="Hello")
    first, second = lin.post(confirm), lin.post(confirm)
    assert Message.objects.count() == 1
    assert first["Location"] == second["Location"]
    assert lin.get(confirm)["Location"] == first["Location"]


@pytest.mark.django_db(transaction=True)
def test_confirming_at_the_same_moment_from_two_tabs_sends_once(cast: Cast, lin: Browser) -> None:
    confirm = write(lin, begin(lin, "text", f"contact={cast.contacts['lin'].pk}"), content="Hello")
    tabs = [cast.browser("lin") for _ in range(4)]
    statuses: list[int] = []

    def press(tab: Browser) -> None:
        tab.cookies = lin.cookies
        statuses.append(tab.post(confirm).status_code)
        connection.close()

    threads = [threading.Thread(target=press, args=(tab,)) for tab in tabs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [302] * 4
    assert Message.objects.count() == 1


def test_recipient_lost_between_preview_and_click_is_not_written_to(cast: Cast, lin: Browser) -> None:
    cast.add_contacts(1)
    answer = lin.post(
        "contacts/contact/",
        {
            "action": "send_text",
            "_selected_action": [str(c.pk) for c in Contact.objects.visible_to(cast.users["lin"])],
            "index": "0",
        },
    )
    confirm = write(lin, answer["Location"], content="Hello")
    Contact.objects.filter(pk=cast.contacts["lin"].pk).update(state="lost")
    lin.post(confirm)
    assert not Delivery.objects.filter(contact=cast.contacts["lin"]).exists()


def sent(cast: Cast) -> Message:
    return outbox.compose(
        user=cast.users["lin"],
        actor="user:lin",
        corp=cast.corp,
        contacts=[cast.contacts["lin"].pk],
        content=Text("Hello"),
    )


def test_cancel_asks_first_and_then_takes_back_what_waits(cast: Cast, lin: Browser) -> None:
    message = sent(cast)
    path = f"messaging/message/{message.pk}/cancel/"
    assert lin.get(path).status_code == 200
    assert Delivery.objects.get().state == "queued"
    assert lin.post(path).status_code == 302
    assert Delivery.objects.get().state == "cancelled"
    assert "too late" in lin.post(path, follow=True).content.decode()


def test_live_fragment_ends_when_the_message_is_done(cast: Cast, lin: Browser) -> None:
    message = sent(cast)
    path = f"messaging/message/{message.pk}/live/"
    assert "data-live-done" not in lin.get(path).content.decode()
    lin.post(f"messaging/message/{message.pk}/cancel/")
    assert "data-live-done" in lin.get(path).content.decode()


def test_refusal_is_told_in_plain_words_with_the_providers_number(cast: Cast, lin: Browser) -> None:
    message = sent(cast)
    message.deliveries.update(
        state="failed", errcode=81013, errmsg="user & party & tag all invalid", attempts=1
    )
    page = lin.text(f"messaging/message/{message.pk}/change/")
    assert "visible range" in page
    assert "81013" in page


def test_a_trial_goes_to_ones_own_phone_and_the_draft_stays(cast: Cast, lin: Browser) -> None:
    confirm = write(lin, begin(lin, "text", f"contact={cast.contacts['lin'].pk}"), content="Hello")
    assert "First to me" in lin.text(confirm)
    assert lin.post(confirm, {"to_me": "1"})["Location"] == confirm
    trial = Message.objects.get()
    assert list(trial.deliveries.values_list("to_kind", "to")) == [("employee", "lin")]
    assert lin.post(confirm, {}).status_code == 302
    assert Message.objects.exclude(pk=trial.pk).get().deliveries.get().to == "wm-lin"


def test_when_it_may_go_out_is_asked_beside_the_button(cast: Cast, lin: Browser) -> None:
    confirm = write(lin, begin(lin, "text", f"contact={cast.contacts['lin'].pk}"), content="Hello")
    lin.post(confirm, {"not_before": "2030-01-02T08:00", "expires_at": "2030-01-01T08:00"})
    lin.post(confirm, {"not_before": "soon"})
    assert not Message.objects.exists()
    lin.post(confirm, {"not_before": "2030-01-02T08:00", "expires_at": "2030-01-03T08:00"})
    message = Message.objects.get()
    assert message.not_before is not None
    assert message.not_before.isoformat() == "2030-01-02T00:00:00+00:00"
    assert message.expires_at is not None


def test_who_is_no_employee_is_offered_no_trial(cast: Cast) -> None:
    sun = cast.browser("sun")
    confirm = write(sun, begin(sun, "text", f"contact={cast.contacts['lin'].pk}"), content="Hello")
    assert "First to me" not in sun.text(confirm)
