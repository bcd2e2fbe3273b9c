"""App messages to members (message/send, recall) and the direct dialect's message to a contact."""

import hashlib
import json
from dataclasses import dataclass, field

from crm.simulator.records import CardCode, Employee, Sent
from crm.simulator.wecom.call import Call, Refused, ok
from crm.simulator.wecom.cards import INTERACTIVE
from crm.simulator.wecom.content import Content, read_content

_CONFIDENTIAL = ("text", "image", "video", "file", "mpnews")  # `safe` is in the field lists of these alone


_CHINA_S, _DAY_S = 8 * 3600, 86_400  # its days are those of China


@dataclass(slots=True)
class Receivers:
    """Who gets an app message, and who was named in vain."""

    members: dict[str, Employee] = field(default_factory=dict)
    invaliduser: list[str] = field(default_factory=list)
    invalidparty: list[str] = field(default_factory=list)
    invalidtag: list[str] = field(default_factory=list)
    unlicenseduser: list[str] = field(default_factory=list)

    def add(self, employee: Employee) -> None:
        if employee.licensed:
            self.members[employee.userid] = employee
        elif employee.userid not in self.unlicenseduser:
            self.unlicenseduser.append(employee.userid)

    def told(self, *, with_empty: bool) -> dict[str, str]:
        """The lists of the answer; the direct documents show empty ones as "", the official omit them."""
        lists = {
            "invaliduser": self.invaliduser,
            "invalidparty": self.invalidparty,
            "invalidtag": self.invalidtag,
            "unlicenseduser": self.unlicenseduser,
        }
        return {name: "|".join(ids) for name, ids in lists.items() if ids or with_empty}


def send(call: Call) -> bytes:
    """POST message/send: one message of the app to many members."""
    if call.app == "sync":
        raise Refused(48002, "the contacts-sync secret may not send")
    msgtype = call.text("msgtype", missing=40008)
    _check_agentid(call, msgtype)
    _check_options(call, msgtype)
    content = read_content(call, msgtype)
    if msgtype == "miniprogram_notice" and call.params.get("touser") == "@all":
        raise Refused(40031, "@all is not supported by miniprogram_notice")
    receivers = _receivers(call)
    told = receivers.told(with_empty=call.is_direct)
    if not receivers.members:
        raise Refused(81013, **told)
    msgid = _earlier(call)
    if msgid is None:
        _check_day(call, len(receivers.members))
        msgid = _deliver(call, receivers, msgtype, content)
    if msgtype == "template_card" and content["card_type"] in INTERACTIVE:
        told["response_code"] = "rc" + msgid
        call.corp.card_codes.setdefault("rc" + msgid, CardCode(msgid, call.clock.seconds()))
    return ok(**told, msgid=msgid)


def _check_options(call: Call, msgtype: str) -> None:
    """How WeCom refuses them is not documented: 40058, as other bad parameters."""
    most = 0 if msgtype not in _CONFIDENTIAL else 2 if msgtype == "mpnews" else 1
    if not 0 <= call.number("safe", 0) <= most:
        raise Refused(40058, "safe")
    if call.number("enable_id_trans", 0) not in (0, 1):
        raise Refused(40058, "enable_id_trans")


def _check_agentid(call: Call, msgtype: str) -> None:
    told = call.params.get("agentid")
    if told is None or told == "":
        if call.is_direct or msgtype == "miniprogram_notice":
            return
        raise Refused(41011)
    if isinstance(told, bool) or not str(told).isdigit():
        raise Refused(40056)
    if int(told) != call.corp.spec.agentid:
        raise Refused(301002)


def _receivers(call: Call) -> Receivers:
    users = _ids(call, "touser", at_most=1000, too_many=40032)
    parties = _ids(call, "toparty", at_most=100, too_many=82002)
    tags = _ids(call, "totag", at_most=100, too_many=82003)
    if not users and not parties and not tags:
        raise Refused(82001)
    found = Receivers()
    if users == ["@all"]:
        for employee in call.corp.employees.values():
            if employee.status == 1:
                found.add(employee)
        return found
    _add_users(call, users, found)
    _add_parties(call, parties, found)
    _add_tags(call, tags, found)
    return found


def _ids(call: Call, name: str, *, at_most: int, too_many: int) -> list[str]:
    told = call.params.get(name)
    if isinstance(told, int) and not isinstance(told, bool):
        told = str(told)
    if told is not None and not isinstance(told, str):
        raise Refused(40035, f"{name} must be a string joined by |")
    ids = [each for each in (told or "").split("|") if each]
    if len(ids) > at_most:
        raise Refused(too_many)
    return ids


def _add_users(call: Call, users: list[str], found: Receivers) -> None:
    for userid in users:
        employee = call.corp.employee(userid)
        if employee is not None and employee.status == 1:
            found.add(employee)
        elif userid.lower() not in found.invaliduser:
            found.invaliduser.append(userid.lower())


def _add_parties(call: Call, parties: list[str], found: Receivers) -> None:
    for party in parties:
        below = call.corp.subtree(int(party)) if party.isdigit() else []
        if not below:
            found.invalidparty.append(party)
        for employee in (each for department in below for each in call.corp.members_of(department.id)):
            if employee.status == 1:
                found.add(employee)


def _add_tags(call: Call, tags: list[str], found: Receivers) -> None:
    for told in tags:
        tag = call.corp.member_tags.get(int(told)) if told.isdecimal() else None
        if tag is None:
            found.invalidtag.append(told)
            continue
        for employee in filter(None, map(call.corp.employee, tag.userids)):
            if employee.status == 1:
                found.add(employee)


def _earlier(call: Call) -> str | None:
    """The msgid of the same request inside its duplicate-check interval (the answer is undocumented)."""
    if call.number("enable_duplicate_check", 0) != 1:
        return None
    same = json.dumps(call.params, sort_keys=True).encode()
    key = "dup" + hashlib.sha1(same, usedforsecurity=False).hexdigest()
    interval = min(call.number("duplicate_check_interval", 1800), 14_400)
    earlier = call.corp.sent.get(key)
    if earlier is not None and call.clock.now() - earlier.at < interval:
        return earlier.msgid
    call.corp.sent[key] = Sent(f"dm{call.corp.last_n + 1}", call.corp.spec.agentid, call.clock.seconds())
    return None


def _check_day(call: Call, persons: int) -> None:
    limit = call.switches.app_per_day or 200 * len(call.corp.employees)
    key = (call.corp.spec.corp, "app messages")
    if not call.world.windows.take(key, limit=limit, seconds=86_400, amount=persons):
        raise Refused(45009, "app messages of today")


def _deliver(call: Call, receivers: Receivers, msgtype: str, content: Content) -> str:
    corp, now = call.corp, call.clock.seconds()
    msgid = f"dm{corp.next_n()}"
    corp.sent[msgid] = Sent(msgid, corp.spec.agentid, now)
    corp.changed()
    for userid in receivers.members:
        if _phone_takes(call, userid):
            corp.deliver(
                at=now,
                kind="employee",
                to=userid,
                sender="app",
                msgtype=msgtype,
                content=content,
                msgid=msgid,
            )
    return msgid


def _phone_takes(call: Call, userid: str) -> bool:
    """False when the member already got too much from this app: the excess is dropped without a word."""
    windows, key = call.world.windows, (call.corp.spec.corp, "to", userid)
    hour, minute = call.switches.member_per_hour, call.switches.member_per_minute
    if windows.is_full(key, limit=hour, seconds=3600) or windows.is_full(key, limit=minute, seconds=60):
        return False
    windows.take(key, limit=hour, seconds=3600)
    windows.take(key, limit=minute, seconds=60)
    return True


def recall(call: Call) -> bytes:
    """POST message/recall: take a message back from the phones within 24 hours."""
    sent = call.corp.sent.get(call.text("msgid", missing=40063))
    if sent is None or not sent.msgid.startswith("dm"):
        raise Refused(40058, "msgid of no message of this app")
    if call.clock.now() - sent.at > call.switches.recall_seconds:
        raise Refused(42052)
    for message in call.corp.messages:
        if message.msgid == sent.msgid:
            message.recalled = True
    call.corp.changed()
    return ok()


def get_statistics(call: Call) -> bytes:
    """POST message/get_statistics: how many members got a message of the app today or yesterday."""
    if call.number("time_type", 0) not in (0, 1):
        raise Refused(40058, "time_type")
    day = (call.clock.seconds() + _CHINA_S) // _DAY_S - call.number("time_type", 0)
    count = sum(
        each.kind == "employee" and each.sender == "app" and (each.at + _CHINA_S) // _DAY_S == day
        for each in call.corp.messages
    )
    app = {"agentid": call.corp.spec.agentid, "app_name": "Renmai", "count": count}
    return ok(statistics=[app] if count else [])


def send_to_contact(call: Call) -> bytes:
    """POST externalcontact/message/send (direct): text or mini-program notice to one contact, at once."""
    if not call.is_direct:
        raise Refused(40058, "this is the home-school notice, which takes to_parent_userid and others")
    receiver = call.text("touser", missing=82001)
    msgtype = call.text("msgtype", missing=40008)
    if msgtype not in ("text", "miniprogram_notice"):
        raise Refused(40008, f"msgtype {msgtype}")
    _check_agentid(call, msgtype)
    content = read_content(call, msgtype)
    kind, to = _contact_or_employee(call, receiver)
    msgid = f"em{call.corp.next_n()}"
    call.corp.deliver(
        at=call.clock.seconds(), kind=kind, to=to, sender="app", msgtype=msgtype, content=content, msgid=msgid
    )
    return ok()


def _contact_or_employee(call: Call, receiver: str) -> tuple[str, str]:
    wanted = call.switches.touser_kind
    contact = call.corp.contacts.get(receiver) if wanted in ("external_userid", "both") else None
    if contact is not None:
        if not contact.follows:
            raise Refused(84061)
        return "contact", receiver
    employee = call.corp.employee(receiver) if wanted in ("userid", "both") else None
    if employee is None or employee.status != 1:
        raise Refused(40096 if wanted != "userid" else 40003)
    return "employee", employee.userid
