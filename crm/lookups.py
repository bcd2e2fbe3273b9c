"""`among` and `Told`: a long list, or what is told of each row, sent as one parameter.

`in` sends one parameter a value. Thousands of them cost the parsers of Django, psycopg and PostgreSQL more than the
rows cost to find (13 of 90 µs a relation in a first sync, 2026-11-20), and SQLite takes no more than 250,000.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import orjson
from django.db.models import BigIntegerField, CharField, Field, ForeignKey, Func, Lookup

if TYPE_CHECKING:
    Base = Lookup[Any]
else:
    Base = Lookup


class Among(Base):
    """`column__among=values`, of plain values: strings or numbers."""

    lookup_name = "among"
    prepare_rhs = False

    def __init__(self, lhs: Any, rhs: Iterable[Any]) -> None:
        prepare = lhs.output_field.get_prep_value
        super().__init__(lhs, [prepare(value) for value in rhs])

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, Any]:
        column, parameters = self.process_lhs(compiler, connection)
        if connection.vendor == "postgresql":
            field = self.lhs.output_field
            # Of the column's own type, else its index is not used; a varchar(n) would be cut to its length.
            kind = "text" if isinstance(field, CharField) else field.db_type(connection)
            return f"{column} = ANY(%s::{kind}[])", [*parameters, self.rhs]
        return f"{column} IN (SELECT value FROM json_each(%s))", [
            *parameters,
            orjson.dumps(self.rhs).decode(),
        ]


Field.register_lookup(Among)
ForeignKey.register_lookup(Among)


class Told(Func):
    """What is told of a row by the number in `of`: `Told("pk", {pk: number})`, in place of a CASE of as many arms."""

    output_field = BigIntegerField()

    def __init__(self, of: str, numbers: Mapping[int, int]) -> None:
        super().__init__(of)
        self.numbers = orjson.dumps({str(key): number for key, number in numbers.items()}).decode()

    def as_postgresql(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, tuple[Any, ...]]:
        column, parameters = compiler.compile(self.source_expressions[0])
        return f"(%s::jsonb ->> {column}::text)::bigint", (self.numbers, *parameters)

    def as_sqlite(self, compiler: Any, connection: Any, **extra: Any) -> tuple[str, tuple[Any, ...]]:
        column, parameters = compiler.compile(self.source_expressions[0])
        return f"json_extract(%s, '$.' || {column})", (self.numbers, *parameters)
