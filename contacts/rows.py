"""Rows of one table while a batch is decided: held, new and changed ones, written together at its end.

Plain dicts: a model object for each costs more than its insert.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet

from crm import bulk

Row = dict[str, Any]  # {column: value}
Key = TypeVar("Key", bound=Hashable)


class Rows(Generic[Key]):
    """`changes` is {key: {field: [old, new]}} of held rows, for the history."""

    def __init__(self, model: type[Model], *, columns: Iterable[str], key: Callable[[Row], Key]) -> None:
        self._model = model
        self._columns = ("id", *columns)
        self._key = key
        self.held: dict[Key, Row] = {}
        self.new: dict[Key, Row] = {}
        self.changes: dict[Key, dict[str, list[Any]]] = {}
        self._dirty: dict[Key, set[str]] = {}

    def load(self, rows: "QuerySet[Any]") -> None:
        # In no order: PostgreSQL would rather walk the whole primary key backwards than sort what it looks up.
        self.held |= {self._key(row): row for row in rows.order_by().values(*self._columns)}

    def add(self, key: Key, values: Row) -> bool:
        """A new row, or more values for one that is new already; whether it is the first word of it."""
        row = self.new.get(key)
        if row is None:
            self.new[key] = values
            return True
        row.update(values)
        return False

    def tell(self, key: Key, values: Mapping[str, Any]) -> None:
        """Set what differs on a held row, and note it as a change."""
        row = self.held[key]
        told = {name: value for name, value in values.items() if row[name] != value}
        if told:
            noted = self.changes.setdefault(key, {})
            for name, value in told.items():
                old = noted.pop(name)[0] if name in noted else row[name]
                if old != value:  # else it was changed back within the batch
                    noted[name] = [old, value]
            if not noted:
                del self.changes[key]
            self.put(key, **told)

    def put(self, key: Key, **values: Any) -> None:
        """Set columns of a held row without a word in the history."""
        self.held[key].update(values)
        self._dirty.setdefault(key, set()).update(values)

    def pk(self, key: Key) -> int:
        row = self.new.get(key) or self.held[key]
        return int(row["id"])

    def insert(self) -> None:
        """Write the new rows; their ids were given by `number`."""
        bulk.insert(self._model, list(self.new.values()))

    def number(self) -> None:
        """Give every new row its primary key, so that others can name it before it is written."""
        for pk, row in zip(bulk.take_ids(self._model, len(self.new)), self.new.values(), strict=True):
            row["id"] = pk

    def update(self) -> None:
        """Write what changed of held rows: one statement for all rows in which the same columns did."""
        alike: dict[frozenset[str], list[Row]] = {}
        for key in sorted(self._dirty, key=self.pk):  # in one order, as every writer locks them
            alike.setdefault(frozenset(self._dirty[key]), []).append(self.held[key])
        for names, rows in alike.items():
            bulk.update(self._model, sorted(names), rows)
