"""The pages that stand in for one that cannot be: they look like the product, in the reader's language."""

from html import unescape
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.test import Client, RequestFactory
from django.utils import translation

from contacts.models import Contact
from crm.api import exceptions
from tests.admin.conftest import Browser, Cast


def said(answer: Any, status: int) -> str:
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/html")
    return unescape(answer.content.decode())


def test_unknown_address_is_told_and_leads_back_to_the_start(lin: Browser) -> None:
    page = said(lin.get("nowhere/"), 404)
    assert "There is nothing here" in page
    assert 'href="/admin/"' in page
    assert 'name="viewport"' in page
    assert "prefers-color-scheme: dark" in page


def test_address_outside_the_admin_is_told_to_a_stranger(client: Client, db: None) -> None:
    assert "There is nothing here" in said(client.get("/nowhere"), 404)


def test_contact_out_of_reach_is_told_as_one_that_is_missing(cast: Cast, lin: Browser) -> None:
    missing = said(lin.get("contacts/contact/999999/change/"), 404)
    assert said(lin.get(f"contacts/contact/{cast.contacts['qian'].pk}/change/"), 404) == missing


def test_what_a_role_may_not_do_is_told(lin: Browser) -> None:
    assert "Your role does not allow this" in said(lin.get("crm/corp/"), 403)


def test_form_that_lost_its_token_says_how_to_go_on(cast: Cast) -> None:
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(cast.users["lin"])
    page = said(browser.post("contacts/contact/", {"action": "send_text"}), 403)
    assert "Go back, load the page again" in page
    assert Contact.objects.count() == 3


def test_foreign_host_is_told_where_the_address_is_set(client: Client, db: None) -> None:
    assert "CRM_ALLOWED_HOSTS" in said(client.get("/admin/", headers={"Host": "evil.example"}), 400)


def test_fault_of_ours_is_told_without_a_request_context() -> None:
    with translation.override("en"):
        page = said(exceptions.server_error(RequestFactory().get("/admin/")), 500)
    assert "Something went wrong on our side" in page
    assert 'href="/admin/"' in page


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500"])
def test_error_page_speaks_chinese(name: str) -> None:
    with translation.override("zh-hans"):
        page = render_to_string(f"{name}.html")
    assert 'lang="zh-hans"' in page
    assert "返回首页" in page
    assert "人脉" in page
