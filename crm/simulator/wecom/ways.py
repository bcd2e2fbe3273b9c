"""Contact ways: the QR codes by which people become customers (protocol reference, section 3.6)."""

from collections.abc import Callable
from typing import Any

from crm.simulator.exchange import JsonObject
from crm.simulator.records import ContactWay
from crm.simulator.wecom.call import Call, Refused, ok
from crm.simulator.wecom.listing import paged

_DAY = 86_400
_LONGEST = 14 * _DAY  # both lives of a temporary way
_BUTTON, _QR_CODE = 1, 2
_ONE, _SEVERAL = 1, 2


def add_contact_way(call: Call) -> bytes:
    """POST add_contact_way: a new way; scene 2 answers with the address of its QR code."""
    kind, scene = call.number("type", 0), call.number("scene", 0)
    if kind not in (_ONE, _SEVERAL):
        raise Refused(41037)
    if scene not in (_BUTTON, _QR_CODE):
        raise Refused(41038)
    way = ContactWay("", kind, scene, [], call.clock.seconds(), is_temp=_flag(call, "is_temp", default=False))
    if way.is_temp and (kind, scene) != (_ONE, _QR_CODE):
        raise Refused(40058, "a temporary way is the QR code of one member")
    way.expires_in, way.chat_expires_in = (7 * _DAY, _DAY) if way.is_temp else (0, 0)
    _write(call, way)
    _take_quota(call, way)
    corp = call.corp
    way.config_id = f"{corp.next_n():032x}"
    corp.ways[way.config_id] = way
    corp.changed()
    return ok(config_id=way.config_id, **({"qr_code": _qr_code(call, way)} if scene == _QR_CODE else {}))


def update_contact_way(call: Call) -> bytes:
    """POST update_contact_way: what is given replaces what was; type and scene stay."""
    _write(call, _way(call))
    call.corp.changed()
    return ok()


def _write(call: Call, way: ContactWay) -> None:
    """Everything is judged before anything is written: a refused update changes nothing."""
    told = {name: read(call, name) for name, read in _READERS.items() if call.params.get(name) is not None}
    if told.get("style") and way.scene != _BUTTON:
        del told["style"]
    if way.is_temp:
        for name in ("expires_in", "chat_expires_in"):
            told[name] = call.number(name, getattr(way, name))
            if not 1 <= told[name] <= _LONGEST:
                raise Refused(40058, f"{name} must be 1..{_LONGEST}")
    if not way.config_id or "user" in call.params or "party" in call.params:
        told |= _members(call, way.type)
    for name, value in told.items():
        setattr(way, name, value)


def _text(call: Call, name: str) -> str:
    if len(call.text(name)) > 30:
        raise Refused(40058, f"{name} has more than 30 characters")
    return call.text(name)


def _flag(call: Call, name: str, *, default: bool = True) -> bool:
    value = call.params.get(name, default)
    if not isinstance(value, bool):
        raise Refused(40035, f"{name} must be true or false")
    return value


def _style(call: Call, name: str) -> int:
    style = call.number(name, 0)
    if not 0 <= style <= 3:
        raise Refused(41039)
    return style


_READERS: dict[str, Callable[[Call, str], Any]] = {
    "remark": _text,
    "state": _text,
    "skip_verify": _flag,
    "style": _style,
    "unionid": Call.text,
    "conclusions": Call.record,
}


def _members(call: Call, kind: int) -> JsonObject:
    """`user` and `party`, both overwritten: one active member, or 100 at most with all departments expanded."""
    userids = call.strings("user", at_most=100, too_many=41041)
    party = [_department(call, number) for number in call.params.get("party") or []]
    if kind == _ONE and (len(userids) != 1 or party):
        raise Refused(40058, "user: exactly one for type 1, and no party")
    if not userids and not party:
        raise Refused(40058, "user or party: at least one for type 2")
    user = []
    for userid in userids:
        employee = call.corp.employee(userid)
        if employee is None or not employee.is_present:
            raise Refused(40003, userid)
        if not employee.is_reachable:
            raise Refused(41054, userid)
        user.append(employee.userid)
    if len(call.corp.members_of_way(ContactWay("", kind, 0, user, 0, party=party))) > 100:
        raise Refused(41041)
    return {"user": user, "party": party}


def _department(call: Call, number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number not in call.corp.departments:
        raise Refused(60003, f"party {number}")
    return number


def _take_quota(call: Call, way: ContactWay) -> None:
    now = call.clock.seconds()
    if way.is_temp:
        key, limit = (call.corp.spec.corp, "temporary ways"), call.switches.temp_way_quota_day
        if not call.world.windows.take(key, limit=limit, seconds=_DAY):
            raise Refused(41045)
    elif (quota := call.switches.contact_way_quota) and (
        sum(not each.is_temp and each.is_live(now) for each in call.corp.ways.values()) >= quota
    ):
        raise Refused(41045)


def _qr_code(call: Call, way: ContactWay) -> str:
    return f"http://{call.request.header('host')}/_sim/qr/{way.config_id}.png"


def _way(call: Call) -> ContactWay:
    way = call.corp.ways.get(call.text("config_id", missing=41044))
    if way is None or not way.is_live(call.clock.now()):
        raise Refused(41044)
    return way


def get_contact_way(call: Call) -> bytes:
    """POST get_contact_way: everything about one way."""
    way = _way(call)
    told: JsonObject = {
        "config_id": way.config_id,
        "type": way.type,
        "scene": way.scene,
        "remark": way.remark,
        "skip_verify": way.skip_verify,
        "state": way.state,
        "user": way.user,
        "party": way.party,
    }
    if way.scene == _QR_CODE:
        told["qr_code"] = _qr_code(call, way)
    else:
        told["style"] = way.style
    if way.is_temp:
        told |= {"is_temp": True, "expires_in": way.expires_in, "chat_expires_in": way.chat_expires_in}
        told |= {"unionid": way.unionid, "conclusions": way.conclusions or {}}
    return ok(contact_way=told)


def list_contact_way(call: Call) -> bytes:
    """POST list_contact_way: ids of the ways made in a window of time, without the temporary ones."""
    limit = call.number("limit", 100)
    if not 1 <= limit <= 1000:
        raise Refused(40058, "limit must be 1..1000")
    now = call.clock.seconds()
    start, end = call.number("start_time", now - 90 * _DAY), call.number("end_time", now)
    found = [
        {"config_id": each.config_id}
        for each in call.corp.ways.values()
        if start <= each.created_at <= end and not each.is_temp
    ]
    return paged(
        call,
        found,
        key="contact_way",
        limit=limit,
        bound=(call.params.get("start_time"), call.params.get("end_time")),
    )


def del_contact_way(call: Call) -> bytes:
    """POST del_contact_way: the code opens nothing any more; the customers stay."""
    del call.corp.ways[_way(call).config_id]
    call.corp.changed()
    return ok()
