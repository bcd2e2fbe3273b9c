"""Mass messages: what became of each recipient, and which of them a lost answer was about (wecom.md 3.7)."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from crm.providers.answers import scrub
from crm.providers.errors import Malformed
from crm.providers.reading import Unstorable, as_int, as_list, number, plain
from crm.providers.records import LIMITS, MAX_TIME, Refusal, SendReceipt, SendResult
from crm.providers.wecom.caller import Caller
from crm.providers.wecom.paging import every_page
from crm.providers.wecom.receipts import NOBODY_VALID

LIMIT = 1000  # larger falls back to the default of 500
LISTED = 100  # larger falls back to the default of 50
OF_THE_CORP = 0  # made through the API or the console, not by a member
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


def _entries(
    caller: Caller,
    api: str,
    key: str,
    request: dict[str, Any],
    *,
    limit: int = LIMIT,
    needs_list: bool = False,
) -> Iterator[dict[str, Any]]:
    pages = every_page(
        lambda cursor: caller.read(
            f"externalcontact/{api}", body={**request, "limit": limit, "cursor": cursor}, expect=key
        )
    )
    for data in pages:
        if needs_list and key not in data:
            raise Malformed(f"{api} answered without its list.", code="no_list")
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


def find_sends(
    caller: Caller, body: bytes, *, to: Sequence[str], sender: str, begin: int, end: int
) -> list[SendReceipt]:
    """The mass sends of that time which posting `body` may have made (see `Provider.find_mass_sends`)."""
    wanted = _said(orjson.loads(body))
    request = {"chat_type": "single", "start_time": begin, "end_time": end, "filter_type": OF_THE_CORP}
    # Without its list it would say that there is none.
    entries = _entries(
        caller, "get_groupmsg_list_v2", "group_msg_list", request, limit=LISTED, needs_list=True
    )
    # The clock of an entry is looked at again: an older one that says the same is another send.
    alike = [each for each in entries if _said(each) == wanted and _is_within(each, begin, end)]
    found = (_receipt(caller, _msgid(each), to=to, sender=sender) for each in alike)
    return [each for each in found if each is not None]


def _said(told: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    """The text and the attachments without their media: WeCom lists those under ids of its own."""
    text = told.get("text")
    content = text.get("content") if isinstance(text, dict) else ""
    attachments = [each for each in as_list(told.get("attachments")) if isinstance(each, dict)]
    return str(content or "").strip(), [_attached(each) for each in attachments]


def _attached(told: dict[str, Any]) -> dict[str, Any]:
    msgtype = told.get("msgtype")
    inner = told.get(msgtype) if isinstance(msgtype, str) else None
    own = {name: inner[name] for name in _OWN if inner.get(name)} if isinstance(inner, dict) else {}
    return {"msgtype": msgtype, **own}


_OWN = ("title", "url", "desc", "appid", "page")


def _is_within(entry: dict[str, Any], begin: int, end: int) -> bool:
    made_at = as_int(entry.get("create_time"))  # samples print it as a string
    return made_at is None or begin <= made_at <= end


def _msgid(entry: dict[str, Any]) -> str:
    return scrub(entry.get("msgid"))[: LIMITS["msgid"]]


def _receipt(caller: Caller, msgid: str, *, to: Sequence[str], sender: str) -> SendReceipt | None:
    """What the answer would have told, if the mass send is of `sender` alone and of nobody but `to`."""
    if not msgid or [each.lower() for each in _senders(caller, msgid)] != [sender.lower()]:
        return None
    reached = {each.to for each in read_results(caller, msgid, sender=sender)}
    if not reached or not reached <= set(to):
        return None
    refused = (Refusal(each, NOBODY_VALID, "not in the mass send") for each in to if each not in reached)
    return SendReceipt(msgid=msgid, refused=tuple(refused), final=False)
