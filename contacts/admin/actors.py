"""Who did it, as people say it: the actor strings of crm.events in words."""

from collections.abc import Iterable, Mapping

from django.contrib.auth import get_user_model
from django.utils.translation import gettext as _

from contacts.models import SyncRun


def names_of(actors: Iterable[str]) -> dict[str, str]:
    """{username: display name} of the people among `actors`; one query, none without people."""
    usernames = {actor.removeprefix("user:") for actor in actors if actor.startswith("user:")}
    if not usernames:
        return {}
    users = get_user_model().objects.filter(username__in=usernames)
    return {user.get_username(): user.get_full_name() or user.get_username() for user in users}


def told(actor: str, names: Mapping[str, str]) -> str:
    kind, _colon, rest = actor.partition(":")
    if kind == "user":
        return names.get(rest, rest)
    if kind == "sync":
        return _("sync run %(n)s") % {"n": rest}
    if kind == "key":
        return _("API key %(prefix)s") % {"prefix": rest}
    known = {
        "worker": _("Renmai"),
        "command": _("command line"),
        "schedule": _("schedule"),
        "callback": _("told by the provider"),
    }
    return known.get(kind, actor)


def starter(run: SyncRun, names: Mapping[str, str]) -> tuple[str, str]:
    """Who or what began a run, and how when that is not said already: trigger and actor mostly name the same."""
    trigger = str(run.get_trigger_display())
    kind = run.actor.partition(":")[0]
    if kind not in {"user", "key"}:
        return (told("command", names) if run.trigger == SyncRun.Trigger.COMMAND else trigger), ""
    is_plain = run.trigger in {SyncRun.Trigger.ADMIN, SyncRun.Trigger.API}
    return told(run.actor, names), "" if is_plain else trigger
