"""Text from outside stays text: names, remarks, companies, refusals, employees."""

import pytest

from contacts.models import Contact, Employee, FollowUser, Quarantine, SyncRun, Tag
from messaging.models import Delivery, Message
from tests.admin.conftest import Browser, Cast

PAYLOADS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 7|add:7 }}{% now 'Y' %}",
    "javascript:alert(1)",
    "\u202etxt.exe\u200b",
    "%(name)s {0} {}",
)


@pytest.fixture(params=PAYLOADS)
def evil(request: pytest.FixtureRequest, cast: Cast) -> str:
    text = str(request.param)
    Contact.objects.update(
        name=text, nickname=text, corp_name=text, position=text, avatar="javascript:alert(1)"
    )
    Employee.objects.update(name=text, position=text)
    FollowUser.objects.update(
        remark=text, description=text, state=text, personal_tags=[text], remark_corp_name=text
    )
    Tag.objects.update(name=text, group_name=text)
    run = SyncRun.objects.create(
        corp=cast.corp,
        trigger="admin",
        state="partial",
        errors=[{"userid": "lin", "code": "errcode", "errcode": 1, "errmsg": text}],
    )
    Quarantine.objects.create(corp=cast.corp, run=run, first_run=run, external_userid=text[:64], reason=text)
    message = Message.objects.create(
        corp=cast.corp,
        agent=cast.agent,
        to_kind="contact",
        msgtype="text",
        content={"msgtype": "text", "text": {"content": text}},
        created_by=cast.users["sun"],
    )
    Delivery.objects.create(
        message=message,
        to_kind="contact",
        to="wm-lin",
        contact=cast.contacts["lin"],
        state="failed",
        errmsg=text,
    )
    return text


def test_every_page_shows_hostile_text_as_text(cast: Cast, sun: Browser, evil: str) -> None:
    contact, employee = cast.contacts["lin"], cast.employees["lin"]
    paths = [
        "",
        "contacts/contact/",
        f"contacts/contact/{contact.pk}/change/",
        f"contacts/employee/{employee.pk}/change/",
        "contacts/employee/",
        "contacts/followuser/",
        "contacts/tag/",
        f"contacts/syncrun/{SyncRun.objects.get().pk}/change/",
        "messaging/message/",
        f"messaging/message/{Message.objects.get().pk}/change/",
        "messaging/delivery/",
        f"contacts/contact/?q={evil}",
    ]
    for path in paths:
        page = sun.get(path, follow=True).content.decode()
        assert "<script>alert(1)" not in page, path
        assert "<img src=x" not in page, path
        assert 'href="javascript:' not in page, path
        assert 'src="javascript:' not in page, path


@pytest.mark.parametrize("path", ["", "contacts/contact/", "contacts/contact/add/", "messaging/message/"])
def test_pages_of_ours_hold_no_inline_script(sun: Browser, path: str) -> None:
    page = sun.get(path).content.decode()
    assert "<script>" not in page
    assert "onclick=" not in page
