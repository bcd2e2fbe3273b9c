"""Rows for tests, made by small functions. `truth` is what `sim.world(corp)` tells of a corp."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import count
from typing import Any
from xml.sax.saxutils import escape

from django.contrib.auth.models import Group, User
from django.utils import timezone

from contacts.models import Contact, ContactWay, Employee, FollowUser
from crm import roles
from crm.keys import SCOPES, make_key
from crm.models import Agent, ApiKey, Corp
from crm.providers.file_types import content_type_of
from messaging.models import (
    Callback,
    Greeting,
    MediaFile,
    ReceivedFile,
    ReceivedMessage,
    Template,
    Welcome,
)

_numbers = count(1)


def corp_of(sim_corp: dict[str, Any]) -> Corp:
    """The corp and agent of one line of the simulator's credentials."""
    made = Corp.objects.create(
        corpid=sim_corp["corp"],
        provider=Corp.Provider.DINGTALK if "app_key" in sim_corp else Corp.Provider.WECOM,
        dialect=sim_corp["dialect"],
        base_url=sim_corp["base_url"],
    )
    told = {"secret": sim_corp["secret"], "app_key": sim_corp.get("app_key", "")}
    agent(made, agentid=str(sim_corp["agentid"]), **told)
    return made


def agent(corp: Corp, *, agentid: str, secret: str = "secret", app_key: str = "") -> Agent:
    return Agent.objects.create(corp=corp, agentid=agentid, secret=secret, app_key=app_key)


def employee(corp: Corp, userid: str = "", **fields: Any) -> Employee:
    userid = userid or f"staff{next(_numbers)}"
    return Employee.objects.create(corp=corp, userid=userid, **{"name": userid, **fields})


def contact(corp: Corp, external_userid: str = "", **fields: Any) -> Contact:
    external_userid = external_userid or f"wmtest{next(_numbers):026d}"
    return Contact.objects.create(
        corp=corp, external_userid=external_userid, **{"name": external_userid, **fields}
    )


def follow(contact: Contact, employee: Employee, **fields: Any) -> FollowUser:
    return FollowUser.objects.create(contact=contact, employee=employee, **fields)


def user(role: str = roles.ADMINISTRATOR, username: str = "") -> User:
    made = User.objects.create_user(username or f"{role or 'nobody'}{next(_numbers)}")
    if role:
        made.groups.add(Group.objects.get(name=role))
    return made


def api_key(user: User, scopes: Iterable[str] = SCOPES) -> tuple[ApiKey, str]:
    """The row and the key itself, with every scope unless told."""
    return make_key(user, scopes=scopes, expires_at=timezone.now() + timedelta(days=1))


def template(corp: Corp, words: str = "hello", name: str = "", **fields: Any) -> Template:
    content = {"msgtype": "text", "text": {"content": words}}
    return Template.objects.create(
        corp=corp,
        name=name or f"template {next(_numbers)}",
        **{"msgtype": "text", "content": content, **fields},
    )


def welcome(
    corp: Corp, words: str = "hello", *, employees: Iterable[Employee] = (), **fields: Any
) -> Welcome:
    """What is said to new contacts: `content`, or a text of `words`."""
    content = fields.pop("content", None)
    more = {"content": content, "msgtype": content["msgtype"]} if content else {}
    said = fields.pop("template", None) or template(corp, words, **more)
    made = Welcome.objects.create(
        corp=corp, **{"name": f"welcome {next(_numbers)}", "template": said, **fields}
    )
    made.employees.set(employees)
    return made


def greeting(employee: Employee, contact: Contact, **fields: Any) -> Greeting:
    """That `employee` greeted `contact`, with a welcome that is in use no more."""
    corp, number = employee.corp, next(_numbers)
    made: dict[str, Any] = {
        "welcome": Welcome.objects.filter(corp=corp).first() or welcome(corp, is_active=False),
        "state": "accepted",
        "content": {"msgtype": "text", "text": {"content": "hello"}},
        "code_digest": f"{number:064d}",
        "deadline": timezone.now(),
        "finished_at": timezone.now(),
        "is_told": True,
    }
    return Greeting.objects.create(
        corp=corp,
        external_userid=contact.external_userid,
        userid=employee.userid,
        contact=contact,
        employee=employee,
        **(made | fields),
    )


def mirrored(corp: Corp, truth: dict[str, Any], *, contacts: int = 5) -> list[Contact]:
    """The employees of the simulator's corp and its first `contacts` with their followers, without a sync."""
    staff = {each["userid"]: employee(corp, each["userid"]) for each in truth["employees"]}
    made = []
    for told in truth["contacts"][:contacts]:
        made.append(contact(corp, told["external_userid"], name=told["name"]))
        for relation in told["follow_user"]:
            follow(made[-1], staff[relation["userid"]], createtime=relation["createtime"])
    return made


PNG = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0"
    b"\xf0\x1f\0\5\0\1\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82"
)
AMR = b"#!AMR\n" + (b"\x3c" + bytes(31)) * 50  # a second
MP4 = b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(100)
PDF = "%PDF-1.7\n报价单".encode()
MEDIA = {"image": PNG, "voice": AMR, "video": MP4, "file": PDF}


def received(corp: Corp, userid: str, kind: str = "text", **fields: Any) -> ReceivedMessage:
    """What an employee wrote to the corp's first app, with its file if it has one; `fields` as WeCom tells them."""
    number = next(_numbers)
    told = {"FromUserName": userid, "MsgType": kind, "Content": "hello" if kind == "text" else ""} | fields
    body = "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in told.items())
    callback = Callback.objects.create(
        corp=corp,
        agent=corp.agents.order_by("pk")[0],
        digest=f"{number:064x}",
        kind=kind,
        userid=userid,
        body=f"<xml>{body}</xml>",
        state="done",
        next_attempt_at=None,
    )
    if kind in MEDIA:
        data = MEDIA[kind]
        kept = {"state": "done", "next_attempt_at": None, "size": len(data), "data": data}
        ReceivedFile.objects.create(
            callback=callback, media_id="m1", content_type=content_type_of(data), **kept
        )
    return ReceivedMessage.objects.get(pk=callback.pk)


def media_file(corp: Corp, kind: str = "image", name: str = "", **fields: Any) -> MediaFile:
    data = fields.pop("data", MEDIA[kind])
    told = {"content_type": content_type_of(data), "size": len(data), "sha256": "0" * 64}
    return MediaFile.objects.create(
        corp=corp, kind=kind, name=name or f"{kind}.bin", data=data, **told, **fields
    )


def contact_way(corp: Corp, *employees: Employee, **fields: Any) -> ContactWay:
    """An open one, of which the provider has nothing more to hear."""
    told = {"campaign": "Autumn fair", "state": "active", "config_id": "c1", "picture": PNG, "due_at": None}
    made = ContactWay.objects.create(corp=corp, **{**told, **fields})
    made.employees.set(employees)
    return made
