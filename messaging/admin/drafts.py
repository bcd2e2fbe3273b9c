"""A message on its way through form and confirmation: kept in the session until it is sent, and sent once."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from django.db import transaction
from django.http import HttpRequest

from crm.models import Corp, IdempotentAnswer
from crm.providers import content as contents
from crm.providers.content import Content
from messaging import outbox
from messaging.models import Message, Template
from messaging.recipients import CHOSEN_AS, Recipient
from messaging.templates import custom_of

KEPT: Final = 5  # drafts of one session; the oldest goes first


@dataclass(slots=True)
class Draft:
    """`ids` are contact ids, userids of employees, or numbers of departments; none for everybody.

    `content` is the JSON form of what the form made.

    `agent` is the agentid of the app it goes through; without one it is the corp's first.
    Of `template`, an id, only the variables still matter: `content` is what it said, or what was made of that.
    """

    msgtype: str
    to_kind: str
    corp_id: int
    ids: list[Any]
    content: dict[str, Any] = field(default_factory=dict)
    template: int | None = None
    variables: dict[str, str] = field(default_factory=dict)
    agent: str | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        """Who was chosen, in the keyword of outbox.preview and compose."""
        return {CHOSEN_AS[self.to_kind]: self.ids if self.to_kind != Message.ToKind.EVERYBODY else True}

    def chosen_among(self, recipients: Sequence[Recipient]) -> dict[str, Any]:
        """Those of them who will get it, likewise."""
        if self.to_kind == Message.ToKind.CONTACT:
            return {"contacts": [each.contact_id for each in recipients]}
        if self.to_kind == Message.ToKind.EMPLOYEE:
            return {"employees": sorted(each.to for each in recipients)}
        if self.to_kind == Message.ToKind.DEPARTMENT:
            return {"departments": [int(each.to) for each in recipients]}
        return self.chosen

    @property
    def parsed(self) -> Content:
        return contents.parse(self.content)

    def begin_from(self, template: Template | None) -> None:
        self.template = template.pk if template else None
        self.content = template.content if template else {}
        self.variables = dict.fromkeys(custom_of(self.parsed), "") if template else {}

    def preview(self, user: Any, content: Content) -> outbox.Preview:
        """What sending `content` would do; as a template where it began from one."""
        asked: dict[str, Any] = {
            "user": user,
            "corp": self.corp(),
            "content": content,
            "agent": self.agent,
            **self.chosen,
        }
        if self.template is None:
            return outbox.preview(**asked)
        return outbox.preview_from_template(variables=self._given(content), **asked)

    def compose(self, *, user: Any, actor: str, **to: Any) -> Message:
        """Send it; the first message where there are several."""
        asked: dict[str, Any] = {
            "user": user,
            "actor": actor,
            "corp": self.corp(),
            "content": self.parsed,
            "agent": self.agent,
        }
        if self.template is None:
            return outbox.compose(**asked, **to)
        return outbox.compose_from_template(variables=self._given(self.parsed), **asked, **to)[0]

    def _given(self, content: Content) -> dict[str, str]:
        return {name: self.variables.get(name, "") for name in custom_of(content)}

    def corp(self) -> Corp:
        return Corp.objects.get(pk=self.corp_id)


def keep(request: HttpRequest, draft: Draft, token: str = "") -> str:
    token = token or secrets.token_urlsafe(12)
    drafts: dict[str, Any] = request.session.get("drafts", {})
    drafts.pop(token, None)
    drafts[token] = asdict(draft)
    request.session["drafts"] = dict(list(drafts.items())[-KEPT:])
    return token


def find(request: HttpRequest, token: str) -> Draft | None:
    data = request.session.get("drafts", {}).get(token)
    return Draft(**data) if data else None


def sent_as(request: HttpRequest, token: str) -> int | None:
    """The message that this draft has become already."""
    row = IdempotentAnswer.objects.filter(principal=_principal(request), key=token).first()
    return int(row.body) if row and row.body else None


def send_once(request: HttpRequest, token: str, compose: Callable[[], Message]) -> int:
    """Compose at most one message for this draft, however often and from how many tabs it is submitted.

    The unique row stands before the message and commits with it: a second submission waits for the first, then finds
    its message. When `compose` raises, nothing stays.
    """
    with transaction.atomic():
        row, is_first = IdempotentAnswer.objects.get_or_create(
            principal=_principal(request), key=token, defaults={"fingerprint": token}
        )
        if not is_first:
            return int(row.body)
        row.status, row.body = 302, str(compose().pk)
        row.save(update_fields=["status", "body"])
    return int(row.body)


def _principal(request: HttpRequest) -> str:
    return f"admin:{request.user.pk}"


def one_corp(corp_ids: Sequence[int]) -> int | None:
    """The corp all of a selection belongs to; None when there are several, or none."""
    found = set(corp_ids)
    return found.pop() if len(found) == 1 else None
