"""Following a cursor to its end, for answers that are read whole; the listing of contacts pages by itself."""

from collections.abc import Callable, Iterator
from typing import Any

from crm.providers.answers import Reply
from crm.providers.errors import Malformed

MOST_PAGES = 10_000


def next_cursor(answer: Reply) -> str:
    """The cursor of the next page, "" at the end; what is neither string nor nothing: `bad_cursor` (contract F4)."""
    value = answer.data.get("next_cursor")
    if value is None:
        return ""
    if isinstance(value, str) and (answer.clean or _is_sendable(value)):
        return value
    raise Malformed("next_cursor is not a usable string.", code="bad_cursor")


def _is_sendable(value: str) -> bool:
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)


def every_page(ask: Callable[[str], Reply]) -> Iterator[dict[str, Any]]:
    """`ask(cursor)` from "" to the end. A cursor seen before is `cursor_repeated`."""
    cursor, seen = "", {""}
    for _ in range(MOST_PAGES):
        answer = ask(cursor)
        yield answer.data
        cursor = next_cursor(answer)
        if not cursor:
            return
        if cursor in seen:
            raise Malformed("The same cursor came twice.", code="cursor_repeated")
        seen.add(cursor)
    raise Malformed(f"More than {MOST_PAGES} pages.", code="page_cap")
