"""What the page of one contact shows: its head, every follower side by side, its timeline."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from contacts.admin import slots, timeline, words
from contacts.models import Contact, ContactWay, Employee, FollowUser, Tag
from contacts.models.ways import TOKEN_PREFIX
from crm import roles
from crm.admin_words import provider_sentence
from crm.connections import can
from crm.events import mask_id, mask_phone
from crm.models import Corp
from crm.providers.base import Capability

FIRST_ENTRIES, MORE_ENTRIES = 20, 200


@dataclass(frozen=True, slots=True)
class Follower:
    """One employee's relation, ready to be drawn. `may_plan`: stage and next date are this reader's to set."""

    row: FollowUser
    added_at: datetime | None
    way: str
    channel: str
    channel_url: str
    tags: list[str]
    mobiles: list[str]
    remark: str
    description: str
    is_mine: bool
    may_plan: bool
    is_overdue: bool


def page_of(request: HttpRequest, contact: Contact) -> dict[str, Any]:
    """The context of the page; every part of it within the reader's reach."""
    follows = list(contact.follow_users.select_related("employee").defer("raw").order_by("ended_at", "pk"))
    follows.sort(key=lambda follow: (follow.ended_at is not None, follow.employee.user_id != request.user.pk))
    tags = _tag_names(contact, follows)
    reached = _reached(request, follows)
    channels = _channels(request, contact, follows)
    followers = [_follower(request, follow, tags, reached, channels) for follow in follows]
    limit = MORE_ENTRIES if "all" in request.GET else FIRST_ENTRIES
    entries = timeline.of_contact(request, contact, follows, tags, limit=limit + 1)
    return {
        "contact": contact,
        "unionid": mask_id(contact.unionid),
        "followers": followers,
        "all_tags": list(
            dict.fromkeys(tag for follower in followers if follower.row.is_current for tag in follower.tags)
        ),
        "entries": entries[:limit],
        "has_more": len(entries) > limit and limit == FIRST_ENTRIES,
        "buttons": slots.buttons(slots.CONTACT_BUTTONS, request, contact),
        "may_read": _may_read(request, contact.corp),
        "stages": FollowUser.Stage.choices,
        "create_error": provider_error(contact.create_error),
        **_way_of(request, contact),
    }


def _way_of(request: HttpRequest, contact: Contact) -> dict[str, Any]:
    """The QR code by which a contact created here comes to be, while it has not."""
    if contact.state not in (Contact.State.PENDING, Contact.State.FAILED):
        return {}
    rows = ContactWay.objects.filter(contact=contact)
    way = rows.defer("picture").first()
    return {
        "way": way,
        "has_picture": rows.filter(picture__isnull=False).exists(),
        "way_error": provider_error(way.error) if way else "",
    }


def _may_read(request: HttpRequest, corp: Corp) -> bool:
    """Whether this reader may ask the provider for the contact again, and the provider has a call for that."""
    is_allowed = request.user.has_perm("contacts.change_contact")
    return is_allowed and corp.is_active and can(corp, Capability.READ_CONTACT)


def provider_error(text: str) -> str:
    """The stored `code errcode: errmsg` of a failed creation as a sentence."""
    if not text:
        return ""
    head, _colon, errmsg = text.partition(": ")
    code, _space, number = head.partition(" ")
    errcode = int(number) if number.lstrip("-").isdigit() else None
    return provider_sentence(code, errcode, errmsg)


def _tag_names(contact: Contact, follows: list[FollowUser]) -> dict[str, str]:
    wanted = {tag_id for follow in follows for tag_id in follow.tag_ids}
    if not wanted:
        return {}
    rows = Tag.objects.filter(corp=contact.corp_id, tag_id__in=wanted)
    return {tag.tag_id: tag.name or tag.tag_id for tag in rows}


def _reached(request: HttpRequest, follows: list[FollowUser]) -> set[int]:
    """The employees among the followers whose relations this reader may plan."""
    if not request.user.has_perm("contacts.change_followuser"):
        return set()
    ids = [follow.employee_id for follow in follows]
    return set(Employee.objects.reached_by(request.user).filter(pk__in=ids).values_list("pk", flat=True))


def _channels(
    request: HttpRequest, contact: Contact, follows: list[FollowUser]
) -> dict[str, tuple[str, str]]:
    """{state of a relation: (campaign, address of its contact way or "")} where the state is a way's token."""
    tokens = {follow.state for follow in follows if follow.state.startswith(TOKEN_PREFIX)}
    if not tokens:
        return {}
    rows = ContactWay.objects.filter(corp=contact.corp_id, token__in=tokens)
    seen = set(rows.visible_to(request.user).values_list("pk", flat=True))
    return {
        token: (campaign, reverse("admin:contacts_contactway_change", args=(pk,)) if pk in seen else "")
        for pk, token, campaign in rows.values_list("pk", "token", "campaign")
    }


def _follower(
    request: HttpRequest,
    follow: FollowUser,
    tags: dict[str, str],
    reached: set[int],
    channels: dict[str, tuple[str, str]],
) -> Follower:
    channel, channel_url = channels.get(follow.state, (follow.state, ""))
    masked = roles.role_of(request.user) == roles.AUDITOR
    due = follow.next_follow_up_at
    return Follower(
        row=follow,
        added_at=instant(follow.createtime),
        way=words.add_way(follow.add_way),
        channel=channel,
        channel_url=channel_url,
        tags=[tags.get(tag_id, tag_id) for tag_id in follow.tag_ids] + list(follow.personal_tags),
        mobiles=[mask_phone(str(phone)) for phone in follow.remark_mobiles],
        remark=_mask(follow.remark) if masked else follow.remark,
        description=_mask(follow.description) if masked else follow.description,
        is_mine=follow.employee.user_id == request.user.pk,
        may_plan=follow.is_current and follow.employee_id in reached,
        is_overdue=follow.is_current and due is not None and due < timezone.now(),
    )


def instant(seconds: int | None) -> datetime | None:
    """Unix seconds as a moment; None for what is none (the provider has sent zeros and milliseconds)."""
    if seconds is None or not 0 < seconds < 253_402_300_800:  # the year 10000
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _mask(text: str) -> str:
    """An auditor sees that there is free text, and how long it is."""
    return "•" * min(len(text), 12)
