"""Templates at the browser: kept, tried on a contact, and sent in the words for each recipient."""

from typing import Any

import pytest

from contacts.models import Contact
from crm.models import Corp
from messaging.models import Delivery, Message, Template
from tests import factories
from tests.admin.conftest import Browser, Cast
from tests.admin.test_sending import NOTICE, begin, write


@pytest.fixture
def greeting(cast: Cast) -> Template:
    return factories.template(cast.corp, "Dear {contact.name}, see you {day}.", "greeting")


def start(browser: Browser, cast: Cast, *names: str) -> str:
    """The form of a text to the contacts of these sellers."""
    ids = [str(cast.contacts[name].pk) for name in names]
    form = {"action": "send_text", "_selected_action": ids, "index": "0"}
    return str(browser.post("contacts/contact/", form)["Location"])


def fill(browser: Browser, at: str, template: Template) -> str:
    """Choose a template on the form; the page then."""
    answer = browser.get(f"{at}?template={template.pk}", follow=True)
    assert answer.status_code == 200
    return str(answer.content.decode())


def test_template_is_written_kept_and_changed(cast: Cast) -> None:
    zhao = cast.browser("zhao")
    assert 'data-limit="2048"' in zhao.get("messaging/template/add/").content.decode()
    form: dict[str, Any] = {"name": "greeting", "corp": cast.corp.pk, "content": "Dear {contact.name}"}
    answer = zhao.post("messaging/template/add/", form)
    template = Template.objects.get()
    assert answer["Location"] == f"/admin/messaging/template/{template.pk}/change/"
    assert template.created_by == cast.users["zhao"]
    zhao.post(answer["Location"], {"name": "hello", "content": "Hello"})
    template.refresh_from_db()
    assert (template.name, template.content["text"], template.is_active) == (
        "hello",
        {"content": "Hello"},
        False,
    )


def test_notice_is_kept_with_its_lines(cast: Cast, sun: Browser) -> None:
    form: dict[str, Any] = {
        **NOTICE,
        "name": "contract",
        "corp": cast.corp.pk,
        "value_0": "{contact.company}",
    }
    sun.post("messaging/template/add/?msgtype=miniprogram_notice", form)
    items = Template.objects.get().content["miniprogram_notice"]["content_item"]
    assert items[0] == {"key": "客户", "value": "{contact.company}"}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"content": "Hello {contact.nmae}"}, "did you mean {contact.name}?"),
        ({"content": "字" * 683}, "2049"),
        ({"name": "greeting"}, "name already"),
        ({"name": ""}, "required"),
    ],
)
def test_fault_of_a_template_stands_beside_its_field(
    cast: Cast, sun: Browser, greeting: Template, form: Any, said: str
) -> None:
    told = {"name": "other", "corp": cast.corp.pk, "content": "Hello", **form}
    answer = sun.post("messaging/template/add/", told)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert Template.objects.count() == 1


def test_template_is_tried_on_a_contact_of_the_readers_reach(
    cast: Cast, lin: Browser, sun: Browser, greeting: Template
) -> None:
    at = f"messaging/template/{greeting.pk}/change/"
    assert "Dear Customer of lin, see you {day}." in lin.text(at)
    assert "Customer of qian" not in lin.text(f"{at}?contact={cast.contacts['qian'].pk}")
    assert "Dear Customer of qian" in sun.text(f"{at}?contact={cast.contacts['qian'].pk}")


def test_seller_reads_and_cannot_change(cast: Cast, lin: Browser, greeting: Template) -> None:
    at = f"messaging/template/{greeting.pk}/change/"
    assert 'name="content"' not in lin.get(at).content.decode()
    assert lin.post(at, {"name": "x", "content": "x"}).status_code == 403
    assert lin.get("messaging/template/add/").status_code == 403
    assert cast.browser("shen").get(at).status_code == 404


def test_template_of_a_corp_out_of_reach_is_404(cast: Cast, lin: Browser, sun: Browser) -> None:
    other = Corp.objects.create(corpid="ww-north", provider="wecom", dialect="direct")
    at = f"messaging/template/{factories.template(other).pk}/change/"
    assert lin.get(at).status_code == 404
    assert sun.get(at).status_code == 200


def test_template_fills_the_form_and_each_recipient_gets_the_own_text(
    cast: Cast, sun: Browser, greeting: Template
) -> None:
    at = start(sun, cast, "lin", "wang", "qian")
    page = fill(sun, at, greeting)
    assert "Dear {contact.name}, see you {day}." in page
    assert 'name="variable_0"' in page
    confirm = write(sun, at, content="Dear {contact.name}, see you {day}.", variable_0="Friday")
    page = sun.text(confirm)
    assert "Dear Customer of lin, see you Friday." in page
    assert "3 different texts go out" in page
    answer = sun.post(confirm)
    assert answer["Location"] == "/admin/messaging/message/"
    texts = {row.to: row.message.content["text"]["content"] for row in Delivery.objects.all()}
    assert texts == {
        f"wm-{name}": f"Dear Customer of {name}, see you Friday." for name in ("lin", "wang", "qian")
    }
    sun.post(confirm)
    assert Message.objects.count() == 3


def test_value_that_is_missing_is_asked_for_beside_its_field(
    cast: Cast, lin: Browser, greeting: Template
) -> None:
    at = begin(lin, "text", f"contact={cast.contacts['lin'].pk}")
    fill(lin, at, greeting)
    answer = lin.post(at, {"content": "See you {day}.", "variable_0": ""})
    assert answer.status_code == 200
    assert "Give a value for {day}." in answer.content.decode()
    assert lin.post(at, {"content": "See you.", "variable_0": ""}).status_code == 302


def test_recipient_whose_own_text_is_too_long_is_named_and_left_out(cast: Cast, sun: Browser) -> None:
    Contact.objects.filter(pk=cast.contacts["wang"].pk).update(name="字" * 60)
    words = "字" * 650 + "{contact.name}"
    at = start(sun, cast, "lin", "wang")
    fill(sun, at, factories.template(cast.corp, words))
    confirm = write(sun, at, content=words)
    page = sun.text(confirm)
    assert "1 cannot get it" in page
    assert "Too long" in page
    sun.post(confirm)
    assert list(Delivery.objects.values_list("to", flat=True)) == ["wm-lin"]


def test_text_without_a_template_keeps_its_braces(cast: Cast, lin: Browser) -> None:
    confirm = write(
        lin, begin(lin, "text", f"contact={cast.contacts['lin'].pk}"), content="{contact.name} {x}"
    )
    lin.post(confirm)
    assert Message.objects.get().content["text"]["content"] == "{contact.name} {x}"


def test_only_templates_that_fit_are_offered(cast: Cast, lin: Browser, greeting: Template) -> None:
    at = begin(lin, "text", f"contact={cast.contacts['lin'].pk}")
    other = Corp.objects.create(corpid="ww-north", provider="wecom", dialect="direct")
    strange, retired = factories.template(other), factories.template(cast.corp, is_active=False)
    page = lin.get(at).content.decode()
    assert greeting.name in page
    for one in (strange, retired):
        assert one.name not in page
        assert "There is no such template" in fill(lin, at, one)
    assert "{contact.name}" not in lin.get(at).content.decode()
