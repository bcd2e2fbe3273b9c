"""A corp in the database that stands for one of the simulator's."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contacts.consent import set_opted_out
from contacts.models import Contact
from crm.models import Corp
from crm.providers.content import Text
from crm.simulator.server import Simulator
from messaging import outbox
from messaging.claims import Batch, claim
from messaging.models import Message
from tests import factories


@dataclass
class House:
    """A corp with employees, five followed contacts and an administrator."""

    corp: Corp
    contacts: list[Contact]
    user: Any
    sim: Simulator

    @property
    def ids(self) -> list[int]:
        return [each.pk for each in self.contacts]

    @property
    def userids(self) -> list[str]:
        return list(self.corp.employees.order_by("pk").values_list("userid", flat=True))

    def phones(self) -> list[tuple[str, str, Any]]:
        """(to, msgtype, content) of everything that arrived."""
        return [
            (each["to"], each["msgtype"], each["content"])
            for each in self.sim.messages(corp=self.corp.corpid)
        ]

    def compose(self, **more: Any) -> Message:
        """A text, accepted; to all of its contacts unless told."""
        to = {"contacts": self.ids} | more
        return outbox.compose(user=self.user, actor="user:test", corp=self.corp, content=Text("您好"), **to)

    def opt(self, contact: Contact, *, out: bool) -> bool:
        return set_opted_out(contact, opted_out=out, user=self.user, actor="user:test")

    def posts(self, api: str) -> list[dict[str, Any]]:
        return self.sim.journal(corp=self.corp.corpid, api=api)


def house(sim: Simulator, dialect: str) -> House:
    corp = factories.corp_of(sim.corp(dialect))
    contacts = factories.mirrored(corp, sim.world(corp.corpid))
    return House(corp, contacts, factories.user(), sim)


def claimed(message: Message, *, most: int = 1, body: bytes = b"{}") -> Batch:
    """What a worker holds that has claimed one call and said nothing yet."""
    (batch,) = claim(message, most=most, write=lambda _batch: body)
    return batch


def wait_until(holds: Callable[[], object], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
