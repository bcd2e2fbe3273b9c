"""Mass messages to customers: the API only makes a task; the member confirms, then customers receive it."""

from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from crm.simulator.exchange import JsonObject
from crm.simulator.records import Contact, Employee, MassPart, MassTask
from crm.simulator.wecom.call import Call, Refused, ok
from crm.simulator.wecom.content import cut, stored_media, words
from crm.simulator.wecom.listing import paged
from crm.simulator.world import World

_CHINA = timezone(timedelta(hours=8))
_LONGEST_LIST = 31 * 86_400
UNSENT, SENT, NO_FRIEND, OVER_CAP = 0, 1, 2, 3


def add_msg_template(call: Call) -> bytes:
    """POST add_msg_template: make a task; ids that nobody can reach come back in `fail_list`."""
    if call.text("chat_type") not in ("", "single"):
        raise Refused(41048, "the simulator keeps no customer groups")
    text = read_text(call)
    attachments = read_attachments(call)
    if not text and not attachments:
        raise Refused(40063, "text or attachments")
    asked, sender = _audience(call)
    parts, failed = _share_out(call, asked, sender)
    if not parts:
        raise Refused(41048, fail_list=failed)
    corp = call.corp
    task = MassTask(
        f"msg{corp.next_n():030d}", call.clock.seconds(), corp.spec.agentid, text, attachments, parts
    )
    corp.tasks[task.msgid] = task
    corp.changed()
    return ok(fail_list=failed, msgid=task.msgid)


def read_text(call: Call) -> str:
    """`text.content`, "" when absent. Raises Refused."""
    if call.params.get("text") is None:
        return ""
    content = words(call.record("text"), "content")
    if len(content.encode("utf-8", "replace")) > 4000:
        raise Refused(45002)
    return content


def read_attachments(call: Call) -> list[Any]:
    """`attachments`, each checked. Raises Refused."""
    told = call.params.get("attachments") or []
    if not isinstance(told, list) or not all(isinstance(each, dict) for each in told):
        raise Refused(40035, "attachments must be a list of objects")
    if len(told) > 9:
        raise Refused(41064)
    for each in told:
        msgtype = each.get("msgtype")
        if msgtype not in ("image", "link", "miniprogram", "video", "file") or not isinstance(
            each.get(msgtype), dict
        ):
            raise Refused(41065, f"attachment {msgtype}")
        _check_attachment(call, msgtype, each[msgtype])
    return told


def _check_attachment(call: Call, msgtype: str, told: JsonObject) -> None:
    if msgtype == "link":
        words(told, "title", missing=41016, most_bytes=128)
        words(told, "url", missing=41010, most_bytes=2048)
        words(told, "picurl", most_bytes=2048)
        words(told, "desc", most_bytes=512)
    elif msgtype == "miniprogram":
        words(told, "title", missing=41016, most_bytes=64)
        words(told, "appid", missing=90200)
        words(told, "page", missing=90204)
        stored_media(call, told, "pic_media_id")
    elif msgtype != "image" or told.get("media_id") or not told.get("pic_url"):
        stored_media(call, told)


def _audience(call: Call) -> tuple[list[str] | None, Employee | None]:
    """The ids asked for (None: all customers of the sender) and the member who is to send."""
    sender = None
    if call.text("sender"):
        sender = call.corp.employee(call.text("sender"))
        if sender is None or not sender.is_reachable:
            raise Refused(40003, "sender")
    asked = call.strings("external_userid", at_most=10_000)
    if asked:
        return list(dict.fromkeys(asked)), sender
    if call.params.get("tag_filter"):
        return _tagged(call), sender
    if sender is None:
        raise Refused(40063, "external_userid, sender or tag_filter")
    return None, sender


def _tagged(call: Call) -> list[str]:
    groups = [set(each.get("tag_list") or []) for each in call.record("tag_filter").get("group_list") or []]
    if any(len(each) > 100 for each in groups):
        raise Refused(40058, "at most 100 tags in a group")
    return [
        contact.external_userid
        for contact in call.corp.contacts.values()
        if any(all(group & set(follow.tags) for group in groups) for follow in contact.follows)
    ]


def _share_out(
    call: Call, asked: list[str] | None, sender: Employee | None
) -> tuple[dict[str, MassPart], list[str]]:
    if asked is None and sender is not None:
        asked = [follow.contact.external_userid for follow in sender.follows]
    parts: dict[str, MassPart] = {}
    failed: list[str] = []
    for external_userid in asked or []:
        contact = call.corp.contacts.get(external_userid)
        member = _sender_for(contact, sender) if contact else None
        if member is None:
            failed.append(external_userid)
        else:
            part = parts.setdefault(member.userid, MassPart(member.userid, {}))
            part.recipients[external_userid] = UNSENT
    return parts, failed


def _sender_for(contact: Contact, sender: Employee | None) -> Employee | None:
    """The wanted sender if it follows the contact, otherwise the first follower in reach."""
    followers = [
        each.employee for each in contact.follows if each.employee.is_reachable and not each.customer_left
    ]
    if sender is not None:
        return sender if sender in followers else None
    return followers[0] if followers else None


def _task(call: Call) -> MassTask:
    task = call.corp.tasks.get(call.text("msgid", missing=41046))
    if task is None:
        raise Refused(41047)
    return task


def _dispatched_task(call: Call) -> MassTask:
    task = _task(call)
    if call.clock.now() - task.created_at < call.switches.groupmsg_delay:
        raise Refused(41063)
    return task


def _limit(call: Call) -> int:
    """Here a limit out of range falls back to the default instead of being clamped."""
    limit = call.number("limit", 500)
    return limit if 1 <= limit <= 1000 else 500


def get_groupmsg_list_v2(call: Call) -> bytes:
    """POST get_groupmsg_list_v2: the tasks made in a month at most. All are made through the API: no `creator`."""
    if call.text("chat_type", missing=40063) not in ("single", "group"):
        raise Refused(40058, "chat_type")
    begin, end = call.number("start_time", 0), call.number("end_time", 0)
    if not begin or not end or not 0 <= end - begin <= _LONGEST_LIST:
        raise Refused(40058, "start_time and end_time, at most a month apart")
    filter_type, limit = call.number("filter_type", 2), call.number("limit", 50)
    is_told = call.text("chat_type") == "single" and filter_type in (0, 2) and not call.text("creator")
    found = [_listed(call, each) for each in call.corp.tasks.values() if begin <= each.created_at <= end]
    return paged(
        call,
        found if is_told else [],
        key="group_msg_list",
        limit=limit if 1 <= limit <= 100 else 50,
        bound=(begin, end, filter_type),
    )


def _listed(call: Call, task: MassTask) -> JsonObject:
    """The media are told under other ids, as by the service (I)."""
    made_at = str(task.created_at) if call.switches.groupmsg_times == "string" else task.created_at
    entry: JsonObject = {"msgid": task.msgid, "create_time": made_at, "create_type": 0}
    if task.text:
        entry["text"] = {"content": task.text}
    if task.attachments:
        entry["attachments"] = [_renamed(each) for each in task.attachments]
    return entry


def _renamed(attachment: JsonObject) -> JsonObject:
    msgtype = attachment["msgtype"]
    inner = {
        name: f"WWCISP_{value}" if name.endswith("media_id") else value
        for name, value in attachment[msgtype].items()
    }
    return {"msgtype": msgtype, msgtype: inner}


def get_groupmsg_task(call: Call) -> bytes:
    """POST get_groupmsg_task: which members have sent their part."""
    task = _dispatched_task(call)
    entries = [
        {"userid": part.userid, "status": 2 if part.send_time else 0}
        | ({"send_time": part.send_time} if part.send_time else {})
        for part in task.parts.values()
    ]
    return paged(call, entries, key="task_list", limit=_limit(call), bound=(task.msgid,))


def get_groupmsg_send_result(call: Call) -> bytes:
    """POST get_groupmsg_send_result: what became of each customer of one member."""
    task = _dispatched_task(call)
    userid = call.text("userid", missing=41009)
    employee = call.corp.employee(userid)
    part = task.parts.get(employee.userid if employee else userid)
    entries = [
        {"external_userid": external_userid, "userid": part.userid, "status": status}
        | ({"send_time": part.send_time} if status == SENT else {})
        for external_userid, status in (part.recipients.items() if part else ())
        if part
    ]
    return paged(call, entries, key="send_list", limit=_limit(call), bound=(task.msgid, userid))


def remind_groupmsg_send(call: Call) -> bytes:
    """POST remind_groupmsg_send: nudge the members, three times a day at most."""
    task = _task(call)
    if task.cancelled:
        raise Refused(41093)
    now = call.clock.seconds()
    task.reminders = [each for each in task.reminders if now - each < 86_400]
    if len(task.reminders) >= 3:
        raise Refused(41094)
    task.reminders.append(now)
    call.corp.changed()
    return ok()


def cancel_groupmsg_send(call: Call) -> bytes:
    """POST cancel_groupmsg_send: members who have not sent yet cannot any more."""
    task = _task(call)
    if task.cancelled:
        raise Refused(41093)
    task.cancelled = True
    call.corp.changed()
    return ok()


def confirm(world: World, corp_id: str, msgid: str, userid: str) -> JsonObject:
    """The member presses "send" in the client. Raises LookupError when there is nothing to send."""
    corp = world.corps[corp_id]
    task, employee = corp.tasks.get(msgid), corp.employee(userid)
    part = task.parts.get(employee.userid) if task and employee else None
    if task is None or employee is None or part is None or task.cancelled or part.send_time:
        raise LookupError("no such task is waiting for this employee")
    part.send_time = world.clock.seconds()
    for external_userid in part.recipients:
        part.recipients[external_userid] = _status(world, corp_id, employee, external_userid)
        if part.recipients[external_userid] == SENT:
            corp.deliver(
                at=part.send_time,
                kind="contact",
                to=external_userid,
                sender=employee.userid,
                msgtype="mass",
                content={"text": cut(task.text, 4000), "attachments": task.attachments},
                msgid=task.msgid,
            )
    corp.changed()
    return {"sent": sum(status == SENT for status in part.recipients.values()), "statuses": part.recipients}


def _status(world: World, corp_id: str, employee: Employee, external_userid: str) -> int:
    corp = world.corps[corp_id]
    contact = corp.contacts.get(external_userid)
    follow = corp.following(employee, contact) if contact else None
    if follow is None or follow.customer_left:
        return NO_FRIEND
    today = datetime.fromtimestamp(world.clock.seconds(), UTC).astimezone(_CHINA)
    month_cap = world.switches.mass_cap_month or monthrange(today.year, today.month)[1]
    caps = {f"{external_userid}|{today:%Y-%m}": month_cap}
    if world.switches.mass_cap_day:
        caps[f"{external_userid}|{today:%Y-%m-%d}"] = world.switches.mass_cap_day
    if any(corp.mass_received[key] >= cap for key, cap in caps.items()):
        return OVER_CAP
    for key in caps:
        corp.mass_received[key] += 1
    return SENT
