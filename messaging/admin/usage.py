"""What each app sent in the last days, what is left of its day, and beside it the provider's own count."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from contacts.access import visible_corps
from crm import roles
from crm.admin_base import is_administrator
from crm.admin_cells import badge
from crm.admin_forms import is_id
from crm.admin_words import provider_sentence
from crm.connections import can, open_provider
from crm.models import Agent
from crm.providers.base import Capability
from crm.providers.errors import ProviderError
from crm.providers.records import MessageCounts
from messaging import figures, quota
from messaging.models import Delivery, Message

PATIENCE_S = 5.0  # a person waits for the page


class UsageMixin:
    """`usage/`: drawn from rows; only the button asks the provider."""

    def usage_urls(self: Any) -> list[URLPattern]:
        return [path("usage/", self.admin_site.admin_view(self.usage_view), name="messaging_message_usage")]

    def usage_view(self: Any, request: HttpRequest) -> HttpResponse:
        if not may_see_usage(request):
            raise PermissionDenied
        asked: dict[int, MessageCounts] = {}
        if request.method == "POST":
            agent = _agent(request)
            if (counts := _ask(request, agent)) is not None:
                asked[agent.pk] = counts
        return self.page(
            request,
            "admin/messaging/usage.html",
            title=_("Sent per day"),
            apps=_apps(request, asked),
            back=self.url("changelist"),
        )


def may_see_usage(request: HttpRequest) -> bool:
    return roles.role_of(request.user) in {roles.MANAGER, roles.ADMINISTRATOR, roles.AUDITOR}


def _agent(request: HttpRequest) -> Agent:
    """The app to ask about: its count is of everybody's messages, so administrators alone ask."""
    if not is_administrator(request):
        raise PermissionDenied
    pk = request.POST.get("agent", "")
    agent = Agent.objects.select_related("corp").filter(pk=int(pk)).first() if is_id(pk) else None
    if agent is None or not can(agent.corp, Capability.COUNT_MESSAGES):
        raise Http404
    return agent


def _ask(request: HttpRequest, agent: Agent) -> MessageCounts | None:
    try:
        return open_provider(agent, patience_s=PATIENCE_S).message_counts()
    except ProviderError as error:
        messages.error(request, provider_sentence(error.code, error.errcode, error.errmsg, fix=error.fix))
        return None


def _apps(request: HttpRequest, asked: dict[int, MessageCounts]) -> list[dict[str, Any]]:
    """A card for each app."""
    sent = figures.sent_per_day(request.user)
    agents = Agent.objects.select_related("corp").filter(corp__in=visible_corps(request.user))
    agents = agents.filter(corp__is_active=True).order_by("corp", "pk")
    return [
        {
            "agent": agent,
            "quota": quota.of_app(agent),
            "theirs": asked.get(agent.pk),
            "days": _days(sent.get(agent.pk, {}), asked.get(agent.pk)),
            "may_ask": is_administrator(request) and can(agent.corp, Capability.COUNT_MESSAGES),
        }
        for agent in agents
    ]


def _days(sent: dict[date, dict[str, figures.Tally]], theirs: MessageCounts | None) -> list[dict[str, Any]]:
    today = timezone.localdate()
    counted = {0: theirs.today, 1: theirs.yesterday} if theirs else {}
    return [
        {
            "day": day,
            "employees": tally_badges(by_kind.get(Message.ToKind.EMPLOYEE, ())),
            "contacts": tally_badges(by_kind.get(Message.ToKind.CONTACT, ())),
            "theirs": counted.get((today - day).days),
        }
        for day, by_kind in sent.items()
    ]


def tally_badges(tally: Iterable[tuple[str, int]]) -> SafeString:
    names = dict(Delivery.State.choices)
    cells = ((badge(f"{n} {names.get(state, state)}", state),) for state, n in tally)
    return format_html('<span class="rm-chips">{}</span>', format_html_join("", "{}", cells))
