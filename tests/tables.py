"""Makes the database as it is after migrate: between tests, and between the lives of a generated test.

Django's flush truncates every table and fills some again, which takes longer than most tests do.
"""

from typing import Any

from django.core.management import call_command
from django.db import connection, transaction
from django.test import TransactionTestCase


def rows_of(table: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {connection.ops.quote_name(table)}")
        return sorted(cursor.fetchall())


class Tables:
    """All tables; `filled` are those that migrate itself writes to (permissions, roles, schedules), with their rows."""

    def __init__(self) -> None:
        self._look()

    def _look(self) -> None:
        names = connection.introspection.django_table_names(only_existing=True, include_views=False)
        self.filled = {name: rows for name in names if (rows := rows_of(name))}
        self.others = [name for name in names if name not in self.filled]

    def clear(self) -> None:
        """Foreign keys are checked when the transaction ends, so the order of the tables is no matter."""
        deletes = [f"DELETE FROM {connection.ops.quote_name(name)}" for name in self.others]
        with transaction.atomic(), connection.cursor() as cursor:
            for statement in deletes if connection.vendor == "sqlite" else ["; ".join(deletes)]:
                cursor.execute(statement)
        if any(rows_of(name) != rows for name, rows in self.filled.items()):
            call_command("flush", verbosity=0, interactive=False)
            self._look()  # the same rows have other primary keys now

    def clear_after_each_test(self) -> None:
        """Take the place of the flush with which Django ends a test that commits."""
        TransactionTestCase._fixture_teardown = lambda _: self.clear()  # type: ignore[method-assign]
