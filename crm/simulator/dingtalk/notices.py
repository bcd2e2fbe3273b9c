"""Work notifications: queued at once, delivered a little later, and dropped without a word where a limit is reached."""

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from crm.simulator.dingtalk.call import Call, Refused, ok, text
from crm.simulator.exchange import dumps
from crm.simulator.records import Employee, Notice

_CHINA = timezone(timedelta(hours=8))
_DAY_S = 86_400
_FIRST_TASK = 256_000_000_000
_MOST_NAMED, _MOST_DEPARTMENTS, _MOST_RECEIVERS, _MOST_ASKED = 100, 20, 5000, 100
_DUPLICATE, _OVER_DAY = 143106, 143105
Told = Mapping[str, Any]


def send(call: Call) -> bytes:
    """POST asyncsend_v2: errcode 0 says only that it was queued."""
    _check_agent(call)
    msgtype, content = _content(call.params.get("msg"))
    people, invalid = _receivers(call)
    task_id = _FIRST_TASK + call.corp.next_n()
    notice = Notice(task_id, call.clock.now(), [], invalid, {})
    for employee in people:
        code = _dropped(call, employee, content)
        if code:
            notice.forbidden[employee.userid] = code
            continue
        notice.reached.append(employee.userid)
        call.corp.deliver(
            at=call.clock.seconds(),
            kind="employee",
            to=employee.userid,
            sender="app",
            msgtype=msgtype,
            content=content,
            msgid=str(task_id),
        )
    call.corp.notices[task_id] = notice
    return ok(task_id=task_id, request_id=f"notice{task_id}")


def _check_agent(call: Call) -> None:
    if call.number("agent_id", 0, bad=40035) != call.corp.spec.agentid:
        raise Refused(40056 if "agent_id" in call.params else 40035, "agent_id")


def _receivers(call: Call) -> tuple[list[Employee], list[str]]:
    users, departments = _ids(call, "userid_list"), _ids(call, "dept_id_list")
    if len(users) > _MOST_NAMED or len(departments) > _MOST_DEPARTMENTS:
        raise Refused(40035, "too many receivers")
    to_all = call.params.get("to_all_user") in (True, "true")
    if not users and not departments and not to_all:
        raise Refused(40035, "no receivers")
    found = {each: call.corp.employee(each) for each in users}
    people = {each.userid: each for each in found.values() if each is not None and each.status == 1}
    for number in departments:
        for below in call.corp.subtree(int(number) if number.isdigit() else 0):
            people.update((each.userid, each) for each in call.corp.members_of(below.id) if each.status == 1)
    if to_all:
        people.update((each.userid, each) for each in call.corp.employees.values() if each.status == 1)
    if len(people) > _MOST_RECEIVERS:
        raise Refused(41029)
    invalid = [each for each, employee in found.items() if employee is None or employee.status != 1]
    return list(people.values()), invalid


def _ids(call: Call, name: str) -> list[str]:
    told = call.params.get(name)
    if told is not None and not isinstance(told, (str, int)):
        raise Refused(40035, f"{name} must be a string joined by commas")
    return [each for each in str("" if told is None else told).split(",") if each]


def _dropped(call: Call, employee: Employee, content: Told) -> int:
    """The code with which this one is left out, 0 for who gets it."""
    day = f"{datetime.fromtimestamp(call.clock.now(), UTC).astimezone(_CHINA):%Y-%m-%d}"
    digest = hashlib.sha1(dumps(content), usedforsecurity=False).hexdigest()
    today, same = f"{employee.userid}|{day}", f"{employee.userid}|{day}|{digest}"
    noticed = call.corp.noticed
    if noticed[same]:
        return _DUPLICATE
    if call.switches.notice_per_day and noticed[today] >= call.switches.notice_per_day:
        return _OVER_DAY
    noticed[today] += 1
    noticed[same] = 1
    return 0


def _notice(call: Call, name: str) -> Notice:
    _check_agent(call)
    notice = call.corp.notices.get(call.number(name, 0, bad=40035))
    if notice is None or call.clock.now() - notice.at > _DAY_S:
        raise Refused(400002 if name == "msg_task_id" else 40035, name)
    return notice


def _done(call: Call, notice: Notice) -> float:
    """How much of it is done, 0 to 1."""
    takes = call.switches.notice_seconds
    return min(1.0, (call.clock.now() - notice.at) / takes) if takes else 1.0


def progress(call: Call) -> bytes:
    """POST getsendprogress: 0 not begun, 1 on its way, 2 done."""
    share = _done(call, _notice(call, "task_id"))
    status = 2 if share >= 1 else int(share > 0)
    return ok(progress={"progress_in_percent": int(share * 100), "status": status})


def result(call: Call) -> bytes:
    """POST getsendresult: who is in no list yet, waits."""
    notice = _notice(call, "task_id")
    if len(notice.reached) + len(notice.invalid) + len(notice.forbidden) > _MOST_ASKED:
        raise Refused(400002, f"more than {_MOST_ASKED} receivers")
    lists: dict[str, Any] = {
        "invalid_user_id_list": [],
        "failed_user_id_list": [],
        "read_user_id_list": [],
        "unread_user_id_list": [],
        "invalid_dept_id_list": [],
    }
    if _done(call, notice) >= 1:
        lists["invalid_user_id_list"] = notice.invalid
        lists["read_user_id_list"] = notice.read
        lists["unread_user_id_list"] = [each for each in notice.reached if each not in notice.read]
        lists["forbidden_list"] = [
            {"code": str(code), "count": 1, "userid": userid} for userid, code in notice.forbidden.items()
        ]
        if notice.task_id % 2:  # which of the two lists is told differs from answer to answer
            lists["forbidden_user_id_list"] = list(notice.forbidden)
    return ok(send_result=lists)


def recall(call: Call) -> bytes:
    """POST recall: within a day."""
    notice = _notice(call, "msg_task_id")
    for message in call.corp.messages:
        if message.msgid == str(notice.task_id):
            message.recalled = True
    call.corp.changed()
    return ok()


def _content(told: object) -> tuple[str, Told]:
    if isinstance(told, str):
        try:
            told = json.loads(told)
        except ValueError as error:
            raise Refused(34014) from error
    if not isinstance(told, dict):
        raise Refused(40035, "msg")
    msgtype = told.get("msgtype")
    check = _CHECKS.get(msgtype) if isinstance(msgtype, str) else None
    if check is None:
        raise Refused(34004)
    content = told.get(str(msgtype))
    if not isinstance(content, dict):
        raise Refused(34014)
    check(content)
    return str(msgtype), content


def _limited(told: Told, name: str, most: int, *, missing: int | None = 40035) -> str:
    value = text(told, name, missing=missing, bad=34014)
    if len(value) > most:
        raise Refused(34016, name)
    return value


def _text(told: Told) -> None:
    _limited(told, "content", 5000, missing=44004)


def _stored(told: Told) -> None:
    text(told, "media_id", missing=34008, bad=34014)


def _voice(told: Told) -> None:
    _stored(told)
    seconds = text(told, "duration", missing=40035)
    if not seconds.isdigit() or not 0 < int(seconds) < 60:
        raise Refused(40035, "duration")


def _link(told: Told) -> None:
    for name, most in (("messageUrl", 5000), ("picUrl", 5000), ("title", 100), ("text", 5000)):
        _limited(told, name, most)


def _markdown(told: Told) -> None:
    _limited(told, "title", 64)
    _limited(told, "text", 5000)


def _oa(told: Told) -> None:
    text(told, "message_url", missing=40035)
    head, body = told.get("head"), told.get("body")
    if not isinstance(head, dict) or not isinstance(body, dict):
        raise Refused(40035, "head and body")
    text(head, "bgcolor", missing=40035)
    _limited(body, "title", 64, missing=None)
    _limited(body, "content", 5000, missing=None)


def _action_card(told: Told) -> None:
    _limited(told, "title", 64, missing=None)
    _limited(told, "markdown", 5000)
    if "btn_json_list" not in told:
        _limited(told, "single_title", 20)
        _limited(told, "single_url", 500)
        return
    text(told, "btn_orientation", missing=40035)
    buttons = told["btn_json_list"]
    if not isinstance(buttons, list) or not buttons or not all(isinstance(each, dict) for each in buttons):
        raise Refused(34014)
    if len(dumps(buttons)) > 1000:
        raise Refused(34016, "btn_json_list")
    for button in buttons:
        _limited(button, "title", 20)
        _limited(button, "action_url", 700)


_CHECKS: dict[str, Callable[[Told], None]] = {
    "text": _text,
    "image": _stored,
    "voice": _voice,
    "file": _stored,
    "link": _link,
    "oa": _oa,
    "markdown": _markdown,
    "action_card": _action_card,
}
