"""What a fault does to a call: answers in its place, or spoils the honest answer."""

import json
from typing import Any

from crm.simulator.exchange import Answer, Delivery, JsonObject, dumps
from crm.simulator.faults import Fault

LISTS = (
    "external_contact_list", "external_userid", "follow_user", "userlist", "department", "department_id",
    "dept_user", "tag_group", "task_list", "send_list", "group_msg_list", "statistics", "results",
    "contact_way",
)  # fmt: skip
_HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


def instead(fault: Fault) -> Answer:
    """The answer of a call that is not performed (an `errcode` fault is worded by the dialect)."""
    delivery = Delivery(fault.kind, fault.seconds or 60.0, fault.size)
    match fault.kind:
        case "html":
            return Answer(_HTML.encode(), fault.status or 502, "text/html; charset=utf-8")
        case "empty":
            return Answer(status=fault.status or 200)
        case "redirect":
            return Answer(status=fault.status or 302, headers={"Location": fault.location})
        case "http_status":
            return Answer(dumps(fault.fields) if fault.fields else b"", fault.status or 500)
    return Answer(status=fault.status or 200, delivery=delivery)


def spoil(fault: Fault, answer: Answer, params: JsonObject) -> Answer:
    """The honest answer, spoilt; its errcode stays what the call came to."""
    match fault.kind:
        case "truncated":
            answer.body = answer.body[: max(1, len(answer.body) * 2 // 3)]
        case "delay":
            answer.delivery = Delivery("delay", fault.seconds or 1.0)
        case "cut" | "slow_drip" | "after":
            answer.delivery = Delivery(fault.kind, fault.seconds or 1.0)
        case "empty_page":
            pass  # the listing itself serves it, see wecom.listing
        case _:
            _edit(fault, answer, params)
    return answer


def _edit(fault: Fault, answer: Answer, params: JsonObject) -> None:
    try:
        told: Any = json.loads(answer.body)
    except ValueError:
        return
    if fault.kind == "no_list":
        for name in LISTS:
            told.pop(name, None)
    elif fault.kind == "bad_cursor":
        told["next_cursor"] = "no-such-cursor"
    elif fault.kind == "repeat_cursor":
        told["next_cursor"] = params.get("cursor", "")
    elif fault.kind == "loop_cursor":
        _close_loop(fault, told, str(params.get("cursor", "")))
    answer.body = dumps(told | fault.fields)


def _close_loop(fault: Fault, told: dict[str, Any], cursor: str) -> None:
    """Lead back to the first cursor seen, from every page but the one it leads to: A, B, A, B."""
    if not fault.first_cursor:
        fault.first_cursor = cursor
    elif cursor != fault.first_cursor:
        told["next_cursor"] = fault.first_cursor
