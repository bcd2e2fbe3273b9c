"""Idempotency-Key: one effect, one answer (contract C8, guarantees R3)."""

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from contacts.models import Contact
from crm.models import IdempotentAnswer
from crm.tasks import forget_old_answers
from messaging.models import Message
from tests.api.conftest import Caller, Cast, person, text


def send(caller: Caller, cast: Cast, key: str, **more: Any) -> Any:
    return caller.post("messages/", text(cast.contacts["lin"].pk, **more), HTTP_IDEMPOTENCY_KEY=key)


def test_the_same_key_and_body_get_the_same_answer_and_one_effect(cast: Cast, lin: Caller) -> None:
    first, second = send(lin, cast, "k-1"), send(lin, cast, "k-1")
    assert (first.status_code, first.content) == (second.status_code, second.content)
    assert first["Location"] == second["Location"]
    assert second["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Message.objects.count() == 1


def test_the_order_of_keys_in_a_body_is_no_other_body(cast: Cast, lin: Caller) -> None:
    body = text(cast.contacts["lin"].pk)
    turned = dict(reversed(body.items()))
    lin.post("messages/", body, HTTP_IDEMPOTENCY_KEY="k")
    assert lin.post("messages/", turned, HTTP_IDEMPOTENCY_KEY="k")["Idempotency-Replayed"] == "true"


def test_another_body_or_another_route_under_the_same_key_is_422(cast: Cast, lin: Caller) -> None:
    send(lin, cast, "k-1")
    other = send(lin, cast, "k-1", words="something else")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    elsewhere = lin.post("contacts/", person(), HTTP_IDEMPOTENCY_KEY="k-1")
    assert elsewhere.status_code == 422
    assert (Message.objects.count(), Contact.objects.count()) == (1, 3)


@pytest.mark.parametrize("key", ["", " ", "a b", "é", "x" * 256, "tab\there"])
def test_an_invalid_key_is_400(cast: Cast, lin: Caller, key: str) -> None:
    answer = send(lin, cast, key)
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_invalid")
    assert not Message.objects.exists()


@pytest.mark.parametrize("key", ["~", "x" * 255, '"8e03978e-40d5-43dd-bc93-6894a57f9324"'])
def test_every_visible_ascii_key_is_valid(cast: Cast, lin: Caller, key: str) -> None:
    assert send(lin, cast, key).status_code == 202


def test_a_validation_answer_is_not_stored(cast: Cast, lin: Caller) -> None:
    assert send(lin, cast, "k-1", words="").status_code == 400
    assert not IdempotentAnswer.objects.exists()
    assert send(lin, cast, "k-1").status_code == 202


def test_a_conflict_is_not_stored_either(cast: Cast, sun: Caller) -> None:
    sun.post("sync-runs/", {"corp": "ww-south"})
    assert sun.post("sync-runs/", {"corp": "ww-south"}, HTTP_IDEMPOTENCY_KEY="k").status_code == 409
    assert not IdempotentAnswer.objects.exists()


def test_a_request_in_flight_is_409_until_it_is_abandoned(cast: Cast, lin: Caller) -> None:
    send(lin, cast, "k-1")
    IdempotentAnswer.objects.update(status=None, body="")
    busy = send(lin, cast, "k-1")
    assert (busy.status_code, busy.json()["code"]) == (409, "idempotency_key_in_flight")
    assert busy["Retry-After"] == "1"
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    assert send(lin, cast, "k-1").status_code == 202
    assert Message.objects.count() == 2


def test_a_key_belongs_to_one_api_key(cast: Cast, lin: Caller) -> None:
    send(lin, cast, "k-1")
    answer = send(cast.caller("lin"), cast, "k-1")
    assert "Idempotency-Replayed" not in answer
    assert Message.objects.count() == 2


def test_a_login_has_keys_of_its_own(cast: Cast) -> None:
    browser = Caller()
    browser.force_login(cast.users["lin"])
    send(browser, cast, "k-1")
    assert send(browser, cast, "k-1")["Idempotency-Replayed"] == "true"
    assert IdempotentAnswer.objects.get().principal == f"user:{cast.users['lin'].pk}"


def test_after_a_day_a_key_is_new(cast: Cast, lin: Caller) -> None:
    send(lin, cast, "k-1")
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(hours=24, seconds=1))
    assert "Idempotency-Replayed" not in send(lin, cast, "k-1", words="another")
    assert send(lin, cast, "k-1", words="another")["Idempotency-Replayed"] == "true"


def test_answers_are_forgotten_after_a_day(cast: Cast, lin: Caller) -> None:
    send(lin, cast, "old")
    IdempotentAnswer.objects.update(created_at=timezone.now() - timedelta(hours=25))
    send(lin, cast, "young")
    assert forget_old_answers() == 1
    assert IdempotentAnswer.objects.get().key == "young"


def test_contacts_runs_cancels_and_confirmations_are_idempotent_too(cast: Cast, sun: Caller) -> None:
    pk = sun.post("messages/", text(cast.contacts["lin"].pk)).json()["id"]
    for path, body in (
        ("contacts/", person()),
        ("sync-runs/", {"corp": "ww-south"}),
        (f"messages/{pk}/cancel/", {}),
    ):
        first = sun.post(path, body, HTTP_IDEMPOTENCY_KEY=path)
        second = sun.post(path, body, HTTP_IDEMPOTENCY_KEY=path)
        assert (first.status_code, first.json()) == (second.status_code, second.json())
        assert second["Idempotency-Replayed"] == "true"


def test_a_stored_answer_is_not_readable_in_the_database(cast: Cast, lin: Caller) -> None:
    send(lin, cast, "k-1", words="a secret offer")
    with connection.cursor() as cursor:
        cursor.execute("SELECT body FROM crm_idempotentanswer")
        assert "secret offer" not in cursor.fetchone()[0]


@pytest.mark.django_db(transaction=True)
def test_twenty_at_once_have_one_effect(cast: Cast) -> None:
    lin = cast.caller("lin")
    answers: list[Any] = []

    def work() -> None:
        caller = Caller()
        caller.defaults = dict(lin.defaults)
        answers.append(send(caller, cast, "k-1"))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {202, 409}
    assert {answer.json()["id"] for answer in answers if answer.status_code == 202} == {
        Message.objects.get().pk
    }
    fresh = [
        answer for answer in answers if answer.status_code == 202 and "Idempotency-Replayed" not in answer
    ]
    assert len(fresh) == 1
