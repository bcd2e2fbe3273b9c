"""Who is let in: keys, logins, scopes; the order 401, 403, 404, 400 (contract C7)."""

from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone
from rest_framework.test import APIClient

from crm.models import ApiKey
from tests import factories
from tests.api.conftest import Caller, Cast, text


def test_a_request_without_a_key_is_401_and_says_how(cast: Cast) -> None:
    answer = Caller().get("contacts/")
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"] == "Bearer"
    assert answer["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Basic abc", "Bearer renmai_000000000000." + "a" * 43, "Token renmai_a.b"],
)
def test_a_malformed_or_unknown_key_is_401(cast: Cast, header: str) -> None:
    answer = APIClient(HTTP_AUTHORIZATION=header).get("/api/v1/contacts/")
    assert (answer.status_code, answer["WWW-Authenticate"]) == (401, "Bearer")


def test_a_key_with_a_wrong_secret_is_401(cast: Cast) -> None:
    row, key = factories.api_key(cast.users["sun"])
    forged = key[:-1] + ("a" if key[-1] != "a" else "b")
    assert Caller(key).get("contacts/").status_code == 200
    assert Caller(forged).get("contacts/").status_code == 401
    row.refresh_from_db()
    assert key.split(".")[1] not in row.digest


@pytest.mark.parametrize("column", ["expires_at", "revoked_at"])
def test_an_expired_or_revoked_key_is_401_at_once(cast: Cast, column: str) -> None:
    row, key = factories.api_key(cast.users["sun"])
    assert Caller(key).get("contacts/").status_code == 200
    ApiKey.objects.filter(pk=row.pk).update(**{column: timezone.now() - timedelta(seconds=1)})
    assert Caller(key).get("contacts/").status_code == 401


def test_a_key_dies_with_its_user(cast: Cast, sun: Caller) -> None:
    cast.users["sun"].is_active = False
    cast.users["sun"].save()
    assert sun.get("contacts/").status_code == 401


def test_the_use_of_a_key_is_noted_at_most_once_a_minute(cast: Cast, sun: Caller) -> None:
    sun.get("me/")
    first = ApiKey.objects.get().last_used_at
    sun.get("me/")
    assert ApiKey.objects.get().last_used_at == first
    ApiKey.objects.update(last_used_at=first - timedelta(seconds=61))
    sun.get("me/")
    assert ApiKey.objects.get().last_used_at > first


def test_a_key_outlives_the_rotation_of_field_keys_and_moves_to_the_new_one(cast: Cast, sun: Caller) -> None:
    before = ApiKey.objects.get().digest
    from django.conf import settings

    with override_settings(CRM_FIELD_KEYS={"new": b"n" * 32, **settings.CRM_FIELD_KEYS}):
        assert sun.get("me/").status_code == 200
        assert ApiKey.objects.get().digest != before
    with override_settings(CRM_FIELD_KEYS={"new": b"n" * 32}):
        assert sun.get("me/").status_code == 200


def test_a_login_reads_in_the_browser_and_writes_with_its_csrf_token(cast: Cast) -> None:
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(cast.users["lin"])
    body = text(cast.contacts["lin"].pk)
    assert browser.get("/api/v1/contacts/", HTTP_ACCEPT="text/html").status_code == 200
    refused = browser.post("/api/v1/messages/", body, format="json")
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf_failed")
    token = "a" * 32
    browser.cookies["csrftoken"] = token
    assert browser.post("/api/v1/messages/", body, format="json", HTTP_X_CSRFTOKEN=token).status_code == 202


def test_a_missing_scope_is_403_insufficient_scope_beside_the_scope_that_lets_in(cast: Cast) -> None:
    with_scope, without = cast.caller("sun", "messages:read"), cast.caller("sun", "contacts:read")
    assert with_scope.get("messages/").status_code == 200
    answer = without.get("messages/")
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")


def test_write_does_not_imply_read(cast: Cast) -> None:
    assert cast.caller("sun", "contacts:write").get("contacts/").status_code == 403


def test_refusals_come_in_the_order_401_403_404_400(cast: Cast) -> None:
    nothing_right = "follow-users/999/?nonsense=1"
    assert Caller().patch(nothing_right, {"x": 1}).status_code == 401
    assert cast.caller("shen").patch(nothing_right, {"x": 1}).status_code == 403
    assert cast.caller("lin").patch(nothing_right, {"x": 1}).status_code == 404
    mine = f"follow-users/{cast.follows['lin'].pk}/?nonsense=1"
    assert cast.caller("lin").patch(mine, {"x": 1}).status_code == 400


def test_a_body_is_not_even_parsed_for_who_may_not_write(cast: Cast) -> None:
    answer = cast.caller("shen").generic("POST", "messages/", b"{", content_type="application/json")
    assert answer.status_code == 403


def test_me_tells_who_the_key_is(cast: Cast) -> None:
    told = cast.caller("lin", "contacts:read").get("me/").json()
    assert (told["username"], told["role"], told["employee"]) == ("lin", "sales", "lin")
    assert (told["corps"], told["scopes"]) == (["ww-south"], ["contacts:read"])
    assert told["key"]["prefix"]
