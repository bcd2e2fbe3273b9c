"""Rows for tests, made by small functions. `truth` is what `sim.world(corp)` tells of a corp."""

from collections.abc import Iterable
from datetime import timedelta
from itertools import count
from typing import Any

from django.contrib.auth.models import Group, User
from django.utils import timezone

from contacts.models import Contact, Employee, FollowUser
from crm import roles
from crm.keys import SCOPES, make_key
from crm.models import Agent, ApiKey, Corp
from messaging.models import Template

_numbers = count(1)


def corp_of(sim_corp: dict[str, Any]) -> Corp:
    """The corp and agent of one line of the simulator's credentials."""
    made = Corp.objects.create(
        corpid=sim_corp["corp"],
        provider=Corp.Provider.WECOM,
        dialect=sim_corp["dialect"],
        base_url=sim_corp["base_url"],
    )
    agent(made, agentid=str(sim_corp["agentid"]), secret=sim_corp["secret"])
    return made


def agent(corp: Corp, *, agentid: str, secret: str = "secret") -> Agent:
    return Agent.objects.create(corp=corp, agentid=agentid, secret=secret)


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


def mirrored(corp: Corp, truth: dict[str, Any], *, contacts: int = 5) -> list[Contact]:
    """The employees of the simulator's corp and its first `contacts` with their followers, without a sync."""
    staff = {each["userid"]: employee(corp, each["userid"]) for each in truth["employees"]}
    made = []
    for told in truth["contacts"][:contacts]:
        made.append(contact(corp, told["external_userid"], name=told["name"]))
        for relation in told["follow_user"]:
            follow(made[-1], staff[relation["userid"]], createtime=relation["createtime"])
    return made
