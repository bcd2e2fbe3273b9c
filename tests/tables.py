"""Makes the database as it is after migrate: between tests, and between the lives of a generated test.

Django's flush truncates every table and fills some again, which takes longer than most tests do.
"""

from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core.management import call_command
from django.db import connection, transaction
from django.test import TransactionTestCase


def empty_tables() -> None:
    """Delete every row of ours."""
    models = [m for app in ("contacts", "crm", "messaging") for m in apps.get_app_config(app).get_models()]
    _delete_from([model._meta.db_table for model in models])


def _delete_from(tables: Sequence[str]) -> None:
    """In any order: foreign keys are checked when the transaction ends."""
    statements = [f"DELETE FROM {connection.ops.quote_name(table)}" for table in tables]
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements if connection.vendor == "sqlite" else ["; ".join(statements)]:
            cursor.execute(statement)


def _rows_of(table: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)} ORDER BY id")
        return cursor.fetchall()


class Tables:
    """Every table; `filled` are those that migrate writes to (permissions, roles, schedules), with their rows."""

    def __init__(self) -> None:
        self._look()

    def _look(self) -> None:
        names = connection.introspection.django_table_names(only_existing=True, include_views=False)
        with connection.cursor() as cursor:
            filled = [name for name in names if self._has_rows(cursor, name)]
        self.filled = {name: _rows_of(name) for name in filled}
        self.others = [name for name in names if name not in self.filled]

    @staticmethod
    def _has_rows(cursor: Any, table: str) -> bool:
        cursor.execute(f"SELECT EXISTS (SELECT 1 FROM {connection.ops.quote_name(table)})")
        return bool(cursor.fetchone()[0])

    def clear(self) -> None:
        _delete_from(self.others)
        if any(_rows_of(name) != rows for name, rows in self.filled.items()):
            call_command("flush", verbosity=0, interactive=False)
            self._look()  # the same rows have other primary keys now

    def clear_after_each_test(self) -> None:
        """Take the place of the flush with which Django ends a test that commits."""
        TransactionTestCase._fixture_teardown = lambda _: self.clear()  # type: ignore[method-assign]
