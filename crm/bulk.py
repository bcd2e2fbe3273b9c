"""Rows into a table in bulk: COPY on PostgreSQL, executemany elsewhere, behind small functions.

Nothing here knows what it writes; constraints decide as always, and a violation is Django's IntegrityError.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache, lru_cache, partial
from itertools import repeat
from operator import attrgetter
from typing import Any

import orjson
from django.db import connection, models

from crm.fields import EncryptedTextField

Row = Mapping[str, Any]  # {attname: value}
Prepare = Callable[[Iterable[Any]], Iterable[Any]]  # of a column's values


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
                "SELECT nextval(%s::regclass) FROM generate_series(1, %s)", [_sequence(table), count]
            )
            return [number for (number,) in cursor.fetchall()]
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        found = cursor.fetchone()
    first = (found[0] if found else 0) + 1
    return list(range(first, first + count))


@cache
def _sequence(table: str) -> str:
    """Looked up once: within the statement above it would be looked up for every number."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence(%s, 'id')", [table])
        return str(cursor.fetchone()[0])


def insert(model: type[models.Model], rows: Sequence[Row]) -> None:
    """Insert `rows`; what a row leaves out takes the field's default. All name `id`, or none."""
    fields = {field.attname: field for field in model._meta.concrete_fields}
    names = {name for shape in {tuple(row) for row in rows} for name in shape}
    defaults = {name: fields[name].get_default() for name in names}
    _insert(model, {name: [row.get(name, default) for row in rows] for name, default in defaults.items()})


def insert_tuples(model: type[models.Model], names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert `rows`, each the values of the columns `names`; other columns take the field's default."""
    _insert(model, dict(zip(names, zip(*rows, strict=True), strict=False)))


def _insert(model: type[models.Model], told: Mapping[str, Sequence[Any]]) -> None:
    """Insert rows given column by column, {attname: values}."""
    if not told:
        return
    columns: dict[str, Iterable[Any]] = {}
    for field in model._meta.concrete_fields:
        prepare = _prepare(field)
        if field.attname in told:
            values = told[field.attname]
            columns[str(field.column)] = prepare(values) if prepare else values
        elif not field.primary_key:
            default = field.get_default()
            columns[str(field.column)] = repeat(*prepare([default]) if prepare else (default,))
    _write(model._meta.db_table, list(columns), zip(*columns.values(), strict=False))


def _write(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    quote = connection.ops.quote_name
    listed = ", ".join(quote(column) for column in columns)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            statement = f"COPY {quote(table)} ({listed}) FROM STDIN"
            with connection.wrap_database_errors, cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(row)
            return
        marks = ", ".join(["%s"] * len(columns))
        cursor.executemany(f"INSERT INTO {quote(table)} ({listed}) VALUES ({marks})", list(rows))


def update(model: type[models.Model], names: Sequence[str], rows: Sequence[Row]) -> None:
    """Write the columns `names` of `rows`, each found by its `id`; one prepared statement for all of them."""
    fields = {field.attname: field for field in model._meta.concrete_fields}
    quote = connection.ops.quote_name
    assigned = ", ".join(f"{quote(str(fields[name].column))} = %s" for name in names)
    columns: list[Iterable[Any]] = []
    for name in (*names, "id"):
        prepare = _prepare(fields[name])
        values = [row[name] for row in rows]
        columns.append(prepare(values) if prepare else values)
    statement = f"UPDATE {quote(model._meta.db_table)} SET {assigned} WHERE id = %s"
    with connection.cursor() as cursor:
        cursor.executemany(statement, list(zip(*columns, strict=True)))


def _prepare(field: "models.Field[Any, Any]") -> Prepare | None:
    """How values of `field` are written by this database's driver; None for as they are."""
    if isinstance(field, EncryptedTextField):
        return field.prepare_each
    if isinstance(field, models.JSONField):
        return partial(map, _json)
    if isinstance(field, models.UUIDField) and connection.vendor != "postgresql":
        return partial(map, attrgetter("hex"))
    if isinstance(field, models.DateTimeField):
        return partial(map, _text_of_instant if connection.vendor == "postgresql" else _sqlite_instant)
    return None


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


@lru_cache(maxsize=256)
def _text_of_instant(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


@lru_cache(maxsize=256)
def _sqlite_instant(value: datetime | None) -> str | None:
    return connection.ops.adapt_datetimefield_value(value) if value else None
