"""Places on the pages of contacts, employees and teams that other apps fill: `contacts` knows none of them by name."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.contrib.admin import ModelAdmin
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.safestring import SafeString


@dataclass(frozen=True, slots=True)
class Button:
    """A button of a page's head."""

    label: str | Promise
    url: str
    icon: str
    primary: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a contact's timeline."""

    at: datetime
    icon: str
    what: SafeString
    more: SafeString | str = ""
    badge: SafeString | str = ""
    actor: str = ""
    url: str = ""


ButtonSource = Callable[[HttpRequest, Any], Sequence[Button]]
EntrySource = Callable[[HttpRequest, Any, int], Iterable[Entry]]

CONTACT_BUTTONS: Final[list[ButtonSource]] = []
EMPLOYEE_BUTTONS: Final[list[ButtonSource]] = []
TEAM_BUTTONS: Final[list[ButtonSource]] = []
TIMELINE: Final[list[EntrySource]] = []


def buttons(sources: Sequence[ButtonSource], request: HttpRequest, row: Any) -> list[Button]:
    return [button for source in sources for button in source(request, row)]


def offer_action(to: type[ModelAdmin], action: Callable[..., Any]) -> None:
    """Add an action on selected rows to another app's list."""
    to.actions = [*(to.actions or ()), action]
