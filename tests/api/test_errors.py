"""Every error has one shape; bodies are capped; every answer carries a request id (contract C19)."""

from typing import Any

import orjson
import pytest
from django.db import connection
from django.test import Client, override_settings

from tests.api.conftest import Caller, Cast, person

MEMBERS = {"type", "title", "status", "detail", "instance", "code", "errors", "request_id"}
JSON = "application/json"


def is_problem(answer: Any, status: int, code: str) -> bool:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.content
    assert answer["Content-Type"] == "application/problem+json"
    assert set(answer.json()) >= MEMBERS
    assert answer.json()["status"] == status
    return True


def test_each_refusal_has_the_shape_of_rfc_9457(cast: Cast, lin: Caller) -> None:
    assert is_problem(Caller().get("contacts/"), 401, "not_authenticated")
    assert is_problem(Caller("renmai_x").get("contacts/"), 401, "authentication_failed")
    assert is_problem(lin.get("sync-runs/"), 403, "forbidden")
    assert is_problem(lin.get("contacts/987654/"), 404, "not_found")
    assert is_problem(lin.delete("contacts/"), 405, "method_not_allowed")
    assert is_problem(lin.post("contacts/", {}), 400, "validation_error")
    assert is_problem(lin.get("contacts/?nonsense=1"), 400, "unknown_parameter")


def test_an_address_that_does_not_exist_is_404_in_json_also_in_debug_mode(cast: Cast, lin: Caller) -> None:
    assert is_problem(lin.get("nothing/here/"), 404, "not_found")
    with override_settings(DEBUG=True):
        assert is_problem(lin.get("nothing/here/"), 404, "not_found")
    assert is_problem(lin.get("/api/v2/"), 404, "not_found")


def test_a_forgotten_slash_is_said_and_not_redirected(lin: Caller) -> None:
    answer = lin.post("contacts", person())
    assert is_problem(answer, 404, "not_found")
    assert "slash" in answer.json()["detail"]


def test_a_body_of_more_than_one_mebibyte_is_413(lin: Caller) -> None:
    padding = 1024 * 1024 - len(orjson.dumps(person(nickname="")))
    exact = orjson.dumps(person(nickname="x" * padding))
    assert is_problem(lin.generic("POST", "contacts/", exact, content_type=JSON), 400, "validation_error")
    assert is_problem(
        lin.generic("POST", "contacts/", exact + b" ", content_type=JSON), 413, "body_too_large"
    )


@pytest.mark.parametrize("body", [b"{", b"hello", b"\xff\xfe", b'{"a": NaN}', b'{"a": "\\ud800"}'])
def test_a_body_that_is_not_json_is_400_parse_error(lin: Caller, body: bytes) -> None:
    assert is_problem(lin.generic("POST", "contacts/", body, content_type=JSON), 400, "parse_error")


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_another_media_type_is_415(lin: Caller, kind: str) -> None:
    answer = lin.generic("POST", "contacts/", b"name=x", content_type=kind)
    assert is_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1"])
def test_json_that_is_no_object_is_a_validation_error(lin: Caller, body: bytes) -> None:
    answer = lin.generic("POST", "contacts/", body, content_type=JSON)
    assert is_problem(answer, 400, "validation_error")
    assert answer.json()["errors"][0]["pointer"] == ""


def test_a_body_without_a_length_is_411_and_not_taken_for_empty(cast: Cast, lin: Caller) -> None:
    path = f"follow-users/{cast.follows['lin'].pk}/"
    answer = lin.patch(path, {"stage": "won"}, HTTP_TRANSFER_ENCODING="chunked")
    assert is_problem(answer, 411, "length_required")


def test_answers_stay_out_of_caches(cast: Cast, lin: Caller) -> None:
    assert lin.get("contacts/")["Cache-Control"] == "no-store"
    assert Caller().get("contacts/")["Cache-Control"] == "no-store"


def test_any_accept_header_gets_json(lin: Caller) -> None:
    assert lin.get("contacts/", HTTP_ACCEPT="text/html").status_code == 200
    assert is_problem(lin.get("contacts/1000/", HTTP_ACCEPT="application/xml"), 404, "not_found")


def test_a_well_formed_request_id_is_kept_and_another_is_replaced(lin: Caller) -> None:
    answer = lin.get("contacts/987654/", HTTP_X_REQUEST_ID="trace-1.a_B")
    assert answer["X-Request-ID"] == answer.json()["request_id"] == "trace-1.a_B"
    assert answer.json()["instance"] == "urn:request:trace-1.a_B"
    for bad in ("", "a b", "x" * 65, "<script>"):
        made = lin.get("contacts/", HTTP_X_REQUEST_ID=bad)["X-Request-ID"]
        assert made != bad
        assert len(made) == 32


def test_pages_outside_the_api_carry_a_request_id_too(db: None) -> None:
    assert Client().get("/healthz")["X-Request-ID"]


def test_a_fault_of_ours_is_500_with_the_request_id_and_nothing_else(cast: Cast, lin: Caller) -> None:
    lin.raise_request_exception = False
    with connection.cursor() as cursor:
        cursor.execute("UPDATE contacts_followuser SET remark_mobiles = 'v1.lost-key.AAAA'")
    answer = lin.get("contacts/")
    assert is_problem(answer, 500, "internal_error")
    assert answer.json()["errors"] == []


def test_the_words_follow_the_language_and_the_codes_do_not(cast: Cast, lin: Caller) -> None:
    for language in ("en", "zh-hans"):
        answer = lin.post("contacts/", {}, HTTP_ACCEPT_LANGUAGE=language)
        assert {error["code"] for error in answer.json()["errors"]} == {"required"}


@pytest.mark.parametrize("method", ["put", "delete"])
def test_other_methods_are_405_with_allow(cast: Cast, lin: Caller, method: str) -> None:
    answer = getattr(lin, method)(f"contacts/{cast.contacts['lin'].pk}/")
    assert is_problem(answer, 405, "method_not_allowed")
    assert "GET" in answer["Allow"]


def test_head_and_options_are_answered(lin: Caller) -> None:
    assert lin.head("contacts/").status_code == 200
    assert lin.options("contacts/").status_code == 200
