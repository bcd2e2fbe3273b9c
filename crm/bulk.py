"""Rows into a table in bulk: COPY on PostgreSQL, executemany elsewhere, behind small functions.

Nothing here knows what it writes; constraints decide as always, and a violation is Django's IntegrityError.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from django.db import connection, models
from django.db.models.expressions import RawSQL

from crm.fields import EncryptedTextField

Row = Mapping[str, Any]  # {attname: value}
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


def insert(model: type[models.Model], rows: Sequence[Row]) -> None:
    """Insert `rows`; what a row leaves out takes the field's default. All name `id`, or none."""
    names = list(dict.fromkeys(name for shape in {tuple(row) for row in rows} for name in shape))
    fields = {field.attname: field for field in model._meta.concrete_fields}
    defaults = [(name, fields[name].get_default()) for name in names]
    insert_tuples(model, names, [[row.get(name, default) for name, default in defaults] for row in rows])


def insert_tuples(model: type[models.Model], names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert `rows`, each the values of the columns `names`; other columns take the field's default."""
    if not rows:
        return
    fields = {field.attname: field for field in model._meta.concrete_fields}
    others = [field for name, field in fields.items() if name not in names and not field.primary_key]
    constant = _prepared(others, [[field.get_default() for field in others]])[0]
    columns = [str(field.column) for field in (*others, *(fields[name] for name in names))]
    told = _prepared([fields[name] for name in names], rows)
    _write(model._meta.db_table, columns, [[*constant, *row] for row in told])


def _write(table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
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
        cursor.executemany(f"INSERT INTO {quote(table)} ({listed}) VALUES ({marks})", rows)


def update(model: type[models.Model], names: Sequence[str], rows: Sequence[Row]) -> None:
    """Write the columns `names` of `rows`, each found by its `id`; one prepared statement for all of them."""
    fields = {field.attname: field for field in model._meta.concrete_fields}
    quote = connection.ops.quote_name
    assigned = ", ".join(f"{quote(str(fields[name].column))} = %s" for name in names)
    values = _prepared(
        [fields[name] for name in (*names, "id")], [[row[name] for name in (*names, "id")] for row in rows]
    )
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {quote(model._meta.db_table)} SET {assigned} WHERE id = %s", values)


def among(values: Iterable[str]) -> RawSQL:
    """For `filter(column__in=…)`: many texts as one parameter, which costs a fraction of one each."""
    rows = {
        "postgresql": "SELECT jsonb_array_elements_text(%s::jsonb)",
        "sqlite": "SELECT value FROM json_each(%s)",
    }
    return RawSQL(rows[connection.vendor], [_json(list(values))])


def _prepared(
    fields: Sequence["models.Field[Any, Any]"], rows: Sequence[Sequence[Any]]
) -> list[Sequence[Any]]:
    """`rows` as the driver takes them."""
    columns = list(zip(*rows, strict=True))
    for n, field in enumerate(fields):
        if prepare := _prepare(field):
            columns[n] = tuple(map(prepare, columns[n]))
    return list(zip(*columns, strict=True))


def _prepare(field: "models.Field[Any, Any]") -> Prepare | None:
    """How a value of `field` is written by this database's driver; None for as it is."""
    if isinstance(field, EncryptedTextField):
        return field.get_prep_value
    if isinstance(field, models.JSONField):
        return _json
    if isinstance(field, models.DateTimeField):
        return _text_of_instant if connection.vendor == "postgresql" else _sqlite_instant
    return None


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


@lru_cache(maxsize=256)
def _text_of_instant(value: datetime | None) -> str | None:
    return value.isoformat() if value else None


@lru_cache(maxsize=256)
def _sqlite_instant(value: datetime | None) -> str | None:
    return connection.ops.adapt_datetimefield_value(value) if value else None
