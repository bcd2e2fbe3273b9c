"""Contact ways: the QR codes by which people become customers (protocol reference, section 3.6)."""

from crm.simulator.exchange import JsonObject
from crm.simulator.records import ContactWay
from crm.simulator.wecom.call import Call, Refused, ok
from crm.simulator.wecom.listing import paged


def add_contact_way(call: Call) -> bytes:
    """POST add_contact_way: a new way; scene 2 answers with the address of its QR code."""
    kind, scene = call.number("type", 0), call.number("scene", 0)
    if kind not in (1, 2):
        raise Refused(41037)
    if scene not in (1, 2):
        raise Refused(41038)
    for name in ("remark", "state"):
        if len(call.text(name)) > 30:
            raise Refused(40058, f"{name} has more than 30 characters")
    corp = call.corp
    config_id = f"{corp.next_n():032x}"
    skips = call.params.get("skip_verify", True) is not False
    way = ContactWay(config_id, kind, scene, _members(call, kind), call.clock.seconds(), skip_verify=skips)
    way.remark, way.state = call.text("remark"), call.text("state")
    corp.ways[config_id] = way
    corp.changed()
    return ok(config_id=config_id, **({"qr_code": _qr_code(call, way)} if scene == 2 else {}))


def _members(call: Call, kind: int) -> list[str]:
    userids = call.strings("user", at_most=100, too_many=41041)
    if not userids or (kind == 1 and len(userids) != 1):
        raise Refused(40058, "user: exactly one for type 1, at least one for type 2")
    members = []
    for userid in userids:
        employee = call.corp.employee(userid)
        if employee is None or not employee.is_present:
            raise Refused(40003, userid)
        if not employee.is_reachable:
            raise Refused(41054, userid)
        members.append(employee.userid)
    return members


def _qr_code(call: Call, way: ContactWay) -> str:
    return f"http://{call.request.header('host')}/_sim/qr/{way.config_id}.svg"


def _way(call: Call) -> ContactWay:
    way = call.corp.ways.get(call.text("config_id", missing=41044))
    if way is None:
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
        "party": [],
    }
    if way.scene == 2:
        told["qr_code"] = _qr_code(call, way)
    return ok(contact_way=told)


def list_contact_way(call: Call) -> bytes:
    """POST list_contact_way: ids of the ways made in a window of time."""
    limit = call.number("limit", 100)
    if not 1 <= limit <= 1000:
        raise Refused(40058, "limit must be 1..1000")
    now = call.clock.seconds()
    start, end = call.number("start_time", now - 90 * 86_400), call.number("end_time", now)
    found = [
        {"config_id": each.config_id} for each in call.corp.ways.values() if start <= each.created_at <= end
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
