"""Keeps the world in a file, so that a restarted demo finds what was made in it."""

import json
import os
import threading
from base64 import b64decode, b64encode
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crm.simulator.corps import CORPS
from crm.simulator.exchange import JsonObject, dumps
from crm.simulator.records import (
    Callback,
    Card,
    Contact,
    ContactWay,
    Department,
    Employee,
    Follow,
    MassPart,
    MassTask,
    Media,
    MemberTag,
    Message,
    Notice,
    Sent,
    Tag,
    TagGroup,
)
from crm.simulator.world import Corp, World

_VERSION = 1
_GROUP = ("group_id", "group_name", "create_time", "order")
_TAG = ("id", "name", "create_time", "order")
_EMPLOYEE = tuple(name for name in Employee.__slots__ if name != "follows")
_CONTACT = tuple(name for name in Contact.__slots__ if name not in ("card", "follows", "listed", "poison"))
_FOLLOW = tuple(name for name in Follow.__slots__ if name not in ("contact", "employee", "listed"))


def save(world: World, path: Path) -> None:
    """Write the world beside `path` and move it there, so that a crash leaves the old file or the new one."""
    with world.lock:
        told = {
            "version": _VERSION,
            "clock_offset": world.clock.offset,
            "corps": {corp_id: _corp_out(corp) for corp_id, corp in world.corps.items()},
        }
        data = dumps(told)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with beside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def load(world: World, path: Path) -> None:
    """Fill the empty world from a file that `save` wrote. Raises ValueError for any other file."""
    told = json.loads(path.read_bytes())
    if not isinstance(told, dict) or told.get("version") != _VERSION:
        raise ValueError(f"{path} is not a state file of this simulator")
    world.clock.offset = float(told["clock_offset"])
    for spec in CORPS:
        if spec.corp in told["corps"]:  # a file of an older simulator has fewer
            world.corps[spec.corp] = _corp_in(Corp(spec), told["corps"][spec.corp])


def _values(record: object, names: tuple[str, ...]) -> list[Any]:
    return [getattr(record, name) for name in names]


def _corp_out(corp: Corp) -> JsonObject:
    return {
        "last_n": corp.last_n,
        "departments": [asdict(each) for each in corp.departments.values()],
        "tags": [
            [*_values(group, _GROUP), [_values(tag, _TAG) for tag in group.tags]]
            for group in corp.tag_groups.values()
        ],
        "employees": [_values(each, _EMPLOYEE) for each in corp.employees.values()],
        "contacts": [
            [
                _values(each, _CONTACT),
                [[f.employee.userid, *_values(f, _FOLLOW)] for f in each.follows],
                *([asdict(each.card)] if each.card else ()),
            ]
            for each in corp.contacts.values()
        ],
        "notices": [asdict(each) for each in corp.notices.values()],
        "noticed": dict(corp.noticed),
        "member_tags": [asdict(each) for each in corp.member_tags.values()],
        "messages": [asdict(each) for each in corp.messages],
        "sent": {key: asdict(each) for key, each in corp.sent.items()},
        "tasks": [asdict(each) for each in corp.tasks.values()],
        "media": [asdict(each) | {"data": b64encode(each.data).decode()} for each in corp.media.values()],
        "ways": [asdict(each) for each in corp.ways.values()],
        "mass_received": dict(corp.mass_received),
        "callback": asdict(corp.callback) if corp.callback else None,
    }


def _corp_in(corp: Corp, told: JsonObject) -> Corp:
    corp.departments = {each["id"]: Department(**each) for each in told["departments"]}
    for *values, tags in told["tags"]:
        group = TagGroup(*values)
        for tag_id, name, create_time, order in tags:
            corp.add_tag(group, Tag(tag_id, name, create_time, order, group))
    for values in told["employees"]:
        corp.add_employee(Employee(**dict(zip(_EMPLOYEE, values, strict=True))))
    for values, follows, *card in told["contacts"]:
        contact = Contact(**dict(zip(_CONTACT, values, strict=True)))
        contact.card = _card_in(*card) if card else None
        corp.contacts[contact.external_userid] = contact
        for userid, *follow_values in follows:
            _follow_in(corp, contact, userid, dict(zip(_FOLLOW, follow_values, strict=True)))
    for employee in corp.employees.values():
        employee.follows.sort(key=lambda each: each.n)  # the file goes contact by contact
    # A file of an older simulator has none.
    corp.member_tags = {each["tagid"]: MemberTag(**each) for each in told.get("member_tags", ())}
    corp.notices = {each["task_id"]: Notice(**each) for each in told.get("notices", ())}
    corp.noticed.update(told.get("noticed", {}))
    corp.messages = [Message(**each) for each in told["messages"]]
    corp.sent = {key: Sent(**each) for key, each in told["sent"].items()}
    for each in told["tasks"]:
        each["parts"] = {userid: MassPart(**part) for userid, part in each["parts"].items()}
        corp.tasks[each["msgid"]] = MassTask(**each)
    for each in told["media"]:
        corp.media[each["media_id"]] = Media(**each | {"data": b64decode(each["data"])})
    corp.ways = {each["config_id"]: ContactWay(**each) for each in told["ways"]}
    corp.mass_received.update(told["mass_received"])
    corp.callback = Callback(**told["callback"]) if told.get("callback") else None
    corp.last_n = told["last_n"]
    return corp


def _card_in(fields: JsonObject) -> Card:
    fields["labels"], fields["share_dept_ids"] = tuple(fields["labels"]), tuple(fields["share_dept_ids"])
    return Card(**fields)


def _follow_in(corp: Corp, contact: Contact, userid: str, fields: JsonObject) -> None:
    employee = corp.employees[userid.lower()]
    fields["tags"], fields["remark_mobiles"] = tuple(fields["tags"]), tuple(fields["remark_mobiles"])
    fields["own_tags"] = tuple((group, name) for group, name in fields["own_tags"])
    follow = Follow(contact=contact, employee=employee, **fields)
    employee.follows.append(follow)
    contact.follows += (follow,)


class Keeper:
    """Saves about a second after a change, and a last time on `close`."""

    def __init__(self, world: World, path: Path) -> None:
        self._world, self._path = world, path
        self._saved: tuple[object, float] | None = None
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="state keeper", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing.wait(1.0):
            self._save_if_changed()

    def _save_if_changed(self) -> None:
        seen = (self._world.revision, self._world.clock.offset)
        if seen != self._saved:
            save(self._world, self._path)
            self._saved = seen

    def close(self) -> None:
        """Stop and write what is not written yet."""
        self._closing.set()
        self._thread.join()
        self._save_if_changed()
