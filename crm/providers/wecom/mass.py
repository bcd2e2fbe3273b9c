"""Mass messages: what became of each recipient (wecom.md 3.7)."""

from collections.abc import Iterator
from typing import Any

from crm.providers.reading import Unstorable, as_int, as_list, number, plain
from crm.providers.records import MAX_TIME, SendResult
from crm.providers.wecom.caller import Caller
from crm.providers.wecom.paging import every_page

LIMIT = 1000  # larger falls back to the default of 500
_STATES = {0: ("waiting", ""), 1: ("delivered", ""), 2: ("refused", "not_friend"), 3: ("refused", "over_cap")}


def read_results(caller: Caller, msgid: str, *, sender: str) -> Iterator[SendResult]:
    """The state of every recipient of `sender`, or of every sender of the task when `sender` is ""."""
    for userid in [sender] if sender else _senders(caller, msgid):
        request = {"msgid": msgid, "userid": userid}
        for entry in _entries(caller, "get_groupmsg_send_result", "send_list", request):
            result = _result(entry)
            if result is not None:
                yield result


def _senders(caller: Caller, msgid: str) -> list[str]:
    found = (_userid(entry) for entry in _entries(caller, "get_groupmsg_task", "task_list", {"msgid": msgid}))
    return [userid for userid in dict.fromkeys(found) if userid]


def _userid(entry: dict[str, Any]) -> str:
    try:
        return plain(entry, "userid")
    except Unstorable:
        return ""


def _entries(caller: Caller, api: str, key: str, request: dict[str, str]) -> Iterator[dict[str, Any]]:
    pages = every_page(
        lambda cursor: caller.read(
            f"externalcontact/{api}", body={**request, "limit": LIMIT, "cursor": cursor}, expect=key
        )
    )
    for data in pages:
        yield from (entry for entry in as_list(data.get(key)) if isinstance(entry, dict))


def _result(entry: dict[str, Any]) -> SendResult | None:
    try:
        recipient = plain(entry, "external_userid")
    except Unstorable:
        return None
    if not recipient:
        return None
    status = as_int(entry.get("status"))
    state, reason = _STATES.get(-1 if status is None else status, ("waiting", f"status_{status}"))
    sent_at = number(entry, "send_time", low=1, high=MAX_TIME)
    return SendResult(recipient, state, reason, sent_at if isinstance(sent_at, int) else None)
