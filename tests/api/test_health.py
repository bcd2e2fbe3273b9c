"""/healthz and /readyz (contract B9)."""

from datetime import timedelta

from django.test import Client
from django.utils import timezone

from crm.models import Heartbeat
from crm.tasks import beat


def test_healthz_needs_nothing_and_tells_nothing(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_readyz_is_503_without_a_worker_and_200_with_one(client: Client, db: None) -> None:
    assert client.get("/readyz").status_code == 503
    beat()
    answer = client.get("/readyz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


def test_readyz_is_503_when_the_worker_has_been_silent_for_two_minutes(client: Client, db: None) -> None:
    beat()
    Heartbeat.objects.update(at=timezone.now() - timedelta(seconds=121))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.content) == (503, b"not ready\n")
