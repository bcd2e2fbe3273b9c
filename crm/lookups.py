"""`among`: membership in a long list that is sent as one parameter.

`in` sends one parameter a value. Thousands of them cost the parsers of Django, psycopg and PostgreSQL more than the
rows cost to find (13 of 90 µs a relation in a first sync, 2026-11-20), and SQLite takes no more than 250,000.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson
from django.db.models import CharField, Field, ForeignKey, Lookup

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
