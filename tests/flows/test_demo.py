"""`make demo`: one command, the whole product; what it shows is what the simulator holds (docs/tutorial)."""

import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import ROOT, Demo, environment, start


def process_tree(pid: int) -> list[int]:
    found = [pid]
    for each in found:
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            found += [int(child) for child in task.read_text().split()]
    return found


def is_alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def leave_a_run_waiting(places: dict[str, str]) -> None:
    """As Ctrl-C does when it comes between the asking for a sync and its start."""
    code = (
        "from contacts.models import SyncRun; from crm.models import Corp;"
        "SyncRun.objects.filter(state='running').update(state='interrupted', lease_token=None);"
        "SyncRun.objects.create(corp=Corp.objects.first(), trigger='schedule')"
    )
    subprocess.run([sys.executable, "manage.py", "shell", "-c", code], cwd=ROOT, env=places, check=True)


def of_wecom(demo: Demo) -> list[dict[str, Any]]:
    return [line for line in demo.sim.corps if line["corp"].startswith("ww")]


def test_demo_prints_one_block_with_address_and_logins(demo: Demo) -> None:
    assert f"{demo.url}/admin/" in demo.block
    for login in ("admin", "manager", "sales", "auditor"):
        assert f"    {login} " in demo.block
    with urllib.request.urlopen(f"{demo.url}/admin/login/") as answer:
        assert answer.status == 200


def test_demo_holds_every_contact_of_the_simulators_corps(demo: Demo) -> None:
    """Judged from outside, through REST, against the simulator's own world."""
    scopes = "contacts:read,contacts:pii"
    key = demo.manage("create_api_key", "--user", "admin", "--scopes", scopes)["key"]
    for line in demo.sim.corps:
        held = {}
        url = f"{demo.url}/api/v1/contacts/?corp={line['corp']}&limit=200"
        while url:
            page = demo.get(url, key)
            held.update((each["external_userid"], each) for each in page["results"])
            url = page["next"]
        told = {each["external_userid"]: each for each in demo.sim.world(line["corp"])["contacts"]}
        assert held.keys() == told.keys()
        for external_userid, contact in held.items():
            followers = {each["userid"] for each in contact["follow_users"]}
            assert followers == {each["userid"] for each in told[external_userid]["follow_user"]}
            assert contact["name"] == told[external_userid]["name"]


def test_demo_holds_templates_of_both_kinds_that_can_be_sent(demo: Demo) -> None:
    scopes = "contacts:read,messages:read,messages:send"
    key = demo.manage("create_api_key", "--user", "admin", "--scopes", scopes)["key"]
    for line in of_wecom(demo):
        contacts = demo.get(f"{demo.url}/api/v1/contacts/?corp={line['corp']}&state=active&limit=1", key)
        kept = demo.get(f"{demo.url}/api/v1/templates/?corp={line['corp']}", key)["results"]
        assert {each["msgtype"] for each in kept} == {"miniprogram_notice", "text"}
        for template in kept:
            body = {
                "corp": line["corp"],
                "to": {"contacts": [contacts["results"][0]["id"]]},
                "template": template["id"],
                "variables": dict.fromkeys(template["variables"], "7"),
            }
            told = demo.post("/api/v1/messages/preview/", key, body)
            assert [each for each in told["problems"] if not each["warning"]] == []
            assert (len(told["recipients"]), told["excluded"]) == (1, [])
            assert contacts["results"][0]["name"] in str(told["content"])


def test_demo_welcomes_who_adds_an_employee(demo: Demo) -> None:
    corp = demo.sim.corps[1]["corp"]
    employee = demo.sim.world(corp)["employees"][0]
    told = {"name": "慕名而来的人", "follow_user": [employee["userid"]]}
    made = demo.sim.change(corp, "add_contact", **told)
    deadline = time.monotonic() + 20
    while not (arrived := demo.sim.messages(corp=corp, to=made["external_userid"])):
        assert time.monotonic() < deadline, "nobody was welcomed"
        time.sleep(0.1)
    assert f"慕名而来的人，您好！我是远山茶业的{employee['name']}" in arrived[0]["content"]["text"]


def test_demo_hears_at_once_what_people_do(demo: Demo) -> None:
    """The next sync is half an hour away: only a call of the simulator tells it so soon."""
    key = demo.manage("create_api_key", "--user", "admin", "--scopes", "contacts:read")["key"]
    for line in of_wecom(demo):
        corp = line["corp"]
        userid = demo.sim.world(corp)["employees"][0]["userid"]
        made = demo.sim.change(corp, "add_contact", name="刚刚扫码的人", follow_user=[userid])
        url = f"{demo.url}/api/v1/contacts/?corp={corp}&external_userid={made['external_userid']}"
        deadline = time.monotonic() + 30
        while not demo.get(url, key)["results"]:
            assert time.monotonic() < deadline, demo.sim.callbacks(corp=corp)
            time.sleep(0.2)


def test_demo_refuses_a_port_in_use_with_a_way_out(demo: Demo) -> None:
    port = demo.url.rsplit(":", 1)[1]
    second = subprocess.run(
        [sys.executable, "manage.py", "demo", "--port", port],
        cwd=ROOT,
        env=demo.environment,
        capture_output=True,
        text=True,
    )
    assert second.returncode == 2
    assert "--port" in second.stderr


@pytest.mark.parametrize("how", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL])
def test_demo_leaves_no_process_behind_and_keeps_its_data(tmp_path: Path, how: signal.Signals) -> None:
    places = environment(tmp_path)
    first = start(tmp_path, places)
    corp = first.sim.corps[0]["corp"]
    made = first.sim.change(corp, "add_contact", name="留下来的人")["external_userid"]
    time.sleep(1.5)  # the simulator saves within about a second
    tree = process_tree(first.process.pid)
    assert len(tree) >= 8
    first.process.send_signal(how)
    first.process.wait(20)
    deadline = time.monotonic() + 12
    while any(is_alive(pid) for pid in tree):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    leave_a_run_waiting(places)
    second = start(tmp_path, places)
    names = {each["external_userid"] for each in second.sim.world(corp)["contacts"]}
    assert second.stop() == 0
    assert made in names
