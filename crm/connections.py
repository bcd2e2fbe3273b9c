"""Agent row to ready Provider: the cached token, the shared pace, the address. The only door to credentials."""

from django.conf import settings
from django.db.models import F

from crm.models import AccessToken, Agent, Corp
from crm.pace import DatabasePace
from crm.providers import DIALECTS
from crm.providers import open_provider as open_client
from crm.providers.base import Capability, Credentials, Provider
from crm.providers.errors import BadCredential
from crm.providers.transport import Timeouts
from crm.tokens import DatabaseTokens


def first_agent(corp: Corp) -> Agent:
    """The agent that syncs and sends for `corp`: the one connected first (contract F11)."""
    agent = corp.agents.order_by("pk").first()
    if agent is None:
        raise BadCredential(f"corp {corp.corpid} has no agent: run connect first", code="no_agent")
    return agent


def can(corp: Corp, capability: Capability) -> bool:
    """Whether the dialect of `corp` has `capability`; a face asks before it offers."""
    return corp.dialect in DIALECTS and capability in DIALECTS[corp.dialect].capabilities


def open_provider(agent: Agent, *, patience_s: float = 120) -> Provider:
    """A client of `agent` with the shared token and pace; RateLimited rather than wait over `patience_s`."""
    corp = agent.corp
    connect, read, total = settings.CRM_HTTP_TIMEOUTS
    return open_client(
        corp.dialect,
        Credentials(corpid=corp.corpid, secret=agent.secret, agentid=agent.agentid),
        tokens=DatabaseTokens(agent),
        limiter=DatabasePace(corp.corpid, per_minute=settings.CRM_REMOTE_RATE, patience_s=patience_s),
        base_url=corp.base_url,
        timeouts=Timeouts(connect=connect, read=read, total=total),
        allow_private=settings.CRM_ALLOW_PRIVATE_UPSTREAM,
    )


def save_agent(corp: Corp, agentid: str, changes: dict[str, str]) -> tuple[Agent, bool]:
    """Create or update the agent; a changed secret drops the stored token. Returns it, and whether it was made."""
    agent = Agent.objects.filter(corp=corp, agentid=agentid).first()
    made = agent is None
    agent = agent or Agent(corp=corp, agentid=agentid)
    is_new_secret = not made and changes.get("secret", agent.secret) != agent.secret
    for name, value in changes.items():
        setattr(agent, name, value)
    agent.save()
    if is_new_secret:
        forget_token(agent)
    return agent, made


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
