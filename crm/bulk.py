"""Rows into a table in bulk: COPY on PostgreSQL, executemany elsewhere, behind small functions.

Nothing here knows what it writes; constraints decide as always, and a violation is Django's IntegrityError.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from django.db import connection, models

from crm.fields import EncryptedTextField

Prepare = Callable[[Any], Any]


def take_ids(model: type[models.Model], count: int) -> list[int]:
    """Reserve `count` primary keys, so that rows of several tables can name each other before they are written.

    On SQLite the caller's transaction holds the write lock (IMMEDIATE), so the next numbers are ours.
    """
    if not count:
        return []
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [table, count]
            )
            return [number for (number,) in cursor.fetchall()]
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        found = cursor.fetchone()
    first = (found[0] if found else 0) + 1
    return list(range(first, first + count))


def insert(model: type[models.Model], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert `rows`, {attname: value}; what a row leaves out takes the field's default. All name `id`, or none."""
    if not rows:
        return
    fields = [
        field for field in model._meta.concrete_fields if not field.primary_key or field.attname in rows[0]
    ]
    prepares = [(field.attname, _prepare(field), _prepare(field)(field.get_default())) for field in fields]
    values = (
        tuple(prepare(row[name]) if name in row else default for name, prepare, default in prepares)
        for row in rows
    )
    _write(model._meta.db_table, [str(field.column) for field in fields], values)


def _write(table: str, columns: Sequence[str], values: Iterable[tuple[Any, ...]]) -> None:
    names = ", ".join(connection.ops.quote_name(column) for column in columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with connection.wrap_database_errors, cursor.copy(f'COPY "{table}" ({names}) FROM STDIN') as copy:
                for row in values:
                    copy.write_row(row)
            return
        marks = ", ".join(["%s"] * len(columns))
        cursor.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', list(values))


def update(model: type[models.Model], names: Sequence[str], rows: Iterable[models.Model]) -> None:
    """Write the fields `names` of `rows`, one prepared statement for all of them."""
    fields = [model._meta.get_field(name) for name in names]
    prepares = [(field.attname, _prepare(field)) for field in fields]  # type: ignore[union-attr, arg-type]
    values = [(*(prepare(getattr(row, name)) for name, prepare in prepares), row.pk) for row in rows]
    if not values:
        return
    assigned = ", ".join(f"{connection.ops.quote_name(str(field.column))} = %s" for field in fields)  # type: ignore[union-attr]
    with connection.cursor() as cursor:
        cursor.executemany(f'UPDATE "{model._meta.db_table}" SET {assigned} WHERE id = %s', values)


def _prepare(field: "models.Field[Any, Any]") -> Prepare:
    """How a value of `field` is written by this database's driver."""
    if isinstance(field, EncryptedTextField):
        return field.get_prep_value
    if isinstance(field, models.JSONField):
        return _json
    if isinstance(field, models.DateTimeField):
        return _text_of_instant if connection.vendor == "postgresql" else _sqlite_instant
    return _as_is


def _as_is(value: Any) -> Any:
    return value


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


@lru_cache(maxsize=256)
def _text_of_instant(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


@lru_cache(maxsize=256)
def _sqlite_instant(value: datetime | None) -> str | None:
    return connection.ops.adapt_datetimefield_value(value) if value else None
