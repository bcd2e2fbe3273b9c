"""Clients of the outside: plain Python and requests. They are given what they need and return records."""

from typing import Final

from crm.providers.base import Credentials, Limiter, Provider
from crm.providers.dingtalk.client import Dingtalk
from crm.providers.tokens import TokenStore
from crm.providers.transport import Timeouts, Transport
from crm.providers.wecom.direct import Direct
from crm.providers.wecom.official import Official

Client = type[Direct] | type[Official] | type[Dingtalk]
DIALECTS: Final[dict[str, Client]] = {client.dialect: client for client in (Direct, Official, Dingtalk)}


def open_provider(
    dialect: str,
    credentials: Credentials,
    *,
    tokens: TokenStore,
    limiter: Limiter,
    base_url: str,
    timeouts: Timeouts = Timeouts(),  # noqa: B008  (frozen)
    allow_private: bool = False,
) -> Provider:
    """The client that speaks `dialect` (a key of DIALECTS) for one credential. Makes no request.

    `base_url` is scheme, host and port (contract F2); `allow_private` lets it be a loopback or private one.
    """
    transport = Transport(base_url, timeouts=timeouts, allow_private=allow_private)
    return DIALECTS[dialect](transport, credentials, tokens=tokens, limiter=limiter)
