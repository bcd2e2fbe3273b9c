"""What became of a work notification: queued is not delivered, and what a limit dropped is told only here."""

from collections.abc import Iterator
from typing import Any, Final

from crm.providers.answers import Reply
from crm.providers.dingtalk.caller import Caller
from crm.providers.errors import Malformed
from crm.providers.reading import as_int, as_list, ids
from crm.providers.records import SendReceipt, SendResult

API: Final = "topapi/message/corpconversation/"
# Why one was left out, in our words.
REASONS: Final = {
    143103: "minute_limit",
    143104: "minute_limit",
    143105: "day_limit",
    143106: "same_today",
    143203: "minute_limit",
    143204: "minute_limit",
    143205: "day_limit",
    143206: "same_today",
    1430002: "forbidden_content",
    1430003: "protected",
    1430004: "protected",
}
LEFT_OUT = "left_out"  # without a reason we know


def receipt(answer: Reply, *, to_kind: str) -> SendReceipt:
    """The receipt of a send that was queued. Only of people DingTalk tells later whom it reached."""
    task_id = as_int(answer.data.get("task_id"))
    if task_id is None:
        return SendReceipt(warning="asyncsend_v2 answered without a task_id.")
    return SendReceipt(msgid=str(task_id), final=to_kind != "employee")


def read_result(caller: Caller, msgid: str, *, agentid: str) -> Iterator[SendResult]:
    """Who has it, and who was left out. Who stands in no list is still waited for."""
    answer = caller.read(API + "getsendresult", body=question(msgid, agentid), expect="send_result")
    told = answer.data.get("send_result")
    if not isinstance(told, dict):
        raise Malformed("getsendresult answered without its result.", code="no_list")
    refused = dict(_refused(told))
    for name in ("read_user_id_list", "unread_user_id_list"):
        for userid in ids(told.get(name)):
            if userid not in refused:
                yield SendResult(userid, "delivered")
    for userid, reason in refused.items():
        yield SendResult(userid, "refused", reason)


def _refused(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Of the two lists of those left out, either may be missing; the one with codes comes last and wins."""
    named = {
        "invalid_user_id_list": "invalid_user",
        "failed_user_id_list": "not_delivered",
        "forbidden_user_id_list": LEFT_OUT,
    }
    for name, reason in named.items():
        for userid in ids(told.get(name)):
            yield userid, reason
    for entry in as_list(told.get("forbidden_list")):
        if isinstance(entry, dict) and isinstance(entry.get("userid"), str):
            yield entry["userid"], REASONS.get(as_int(entry.get("code")) or 0, LEFT_OUT)


def question(msgid: str, agentid: str, *, name: str = "task_id") -> dict[str, Any]:
    """The body that asks about a task."""
    agent: int | str = int(agentid) if agentid.isdecimal() else agentid
    return {"agent_id": agent, name: int(msgid) if msgid.isdecimal() else msgid}
