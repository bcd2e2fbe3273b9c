"""The cast at the browser."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from contacts.models import Contact
from crm.models import Agent
from tests import factories
from tests.cast import Cast as People
from tests.cast import corp as cast_corp


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


class Cast(People):
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
    return Cast(cast_corp(secret="canary-secret"))


@pytest.fixture
def lin(cast: Cast) -> Browser:
    return cast.browser("lin")


@pytest.fixture
def sun(cast: Cast) -> Browser:
    return cast.browser("sun")


@pytest.fixture
def as_role(cast: Cast) -> Callable[[str], Browser]:
    return cast.browser
