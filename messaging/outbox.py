"""What people ask to be sent: preview, compose. Rows only: a click works during an outage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Unpack

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts.access import require
from contacts.querysets import User
from crm import roles
from crm.connections import first_agent, open_provider
from crm.errors import FieldError, Invalid, NotAllowed
from crm.events import Line, event, record
from crm.models import Agent, Corp
from crm.providers import DIALECTS
from crm.providers.base import Capability, Provider
from crm.providers.content import Content, TemplateCard
from crm.providers.errors import BadCredential
from crm.providers.records import Problem
from crm.queue import ring
from messaging import letters, licences, media, quota, recipients, targets, wording
from messaging.letters import Letter, Letters
from messaging.models import Delivery, Message
from messaging.quota import Quota
from messaging.recent import Recent, colleagues
from messaging.recipients import Chosen, Exclusion, Recipient, Resolved, place

MAX_RECIPIENTS: Final = 10_000
MOST_BY_ROLE: Final = {roles.SALES: 50, roles.MANAGER: 500, roles.ADMINISTRATOR: MAX_RECIPIENTS}
KEPT: Final = 5000  # rows per INSERT


@dataclass(frozen=True, slots=True)
class Preview:
    """What a send would do: who gets it, who cannot and why, what the content lacks, how many calls.

    `recent` are the recipients to whom a colleague wrote lately; `content` is what the first recipient gets, one of
    `texts` different ones. `people` are the active employees behind departments or everybody, as far as the mirror
    knows them. `doubtful` are recipients it may not reach; `quota` is None where none is known.
    """

    to_kind: str
    recipients: list[Recipient]
    excluded: list[Exclusion]
    problems: list[Problem]
    calls: int
    recent: list[Recent]
    content: Content
    texts: int
    people: int | None
    doubtful: list[Exclusion]
    quota: Quota | None

    @property
    def late(self) -> int:
        """How many of the recipients have to wait for tomorrow's quota."""
        if self.quota is None or self.quota.kind != "app":
            return 0
        return max(0, (self.people or len(self.recipients)) - self.quota.left)


def preview(
    *,
    user: User,
    corp: Corp,
    content: Content,
    not_before: datetime | None = None,
    agent: str | None = None,
    **to: Unpack[Chosen],
) -> Preview:
    """What `compose` would do, without doing it. `wording.sentence` puts a problem in words.

    Raises NotAllowed, and Invalid where no recipient of this kind can be written to at all.
    """
    require(user, "messaging.add_message")
    draft = _draft(user, corp, to, agent=agent, not_before=not_before)
    return _previewed(draft, letters.same_for_all(content, draft.to, draft.check), user)


def preview_from_template(
    *,
    user: User,
    corp: Corp,
    content: Content,
    variables: Mapping[str, str],
    not_before: datetime | None = None,
    agent: str | None = None,
    **to: Unpack[Chosen],
) -> Preview:
    """What `compose_from_template` would do. Who could not get the own text is among the excluded."""
    require(user, "messaging.add_message")
    draft = _draft(user, corp, to, agent=agent, not_before=not_before)
    made = letters.of_template(content, variables, draft.to, draft.check, user=user, corp=corp)
    return _previewed(draft, made, user)


def compose(
    *,
    user: User,
    actor: str,
    corp: Corp,
    content: Content,
    not_before: datetime | None = None,
    expires_at: datetime | None = None,
    urgent: bool = False,
    agent: str | None = None,
    **to: Unpack[Chosen],
) -> Message:
    """Accept a message to all that are chosen or to none.

    `urgent`: it may go out in quiet hours once somebody else has approved it (`control.approve`).

    Raises NotAllowed, or Invalid whose errors point into the request: `/to/contacts/0`, `/content/text/…`.
    """
    _require(user, urgent)
    draft = _draft(user, corp, to, agent=agent, not_before=not_before)
    made = letters.same_for_all(content, draft.to, draft.check)
    errors = [wording.field_error(each) for each in made.problems if not each.warning]
    _refuse(draft, made, [*errors, *_time_errors(not_before, expires_at)])
    told: dict[str, Any] = {"not_before": not_before, "expires_at": expires_at, "urgent_requested": urgent}
    return _write(draft, made, user=user, actor=actor, told=told)[0]


def compose_from_template(
    *,
    user: User,
    actor: str,
    corp: Corp,
    content: Content,
    variables: Mapping[str, str],
    not_before: datetime | None = None,
    expires_at: datetime | None = None,
    urgent: bool = False,
    agent: str | None = None,
    **to: Unpack[Chosen],
) -> list[Message]:
    """Accept `content`, rendered for each recipient: one message for each different text, all of them or none.

    Raises as `compose`; a recipient whose own text cannot be sent is at `/to/contacts/0`, what is wrong for all at
    `/template`, a variable at `/variables/<name>`.
    """
    _require(user, urgent)
    draft = _draft(user, corp, to, agent=agent, not_before=not_before)
    made = letters.of_template(content, variables, draft.to, draft.check, user=user, corp=corp)
    errors = [
        FieldError("/template", each.code, wording.sentence(each))
        for each in made.problems
        if not each.warning
    ]
    _refuse(draft, made, [*errors, *_time_errors(not_before, expires_at)])
    told: dict[str, Any] = {"not_before": not_before, "expires_at": expires_at, "urgent_requested": urgent}
    return _write(draft, made, user=user, actor=actor, told=told)


def most_recipients(user: User) -> int:
    """How many recipients one message of `user` may have."""
    return MOST_BY_ROLE.get(roles.role_of(user), 0)


def _require(user: User, urgent: bool) -> None:
    require(user, "messaging.add_message")
    if urgent and not user.has_perm("messaging.approve_urgent"):  # type: ignore[union-attr]
        raise NotAllowed(_("Only managers and administrators mark a message urgent."))


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
    user: User
    not_before: datetime | None

    def check(self, content: Content) -> list[Problem]:
        of_files = media.problems(content, user=self.user, corp=self.agent.corp, not_before=self.not_before)
        return [*self.provider.check(content, to_kind=self.to_kind), *of_files]


def _previewed(draft: _Draft, made: Letters, user: User) -> Preview:
    calls = made.calls(draft.provider.recipients_per_send[draft.to_kind])
    ids = [each.contact_id for each in made.to.recipients if each.contact_id]
    return Preview(
        draft.to_kind,
        made.to.recipients,
        made.to.excluded,
        made.problems,
        calls,
        colleagues(user, ids),
        made.first,
        len(made.letters),
        made.to.people,
        licences.doubtful(draft.agent.corp, made.to.recipients),
        _quota(draft, made.to.recipients),
    )


def _quota(draft: _Draft, to: Sequence[Recipient]) -> Quota | None:
    if draft.to_kind != Message.ToKind.CONTACT:
        return quota.of_app(draft.agent)
    is_mass = Capability.MESSAGE_CONTACT not in draft.provider.capabilities
    return quota.of_mass(draft.agent.corp, [each.mass_used for each in to]) if is_mass else None


def _refuse(draft: _Draft, made: Letters, errors: list[FieldError]) -> None:
    """Raise Invalid when anything stands against it; who cannot get it does."""
    errors += [
        FieldError(place(draft.to_kind, each.position), each.code, each.detail) for each in made.to.excluded
    ]
    if errors:
        raise Invalid(_("The message cannot be sent as it is."), errors=errors)


def _draft(
    user: User, corp: Corp, chosen: Chosen, *, agent: str | None, not_before: datetime | None
) -> _Draft:
    to_kind = _one_kind(chosen)
    _limit(user, to_kind, chosen)
    through = _agent(corp, agent)
    provider = _provider(through, to_kind)
    by_sender = Capability.MESSAGE_CONTACT not in provider.capabilities
    to = _resolved(user, corp, chosen, by_sender=by_sender)
    if to.people is not None:
        _limit_people(user, to.people)
    return _Draft(through, provider, to_kind, to, user, not_before)


def _one_kind(chosen: Chosen) -> str:
    given = [kind for kind, name in recipients.CHOSEN_AS.items() if chosen.get(name)]
    if len(given) != 1:
        words = _("Choose contacts, employees, departments, tags or everybody: exactly one of them.")
        raise _invalid("/to", "invalid" if given else "required", words)
    return given[0]


def _limit(user: User, to_kind: str, chosen: Chosen) -> None:
    """Raise where the role may not write to this kind at all, or not to so many in one message."""
    if to_kind in (Message.ToKind.TAG, Message.ToKind.EVERYBODY):
        require(user, "messaging.broadcast_message")  # nobody can say beforehand who is in a tag
    named: Any = chosen.get(recipients.CHOSEN_AS[to_kind])
    most = most_recipients(user)
    if to_kind != Message.ToKind.EVERYBODY and len(named) > most:
        raise _invalid(place(to_kind), "too_many", wording.too_many_recipients(most))


def _limit_people(user: User, people: int) -> None:
    """A department is no way around the limit of the role. An administrator's limits one request, not its reach."""
    most = most_recipients(user)
    if most < people and most < MAX_RECIPIENTS:
        raise _invalid(place(Message.ToKind.DEPARTMENT), "too_many", wording.too_many_people(people, most))


def _resolved(user: User, corp: Corp, chosen: Chosen, *, by_sender: bool) -> Resolved:
    match chosen:
        case {"contacts": ids} if ids:
            return recipients.of_contacts(user, corp, ids, by_sender=by_sender)
        case {"employees": userids} if userids:
            return recipients.of_employees(user, corp, userids)
        case {"departments": numbers} if numbers:
            return targets.of_departments(user, corp, numbers)
        case {"tags": numbers} if numbers:
            return targets.of_tags(numbers)
    return targets.of_everybody(corp)


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
    Message.ToKind.DEPARTMENT: {Capability.MESSAGE_EMPLOYEE},
    Message.ToKind.TAG: {Capability.MESSAGE_EMPLOYEE},
    Message.ToKind.EVERYBODY: {Capability.MESSAGE_EMPLOYEE},
}


def _provider(agent: Agent, to_kind: str) -> Provider:
    dialect = DIALECTS.get(agent.corp.dialect)
    if dialect is None or not dialect.capabilities & _ABLE[Message.ToKind(to_kind)]:
        if to_kind == Message.ToKind.CONTACT:
            raise Invalid(_("This provider cannot write to contacts."), code="unsupported")
        raise Invalid(_("This provider cannot write to employees."), code="unsupported")
    if to_kind not in dialect.recipients_per_send:
        raise Invalid(_("This provider cannot write to all who bear a tag."), code="unsupported")
    return open_provider(agent)


def _write(draft: _Draft, made: Letters, *, user: User, actor: str, told: Mapping[str, Any]) -> list[Message]:
    """One message for each letter, in one transaction; `told` are columns of each."""
    with transaction.atomic():
        messages = Message.objects.bulk_create(
            Message(
                corp=draft.agent.corp,
                agent=draft.agent,
                to_kind=draft.to_kind,
                msgtype=letter.content.msgtype,
                content=letter.content.as_json(),
                task_id=letter.content.task_id if isinstance(letter.content, TemplateCard) else "",
                **told,
                created_by_id=user.pk,
            )
            for letter in made.letters
        )
        pairs = list(zip(messages, made.letters, strict=True))
        _write_deliveries(pairs)
        media.note_uses(messages)
        record([_created(message, letter, actor) for message, letter in pairs])
        for message in messages:
            ring("messaging.tasks.deliver", message.pk)
    return messages


def _created(message: Message, letter: Letter, actor: str) -> Line:
    changes = {"msgtype": [None, message.msgtype], "deliveries": [None, len(letter.to)]}
    if message.urgent_requested:
        changes["urgent"] = [None, True]
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
