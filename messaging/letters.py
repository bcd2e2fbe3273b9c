"""What each recipient gets: one content for all, or of a template one for each different text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from django.utils.translation import gettext as _

from contacts.models import Contact, Employee
from contacts.querysets import User
from crm.errors import FieldError, Invalid
from crm.models import Corp
from crm.providers.content import Content
from crm.providers.records import Problem
from messaging import templates, wording
from messaging.models import Message
from messaging.recipients import Exclusion, Recipient, Resolved, place

MAX_TEXTS: Final = 500  # different texts of one send; each becomes a message
Check = Callable[[Content], list[Problem]]


@dataclass(frozen=True, slots=True)
class Letter:
    """One content and everybody who gets it."""

    content: Content
    to: list[Recipient]


@dataclass(frozen=True, slots=True)
class Letters:
    """What goes out. `problems` stand against all of it; who cannot get the own text is in `to.excluded`.

    `first` is what the first recipient gets, also when there is none.
    """

    letters: list[Letter]
    to: Resolved
    problems: list[Problem]
    first: Content

    def calls(self, per_call: int) -> int:
        return sum(Resolved(each.to, []).calls(per_call) for each in self.letters)


def same_for_all(content: Content, to: Resolved, check: Check) -> Letters:
    return Letters([Letter(content, to.recipients)], to, check(content), content)


def of_template(
    content: Content, variables: Mapping[str, str], to: Resolved, check: Check, *, user: User, corp: Corp
) -> Letters:
    """`content` rendered for each recipient; one letter for each different text.

    Raises Invalid: `/variables/<name>`, `/template` (it needs what nobody here has), `/to/…` `too_many_texts`.
    """
    given = templates.given(content, variables)
    names = [name for name in templates.variables_of(content) if name in templates.KNOWN]
    if not names:
        return same_for_all(templates.render(content, given), to, check)
    rendered = _rendered(content, given, names, to.recipients, _employee_name(user, corp))
    return _sorted_out(rendered, to, check, content)


def _rendered(
    content: Content,
    given: Mapping[str, str],
    names: list[str],
    recipients: list[Recipient],
    sender_name: str,
) -> dict[Content, list[Recipient]]:
    """{content: who gets it}, in the order of the recipients."""
    made: dict[tuple[str, ...], Content] = {}
    found: dict[Content, list[Recipient]] = {}
    for each in recipients:
        values = tuple(_value(name, each, sender_name) for name in names)
        if values not in made:
            made[values] = templates.render(content, {**given, **dict(zip(names, values, strict=True))})
        found.setdefault(made[values], []).append(each)
        if len(found) > MAX_TEXTS:
            detail = _("More than %(limit)s different texts at once: choose fewer recipients.")
            raise _invalid(place(each.to_kind), "too_many_texts", detail % {"limit": MAX_TEXTS})
    return found


def _value(name: str, to: Recipient, sender_name: str) -> str:
    if name in templates.OF_CONTACT:
        if to.to_kind != Message.ToKind.CONTACT:
            raise _invalid("/template", "no_contact", _("It names the contact, and is for contacts only."))
        return to.name if name == templates.CONTACT_NAME else to.company
    value = to.sender_name or sender_name
    if not value:
        detail = _("It names the employee who sends it, and your login is not linked to an employee.")
        raise _invalid("/template", "no_employee", detail)
    return value


def _sorted_out(
    rendered: dict[Content, list[Recipient]], to: Resolved, check: Check, content: Content
) -> Letters:
    """Those whose own text cannot be sent are excluded, with the reason."""
    letters, excluded, warnings = [], list(to.excluded), dict[tuple[str, str], Problem]()
    for text, recipients in rendered.items():
        problems = check(text)
        wrong = next((each for each in problems if not each.warning), None)
        if wrong is None:
            letters.append(Letter(text, recipients))
            warnings |= {(each.pointer, each.code): each for each in problems}
        else:
            reason = wording.sentence(wrong)
            excluded += [
                Exclusion(each.to, each.name, wrong.code, reason, each.position) for each in recipients
            ]
    out = {each.position for each in excluded}
    kept = [each for each in to.recipients if each.position not in out]
    resolved = replace(to, recipients=kept, excluded=sorted(excluded, key=lambda each: each.position))
    first = letters[0].content if letters else next(iter(rendered), content)
    return Letters(letters, resolved, list(warnings.values()), first)


def tried_on(content: Content, contact: Contact, *, user: User, corp: Corp) -> Content:
    """What `contact` would get of a template; what the sender has to give stays as it stands."""
    values = {templates.CONTACT_NAME: contact.name, templates.COMPANY: contact.corp_name}
    if name := _employee_name(user, corp):
        values[templates.EMPLOYEE_NAME] = name
    return templates.render(content, values)


def _employee_name(user: User, corp: Corp) -> str:
    linked = Employee.objects.filter(corp=corp, user=user.pk).first()
    return (linked.name or linked.userid) if linked else ""


def _invalid(pointer: str, code: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError(pointer, code, detail)])
