"""create_api_key (contract A18): shown once, kept as a digest."""

import json
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from crm.keys import find_key
from crm.models import ApiKey
from tests.api.conftest import Caller, Cast


def create(*arguments: str) -> str:
    out = StringIO()
    call_command("create_api_key", *arguments, stdout=out, stderr=StringIO())
    return out.getvalue()


def test_json_is_one_document_with_a_key_that_works(cast: Cast) -> None:
    told: dict[str, Any] = json.loads(create("--user", "lin", "--scopes", "contacts:read", "--json"))
    assert set(told) == {"id", "key", "prefix", "user", "scopes", "expires_at"}
    assert told["key"].startswith(f"renmai_{told['prefix']}.")
    assert (told["user"], told["scopes"]) == ("lin", ["contacts:read"])
    assert Caller(told["key"]).get("contacts/").status_code == 200


def test_without_json_stdout_is_the_key_alone(cast: Cast) -> None:
    key = create("--user", "lin", "--scopes", "contacts:read,messages:send").strip()
    assert find_key(key).scopes == ["contacts:read", "messages:send"]


def test_the_secret_is_not_in_the_database(cast: Cast) -> None:
    secret = create("--user", "lin", "--scopes", "contacts:read").strip().split(".")[1]
    row = ApiKey.objects.values().get()
    assert secret not in str(row)
    assert len(row["digest"]) == 64


def test_a_key_expires_after_the_days_asked_for_and_after_a_year_at_most(cast: Cast) -> None:
    told = json.loads(create("--user", "lin", "--scopes", "contacts:read", "--expires", "7", "--json"))
    assert (parse_datetime(told["expires_at"]) - timezone.now()).days == 6
    told = json.loads(create("--user", "lin", "--scopes", "contacts:read", "--json"))
    assert (parse_datetime(told["expires_at"]) - timezone.now()).days == 364


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--user", "ghost", "--scopes", "contacts:read"), "unknown_user"),
        (("--user", "lin", "--scopes", "contacts:red"), "unknown_scope"),
        (("--user", "lin", "--scopes", " , "), "unknown_scope"),
        (("--user", "lin", "--scopes", "contacts:read", "--expires", "0"), "invalid_expiry"),
        (("--user", "lin", "--scopes", "contacts:read", "--expires", "366"), "invalid_expiry"),
    ],
)
def test_bad_input_is_exit_2_and_one_document(cast: Cast, arguments: tuple[str, ...], code: str) -> None:
    out = StringIO()
    with pytest.raises(CommandError) as refused:
        call_command("create_api_key", *arguments, "--json", stdout=out)
    assert refused.value.returncode == 2
    assert json.loads(out.getvalue())["code"] == code
    assert not ApiKey.objects.exists()
