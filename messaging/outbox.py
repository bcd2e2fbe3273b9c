"""What people ask to be sent: preview, compose. Rows only: a click works during an outage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts.access import require
from contacts.querysets import User
from crm import roles
from crm.connections import first_agent, open_provider
from crm.errors import FieldError, Invalid
from crm.events import Line, event, record
from crm.models import Agent, Corp
from crm.providers import DIALECTS
from crm.providers.base import Capability, Provider
from crm.providers.content import Content
from crm.providers.errors import BadCredential
from crm.providers.records import Problem
from crm.queue import ring
from messaging import letters, recipients, wording
from messaging.letters import Letter, Letters
from messaging.models import Delivery, Message
from messaging.recent import Recent, colleagues
from messaging.recipients import Exclusion, Recipient, Resolved

MAX_RECIPIENTS: Final = 10_000
MOST_BY_ROLE: Final = {roles.SALES: 50, roles.MANAGER: 500, roles.ADMINISTRATOR: MAX_RECIPIENTS}
KEPT: Final = 5000  # rows per INSERT


@dataclass(frozen=True, slots=True)
class Preview:
    """What a send would do: who gets it, who cannot and why, what the content lacks, how many calls.

    `recent` are the recipients to whom a colleague wrote lately; `content` is what the first recipient gets, one of
    `texts` different ones.
    """

    recipients: list[Recipient]
    excluded: list[Exclusion]
    problems: list[Problem]
    calls: int
    recent: list[Recent]
    content: Content
    texts: int


def preview(
    *,
    user: User,
    corp: Corp,
    contacts: Sequence[int] = (),
    employees: Sequence[str] = (),
    content: Content,
    agent: str | None = None,
) -> Preview:
    """What `compose` would do, without doing it. `wording.sentence` puts a problem in words.

    Raises NotAllowed, and Invalid where no recipient of this kind can be written to at all.
    """
    require(user, "messaging.add_message")
    draft = _draft(user, corp, contacts, employees, agent=agent)
    return _previewed(draft, letters.same_for_all(content, draft.to, draft.check), user)


def preview_from_template(
    *,
    user: User,
    corp: Corp,
    contacts: Sequence[int] = (),
    employees: Sequence[str] = (),
    content: Content,
    variables: Mapping[str, str],
    agent: str | None = None,
) -> Preview:
    """What `compose_from_template` would do. Who could not get the own text is among the excluded."""
    require(user, "messaging.add_message")
    draft = _draft(user, corp, contacts, employees, agent=agent)
    made = letters.of_template(content, variables, draft.to, draft.check, user=user, corp=corp)
    return _previewed(draft, made, user)


def compose(
    *,
    user: User,
    actor: str,
    corp: Corp,
    contacts: Sequence[int] = (),
    employees: Sequence[str] = (),
    content: Content,
    not_before: datetime | None = None,
    expires_at: datetime | None = None,
    agent: str | None = None,
) -> Message:
    """Accept a message to contacts (by id) or to employees (by userid), all of them or none.

    Raises NotAllowed, or Invalid whose errors point into the request: `/to/contacts/0`, `/content/text/…`.
    """
    require(user, "messaging.add_message")
    draft = _draft(user, corp, contacts, employees, agent=agent)
    made = letters.same_for_all(content, draft.to, draft.check)
    errors = [wording.field_error(each) for each in made.problems if not each.warning]
    _refuse(draft, made, [*errors, *_time_errors(not_before, expires_at)])
    return _write(draft, made, user=user, actor=actor, not_before=not_before, expires_at=expires_at)[0]


def compose_from_template(
    *,
    user: User,
    actor: str,
    corp: Corp,
    contacts: Sequence[int] = (),
    employees: Sequence[str] = (),
    content: Content,
    variables: Mapping[str, str],
    not_before: datetime | None = None,
    expires_at: datetime | None = None,
    agent: str | None = None,
) -> list[Message]:
    """Accept `content`, rendered for each recipient: one message for each different text, all of them or none.

    Raises as `compose`; a recipient whose own text cannot be sent is at `/to/contacts/0`, what is wrong for all at
    `/template`, a variable at `/variables/<name>`.
    """
    require(user, "messaging.add_message")
    draft = _draft(user, corp, contacts, employees, agent=agent)
    made = letters.of_template(content, variables, draft.to, draft.check, user=user, corp=corp)
    errors = [
        FieldError("/template", each.code, wording.sentence(each))
        for each in made.problems
        if not each.warning
    ]
    _refuse(draft, made, [*errors, *_time_errors(not_before, expires_at)])
    return _write(draft, made, user=user, actor=actor, not_before=not_before, expires_at=expires_at)


def most_recipients(user: User) -> int:
    """How many recipients one message of `user` may have."""
    return MOST_BY_ROLE.get(roles.role_of(user), 0)


def _time_errors(not_before: datetime | None, expires_at: datetime | None) -> list[FieldError]:
    if expires_at is None:
        return []
    if expires_at <= (not_before or timezone.now()):
        return [FieldError("/expires_at", "invalid", _("It would expire before it may be sent."))]
    return []


@dataclass(frozen=True, slots=True)
class _Draft:
    agent: Agent
    provider: Provider
    to_kind: str
    to: Resolved

    def check(self, content: Content) -> list[Problem]:
        return self.provider.check(content, to_kind=self.to_kind)


def _previewed(draft: _Draft, made: Letters, user: User) -> Preview:
    calls = made.calls(draft.provider.recipients_per_send[draft.to_kind])
    ids = [each.contact_id for each in made.to.recipients if each.contact_id]
    return Preview(
        made.to.recipients,
        made.to.excluded,
        made.problems,
        calls,
        colleagues(user, ids),
        made.first,
        len(made.letters),
    )


def _refuse(draft: _Draft, made: Letters, errors: list[FieldError]) -> None:
    """Raise Invalid when anything stands against it; who cannot get it does."""
    errors += [
        FieldError(f"/to/{draft.to_kind}s/{each.position}", each.code, each.detail)
        for each in made.to.excluded
    ]
    if errors:
        raise Invalid(_("The message cannot be sent as it is."), errors=errors)


def _draft(
    user: User, corp: Corp, contacts: Sequence[int], employees: Sequence[str], *, agent: str | None
) -> _Draft:
    to_kind = _one_kind(contacts, employees, most=most_recipients(user))
    chosen = _agent(corp, agent)
    provider = _provider(chosen, to_kind)
    if to_kind == Message.ToKind.EMPLOYEE:
        to = recipients.of_employees(user, corp, employees)
    else:
        by_sender = Capability.MESSAGE_CONTACT not in provider.capabilities
        to = recipients.of_contacts(user, corp, contacts, by_sender=by_sender)
    return _Draft(chosen, provider, to_kind, to)


def _one_kind(contacts: Sequence[int], employees: Sequence[str], *, most: int) -> str:
    if bool(contacts) == bool(employees):
        code = "invalid" if contacts else "required"
        raise _invalid("/to", code, _("Choose contacts or employees, one of the two."))
    if max(len(contacts), len(employees)) > most:
        pointer = "/to/contacts" if contacts else "/to/employees"
        raise _invalid(pointer, "too_many", wording.too_many_recipients(most))
    return Message.ToKind.CONTACT if contacts else Message.ToKind.EMPLOYEE


def _agent(corp: Corp, agentid: str | None) -> Agent:
    if not corp.is_active:
        raise _invalid("/corp", "inactive", _("This corp is switched off."))
    if agentid is not None:
        found = corp.agents.filter(agentid=agentid).select_related("corp").first()
        if found is None:
            raise _invalid("/agent", "not_found", _("This corp has no such agent."))
        return found
    try:
        return first_agent(corp)
    except BadCredential as error:
        raise _invalid("/corp", error.code, _("This corp has no agent: connect one first.")) from None


_ABLE = {
    Message.ToKind.CONTACT: {Capability.MESSAGE_CONTACT, Capability.MASS_MESSAGE_CONTACT},
    Message.ToKind.EMPLOYEE: {Capability.MESSAGE_EMPLOYEE},
}


def _provider(agent: Agent, to_kind: str) -> Provider:
    dialect = DIALECTS.get(agent.corp.dialect)
    if dialect is None or not dialect.capabilities & _ABLE[Message.ToKind(to_kind)]:
        words = {
            Message.ToKind.CONTACT: _("This provider cannot write to contacts."),
            Message.ToKind.EMPLOYEE: _("This provider cannot write to employees."),
        }
        raise Invalid(words[Message.ToKind(to_kind)], code="unsupported")
    return open_provider(agent)


def _write(
    draft: _Draft, made: Letters, *, user: User, actor: str, **times: datetime | None
) -> list[Message]:
    """One message for each letter, in one transaction."""
    with transaction.atomic():
        messages = Message.objects.bulk_create(
            Message(
                corp=draft.agent.corp,
                agent=draft.agent,
                to_kind=draft.to_kind,
                msgtype=letter.content.msgtype,
                content=letter.content.as_json(),
                **times,
                created_by_id=user.pk,
            )
            for letter in made.letters
        )
        pairs = list(zip(messages, made.letters, strict=True))
        _write_deliveries(pairs)
        record([_created(message, letter, actor) for message, letter in pairs])
        for message in messages:
            ring("messaging.tasks.deliver", message.pk)
    return messages


def _created(message: Message, letter: Letter, actor: str) -> Line:
    changes = {"msgtype": [None, message.msgtype], "deliveries": [None, len(letter.to)]}
    return event(
        "message.created", "message", message.pk, actor=actor, corp_id=message.corp_id, changes=changes
    )


def _write_deliveries(pairs: Sequence[tuple[Message, Letter]]) -> None:
    now = timezone.now()
    # In the order of their senders: `claim` takes neighbours, and one call has one sender.
    Delivery.objects.bulk_create(
        (
            Delivery(
                message=message,
                to_kind=each.to_kind,
                to=each.to,
                contact_id=each.contact_id,
                employee_id=each.employee_id,
                sender=each.sender,
                created_at=now,
                updated_at=now,
            )
            for message, letter in pairs
            for each in sorted(letter.to, key=lambda each: each.sender)
        ),
        batch_size=KEPT,
    )


def _invalid(pointer: str, code: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError(pointer, code, detail)])
