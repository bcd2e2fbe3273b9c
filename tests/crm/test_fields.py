"""Encrypted columns: ciphertext at rest, rotation by key ring, no filtering."""

import pytest
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import connection

from crm.env import parse_field_keys
from crm.fields import Undecryptable, decrypt, encrypt
from crm.models import Agent, Corp
from messaging.models import ReceivedFile
from tests import factories

OLD = {"old": b"o" * 32}
NEW = {"new": b"n" * 32}


@pytest.fixture
def corp(db: None) -> Corp:
    return Corp.objects.create(corpid="ww1", provider="wecom", dialect="official")


def test_secret_is_read_back_and_stored_as_ciphertext(corp: Corp) -> None:
    factories.agent(corp, agentid="1", secret="打开-sesame")
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret FROM crm_agent")
        assert "sesame" not in cursor.fetchone()[0]
    assert Agent.objects.get().secret == "打开-sesame"


def test_added_key_encrypts_and_the_old_one_still_opens(settings: object) -> None:
    settings.CRM_FIELD_KEYS = OLD  # type: ignore[attr-defined]
    before = encrypt("text", context="t.c")
    settings.CRM_FIELD_KEYS = NEW | OLD  # type: ignore[attr-defined]
    assert decrypt(before, context="t.c") == "text"
    assert encrypt("text", context="t.c").startswith("v1.new.")


def test_value_moved_to_another_column_does_not_open() -> None:
    with pytest.raises(Undecryptable, match="does not open"):
        decrypt(encrypt("text", context="t.a"), context="t.b")


def test_missing_key_is_named_without_the_value(settings: object) -> None:
    settings.CRM_FIELD_KEYS = OLD  # type: ignore[attr-defined]
    stored = encrypt("text", context="t.c")
    settings.CRM_FIELD_KEYS = NEW  # type: ignore[attr-defined]
    with pytest.raises(Undecryptable, match="no key 'old'"):
        decrypt(stored, context="t.c")


def test_encrypted_column_cannot_be_searched(corp: Corp) -> None:
    for lookup in ("secret", "secret__startswith", "secret__gt"):
        with pytest.raises(FieldError):
            Agent.objects.filter(**{lookup: "s"}).exists()


def test_phones_are_a_list_again_after_the_database(corp: Corp) -> None:
    row = factories.follow(factories.contact(corp), factories.employee(corp), remark_mobiles=["13900000001"])
    row.refresh_from_db()
    assert row.remark_mobiles == ["13900000001"]


def test_bytes_are_read_back_with_the_key_they_were_stored_with(corp: Corp, settings: object) -> None:
    settings.CRM_FIELD_KEYS = OLD  # type: ignore[attr-defined]
    factories.agent(corp, agentid="1")
    factories.received(corp, "lin", "image")
    with connection.cursor() as cursor:
        cursor.execute("SELECT data FROM messaging_receivedfile")
        assert bytes(cursor.fetchone()[0]).startswith(b"v1.old.")
    settings.CRM_FIELD_KEYS = NEW | OLD  # type: ignore[attr-defined]
    assert ReceivedFile.objects.get().data == factories.PNG
    settings.CRM_FIELD_KEYS = NEW  # type: ignore[attr-defined]
    with pytest.raises(Undecryptable, match="no key 'old'"):
        assert ReceivedFile.objects.get().data


@pytest.mark.parametrize("text", ["", "a", "a:b", "a:" + "A" * 8, ":" + "A" * 44])
def test_malformed_key_ring_is_refused(text: str) -> None:
    with pytest.raises(ImproperlyConfigured):
        parse_field_keys(text)
