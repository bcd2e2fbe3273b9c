"""What queued deliveries wait for, in words."""

from collections.abc import Iterable
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from crm.admin_cells import time_span
from messaging.waits import Wait, Why

WORDS: Final[dict[Why, Promise]] = {
    Why.PAUSED: _("paused"),
    Why.CORP_OFF: _("this corp is switched off"),
    Why.CORP_PAUSED: _("sending is paused for this corp"),
    Why.NOT_BEFORE: _("so it was asked for"),
    Why.QUIET_HOURS: _("quiet hours"),
    Why.RETRY: _("another try after a failure"),
    Why.LINE_DOWN: _("the provider took no calls"),
    Why.QUOTA: _("the app has sent as much as it may today"),
    Why.RATE: _("the recipient has just got others"),
}


def of_one(wait: Wait | None) -> str:
    """Of one delivery: `Waits until tomorrow 08:03: quiet hours`; "" when it waits for nothing."""
    if wait is None:
        return ""
    if wait.first is None or wait.last is None:
        return _now("Waits: %(why)s") % {"why": WORDS[wait.why]}
    told = {"when": time_span(wait.first, wait.last), "why": WORDS[wait.why]}
    return _now("Waits until %(when)s: %(why)s") % told


def of_all(waits: Iterable[Wait]) -> list[str]:
    """Of a message: one line for each reason."""
    return [_line(wait) for wait in waits]


def _line(wait: Wait) -> str:
    told = {"n": wait.count, "why": WORDS[wait.why]}
    if wait.first is None or wait.last is None:
        return ngettext("%(n)d waits: %(why)s", "%(n)d wait: %(why)s", wait.count) % told
    told["when"] = time_span(wait.first, wait.last)
    return (
        ngettext("%(n)d waits until %(when)s: %(why)s", "%(n)d wait until %(when)s: %(why)s", wait.count)
        % told
    )
