"""The address that the provider calls: verify, keep, answer. What it means is worked out later (messaging/inbox.py)."""

import logging
import uuid
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from crm.connections import callback_echo, open_callback
from crm.models import Agent
from crm.providers.records import Forged
from messaging import inbox

log = logging.getLogger("renmai.callbacks")

MOST_BYTES: Final = 64 * 1024
PLAIN: Final = "text/plain; charset=utf-8"


@csrf_exempt
def callback(request: HttpRequest, address: str) -> HttpResponse:
    """Contract D1: whatever is wrong with a call, its answer is the same."""
    body = request.read(MOST_BYTES + 1) if request.method == "POST" else b""
    if len(body) > MOST_BYTES:
        return HttpResponse(status=413)
    query = request.META.get("QUERY_STRING", "")
    try:
        agent = _agent(address)
        if request.method == "GET":
            return HttpResponse(callback_echo(agent, query), content_type=PLAIN)
        if request.method != "POST":
            raise Forged("neither GET nor POST")
        inbox.accept(agent, open_callback(agent, query, body))
    except Forged as error:
        log.warning("a call of %s was refused: %s", address[:36], error)
        return HttpResponse("forbidden\n", status=403, content_type=PLAIN)
    is_plain = agent.callback_mode == Agent.CallbackMode.SIGNATURE
    return HttpResponse("success" if is_plain else "", content_type=PLAIN)


def _agent(address: str) -> Agent:
    try:
        key = uuid.UUID(address)
    except ValueError:
        raise Forged("no such address") from None
    agent = Agent.objects.select_related("corp").filter(uuid=key).first()
    if agent is None:
        raise Forged("no such address")
    return agent
