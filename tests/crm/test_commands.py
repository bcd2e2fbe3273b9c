"""The commands as an operator or a script runs them: exit codes and JSON (docs/reference/commands.md)."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from contacts.models import Employee, Team
from crm.models import Agent, Corp
from crm.simulator.server import Simulator
from tests.truth import differences

pytestmark = pytest.mark.django_db(transaction=True)

Manage = Callable[..., tuple[int, Any]]


def connect(manage: Manage, line: dict[str, Any], *more: str, **environment: str) -> tuple[int, Any]:
    arguments = ["--corpid", line["corp"], "--dialect", line["dialect"], "--agentid", str(line["agentid"])]
    arguments += ["--secret-env", "APP_SECRET", "--base-url", line["base_url"], "--json", *more]
    return manage("connect", "wecom", *arguments, **{"APP_SECRET": line["secret"]} | environment)


def test_connect_then_sync_gives_the_report(manage: Manage, sim: Simulator) -> None:
    line = sim.corp("official")
    code, made = connect(manage, line)
    assert (code, made["corp"], made["created"]) == (0, line["corp"], True)
    assert set(made) == {"corp", "provider", "dialect", "agentid", "callback_url", "created"}
    code, report = manage("sync_contacts", "--corp", line["corp"], "--json")
    assert (code, report["state"], report["errors"]) == (0, "complete", [])
    assert differences(Corp.objects.get(), sim.world(line["corp"])) == []
    assert connect(manage, line)[1]["created"] is False


def test_sync_without_corp_runs_every_active_corp(manage: Manage, sim: Simulator) -> None:
    for dialect in ("direct", "official"):
        connect(manage, sim.corp(dialect))
    Corp.objects.filter(dialect="direct").update(is_active=False)
    code, document = manage("sync_contacts", "--json")
    assert code == 0
    assert [run["corp"] for run in document["runs"]] == [sim.corp("official")["corp"]]


def test_sync_of_a_partial_run_is_exit_2_and_of_a_failed_one_exit_1(manage: Manage, sim: Simulator) -> None:
    line = sim.corp("direct")
    connect(manage, line)
    sim.fault(corp=line["corp"], api="externalcontact/list", kind="html")
    assert manage("sync_contacts", "--corp", line["corp"], "--json")[0] == 2
    connect(manage, line, APP_SECRET="wrong")
    code, report = manage("sync_contacts", "--corp", line["corp"], "--json")
    assert (code, report["errors"][0]["errcode"]) == (1, 40001)


@pytest.mark.parametrize(
    "change",
    [
        {"--secret-env": "NOT_SET"},
        {"--base-url": "ftp://127.0.0.1"},
        {"--base-url": "https://127.0.0.1/cgi-bin"},
        {"--corpid": "no spaces please"},
        {"--aes-key-env": "SHORT"},
    ],
)
def test_connect_with_bad_input_is_exit_2_and_writes_nothing(manage: Manage, change: dict[str, str]) -> None:
    given = {"--corpid": "ww1", "--agentid": "1", "--secret-env": "APP_SECRET"} | change
    arguments = [part for pair in given.items() for part in pair]
    assert manage("connect", "wecom", *arguments, "--json", APP_SECRET="s", SHORT="short")[0] == 2
    assert (Corp.objects.count(), Agent.objects.count()) == (0, 0)


def test_secret_comes_from_a_file_too(manage: Manage, tmp_path: Any) -> None:
    (tmp_path / "secret").write_text("from-a-file\n")
    arguments = ["--corpid", "ww1", "--agentid", "1", "--secret-file", str(tmp_path / "secret"), "--json"]
    assert manage("connect", "wecom", *arguments)[0] == 0
    assert Agent.objects.get().secret == "from-a-file"


def test_create_user_links_the_employee_and_updates_on_repeat(manage: Manage, official_corp: Corp) -> None:
    employee = Employee.objects.create(corp=official_corp, userid="lin")
    arguments = ["create_user", "lin", "--corp", official_corp.corpid, "--employee", "lin", "--json"]
    code, made = manage(*arguments, "--role", "sales", "--password-env", "PW", PW="correct-horse-7")
    assert (code, made) == (
        0,
        {
            "id": made["id"],
            "username": "lin",
            "role": "sales",
            "corp": official_corp.corpid,
            "employee": "lin",
        },
    )
    assert User.objects.get().check_password("correct-horse-7")
    assert manage(*arguments, "--role", "manager")[1]["id"] == made["id"]
    assert [group.name for group in User.objects.get().groups.all()] == ["manager"]
    assert User.objects.get().employee == employee


def test_create_user_gives_a_manager_the_named_teams(manage: Manage, official_corp: Corp) -> None:
    Team.objects.create(corp=official_corp, department_id=7)
    arguments = ["create_user", "zhao", "--role", "manager", "--corp", official_corp.corpid]
    assert manage(*arguments, "--team", "7", "--json")[0] == 0
    assert [team.department_id for team in User.objects.get().managed_teams.all()] == [7]
    assert manage(*arguments, "--team", "8", "--json")[0] == 2


def test_create_user_for_an_unknown_employee_is_exit_2(manage: Manage, official_corp: Corp) -> None:
    arguments = ["--role", "sales", "--corp", official_corp.corpid, "--employee", "nobody", "--json"]
    assert manage("create_user", "x", *arguments)[0] == 2
    assert not User.objects.exists()


def test_confirming_a_run_that_is_not_held_is_exit_2(manage: Manage, sim: Simulator) -> None:
    line = sim.corp("direct")
    connect(manage, line)
    report = manage("sync_contacts", "--corp", line["corp"], "--json")[1]
    assert manage("sync_contacts", "--confirm-removals", str(report["id"]), "--json")[0] == 2
    assert manage("sync_contacts", "--corp", "ww-unknown", "--json")[0] == 2
