"""Roles: what each may do at all (the verb). To which rows is `visible_to` (the reach). Contract C12 has the table."""

from typing import Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, Group, Permission

SALES: Final = "sales"
MANAGER: Final = "manager"
ADMINISTRATOR: Final = "administrator"
AUDITOR: Final = "auditor"
ROLES: Final = (SALES, MANAGER, ADMINISTRATOR, AUDITOR)

_READ = (
    "contacts.view_contact",
    "contacts.view_followuser",
    "contacts.view_employee",
    "contacts.view_tag",
    "contacts.view_contactway",
)
_READ_MESSAGES = (
    "messaging.view_message",
    "messaging.view_delivery",
    "messaging.view_greeting",
    "messaging.view_receivedmessage",
)
_WORK = (
    "contacts.add_contact",
    "contacts.change_contact",
    "contacts.change_followuser",
    "contacts.add_contactway",
    "contacts.change_contactway",
    "contacts.delete_contactway",
    "messaging.add_message",
    "messaging.view_template",
    "messaging.view_welcome",
    "messaging.view_mediafile",
    "messaging.add_mediafile",
    "messaging.view_receivedfile",
)
_DIRECT = (
    "messaging.resolve_delivery",
    "messaging.approve_urgent",
    "messaging.add_template",
    "messaging.change_template",
    "messaging.add_welcome",
    "messaging.change_welcome",
    "messaging.change_mediafile",
)
_HAND_OVER = ("contacts.transfer_contact",)
_READ_SYNC = ("contacts.view_syncrun", "contacts.view_syncpart", "contacts.view_quarantine")

PERMISSIONS: Final[dict[str, tuple[str, ...]]] = {
    SALES: (*_READ, *_READ_MESSAGES, *_WORK),
    MANAGER: (*_READ, *_READ_MESSAGES, *_WORK, *_DIRECT, *_HAND_OVER, *_READ_SYNC, "contacts.view_team"),
    ADMINISTRATOR: (
        *_READ,
        *_READ_MESSAGES,
        *_WORK,
        *_DIRECT,
        *_READ_SYNC,
        *_HAND_OVER,
        "contacts.delete_contact",
        "messaging.broadcast_message",
        "contacts.view_team",
        "contacts.run_sync",
        "messaging.view_callback",
        "messaging.change_callback",
        "crm.view_corp",
        "crm.add_corp",
        "crm.change_corp",
        "crm.view_agent",
        "crm.add_agent",
        "crm.change_agent",
        "crm.view_event",
        "crm.view_apikey",
        "auth.view_user",
    ),
    AUDITOR: (
        *_READ,
        *_READ_MESSAGES,
        *_READ_SYNC,
        "contacts.view_team",
        "messaging.view_callback",
        "crm.view_corp",
        "crm.view_agent",
        "crm.view_event",
        "crm.view_apikey",
        "auth.view_user",
    ),
}


def role_of(user: AbstractBaseUser | AnonymousUser) -> str:
    """The role of `user`: a superuser is an administrator; "" for nobody in particular."""
    if not user.is_active or not user.is_authenticated:
        return ""
    if getattr(user, "is_superuser", False):
        return ADMINISTRATOR
    if not hasattr(user, "_role"):
        names = set(Group.objects.filter(user=user.pk).values_list("name", flat=True))
        # A request has its own user object, so nothing is remembered beyond the request.
        setattr(user, "_role", next((role for role in reversed(ROLES) if role in names), ""))  # noqa: B010
    return str(getattr(user, "_role"))  # noqa: B009


def apply() -> None:
    """Give every role's group exactly its permissions; runs after each migrate and changes nothing twice."""
    known = {
        f"{app}.{codename}": pk
        for pk, app, codename in Permission.objects.values_list("pk", "content_type__app_label", "codename")
    }
    for role, names in PERMISSIONS.items():
        group, _ = Group.objects.get_or_create(name=role)
        group.permissions.set([known[name] for name in names if name in known])
