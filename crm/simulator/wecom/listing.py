"""The paged contact listings: one walk over members and their relations, in either dialect's shape."""

from collections.abc import Callable
from typing import Any

from crm.simulator.cursors import BadCursor, Place, binding, seal, unseal
from crm.simulator.exchange import dumps
from crm.simulator.records import Employee, Follow
from crm.simulator.wecom.call import Call, Refused
from crm.simulator.wecom.items import direct_item, joined, pair_item

Render = Callable[[Follow], bytes]


def get_by_user(call: Call) -> bytes:
    """POST batch/get_by_user: pairs of contact and follower for up to 100 members; names the unlicensed."""
    userids = call.strings("userid_list", at_most=100)
    if not userids:
        raise Refused(40063, "userid_list missing")
    members = [listed_member(call, userid) for userid in userids]
    licensed = [each for each in members if each.licensed]
    unlicensed = [each.userid for each in members if not each.licensed]
    if not licensed:
        raise Refused(701008)
    corp = call.corp
    extra = b',"fail_info":' + dumps({"unlicensed_userid_list": unlicensed}) if unlicensed else b""
    return _page(call, licensed, default_limit=50, render=lambda follow: pair_item(corp, follow), extra=extra)


def direct_list(call: Call) -> bytes:
    """POST list of the direct dialect: one member's contacts."""
    employee = listed_member(call, call.text("userid", missing=41009))
    if not employee.licensed:
        raise Refused(701008)
    corp, with_objects = call.corp, call.switches.follow_user_objects
    return _page(
        call,
        [employee],
        default_limit=100,
        render=lambda follow: direct_item(corp, follow.contact, with_objects=with_objects),
    )


def list_ids(call: Call) -> bytes:
    """GET list: all ids of a member's customers at once; 84061 instead of an empty list."""
    employee = listed_member(call, call.text("userid", missing=41009))
    if not employee.licensed:
        raise Refused(701008)
    if not employee.follows:
        raise Refused(84061)
    ids = [follow.contact.external_userid for follow in employee.follows]
    return b'{"errcode":0,"errmsg":"ok","external_userid":' + dumps(ids) + b"}"


def listed_member(call: Call, userid: str) -> Employee:
    """The member whose contacts are asked for; refused when unknown, gone, disabled or out of range."""
    employee = call.corp.employee(userid)
    if employee is None:
        raise Refused(60111, f"userid {userid} not found")
    if not employee.is_reachable:
        raise Refused(call.switches.hidden_errcode, f"userid {userid} not in range")
    return employee


def _page(
    call: Call, members: list[Employee], *, default_limit: int, render: Render, extra: bytes = b""
) -> bytes:
    mark = binding(call.api, call.app, call.corp.spec.corp, [each.userid for each in members])
    place = open_cursor(call, mark)
    items: list[bytes] = []
    following: Place | None = Place(place.page + 1, place.member, place.after)
    if not call.empty_page:
        items, following = _walk(call, members, place, _limit(call, default_limit), render)
        middle = len(items) // 2  # a hostile item stands between good ones
        items[middle:middle] = _hostile(call, members, place.page)
    end = next_cursor(call, following, mark)
    return b'{"errcode":0,"errmsg":"ok","external_contact_list":' + joined(items) + end + extra + b"}"


def _walk(
    call: Call, members: list[Employee], place: Place, limit: int, render: Render
) -> tuple[list[bytes], Place | None]:
    """Up to `limit` items from `place` on, and where the next page begins (None: nothing is left)."""
    items: list[bytes] = []
    after = place.after
    for number in range(place.member, len(members)):
        # One more than fits tells whether anything is left.
        found = call.corp.follows_after(members[number], after, limit - len(items) + 1)
        fitting = found[: limit - len(items)]
        items += [render(each) for each in fitting]
        if len(found) > len(fitting):
            return items, Place(place.page + 1, number, fitting[-1].n if fitting else after)
        after = 0
    return items, None


def _limit(call: Call, default: int) -> int:
    asked = call.number("limit", default)
    largest = min(100, call.switches.page_limit or 100)
    return min(asked if asked > 0 else default, largest)


def _hostile(call: Call, members: list[Employee], page: int) -> list[bytes]:
    poison = call.corp.poison_pages
    if not poison:
        return []
    return [raw for member in members for raw in poison.get((member.userid.lower(), page), [])]


def open_cursor(call: Call, mark: bytes) -> Place:
    """Where the call's cursor leads; 50100 when it is not good for this listing."""
    try:
        return unseal(call.text("cursor"), bound_to=mark, now=call.clock.now(), ttl=call.switches.cursor_ttl)
    except BadCursor as error:
        raise Refused(50100, str(error)) from error


def next_cursor(call: Call, place: Place | None, mark: bytes) -> bytes:
    """The `next_cursor` of an answer, comma included; the end in the style that is switched on."""
    if place is not None:
        return b',"next_cursor":"' + seal(place, bound_to=mark, now=call.clock.now()).encode() + b'"'
    return {"absent": b"", "null": b',"next_cursor":null'}.get(call.switches.end_style, b',"next_cursor":""')


def paged(call: Call, entries: list[Any], *, key: str, limit: int, bound: tuple[object, ...]) -> bytes:
    """A page of a short list that does not change between pages, by position."""
    mark = binding(call.api, call.app, call.corp.spec.corp, *bound)
    place = open_cursor(call, mark)
    stop = place.after + limit
    following = Place(place.page + 1, 0, stop) if stop < len(entries) else None
    answer = dumps({"errcode": 0, "errmsg": "ok", key: entries[place.after : stop]})
    return answer[:-1] + next_cursor(call, following, mark) + b"}"
