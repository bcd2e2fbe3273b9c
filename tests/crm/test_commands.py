"""The commands as an operator or a script runs them: exit codes and JSON (docs/reference/commands.md)."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from contacts.models import Employee, SyncRun, Team
from crm.models import Agent, Corp
from crm.simulator.server import Simulator
from tests.conftest import command
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


def test_connect_dingtalk_then_sync_gives_the_report(manage: Manage, sim: Simulator, settings: Any) -> None:
    settings.CRM_DINGTALK_RATE = settings.CRM_REMOTE_RATE
    line = sim.corp("dingtalk")
    arguments = ["--corpid", line["corp"], "--agentid", str(line["agentid"]), "--secret-env", "APP_SECRET"]
    arguments += ["--base-url", line["base_url"], "--app-key", line["app_key"], "--json"]
    code, made = manage("connect", "dingtalk", *arguments, APP_SECRET=line["secret"])
    assert (code, made["provider"], made["dialect"]) == (0, "dingtalk", "dingtalk")
    code, report = manage("sync_contacts", "--corp", line["corp"], "--json")
    assert (code, report["state"], report["errors"]) == (0, "complete", [])
    assert differences(Corp.objects.get(), sim.world(line["corp"])) == []
    without = [each for each in arguments if each not in ("--app-key", line["app_key"])]
    assert manage("connect", "dingtalk", *without, APP_SECRET=line["secret"])[0] == 0
    assert Agent.objects.get().app_key == line["app_key"]


@pytest.mark.parametrize(
    ("provider", "more"),
    [
        ("dingtalk", []),
        ("dingtalk", ["--app-key", "k" * 65]),
        ("dingtalk", ["--app-key", "k", "--dialect", "direct"]),
        ("wecom", ["--app-key", "k"]),
        ("wecom", ["--dialect", "dingtalk"]),
    ],
)
def test_app_key_and_dialect_that_do_not_fit_the_provider_are_exit_2(
    manage: Manage, provider: str, more: list[str]
) -> None:
    arguments = ["--corpid", "ding1", "--agentid", "1", "--secret-env", "APP_SECRET", *more]
    assert manage("connect", provider, *arguments, APP_SECRET="s")[0] == 2
    assert not Corp.objects.exists()


def test_corp_of_one_provider_is_not_connected_as_the_others(manage: Manage, sim: Simulator) -> None:
    line = sim.corp("direct")
    connect(manage, line)
    arguments = ["--corpid", line["corp"], "--agentid", "1", "--secret-env", "APP_SECRET", "--app-key", "k"]
    assert manage("connect", "dingtalk", *arguments, APP_SECRET="s")[0] == 2
    assert Corp.objects.get().provider == "wecom"


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
        {"--base-url": "http://u:p@127.0.0.1:99999"},
        {"--agentid": "1" * 65},
        {"--agentid": ""},
        {"--name": "n" * 256},
        {"--corpid": "no spaces please"},
        {"--aes-key-env": "SHORT"},
    ],
)
def test_connect_with_bad_input_is_exit_2_and_writes_nothing(manage: Manage, change: dict[str, str]) -> None:
    given = {"--corpid": "ww1", "--agentid": "1", "--secret-env": "APP_SECRET"} | change
    arguments = [part for pair in given.items() for part in pair]
    assert manage("connect", "wecom", *arguments, "--json", APP_SECRET="s", SHORT="short")[0] == 2
    assert (Corp.objects.count(), Agent.objects.count()) == (0, 0)


def test_a_name_longer_than_its_column_is_exit_2(manage: Manage, direct_corp: Corp) -> None:
    for arguments in (
        ["create_user", "n" * 151, "--role", "sales"],
        ["sync_contacts", "--corp", direct_corp.corpid, "--employee", "u" * 65],
    ):
        code, told = manage(*arguments, "--json")
        assert (code, told["code"]) == (2, "bad_input")
    assert not User.objects.exists()
    assert not SyncRun.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["connect", "wecom", "--corpid", "ww1", "--agentid", "1", "--secret-env", "APP_SECRET"],
        ["sync_contacts"],
        ["create_user", "lin", "--role", "sales"],
        ["create_api_key", "--user", "lin", "--scopes", "contacts:read"],
        ["doctor"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_without_database_or_tables_there_is_one_document_and_one_sentence(
    arguments: list[str], tmp_path: Path
) -> None:
    refuse_without_database(arguments, f"sqlite:///{tmp_path}/no-tables.sqlite3")


@pytest.mark.parametrize("name", ["sync_contacts", "doctor"])
def test_without_a_server_nothing_of_its_address_is_told(name: str) -> None:
    refuse_without_database([name], "postgres://who:hidden-word@127.0.0.1:1/x")


def refuse_without_database(arguments: list[str], url: str) -> None:
    process = command(*arguments, "--json", DATABASE_URL=url, APP_SECRET="s")
    out, err = process.communicate(timeout=60)
    told = json.loads(out)
    assert process.returncode == 1
    assert told["healthy"] is False if arguments == ["doctor"] else told["code"] == "database_unavailable"
    assert "Traceback" not in err
    assert [word for word in (url, "hidden-word") if word in out + err] == []


def test_doctor_names_a_fix_for_what_is_wrong_and_for_nothing_else(manage: Manage, direct_corp: Corp) -> None:
    code, told = manage("doctor", "--json")
    assert code == 1
    assert {finding["check"]: bool(finding["fix"]) for finding in told["findings"]} == {
        finding["check"]: not finding["ok"] for finding in told["findings"]
    }


@pytest.mark.parametrize(("public", "ok"), [("http://127.0.0.1:8000", False), ("https://crm.example", True)])
def test_doctor_wants_a_public_address_once_callbacks_are_configured(
    manage: Manage, direct_corp: Corp, public: str, ok: bool
) -> None:
    def found() -> bool:
        told = manage("doctor", "--json", CRM_PUBLIC_URL=public, CRM_ALLOW_PRIVATE_UPSTREAM="0")[1]
        return {finding["check"]: finding["ok"] for finding in told["findings"]}["callbacks"]

    assert found()
    direct_corp.agents.update(callback_token="token")
    assert found() is ok


def test_doctor_without_the_field_key_says_so_and_goes_on(manage: Manage, direct_corp: Corp) -> None:
    other = f"other:{base64.b64encode(bytes(32)).decode()}"
    told = manage("doctor", "--json", CRM_FIELD_KEYS=other)[1]
    checks = {finding["check"]: finding["ok"] for finding in told["findings"]}
    assert checks["keys"] is False
    assert f"sync of {direct_corp.corpid}" in checks


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
