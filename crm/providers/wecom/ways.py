"""Contact ways: QR codes by which people add members (wecom.md 3.6). Made for one member or for several."""

from collections.abc import Iterator
from typing import Any, Final

from crm.providers.errors import Malformed
from crm.providers.reading import Unstorable, as_int, as_list, ids, plain
from crm.providers.records import ContactWayRecord, NewContactWay
from crm.providers.wecom.caller import Caller, encode
from crm.providers.wecom.paging import every_page

LISTED: Final = 1000
ONE, SEVERAL = 1, 2
QR_CODE: Final = 2  # the scene; 1 is a button in a mini program


def add(caller: Caller, way: NewContactWay) -> ContactWayRecord:
    body = {"type": SEVERAL if way.is_of_several else ONE, "scene": QR_CODE, **_told(way)}
    data = caller.write("externalcontact/add_contact_way", encode(body), expect="config_id").data
    try:
        made = ContactWayRecord(plain(data, "config_id"), state=way.state, qr_code=plain(data, "qr_code"))
    except Unstorable as error:
        raise Malformed(str(error), code="bad_item", outcome="unknown") from None
    if not made.config_id:
        raise Malformed("add_contact_way answered without a config_id.", code="bad_item", outcome="unknown")
    return made


def update(caller: Caller, config_id: str, way: NewContactWay) -> None:
    """Users and departments are overwritten. A way of one member stays one: its type cannot change."""
    body = {"config_id": config_id, **_told(way)}
    caller.write("externalcontact/update_contact_way", encode(body))


def delete(caller: Caller, config_id: str) -> None:
    caller.write("externalcontact/del_contact_way", encode({"config_id": config_id}))


def get(caller: Caller, config_id: str) -> ContactWayRecord:
    api = "externalcontact/get_contact_way"
    data = caller.read(api, body={"config_id": config_id}, expect="contact_way").data
    told = data.get("contact_way")
    if not isinstance(told, dict):
        raise Malformed("get_contact_way answered without the way.", code="no_list")
    try:
        return _record(told, config_id)
    except Unstorable as error:
        raise Malformed(str(error), code="bad_item") from None


def _record(told: dict[str, Any], config_id: str) -> ContactWayRecord:
    return ContactWayRecord(
        config_id=plain(told, "config_id") or config_id,
        state=plain(told, "state"),
        qr_code=plain(told, "qr_code"),
        remark=plain(told, "remark"),
        skip_verify=told.get("skip_verify") is not False,
        users=tuple(ids(told.get("user"))),
        departments=tuple(n for each in as_list(told.get("party")) if (n := as_int(each)) is not None),
    )


def listed(caller: Caller, *, begin: int, end: int) -> Iterator[str]:
    """The config_ids of the ways made from `begin` to `end` (Unix seconds)."""
    request = {"start_time": begin, "end_time": end, "limit": LISTED}
    pages = every_page(
        lambda cursor: caller.read(
            "externalcontact/list_contact_way", body={**request, "cursor": cursor}, expect="contact_way"
        )
    )
    for data in pages:
        if "contact_way" not in data:  # it would say that there is none
            raise Malformed("list_contact_way answered without its list.", code="no_list")
        for entry in as_list(data["contact_way"]):
            config_id = entry.get("config_id") if isinstance(entry, dict) else None
            if isinstance(config_id, str) and config_id:
                yield config_id


def mark_tags(
    caller: Caller, external_userid: str, userid: str, *, add: tuple[str, ...], remove: tuple[str, ...]
) -> None:
    body: dict[str, Any] = {"userid": userid, "external_userid": external_userid}
    body |= {name: list(tags) for name, tags in (("add_tag", add), ("remove_tag", remove)) if tags}
    caller.write("externalcontact/mark_tag", encode(body))


def _told(way: NewContactWay) -> dict[str, Any]:
    return {
        "remark": way.remark,
        "skip_verify": way.skip_verify,
        "state": way.state,
        "user": list(way.users),
        "party": list(way.departments),
    }
