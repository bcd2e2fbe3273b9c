"""The cast of the REST tests: two teams of a direct corp, their contacts, and one caller per role."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from rest_framework.test import APIClient

from contacts.models import Contact, Employee, FollowUser, Tag, Team, TeamMembership
from crm import roles
from crm.models import Corp
from tests import factories


class Caller(APIClient):
    """Asks as an API key, in JSON, at paths below /api/v1/."""

    def __init__(self, key: str = "") -> None:
        super().__init__(**({"HTTP_AUTHORIZATION": f"Bearer {key}"} if key else {}))
        self.default_format = "json"

    def generic(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        at = path if path.startswith(("/", "http")) else f"/api/v1/{path}"
        return super().generic(method, at, *args, **kwargs)

    def post(self, path: str, data: Any = None, **kwargs: Any) -> Any:
        return super().post(path, data if data is not None else {}, format="json", **kwargs)

    def patch(self, path: str, data: Any = None, **kwargs: Any) -> Any:
        return super().patch(path, data, format="json", **kwargs)


@dataclass
class Cast:
    """Lin and Wang sell in one team that Zhao leads, Qian sells elsewhere; Sun administers, Shen audits."""

    corp: Corp
    employees: dict[str, Employee] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    contacts: dict[str, Contact] = field(default_factory=dict)
    follows: dict[str, FollowUser] = field(default_factory=dict)
    south: Team | None = None

    def caller(self, name: str, *scopes: str) -> Caller:
        """A key of `name` with every scope, or with `scopes`."""
        _row, key = factories.api_key(self.users[name], *([scopes] if scopes else []))
        return Caller(key)


ROLE_OF = {
    "lin": roles.SALES,
    "wang": roles.SALES,
    "qian": roles.SALES,
    "zhao": roles.MANAGER,
    "sun": roles.ADMINISTRATOR,
    "shen": roles.AUDITOR,
    "nobody": "",
}


@pytest.fixture
def corp(db: None) -> Corp:
    made = Corp.objects.create(corpid="ww-south", name="South", provider="wecom", dialect="direct")
    factories.agent(made, agentid="1000002")
    return made


@pytest.fixture
def cast(corp: Corp) -> Cast:
    """Each seller follows one contact named after them; Lin's has a phone, a remark and tags."""
    cache.clear()
    made = Cast(corp)
    for name, role in ROLE_OF.items():
        made.users[name] = factories.user(role, username=name)
        if role in {roles.SALES, roles.MANAGER}:
            made.employees[name] = factories.employee(corp, name, user=made.users[name])
    made.south = Team.objects.create(corp=corp, department_id=2, name="South")
    for name in ("lin", "wang", "zhao"):
        leads = name == "zhao"
        TeamMembership.objects.create(team=made.south, employee=made.employees[name], is_leader=leads)
    Tag.objects.create(corp=corp, tag_id="et1", name="VIP", group_name="Level", type=1)
    for name in ("lin", "wang", "qian"):
        made.contacts[name] = factories.contact(corp, f"wm-{name}", name=f"Customer of {name}")
        made.follows[name] = factories.follow(
            made.contacts[name],
            made.employees[name],
            remark=f"met by {name}",
            description="likes tea",
            remark_mobiles=["13900000042"],
            tag_ids=["et1"],
            personal_tags=["golf"],
            createtime=1_700_000_000,
        )
    return made


@pytest.fixture
def sun(cast: Cast) -> Caller:
    return cast.caller("sun")


@pytest.fixture
def lin(cast: Cast) -> Caller:
    return cast.caller("lin")


def text(*ids: int, words: str = "hello", **more: Any) -> dict[str, Any]:
    """A body of POST messages/ to contacts."""
    content = {"msgtype": "text", "text": {"content": words}}
    return {"corp": "ww-south", "to": {"contacts": list(ids)}, "content": content, **more}


def person(**more: Any) -> dict[str, Any]:
    """A body of POST contacts/."""
    return {"corp": "ww-south", "name": "Chen Wei", "follow_users": ["lin"], **more}


def pointers(answer: Any) -> dict[str, str]:
    """{pointer: code} of a problem answer."""
    return {error["pointer"]: error["code"] for error in answer.json()["errors"]}
