"""Small pieces that lists and pages draw alike: badges, people, moments. Everything from outside is escaped here."""

import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.events import readable

DASH: Final = SafeString('<span class="rm-dash">–</span>')

HIDDEN: Final = ("•••", "•••")

# State words of every model to the colour people know from traffic lights.
TONES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("active", "complete", "done", "delivered", "accepted", "won"), "good"),
    **dict.fromkeys(("pending", "running", "sending", "queued", "open", "waiting", "negotiating"), "busy"),
    **dict.fromkeys(("held", "partial", "uncertain", "interrupted", "interested", "inactive"), "warn"),
    **dict.fromkeys(("failed", "refused", "disabled"), "bad"),
    **dict.fromkeys(("lost", "cancelled", "expired", "left", "dropped", "ended", "split", "new"), "quiet"),
    "contacted": "info",
}


def badge(text: object, state: str = "", *, title: object = "") -> SafeString:
    tone = TONES.get(state, "quiet")
    return format_html('<span class="rm-badge rm-badge--{}" title="{}">{}</span>', tone, title, text)


def state_badge(row: Any, field: str = "state") -> SafeString:
    return badge(getattr(row, f"get_{field}_display")(), getattr(row, field))


def initial(name: str) -> str:
    """What stands in the round picture. Avatars are not fetched: a picture tells its server who looks."""
    letters = [letter for letter in name if letter.isalnum()]
    return letters[0].upper() if letters else "?"


def avatar(name: str, seed: str, *, size: str = "") -> SafeString:
    hue = zlib.crc32(seed.encode("utf-8", "replace")) % 8
    return format_html(
        '<span class="rm-avatar rm-avatar--{} {}" aria-hidden="true">{}</span>',
        hue,
        f"rm-avatar--{size}" if size else "",
        initial(name),
    )


def bdi(text: object) -> SafeString:
    """Foreign text that cannot turn the direction of what stands around it."""
    return format_html("<bdi>{}</bdi>", text)


def person(name: str, below: str = "", *, seed: str = "") -> SafeString:
    under = format_html('<bdi class="rm-person__below">{}</bdi>', below) if below else ""
    return format_html(
        '<span class="rm-person">{}<span class="rm-person__text"><bdi class="rm-person__name">{}</bdi>{}</span></span>',
        avatar(name, seed or name),
        name,
        under,
    )


def two_lines(first: object, second: object) -> SafeString:
    if not first and not second:
        return DASH
    return format_html(
        '<span class="rm-two"><bdi>{}</bdi><bdi class="rm-two__below">{}</bdi></span>',
        first or DASH,
        second or "",
    )


def chips(texts: Iterable[object], *, most: int = 3) -> SafeString:
    """The first texts as chips, the rest as a number that tells them on hover."""
    known = list(texts)
    if not known:
        return DASH
    shown = format_html_join("", '<bdi class="rm-chip">{}</bdi>', ((text,) for text in known[:most]))
    rest = known[most:]
    told = ", ".join(map(str, rest))
    more = (
        format_html(
            '<span class="rm-chip rm-chip--more" title="{}"><span aria-hidden="true">+{}</span>'
            '<span class="rm-sr">, {}</span></span>',
            told,
            len(rest),
            told,
        )
        if rest
        else ""
    )
    return format_html('<span class="rm-chips">{}{}</span>', shown, more)


def moment(at: datetime | None, *, overdue: bool = False) -> SafeString:
    """A time short enough for a column: today as 14:05, this year without the year; all of it on hover."""
    if at is None:
        return DASH
    local = timezone.localtime(at)
    return format_html(
        '<time class="rm-moment{}" datetime="{}" title="{}">{}</time>',
        " rm-moment--overdue" if overdue else "",
        local.isoformat(timespec="seconds"),
        f"{local:%Y-%m-%d %H:%M:%S}",
        short_time(at),
    )


def short_time(at: datetime) -> str:
    local, now = timezone.localtime(at), timezone.localtime()
    days = {-1: _("yesterday"), 0: _("today"), 1: _("tomorrow")}
    if (away := (local.date() - now.date()).days) in days:
        return f"{days[away]} {local:%H:%M}"
    return f"{local:%m-%d %H:%M}" if local.year == now.year else f"{local:%Y-%m-%d}"


def time_span(first: datetime, last: datetime) -> str:
    """`tomorrow 08:03–08:24`; one time where the two are in the same minute."""
    begin, end = timezone.localtime(first), timezone.localtime(last)
    if begin.replace(second=0, microsecond=0) == end.replace(second=0, microsecond=0):
        return short_time(first)
    is_one_day = begin.date() == end.date()
    return f"{short_time(first)}–{end:%H:%M}" if is_one_day else f"{short_time(first)} – {short_time(last)}"


def age(at: datetime | None) -> str:
    """How long ago, in the largest unit that says it."""
    if at is None:
        return _("never")
    seconds = int((timezone.now() - at).total_seconds())
    if seconds < 60:
        return _("just now")
    if seconds < 3600:
        return ngettext("%(n)d minute ago", "%(n)d minutes ago", seconds // 60) % {"n": seconds // 60}
    if seconds < 86_400:
        return ngettext("%(n)d hour ago", "%(n)d hours ago", seconds // 3600) % {"n": seconds // 3600}
    return ngettext("%(n)d day ago", "%(n)d days ago", seconds // 86_400) % {"n": seconds // 86_400}


def shown_changes(changes: Mapping[str, Any], *, reads_free_text: bool) -> dict[str, Any]:
    """An event's changes as the reader may see them: of what is hidden, that it changed."""
    return readable(changes, reads_free_text=reads_free_text, hidden=HIDDEN)


def link(url: str, text: object) -> SafeString:
    return format_html('<a class="rm-link" href="{}">{}</a>', url, text)
