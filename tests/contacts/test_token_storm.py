"""Many processes, one token (guarantees T1, T2)."""

import threading
import time
from collections.abc import Iterator

import pytest

from crm.models import Corp
from crm.simulator.server import Simulator
from tests.conftest import database_url
from tests.contacts.processes import Crew, crew

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture(scope="module")
def eight(django_db_setup: None) -> Iterator[Crew]:
    with crew(8, database_url()) as made:
        yield made


def refreshes(sim: Simulator, corp: Corp) -> int:
    return len(sim.journal(corp=corp.corpid, api="gettoken"))


def test_eight_processes_without_a_token_ask_for_one(
    official_corp: Corp, sim: Simulator, eight: Crew
) -> None:
    sim.fault(corp=official_corp.corpid, api="gettoken", kind="delay", seconds=2, times=None)
    answers = eight.all("calls", official_corp.corpid, 5, 0)
    assert [answer["failures"] for answer in answers] == [[]] * 8
    assert refreshes(sim, official_corp) == 1


def storm(sim: Simulator, corp: Corp, eight: Crew, *, rounds: int, apart: int) -> None:
    """Calls without a break while tokens are revoked and expire in the middle: none fails.

    A call may be refused once: between two revocations lie `apart` requests of all processes.
    """
    done = threading.Event()

    def work() -> None:
        answers.extend(eight.all("calls", corp.corpid, rounds, 0.02))
        done.set()

    answers: list[dict[str, list[str]]] = []
    worker = threading.Thread(target=work)
    worker.start()
    revoked = answered = 0
    while not done.wait(0.1):
        if sim.stats()["requests"] >= answered + apart:
            op = "revoke" if revoked % 2 else "expire"
            revoked += sim.post("/_sim/tokens/", {"corp": corp.corpid, "op": op})["tokens"]
            answered = sim.stats()["requests"]
    worker.join(timeout=300)
    assert [answer["failures"] for answer in answers] == [[]] * 8
    assert revoked >= 10
    assert refreshes(sim, corp) <= 1.2 * revoked + 2


def test_token_revoked_again_and_again_fails_no_call(
    official_corp: Corp, sim: Simulator, eight: Crew
) -> None:
    storm(sim, official_corp, eight, rounds=30, apart=80)


def test_slow_refresh_holds_every_process_for_one_answer(
    official_corp: Corp, sim: Simulator, eight: Crew
) -> None:
    eight.all("calls", official_corp.corpid, 1, 0)
    sim.fault(corp=official_corp.corpid, api="gettoken", kind="delay", seconds=1, times=None)
    sim.post("/_sim/tokens/", {"corp": official_corp.corpid, "op": "revoke"})
    began = time.monotonic()
    answers = eight.all("calls", official_corp.corpid, 1, 0)
    assert [answer["failures"] for answer in answers] == [[]] * 8
    assert time.monotonic() - began < 15
    assert refreshes(sim, official_corp) <= 3
