"""The measurements of one database: run by `python -m tests.bench`."""

import argparse
import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import django

django.setup()

import orjson  # noqa: E402
import requests  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test.utils import CaptureQueriesContext  # noqa: E402

from contacts import sync  # noqa: E402
from contacts.models import Contact, Employee, FollowUser  # noqa: E402
from crm.models import Corp  # noqa: E402
from crm.simulator.server import Simulator, running  # noqa: E402
from tests import factories  # noqa: E402

NAIVE_SAMPLE = 300


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def pages(line: dict[str, Any]) -> list[dict[str, Any]]:
    """The floor: every page of the official listing, fetched and parsed."""
    session, base = requests.Session(), f"{line['base_url']}/cgi-bin"
    query = {"corpid": line["corp"], "corpsecret": line["secret"]}
    token = {"access_token": session.get(f"{base}/gettoken", params=query).json()["access_token"]}
    userids = session.get(f"{base}/externalcontact/get_follow_user_list", params=token).json()["follow_user"]
    items: list[dict[str, Any]] = []
    for userid in userids:
        cursor = ""
        while True:
            body = orjson.dumps({"userid_list": [userid], "cursor": cursor, "limit": 100})
            answer = session.post(f"{base}/externalcontact/batch/get_by_user", params=token, data=body)
            page = orjson.loads(answer.content)
            items += page.get("external_contact_list", [])
            cursor = page.get("next_cursor")
            if not cursor:
                break
    return items


def naive(corp: Corp, items: list[dict[str, Any]]) -> None:
    for item in items:
        told, follow = item["external_contact"], item["follow_info"]
        contact, _ = Contact.objects.update_or_create(
            corp=corp, external_userid=told["external_userid"], defaults={"name": told["name"]}
        )
        employee, _ = Employee.objects.get_or_create(corp=corp, userid=follow["userid"])
        FollowUser.objects.update_or_create(
            contact=contact, employee=employee, defaults={"remark": follow["remark"]}
        )


def clear() -> None:
    call_command("flush", interactive=False, verbosity=0)


def run(corp: Corp) -> sync.SyncRun:
    done = sync.run_now(corp, trigger="command", actor="bench")
    assert done.state == "complete", done.errors
    return done


def change_one_percent(sim: Simulator, corp: Corp, world: dict[str, Any]) -> None:
    for told in world["contacts"][::100]:
        one = {"external_userid": told["external_userid"], "userid": told["follow_user"][0]["userid"]}
        sim.change(corp.corpid, "edit_follow", **one, remark=f"bench {time.time_ns()}")


def measure(sim: Simulator, repeats: int) -> list[tuple[str, float, int]]:
    """(what, relations per second, SQL statements) of each way, medians of `repeats` rounds."""
    line = sim.corp("official")
    rates: dict[str, list[float]] = {}
    statements: dict[str, int] = {}
    for _ in range(repeats):
        items: list[dict[str, Any]] = []
        elapsed = seconds(lambda items=items: items.extend(pages(line)))
        rates.setdefault("floor (fetch and parse)", []).append(len(items) / elapsed)
        clear()
        corp = factories.corp_of(line)
        sample = items[:NAIVE_SAMPLE]
        elapsed = seconds(lambda corp=corp, sample=sample: naive(corp, sample))
        rates.setdefault("naive", []).append(len(sample) / elapsed)
        clear()
        corp = factories.corp_of(line)
        for name in ("first sync", "unchanged resync", "1 % changed"):
            if name == "1 % changed":
                change_one_percent(sim, corp, sim.world(corp.corpid))
            with CaptureQueriesContext(connection) as queries:
                elapsed = seconds(lambda corp=corp: run(corp))
            rates.setdefault(name, []).append(len(items) / elapsed)
            statements[name] = len(queries)
    return [(name, median(each), statements.get(name, 0)) for name, each in rates.items()]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--contacts", type=int, required=True)
    parser.add_argument("--repeats", type=int, required=True)
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    employees = max(4, options.contacts // 1000)
    with running(contacts=2 * options.contacts, employees=2 * employees, seed=1, rate_limit=0) as sim:
        rows = measure(sim, options.repeats)
    floor, slow = rows[0][1], rows[1][1]
    print(f"{'':<26}{'relations/s':>12}{'× floor':>10}{'× naive':>10}{'statements':>12}")
    for name, rate, statements in rows:
        print(f"{name:<26}{rate:>12,.0f}{rate / floor:>10.2f}{rate / slow:>10.1f}{statements or '':>12}")
    print(f"peak memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")


if __name__ == "__main__":
    main()
