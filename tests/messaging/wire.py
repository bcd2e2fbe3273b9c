"""A provider that calls us: encrypted, signed, now. Written with wechatpy's cipher where a test says so, else ours."""

import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.http import HttpResponse
from django.test import Client

from crm.models import Agent, Corp
from crm.providers.wecom.crypto import encrypt, sign
from tests import factories

TOKEN = "tk7CrmDemo2024"
AES_KEY = "kWxgER7vR0aVQ2tY9sHc1LbN5mZu3DpFq8oJi4TyUwE"


def xml(**fields: Any) -> str:
    inside = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items())
    return f"<xml>{inside}</xml>"


@dataclass
class Wire:
    """One app's callback address, and what a call to it is made of; a test changes what it likes."""

    agent: Agent
    client: Client = field(default_factory=Client)
    token: str = TOKEN
    aes_key: str = AES_KEY

    @property
    def corpid(self) -> str:
        return self.agent.corp.corpid

    @property
    def path(self) -> str:
        return f"/callbacks/{self.agent.uuid}/"

    def event(self, kind: str = "change_external_contact.edit_external_contact", **more: Any) -> str:
        name, _, change = kind.partition(".")
        told = {"ToUserName": self.corpid, "FromUserName": "sys", "CreateTime": int(time.time())}
        told |= {"MsgType": "event", "Event": name} | ({"ChangeType": change} if change else {})
        return xml(**told | more)

    def encrypt(self, text: str | bytes, *, receiveid: str | None = None) -> str:
        message = text.encode() if isinstance(text, str) else text
        return encrypt(message, aes_key=self.aes_key, receiveid=receiveid or self.corpid)

    def query(self, encrypted: str, *, name: str = "msg_signature", **more: Any) -> dict[str, str]:
        told = {"timestamp": str(int(time.time())), "nonce": "1372623149"} | more
        signed = (told["timestamp"], told["nonce"]) + ((encrypted,) if name == "msg_signature" else ())
        return {name: sign(self.token, *signed)} | told

    def outer(self, encrypted: str) -> str:
        return xml(ToUserName=self.corpid, AgentID=self.agent.agentid, Encrypt=encrypted)

    def post(self, query: Any, body: str | bytes) -> HttpResponse:
        asked = query if isinstance(query, str) else urlencode(query)
        return self.client.generic("POST", f"{self.path}?{asked}", body, content_type="text/xml")

    def call(self, text: str | bytes, **more: Any) -> HttpResponse:
        """A genuine call that says `text`."""
        encrypted = self.encrypt(text)
        return self.post(self.query(encrypted, **more), self.outer(encrypted))


def wire(corp: Corp) -> Wire:
    agent = corp.agents.get()
    agent.callback_token, agent.callback_aes_key = TOKEN, AES_KEY
    agent.save()
    return Wire(agent)


def wire_without_provider() -> Wire:
    corp = Corp.objects.create(corpid="ww5ad0c0ffee123456", provider="wecom", dialect="official")
    factories.agent(corp, agentid="1000002")
    return wire(corp)
