"""The change feed: history in the order of `seq`, without ever passing a line that is still to be committed.

PostgreSQL gives out `seq` at insert and shows the row at commit, so a later number can be seen before an earlier
one, and a reader that remembers the last `seq` would never get the earlier one. SQLite writes one at a time.
"""

from datetime import datetime, timedelta
from itertools import takewhile

from django.db import connection
from django.db.models import QuerySet

from crm.models import Event

# A line is dated in Python, a little before it is inserted, and by another clock than the database's.
SLACK = timedelta(seconds=2)
OLDEST_WRITER = """
    SELECT min(xact_start) FROM pg_stat_activity
    WHERE datname = current_database() AND backend_xid IS NOT NULL AND pid <> pg_backend_pid()
"""


def settled(rows: QuerySet[Event], *, limit: int) -> list[Event]:
    """The first `limit` of `rows` by `seq`, up to the first that an open transaction may still precede."""
    if connection.vendor != "postgresql":
        return list(rows.order_by("seq")[:limit])
    given, horizon = _given_out()
    found = rows.filter(seq__lte=given).order_by("seq")[:limit]
    return list(found if horizon is None else takewhile(lambda event: event.at < horizon, found))


def _given_out() -> tuple[int, datetime | None]:
    """The highest `seq` given out so far, and (asked after it) since when somebody has been writing.

    Whoever holds a number up to the first is either among those writing, or is done and will be read.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence('crm_event', 'seq')")
        cursor.execute(f"SELECT last_value FROM {cursor.fetchone()[0]}")
        (given,) = cursor.fetchone()
        cursor.execute(OLDEST_WRITER)
        (began,) = cursor.fetchone()
    return given, began - SLACK if began else None
