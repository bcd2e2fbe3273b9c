"""Agent row to ready Provider: the cached token, the shared pace, the address. The only door to credentials."""

import math
import time
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from crm.models import AccessToken, Agent, Corp
from crm.pace import DatabasePace
from crm.providers import DIALECTS
from crm.providers import open_provider as open_client
from crm.providers.base import Capability, Credentials, Provider
from crm.providers.errors import BadCredential
from crm.providers.pictures import fetch_picture as fetch
from crm.providers.records import CallbackKeys, Notice
from crm.providers.transport import Timeouts
from crm.providers.wecom import callback
from crm.threads import Ask, here
from crm.tokens import DatabaseTokens

CALLBACK_OVERLAP: Final = timedelta(hours=24)


def first_agent(corp: Corp) -> Agent:
    """The agent that syncs and sends for `corp`: the one connected first (contract F11)."""
    agent = corp.agents.order_by("pk").first()
    if agent is None:
        raise BadCredential(f"corp {corp.corpid} has no agent: run connect first", code="no_agent")
    return agent


def can(corp: Corp, capability: Capability) -> bool:
    """Whether the dialect of `corp` has `capability`; a face asks before it offers."""
    return corp.dialect in DIALECTS and capability in DIALECTS[corp.dialect].capabilities


def open_provider(
    agent: Agent, *, patience_s: float = 120, most_s: float = math.inf, ask: Ask = here
) -> Provider:
    """A client of `agent` with the shared token and pace; RateLimited rather than wait over `patience_s`.

    No exchange takes longer than `most_s`. What token and pace need of the database is done by `ask`.
    """
    corp = agent.corp
    connect, read, total = (min(each, most_s) for each in settings.CRM_HTTP_TIMEOUTS)
    return open_client(
        corp.dialect,
        Credentials(corp.corpid, agent.secret, agent.agentid, app_key=agent.app_key),
        tokens=DatabaseTokens(agent, ask=ask),
        limiter=DatabasePace(corp.corpid, per_minute=_calls_per_minute(corp), patience_s=patience_s, ask=ask),
        base_url=corp.base_url,
        timeouts=Timeouts(connect=connect, read=read, total=total),
        allow_private=settings.CRM_ALLOW_PRIVATE_UPSTREAM,
    )


def fetch_picture(url: str) -> bytes:
    """The picture a provider named by its address. Raises as `crm.providers.pictures.fetch_picture`."""
    connect, read, total = settings.CRM_HTTP_TIMEOUTS
    timeouts = Timeouts(connect=connect, read=read, total=total)
    return fetch(url, timeouts=timeouts, allow_private=settings.CRM_ALLOW_PRIVATE_UPSTREAM)


def _calls_per_minute(corp: Corp) -> int:
    rate: int = settings.CRM_REMOTE_RATE
    return min(rate, settings.CRM_DINGTALK_RATE) if corp.provider == Corp.Provider.DINGTALK else rate


def save_agent(corp: Corp, agentid: str, changes: dict[str, str]) -> tuple[Agent, bool]:
    """Create or update the agent; a changed secret drops the stored token. Returns it, and whether it was made."""
    agent = Agent.objects.filter(corp=corp, agentid=agentid).first()
    made = agent is None
    agent = agent or Agent(corp=corp, agentid=agentid)
    opens = ("secret", "app_key")
    is_new_secret = not made and any(changes.get(n, getattr(agent, n)) != getattr(agent, n) for n in opens)
    token, aes_key = agent.callback_token, agent.callback_aes_key
    for name, value in changes.items():
        setattr(agent, name, value)
    keep_replaced_keys(agent, token=token, aes_key=aes_key)
    agent.save()
    if is_new_secret:
        forget_token(agent)
    return agent, made


def keep_replaced_keys(agent: Agent, *, token: str, aes_key: str) -> None:
    """Let the callback keys that `agent` had be good for a while more, when it has others now; does not save.

    Nobody changes them here and at the provider in the same instant (guarantees C7).
    """
    if token and aes_key and (token, aes_key) != (agent.callback_token, agent.callback_aes_key):
        agent.previous_callback_token, agent.previous_callback_aes_key = token, aes_key
        agent.previous_callback_until = timezone.now() + CALLBACK_OVERLAP


def callback_keys(agent: Agent) -> list[CallbackKeys]:
    """The keys that a callback of `agent` may be signed with now."""
    pairs = [(agent.callback_token, agent.callback_aes_key)]
    if agent.previous_callback_until and agent.previous_callback_until > timezone.now():
        pairs.append((agent.previous_callback_token, agent.previous_callback_aes_key))
    return [CallbackKeys(token, aes_key) for token, aes_key in pairs if token and aes_key]


def open_callback(agent: Agent, query: str, body: bytes) -> Notice:
    """What a POST to the callback address of `agent` says. Raises Forged."""
    corpid, now, keys = agent.corp.corpid, time.time(), callback_keys(agent)
    if agent.callback_mode == Agent.CallbackMode.SIGNATURE:
        return callback.open_signed_event(query, body, keys, corpid=corpid, now=now)
    return callback.open_event(query, body, keys, corpid=corpid, agentid=agent.agentid, now=now)


def callback_echo(agent: Agent, query: str) -> bytes:
    """The answer to a GET of the callback address of `agent`, which verifies it. Raises Forged."""
    return callback.open_echo(
        query,
        callback_keys(agent),
        corpid=agent.corp.corpid,
        now=time.time(),
        is_encrypted=agent.callback_mode == Agent.CallbackMode.ENCRYPTED,
    )


def forget_token(agent: Agent) -> None:
    """Drop the stored token and its failures: the secret changed (contract F10)."""
    # The generation goes on: the error of a token made with the old secret must not discard one made with the new.
    AccessToken.objects.filter(agent=agent).update(
        value="",
        expires_at=None,
        refreshing_until=None,
        generation=F("generation") + 1,
        failures=0,
        failed_at=None,
    )
