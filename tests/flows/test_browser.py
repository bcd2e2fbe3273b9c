"""The walk of a working day in a real browser: login → list → contact → send → result, both languages and widths."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.flows.conftest import CHROMIUM, Demo

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason=f"no {CHROMIUM}"),
]

WORDS = {
    "en": {"contacts": "Contacts", "delivered": "accepted"},
    "zh-hans": {"contacts": "客户", "delivered": "已受理"},
}


@pytest.fixture
def page(visitor: BrowserContext, demo: Demo) -> Iterator[Page]:
    page = visitor.new_page()
    log_in(page, demo, "admin")
    yield page
    if folder := os.environ.get("TEST_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{os.environ['PYTEST_CURRENT_TEST'].split('::')[1].split(' ')[0]}.png")


def log_in(page: Page, demo: Demo, username: str) -> None:
    page.goto(f"{demo.url}/admin/login/")
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", "renmai-demo")
    page.press("input[name=password]", "Enter")
    expect(page.locator("input[name=password]")).to_have_count(0)


def open_first_contact(page: Page, demo: Demo, search: str = "") -> str:
    """From the list, as a person does; returns the contact's external_userid."""
    page.goto(f"{demo.url}/admin/contacts/contact/?q={search}")
    page.locator("#result_list a[href*='/admin/contacts/contact/'][href*='/change/']").first.click()
    page.wait_for_url("**/change/**")
    return page.locator("code").first.inner_text().strip()


def arrived(demo: Demo, to: str, seconds: float = 15) -> dict[str, Any]:
    """The newest message on the imagined phone of `to`."""
    deadline = time.monotonic() + seconds
    while True:
        messages = demo.sim.messages(to=to)
        if messages:
            return messages[-1]
        assert time.monotonic() < deadline, f"nothing arrived at {to}"
        time.sleep(0.2)


def fits(page: Page) -> bool:
    """Nothing makes the page scroll sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def direct_contact(demo: Demo, name: str) -> str:
    """A contact made over REST in the corp that can be written to directly; returns its external_userid."""
    corp = next(line["corp"] for line in demo.sim.corps if line["corp"].startswith("wwd"))
    userid = demo.sim.world(corp)["employees"][0]["userid"]
    key = demo.manage("create_api_key", "--user", "admin", "--scopes", "contacts:write,contacts:read")["key"]
    body = {"corp": corp, "name": name, "follow_users": [userid]}
    made = demo.post("/api/v1/contacts/", key, body)
    deadline = time.monotonic() + 15
    while demo.get(f"{demo.url}/api/v1/contacts/{made['id']}/", key)["state"] != "active":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return str(made["external_userid"])


def test_text_goes_from_the_list_to_the_phone_and_back_as_a_result(
    page: Page, demo: Demo, language: str
) -> None:
    external_userid = direct_contact(demo, f"浏览器{time.time_ns()}")
    assert open_first_contact(page, demo, external_userid) == external_userid
    assert fits(page)
    page.locator("a[href*='/send/start/text/']").first.click()
    page.fill("textarea[name=content]", "您好，样品已经寄出。")
    assert fits(page)
    page.locator("form:has(textarea) button[type=submit]").click()
    page.wait_for_url("**/confirm/")
    assert fits(page)
    page.locator("form[data-once] button[type=submit]").click()
    page.wait_for_url("**/messaging/message/*/change/")
    expect(page.locator("main, body").first).to_contain_text(WORDS[language]["delivered"], timeout=15_000)
    assert fits(page)
    assert arrived(demo, external_userid)["content"] == {"content": "您好，样品已经寄出。"}


def test_notice_goes_to_the_phone_as_a_card(page: Page, demo: Demo, language: str) -> None:
    external_userid = direct_contact(demo, f"通知{time.time_ns()}")
    open_first_contact(page, demo, external_userid)
    page.locator("a[href*='/send/start/miniprogram_notice/']").first.click()
    page.fill("input[name=appid]", "wx00000000000000aa")
    page.fill("input[name=title]", "合同待确认")
    page.fill("input[name=key_0]", "客户")
    page.fill("input[name=value_0]", "北方工厂")
    assert fits(page)
    page.locator("form:has(input[name=appid]) button[type=submit]").last.click()
    page.wait_for_url("**/confirm/")
    page.locator("form[data-once] button[type=submit]").click()
    page.wait_for_url("**/messaging/message/*/change/")
    expect(page.locator("main, body").first).to_contain_text(WORDS[language]["delivered"], timeout=15_000)
    card = arrived(demo, external_userid)
    assert (card["msgtype"], card["content"]["title"]) == ("miniprogram_notice", "合同待确认")


def test_contact_created_in_the_admin_appears_in_the_providers_world(page: Page, demo: Demo) -> None:
    name = f"新客户{time.time_ns()}"
    corp = next(line["corp"] for line in demo.sim.corps if line["corp"].startswith("wwd"))
    colleague = demo.sim.world(corp)["employees"][0]["name"]
    page.goto(f"{demo.url}/admin/contacts/contact/add/")
    page.fill("input[name=name]", name)
    page.locator(".select2-selection").last.click()
    page.locator(".select2-search__field").last.type(colleague)
    page.locator(".select2-results__option", has_text=colleague).first.click()
    assert fits(page)
    page.locator("form.rm-form button[type=submit]").click()
    page.wait_for_url("**/change/**")
    deadline = time.monotonic() + 15
    while name not in {each["name"] for each in demo.sim.world(corp)["contacts"]}:
        assert time.monotonic() < deadline
        time.sleep(0.2)


PAGES = [
    "/admin/",
    "/admin/contacts/contact/",
    "/admin/contacts/followuser/",
    "/admin/contacts/employee/",
    "/admin/contacts/team/",
    "/admin/contacts/tag/",
    "/admin/contacts/syncrun/",
    "/admin/messaging/message/",
    "/admin/messaging/delivery/",
    "/admin/messaging/receivedmessage/",
    "/admin/messaging/welcome/",
    "/admin/messaging/greeting/",
    "/admin/contacts/contactway/",
    "/admin/contacts/contactway/add/",
    "/admin/crm/corp/",
    "/admin/crm/agent/",
    "/admin/crm/apikey/",
    "/admin/crm/event/",
]


def test_every_page_speaks_the_language_and_fits_the_width(page: Page, demo: Demo, language: str) -> None:
    for path in PAGES:
        page.goto(f"{demo.url}{path}")
        assert page.locator("html").get_attribute("lang") == language, path
        assert fits(page), path
    page.goto(f"{demo.url}/admin/contacts/contact/")
    expect(page.locator("body")).to_contain_text(WORDS[language]["contacts"])


def test_sync_now_shows_a_live_page_that_ends_complete(page: Page, demo: Demo, language: str) -> None:
    page.goto(f"{demo.url}/admin/")
    page.locator(
        "form[action*='sync'] button, button:has-text('Sync now'), button:has-text('立即同步')"
    ).first.click()
    page.wait_for_url("**/syncrun/**")
    expect(page.locator("body")).to_contain_text(
        {"en": "complete", "zh-hans": "完成"}[language], timeout=20_000
    )
    assert fits(page)
