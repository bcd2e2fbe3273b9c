"""At the browser: Lin and Wang sell in a team that Zhao leads, Qian elsewhere; Sun administers, Shen audits."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact, Employee, FollowUser, Tag, Team, TeamMembership
from crm import roles
from crm.models import Agent, Corp
from tests import factories

ROLE_OF = {
    "lin": roles.SALES,
    "wang": roles.SALES,
    "qian": roles.SALES,
    "zhao": roles.MANAGER,
    "sun": roles.ADMINISTRATOR,
    "shen": roles.AUDITOR,
}


class Browser(Client):
    """A logged-in browser at paths below /admin/."""

    def generic(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        at = path if path.startswith(("/", "http")) else f"/admin/{path}"
        return super().generic(method, at, *args, **kwargs)

    def text(self, path: str) -> str:
        """What a person reads on the page at `path`, tags left out."""
        answer = self.get(path, follow=True)
        assert answer.status_code == 200, (path, answer.status_code)
        return unescape(re.sub(r"<[^>]+>", " ", answer.content.decode()))

    def queries(self, path: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            assert self.get(path).status_code == 200
        return len(captured)


@dataclass
class Cast:
    corp: Corp
    employees: dict[str, Employee] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    contacts: dict[str, Contact] = field(default_factory=dict)
    follows: dict[str, FollowUser] = field(default_factory=dict)

    @property
    def agent(self) -> Agent:
        return self.corp.agents.get()

    def browser(self, name: str) -> Browser:
        client = Browser()
        client.force_login(self.users[name])
        return client

    def add_contacts(self, n: int, *, follower: str = "lin", **fields: Any) -> list[Contact]:
        """`n` more contacts of one employee, each also followed by Wang."""
        made = [factories.contact(self.corp, **fields) for _ in range(n)]
        for contact in made:
            for name in {follower, "wang"}:
                factories.follow(
                    contact, self.employees[name], tag_ids=["et1"], remark_mobiles=["13900000042"]
                )
        return made


@pytest.fixture
def cast(db: None) -> Cast:
    """Each seller follows one contact named after them; Lin's has a phone, a remark and tags."""
    corp = Corp.objects.create(corpid="ww-south", name="South", provider="wecom", dialect="direct")
    factories.agent(corp, agentid="1000002", secret="canary-secret")
    made = Cast(corp)
    team = Team.objects.create(corp=corp, department_id=2, name="South team")
    Tag.objects.create(corp=corp, tag_id="et1", name="VIP", group_name="Level")
    for name, role in ROLE_OF.items():
        made.users[name] = factories.user(role, username=name)
        User.objects.filter(pk=made.users[name].pk).update(is_staff=True)
        if role in {roles.SALES, roles.MANAGER}:
            made.employees[name] = factories.employee(corp, name, user=made.users[name], is_listed=True)
    for name in ("lin", "wang", "zhao"):
        TeamMembership.objects.create(team=team, employee=made.employees[name], is_leader=name == "zhao")
    for name in ("lin", "wang", "qian"):
        made.contacts[name] = factories.contact(
            corp, f"wm-{name}", name=f"Customer of {name}", corp_name="North Mill"
        )
        made.follows[name] = factories.follow(
            made.contacts[name],
            made.employees[name],
            remark=f"met by {name}",
            description="likes tea",
            remark_mobiles=["13900000042"],
            tag_ids=["et1"],
            personal_tags=["golf"],
            createtime=1_700_000_000,
            add_way=1,
        )
    return made


@pytest.fixture
def lin(cast: Cast) -> Browser:
    return cast.browser("lin")


@pytest.fixture
def sun(cast: Cast) -> Browser:
    return cast.browser("sun")


@pytest.fixture
def as_role(cast: Cast) -> Callable[[str], Browser]:
    return cast.browser
