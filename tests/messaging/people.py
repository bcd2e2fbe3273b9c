"""A corp whose app hears over HTTP what its employees write and press on the simulator's phones."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from crm import queue
from crm.connections import open_provider
from crm.models import Agent
from messaging import tasks
from tests.messaging.house import House

CARD: dict[str, Any] = {
    "card_type": "button_interaction",
    "task_id": "lead-7",
    "main_title": {"title": "New lead", "desc": "North Mill"},
    "button_list": [{"text": "I take it", "key": "take"}, {"text": "Not me", "key": "leave"}],
}


@dataclass
class People:
    house: House

    @property
    def agent(self) -> Agent:
        return self.house.corp.agents.get()

    def say(self, kind: str, userid: str, **fields: Any) -> None:
        """An employee writes to the app; it is heard, and what it makes us ask is asked."""
        self.house.sim.app_event(self.house.corp.corpid, kind, userid=userid, fields=fields)
        self.work()

    def uploaded(self, kind: str, data: bytes) -> str:
        """The id of a file of an employee: the provider knows it."""
        return open_provider(self.agent).upload_media(kind, "x.bin", data)

    def card_of(self, userid: str) -> dict[str, Any]:
        found = self.house.sim.messages(corp=self.house.corp.corpid, to=userid)[-1]
        return dict(found)

    def press(self, userid: str, key: str = "take", **more: Any) -> None:
        self.house.sim.press(self.house.corp.corpid, self.card_of(userid)["n"], key, **more)
        self.work()

    def work(self) -> None:
        self.house.sim.wait_for_callbacks(30)
        tasks.sweep()
        queue.drain()


def heard(live_server: Any, house: House) -> Iterator[People]:
    sim, corp, agent = house.sim, house.corp, house.corp.agents.get()
    credentials = sim.corp(corp.dialect)
    agent.callback_token, agent.callback_aes_key = credentials["callback_token"], credentials["aes_key"]
    agent.save()
    sim.settings(verify_timeout=20, callback_timeout=20)
    sim.set_callback(corp.corpid, f"{live_server.url}/callbacks/{agent.uuid}/")
    yield People(house)
    sim.delete("/_sim/callbacks/")
