"""The timeline of a contact: its events in words, joined with what other apps know about it, newest first."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.core.exceptions import FieldDoesNotExist
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from contacts.admin import actors, words
from contacts.admin.slots import TIMELINE, Entry
from contacts.models import Contact, ContactWay, FollowUser
from contacts.models.ways import TOKEN_PREFIX
from crm import roles
from crm.admin_cells import moment, shown_changes
from crm.models import Event

OWN_SUBJECTS = ("contact", "follow_user", "contact_way")
MODELS = {"follow_user": FollowUser, "contact_way": ContactWay}
UNSAID = frozenset({"userid", "raw", "way", "into", "employees", "teams"})  # ids that no reader knows


def of_contact(
    request: HttpRequest,
    contact: Contact,
    follows: Sequence[FollowUser],
    tags: Mapping[str, str],
    *,
    limit: int,
) -> list[Entry]:
    """At most `limit` entries; two queries for the events, and those of each other source."""
    found = [*_own(request, contact, follows, tags, limit)]
    for source in TIMELINE:
        found += source(request, contact, limit)
    return sorted(found, key=lambda entry: entry.at, reverse=True)[:limit]


def _own(
    request: HttpRequest, contact: Contact, follows: Sequence[FollowUser], tags: Mapping[str, str], limit: int
) -> Iterable[Entry]:
    rows = list(
        Event.objects.filter(contact_id=contact.pk, subject_type__in=OWN_SUBJECTS).order_by("-seq")[:limit]
    )
    names = actors.names_of(row.actor for row in rows)
    employees = {str(follow.pk): str(follow.employee) for follow in follows}
    masked = roles.role_of(request.user) == roles.AUDITOR
    for row in rows:
        icon, sentence = words.VERBS.get(row.verb, ("history", row.verb))
        who = format_html("<bdi>{}</bdi>", employees.get(row.subject_id) or _("Somebody"))
        yield Entry(
            at=row.at,
            icon=icon,
            what=format_html(str(sentence).replace("%(name)s", "{}"), who)
            if "%(name)s" in str(sentence)
            else format_html("{}", sentence),
            more=changes_of(row, tags, masked=masked),
            actor=actors.told(row.actor, names),
        )


def changes_of(row: Event, tags: Mapping[str, str], *, masked: bool) -> SafeString:
    """`field: old → new` of each change; a relation that starts says its employee in the sentence already."""
    model = MODELS.get("contact_way" if row.verb == "contact.joined" else row.subject_type, Contact)
    lines = []
    for field, pair in shown_changes(row.changes, reads_free_text=not masked).items():
        if field in UNSAID or not isinstance(pair, list | tuple) or len(pair) != 2:
            continue
        if any(isinstance(each, str) and each.startswith(TOKEN_PREFIX) for each in pair):
            continue  # the token of a contact way, whose campaign stands beside it
        old, new = (_value(model, field, value, tags) for value in pair)
        lines.append((_label(model, field), old, new))
    return format_html_join(
        SafeString("<br>"), "{}: <del><bdi>{}</bdi></del> → <ins><bdi>{}</bdi></ins>", lines
    )


def _label(model: Any, field: str) -> str:
    try:
        return str(model._meta.get_field(field).verbose_name)
    except FieldDoesNotExist:
        return field


def _value(model: Any, field: str, value: Any, tags: Mapping[str, str]) -> Any:
    if value in (None, "", [], {}):
        return "–"
    if field == "tag_ids":
        return ", ".join(tags.get(str(tag), str(tag)) for tag in value)
    if field == "add_way" and isinstance(value, int):
        return words.add_way(value)
    if field.endswith("_at") and isinstance(value, str):
        try:
            return moment(datetime.fromisoformat(value))
        except ValueError:
            return value
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return _choices(model, field).get(value, value)


def _choices(model: Any, field: str) -> dict[Any, Any]:
    try:
        return dict(model._meta.get_field(field).flatchoices)
    except (FieldDoesNotExist, AttributeError):
        return {}
