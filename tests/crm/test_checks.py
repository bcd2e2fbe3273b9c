"""`check --deploy` refuses the defaults of a trial (docs/how-to/deploy.md)."""

from typing import Any

import pytest

from crm import checks


def ids(found: Any) -> set[str]:
    return {message.id for message in found}


def test_kept_keys_are_refused_and_configured_ones_are_not(settings: Any) -> None:
    settings.FIELD_KEYS_ARE_KEPT = settings.SECRET_KEY_IS_KEPT = True
    assert ids(checks.secrets_are_configured()) == {"crm.E001", "crm.E002"}
    settings.FIELD_KEYS_ARE_KEPT = settings.SECRET_KEY_IS_KEPT = False
    assert ids(checks.secrets_are_configured()) == set()


def test_one_key_for_two_things_is_refused(settings: Any) -> None:
    settings.FIELD_KEYS_ARE_KEPT = settings.SECRET_KEY_IS_KEPT = False
    settings.SECRET_KEY = "k" * 32
    settings.CRM_FIELD_KEYS = {"a": b"k" * 32}
    assert ids(checks.secrets_are_configured()) == {"crm.E004"}


def test_debug_is_refused_where_others_can_reach_it(settings: Any) -> None:
    settings.CRM_ALLOW_PRIVATE_UPSTREAM = False
    settings.DEBUG = True
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    assert ids(checks.outside_is_guarded()) == set()
    settings.ALLOWED_HOSTS = ["crm.example.com"]
    assert ids(checks.outside_is_guarded()) == {"crm.E003"}


@pytest.mark.django_db
def test_sqlite_is_only_warned_about() -> None:
    assert ids(checks.database_bears_the_load()) <= {"crm.W007"}
