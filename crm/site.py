"""The admin site as people meet it: its navigation by role, what the entry page shows, and what every page carries."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from contacts.admin.run_page import corp_cards, waiting_runs
from contacts.models import Contact, Employee, FollowUser
from crm import roles
from crm.admin_base import first_step, is_administrator
from crm.models import Corp
from messaging import control
from messaging.models import Delivery, Message


def stylesheet(request: HttpRequest) -> str:
    return static("crm/admin.css")


def favicon(request: HttpRequest) -> str:
    return static("crm/favicon.svg")


def script(request: HttpRequest) -> str:
    return static("crm/admin.js")


# --- Navigation ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """One line of the navigation: shown to whoever may see the list behind it."""

    title: str | Promise
    icon: str
    view: str
    permission: str


PLACES: tuple[tuple[str | Promise, tuple[Place, ...]], ...] = (
    (
        _("Customers"),
        (
            Place(_("Contacts"), "contacts", "contacts_contact", "contacts.view_contact"),
            Place(_("Follow users"), "handshake", "contacts_followuser", "contacts.view_followuser"),
            Place(_("Contact ways"), "qr_code_2", "contacts_contactway", "contacts.view_contactway"),
            Place(_("Employees"), "badge", "contacts_employee", "contacts.view_employee"),
            Place(_("Teams"), "account_tree", "contacts_team", "contacts.view_team"),
            Place(_("Tags"), "sell", "contacts_tag", "contacts.view_tag"),
        ),
    ),
    (
        _("Messages"),
        (
            Place(_("Messages"), "forum", "messaging_message", "messaging.view_message"),
            Place(
                _("Messages from people"),
                "sms",
                "messaging_receivedmessage",
                "messaging.view_receivedmessage",
            ),
            Place(_("Deliveries"), "outgoing_mail", "messaging_delivery", "messaging.view_delivery"),
            Place(_("Templates"), "article", "messaging_template", "messaging.view_template"),
            Place(_("Welcome messages"), "waving_hand", "messaging_welcome", "messaging.view_welcome"),
            Place(_("Greetings"), "how_to_reg", "messaging_greeting", "messaging.view_greeting"),
            Place(_("Media library"), "perm_media", "messaging_mediafile", "messaging.view_mediafile"),
        ),
    ),
    (
        _("Operations"),
        (
            Place(_("Sync runs"), "sync", "contacts_syncrun", "contacts.view_syncrun"),
            Place(_("Callbacks"), "call_received", "messaging_callback", "messaging.view_callback"),
            Place(_("Corps"), "domain", "crm_corp", "crm.view_corp"),
            Place(_("Agents"), "key", "crm_agent", "crm.view_agent"),
            Place(_("API keys"), "vpn_key", "crm_apikey", "crm.view_apikey"),
            Place(_("Events"), "history", "crm_event", "crm.view_event"),
            Place(_("Users"), "manage_accounts", "auth_user", "auth.view_user"),
        ),
    ),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    may: Callable[[str], bool] = request.user.has_perm
    home = {
        "title": _("Overview"),
        "icon": "home",
        "link": reverse("admin:index"),
        "active": request.path == reverse("admin:index"),
    }
    groups: list[dict[str, Any]] = [{"items": [home]}]
    for title, places in PLACES:
        items = [
            {"title": place.title, "icon": place.icon, "link": reverse(f"admin:{place.view}_changelist")}
            for place in places
            if may(place.permission)
        ]
        if items:
            groups.append({"title": title, "separator": True, "items": items})
    return groups


def context(request: HttpRequest) -> dict[str, Any]:
    """What every page carries: the runs that wait for an administrator's decision (contract D6)."""
    return {"held_runs": list(waiting_runs()) if is_administrator(request) else []}


# --- The entry page -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Figure:
    """A number on a card, and the list behind it."""

    label: str | Promise
    value: int
    url: str
    tone: str = ""
    below: str | Promise = ""


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Sales see their own day; managers also their people; administrators also what the machine does."""
    role = roles.role_of(request.user)
    operates = role in {roles.ADMINISTRATOR, roles.AUDITOR}
    context["title"] = _("Overview")
    context["figures"] = [*_work_figures(request), *_approval_figures(request)]
    context["machine"] = _machine_figures() if operates else []
    context["due"] = _due(request)
    context["corp_cards"] = corp_cards(request) if request.user.has_perm("contacts.view_syncrun") else []
    context["first_step"] = None if Corp.objects.exists() else first_step(request)
    context["no_link"] = not operates and not Employee.objects.filter(user=request.user.pk).exists()
    context["recent"] = Message.objects.visible_to(request.user).select_related("corp", "created_by")[:5]
    context["hides_body"] = role == roles.AUDITOR
    return context


def _own_follows(request: HttpRequest) -> Any:
    """Current relations of the employees within reach."""
    return FollowUser.objects.current().filter(employee__in=Employee.objects.reached_by(request.user))


def _work_figures(request: HttpRequest) -> list[Figure]:
    contacts, follows = (
        reverse("admin:contacts_contact_changelist"),
        reverse("admin:contacts_followuser_changelist"),
    )
    messages = reverse("admin:messaging_message_changelist")
    now = timezone.localtime()
    midnight = now.replace(hour=23, minute=59, second=59)
    overdue = _own_follows(request).filter(next_follow_up_at__lt=now).count()
    today = _own_follows(request).filter(next_follow_up_at__gte=now, next_follow_up_at__lte=midnight).count()
    people = Contact.objects.visible_to(request.user).filter(state=Contact.State.ACTIVE).count()
    open_messages = Message.objects.visible_to(request.user).filter(state=Message.State.OPEN).count()
    return [
        Figure(_("Contacts"), people, f"{contacts}?state=active", below=_("followed now")),
        Figure(_("Overdue"), overdue, f"{follows}?due=overdue", "bad" if overdue else ""),
        Figure(_("Due today"), today, f"{follows}?due=today", "warn" if today else ""),
        Figure(_("Open messages"), open_messages, f"{messages}?state=open", below=_("on their way")),
    ]


def _approval_figures(request: HttpRequest) -> list[Figure]:
    """What waits for the reader's word, where there is something."""
    if not request.user.has_perm(control.APPROVE):
        return []
    asking = Message.objects.visible_to(request.user).unapproved().exclude(created_by=request.user.pk).count()
    url = reverse("admin:messaging_message_changelist")
    return [Figure(_("Ask for approval"), asking, f"{url}?approval=waiting", "warn")] if asking else []


def _machine_figures() -> list[Figure]:
    url = reverse("admin:messaging_delivery_changelist")
    state = Delivery.State
    shown = (state.QUEUED, state.SENDING, state.UNCERTAIN, state.FAILED)
    rows = Delivery.objects.filter(state__in=shown).order_by().values_list("state").annotate(n=Count("pk"))
    counts = dict(rows)
    return [
        Figure(_("In the outbox"), counts.get("queued", 0) + counts.get("sending", 0), f"{url}?state=queued"),
        Figure(
            _("Uncertain"),
            counts.get("uncertain", 0),
            f"{url}?state=uncertain",
            "warn" if counts.get("uncertain") else "",
        ),
        Figure(
            _("Failed"), counts.get("failed", 0), f"{url}?state=failed", "bad" if counts.get("failed") else ""
        ),
    ]


def _due(request: HttpRequest) -> Any:
    """The next follow-ups, the latest overdue ones first."""
    end = timezone.localtime().replace(hour=23, minute=59, second=59)
    rows = _own_follows(request).filter(next_follow_up_at__lte=end).select_related("contact", "employee")
    return rows.defer("raw", "remark_mobiles").order_by("next_follow_up_at")[:10]
