"""The order of observations of a corp: what was asked for earlier never overwrites what was told since (S9)."""

from dataclasses import dataclass

from django.db import connection

from contacts.models import MirrorClock
from crm.models import Corp


@dataclass(frozen=True, slots=True)
class Moment:
    """`ticks`: answers applied so far; `reads`: single reads among them."""

    ticks: int
    reads: int


def now(corp: Corp) -> Moment:
    """Before a request: what the mirror knows when it is made."""
    found = MirrorClock.objects.filter(corp=corp).values_list("ticks", "reads").first()
    return Moment(*(found or (0, 0)))


def tick(corp: Corp, *, is_read: bool = False) -> Moment:
    """Count one answer, and keep others of this corp waiting until the caller's transaction ends."""
    table = connection.ops.quote_name(MirrorClock._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} AS clock (corp_id, ticks, reads) VALUES (%s, 1, %s) ON CONFLICT (corp_id) "
            "DO UPDATE SET ticks = clock.ticks + 1, reads = clock.reads + excluded.reads RETURNING ticks, reads",
            [corp.pk, int(is_read)],
        )
        return Moment(*cursor.fetchone())
