"""The process: the same seed, the JSON lines, the state file, a clean end."""

import base64
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from crm.simulator.application import Application, Options
from crm.simulator.exchange import Request
from crm.simulator.records import ContactWay, MassPart, MassTask, Media
from crm.simulator.remote import running
from crm.simulator.snapshot import save

ROOT = Path(__file__).resolve().parents[2]


def worlds(**options: Any) -> list[bytes]:
    application = Application(Options(**options))
    return [
        application(Request("GET", "/_sim/world/", f"corp={corp}")).body for corp in application.world.corps
    ]


def test_world_when_seed_is_the_same_then_the_same_bytes() -> None:
    assert worlds(contacts=300, employees=9, seed=7) == worlds(contacts=300, employees=9, seed=7)
    assert worlds(contacts=300, employees=9, seed=7) != worlds(contacts=300, employees=9, seed=8)


def test_world_when_counts_are_odd_then_shared_out_completely() -> None:
    made = [json.loads(each) for each in worlds(contacts=301, employees=11)]
    assert [len(each["contacts"]) for each in made] == [101, 100, 100]
    assert [len(each["employees"]) for each in made] == [4, 4, 3]


def test_world_when_large_then_followed_by_1_4_employees_on_average() -> None:
    for world in worlds(contacts=6000, employees=60)[:2]:
        contacts = json.loads(world)["contacts"]
        assert 1.35 < sum(len(each["follow_user"]) for each in contacts) / len(contacts) < 1.45
        assert {each["external_userid"][:2] for each in contacts} == {"wm", "wo"}
        assert all((each["type"] == 2) == (each["external_userid"][:2] == "wo") for each in contacts)


@pytest.mark.parametrize(("contacts", "employees"), [(0, 0), (5, 0), (0, 3), (1, 1)])
def test_world_when_tiny_then_still_made(contacts: int, employees: int) -> None:
    assert (
        sum(len(json.loads(each)["contacts"]) for each in worlds(contacts=contacts, employees=employees))
        == contacts
    )


def test_json_lines_when_listening_then_hold_the_contract() -> None:
    with running(contacts=6, employees=3) as sim:
        keys = {
            "corp",
            "dialect",
            "base_url",
            "agentid",
            "secret",
            "sync_secret",
            "callback_token",
            "aes_key",
        }
        assert [set(each) for each in sim.corps] == [keys, keys, keys | {"app_key"}]
        assert [each["dialect"] for each in sim.corps] == ["direct", "official", "dingtalk"]
        assert all(len(base64.b64decode(each["aes_key"] + "=", validate=True)) == 32 for each in sim.corps)
        assert all(each["base_url"] == sim.url for each in sim.corps)


def test_state_when_restarted_then_everything_made_is_there(tmp_path: Path) -> None:
    state = tmp_path / "deep" / "state.json"
    with running(contacts=45, employees=6, state=state) as sim:
        corp = sim.corps[0]["corp"]
        userid = sim.world(corp)["employees"][0]["userid"]
        sim.change(corp, "add_contact", external_userid="wmKept", name="留下", follow_user=[userid])
        token = sim.get("/cgi-bin/gettoken", corpid=corp, corpsecret=sim.corps[0]["secret"])["access_token"]
        body = {"touser": "wmKept", "msgtype": "text", "text": {"content": "记得"}}
        sim.post(f"/cgi-bin/externalcontact/message/send?access_token={token}", body)
        sim.advance(1000)
        before, messages = sim.world(corp), sim.messages()
    with running(contacts=1, employees=1, seed=9, state=state) as sim:
        assert sim.world(corp) == before
        assert sim.messages() == messages


def test_state_when_killed_then_the_last_second_is_all_that_is_lost(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    with running(contacts=15, employees=3, state=state) as sim:
        sim.change(sim.corps[0]["corp"], "add_contact", external_userid="wmKept")
        deadline = time.monotonic() + 10
        while not (state.exists() and b"wmKept" in state.read_bytes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(sim.pid, signal.SIGKILL)
    with running(state=state) as sim:
        assert "wmKept" in [each["external_userid"] for each in sim.world(sim.corps[0]["corp"])["contacts"]]


def test_state_when_not_a_state_file_then_refuses_to_start(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"version": 99}')
    with pytest.raises(RuntimeError, match="status 2"), running(state=tmp_path / "state.json"):
        pass


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_when_told_to_stop_then_ends_with_zero(number: int) -> None:
    command = [
        sys.executable,
        "-m",
        "crm.simulator",
        "--port",
        "0",
        "--contacts",
        "2",
        "--employees",
        "2",
        "--json",
    ]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.send_signal(number)
        assert process.wait(timeout=10) == 0


def test_process_when_its_parent_is_killed_then_ends_too() -> None:
    script = (
        "import time\nfrom crm.simulator.server import running\n"
        "with running(contacts=3, employees=3) as sim:\n    print(sim.pid, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 10
    while is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(child)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_wsgi_when_another_server_carries_it_then_answers_alike() -> None:
    application, told = Application(Options(contacts=6, employees=3)), []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/_sim/stats/", "wsgi.input": io.BytesIO()}
    body = b"".join(application.wsgi(environ, lambda status, headers: told.append((status, headers))))
    assert told[0][0] == "200 OK"
    assert json.loads(body) == {"requests": 0, "corps": {}}


def test_state_when_saved_and_loaded_then_saves_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    made = Application(Options(contacts=40, employees=4))
    corp = next(iter(made.world.corps.values()))
    employee = next(each for each in corp.employees.values() if each.follows)
    recipients = {follow.contact.external_userid: 0 for follow in employee.follows}
    corp.tasks["msg1"] = MassTask(
        "msg1", 5, 1, "好", [], {employee.userid: MassPart(employee.userid, recipients)}
    )
    corp.media["m1"] = Media("m1", "file", "价格.pdf", "application/pdf", b"\x00\xff", 5)
    corp.ways["c1"] = ContactWay("c1", 1, 2, [employee.userid], 5, state="expo")
    save(made.world, first)
    save(Application(Options(state=first)).world, second)
    assert first.read_bytes() == second.read_bytes()
