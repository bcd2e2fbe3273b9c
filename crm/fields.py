"""Columns encrypted at rest with AES-256-GCM and a key ring (settings.CRM_FIELD_KEYS)."""

import base64
import os
from binascii import b2a_base64
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.db import models
from django.utils.functional import cached_property

PREFIX = "v1"
NONCE = 12  # bytes


class Undecryptable(Exception):
    """A stored value that no key of the ring opens: a key is missing, or the row was tampered with."""


@lru_cache(maxsize=16)
def _cipher(key: bytes) -> AESGCM:
    return AESGCM(key)


def encrypt(text: str, *, context: str) -> str:
    """`v1.<key id>.<base64 of nonce and ciphertext>`; `context` (table.column) must match to decrypt."""
    return encrypt_each([text], context=context)[0]


def encrypt_each(texts: Sequence[str], *, context: str) -> list[str]:
    """`texts` encrypted, each with a nonce of its own; "" stays ""."""
    key_id, key = next(iter(settings.CRM_FIELD_KEYS.items()))
    seal = _cipher(key).encrypt
    bound = context.encode()
    head = f"{PREFIX}.{key_id}.".encode()
    # One system call for all nonces: each lets the other threads have the interpreter.
    noise = os.urandom(NONCE * len(texts))
    sealed = []
    for n, text in enumerate(texts):
        nonce = noise[n * NONCE : (n + 1) * NONCE]
        sealed.append(
            (head + b2a_base64(nonce + seal(nonce, text.encode(), bound), newline=False)).decode()
            if text
            else ""
        )
    return sealed


def decrypt(stored: str, *, context: str) -> str:
    """The text behind `stored`. Raises Undecryptable, whose message names the key id and never the value."""
    prefix, _, rest = stored.partition(".")
    key_id, _, encoded = rest.partition(".")
    key = settings.CRM_FIELD_KEYS.get(key_id)
    if prefix != PREFIX or key is None:
        raise Undecryptable(f"{context}: no key {key_id!r} in CRM_FIELD_KEYS")
    sealed = base64.b64decode(encoded)
    try:
        return _cipher(key).decrypt(sealed[:NONCE], sealed[NONCE:], context.encode()).decode()
    except InvalidTag:
        raise Undecryptable(f"{context}: key {key_id!r} does not open this value") from None


class EncryptedBinaryField(models.BinaryField):  # type: ignore[type-arg]  # as below
    """Bytes that are ciphertext in the database; b"" stays b""."""

    @cached_property
    def context(self) -> str:
        return f"{self.model._meta.db_table}.{self.column}"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        sealed = _seal(bytes(value), self.context) if value else value
        return super().get_db_prep_value(sealed, connection, prepared)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        return _open(bytes(value), self.context) if value else value


def _seal(data: bytes, context: str) -> bytes:
    """`v1.<key id>.`, nonce and ciphertext."""
    key_id, key = next(iter(settings.CRM_FIELD_KEYS.items()))
    nonce = os.urandom(NONCE)
    return f"{PREFIX}.{key_id}.".encode() + nonce + _cipher(key).encrypt(nonce, data, context.encode())


def _open(stored: bytes, context: str) -> bytes:
    prefix, _, rest = stored.partition(b".")
    name, _, sealed = rest.partition(b".")
    key_id = name.decode(errors="replace")
    key = settings.CRM_FIELD_KEYS.get(key_id)
    if prefix != PREFIX.encode() or key is None:
        raise Undecryptable(f"{context}: no key {key_id!r} in CRM_FIELD_KEYS")
    try:
        return _cipher(key).decrypt(sealed[:NONCE], sealed[NONCE:], context.encode())
    except InvalidTag:
        raise Undecryptable(f"{context}: key {key_id!r} does not open this value") from None


class EncryptedTextField(models.TextField):  # type: ignore[type-arg]  # Django fields are not subscriptable
    """Text that is ciphertext in the database; "" stays "". It cannot be filtered or ordered by."""

    @cached_property
    def context(self) -> str:
        return f"{self.model._meta.db_table}.{self.column}"

    def get_prep_value(self, value: Any) -> Any:
        text = self.as_text(value)
        return encrypt(text, context=self.context) if text else text

    def prepare_each(self, values: Iterable[Any]) -> list[str]:
        """What `get_prep_value` makes of each of many values, for less."""
        return encrypt_each([self.as_text(value) for value in values], context=self.context)

    def as_text(self, value: Any) -> str:
        """The text that is encrypted for `value`."""
        return value if isinstance(value, str) else super().get_prep_value(value) or ""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return decrypt(value, context=self.context) if value else value

    def get_lookup(self, lookup_name: str) -> Any:
        return super().get_lookup(lookup_name) if lookup_name == "isnull" else None


class EncryptedJSONField(EncryptedTextField):
    """A JSON value (a list of phones, a raw item) that is ciphertext in the database; empty values are ""."""

    def to_python(self, value: Any) -> Any:
        return value

    def as_text(self, value: Any) -> str:
        return orjson.dumps(value).decode() if value else ""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        text = super().from_db_value(value, expression, connection)
        return orjson.loads(text) if text else []

    def value_to_string(self, obj: Any) -> str:
        return orjson.dumps(self.value_from_object(obj)).decode()
