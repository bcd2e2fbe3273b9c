"""One simulator per module, reset before each test, and a caller for either corp."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from crm.simulator.server import Simulator, running
from tests.simulator.app import App, listening


class Caller:
    """Calls the API of one corp as a client would, and walks its listings."""

    def __init__(self, sim: Simulator, dialect: str) -> None:
        self.sim = sim
        self.credentials = sim.corp(dialect)
        self.corp: str = self.credentials["corp"]
        self.agentid: int = self.credentials["agentid"]
        self.token = self.fetch_token()

    def fetch_token(self, secret: str = "secret") -> str:
        query = {"corpid": self.corp, "corpsecret": self.credentials[secret]}
        return str(self.sim.get("/cgi-bin/gettoken", **query)["access_token"])

    def get(self, api: str, **query: Any) -> Any:
        return self.sim.get(f"/cgi-bin/{api}", access_token=self.token, **query)

    def post(self, api: str, **body: Any) -> Any:
        return self.sim.post(f"/cgi-bin/{api}?access_token={self.token}", body)

    def send(self, touser: str, msgtype: str = "text", content: Any = None, **fields: Any) -> Any:
        told = {"content": "你好"} if content is None else content
        body = {"touser": touser, "msgtype": msgtype, "agentid": self.agentid, msgtype: told}
        return self.post("message/send", **(body | fields))

    def upload(self, data: bytes = b"0123456789", kind: str = "image") -> str:
        body = b'--B\r\nContent-Disposition: form-data; name="media"; filename="a.png"\r\n'
        body += b"Content-Type: image/png\r\n\r\n" + data + b"\r\n--B--\r\n"
        url = f"{self.sim.url}/cgi-bin/media/upload?access_token={self.token}&type={kind}"
        head = {"Content-Type": "multipart/form-data; boundary=B"}
        with urllib.request.urlopen(urllib.request.Request(url, body, head)) as answer:
            return str(json.loads(answer.read())["media_id"])

    def employees(self) -> list[str]:
        return list(self.get("externalcontact/get_follow_user_list")["follow_user"])

    def walk(self, api: str, *, cursor: str = "", **body: Any) -> list[Any]:
        """All items of a listing from `cursor` on, page by page."""
        items: list[Any] = []
        while True:
            page = self.post(api, cursor=cursor, **body)
            items += page["external_contact_list"]
            cursor = page.get("next_cursor") or ""
            if not cursor:
                return items

    def truth(self) -> Any:
        return self.sim.world(self.corp)


@pytest.fixture(scope="module")
def running_sim() -> Iterator[Simulator]:
    with running(contacts=180, employees=12) as sim:
        yield sim


@pytest.fixture
def sim(running_sim: Simulator) -> Simulator:
    running_sim.reset()
    return running_sim


@pytest.fixture
def direct(sim: Simulator) -> Caller:
    return Caller(sim, "direct")


@pytest.fixture
def official(sim: Simulator) -> Caller:
    return Caller(sim, "official")


@pytest.fixture
def app(official: Caller) -> Iterator[App]:
    """The official corp's app, which the simulator tells what people do."""
    with listening(App(official.credentials)) as app:
        official.sim.settings(callback_retry_pause=0.01)
        official.sim.set_callback(official.corp, app.url)
        yield app
        official.sim.delete("/_sim/callbacks/")
