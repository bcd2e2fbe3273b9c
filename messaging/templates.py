"""Message templates: a content with variables, checked when it is kept, rendered for each recipient.

Plain substitution of `{contact.name}` and its like, and of `{name}` for what the sender gives. There are no format
specs, no attributes and no escapes; a brace that begins no variable stays as it is.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from contacts.access import require
from contacts.querysets import User
from crm.connections import first_agent, open_provider
from crm.errors import FieldError, Invalid
from crm.events import event, record
from crm.models import Corp
from crm.providers import DIALECTS
from crm.providers import content as contents
from crm.providers.content import Content
from crm.providers.errors import BadCredential
from messaging import media, wording
from messaging.models import Message, Template

CONTACT_NAME: Final = "contact.name"
COMPANY: Final = "contact.company"
EMPLOYEE_NAME: Final = "employee.name"
OF_CONTACT: Final = (CONTACT_NAME, COMPANY)
KNOWN: Final = (*OF_CONTACT, EMPLOYEE_NAME)
# In a welcome they count as little: a name for which there is no room is left out when the time comes.
_LEFT_OUT: Final = {COMPANY: "", EMPLOYEE_NAME: "x"}

_CUSTOM: Final = r"[^\W\d]\w{0,31}"
_VARIABLE: Final = re.compile(r"\{(contact\.name|contact\.company|employee\.name|" + _CUSTOM + r")\}")
# What was surely meant as one of ours: `{contact.nmae}`, `{ Contact.name }`, `｛contact.name｝` of a Chinese keyboard.
_MEANT: Final = re.compile(r"[{\uff5b]\s*((?:contact|employee)\s*[.\u3002]\s*\w*)\s*[}\uff5d]", re.IGNORECASE)


def variables_of(content: Content) -> list[str]:
    """The variables in the texts of `content`, each once, in the order in which they stand."""
    texts = (text for _pointer, text in _texts(content.as_json()))
    return list(dict.fromkeys(name for text in texts for name in _VARIABLE.findall(text)))


def custom_of(content: Content) -> list[str]:
    """Those that the sender has to give."""
    return [name for name in variables_of(content) if name not in KNOWN]


def render(content: Content, values: Mapping[str, str]) -> Content:
    """`content` with `values` in place of its variables; one without a value stays as it stands.

    Each text is read once: braces in a value are text, not a variable.
    """

    def value_of(found: re.Match[str]) -> str:
        return values.get(found[1], found[0])

    return _mapped(content, lambda text: _VARIABLE.sub(value_of, text))


def misspelt(content: Content) -> list[FieldError]:
    """The variables of a contact or an employee that do not exist, each with those that are near."""
    return [
        FieldError(f"/content{pointer}", "unknown_variable", _no_such(found[1], found[0]))
        for pointer, text in _texts(content.as_json())
        for found in _MEANT.finditer(text)
        if found[0] not in {f"{{{name}}}" for name in KNOWN}
    ]


def _no_such(name: str, written: str) -> str:
    plain = re.sub(r"\s", "", name).replace("\u3002", ".").lower()
    near = difflib.get_close_matches(plain, KNOWN, n=1, cutoff=0.7) or [
        known for known in KNOWN if known.partition(".")[0] == plain.partition(".")[0]
    ]
    text = _("There is no variable %(name)s; did you mean %(near)s?")
    return text % {"name": written, "near": ", ".join(f"{{{each}}}" for each in near)}


def _texts(value: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """(pointer, text) of every text in the JSON form of a content."""
    if isinstance(value, str):
        yield at, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, f"{at}/{key}")
    elif isinstance(value, list):
        for n, inner in enumerate(value):
            yield from _texts(inner, f"{at}/{n}")


def _mapped(content: Content, change: Callable[[str], str]) -> Content:
    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return change(value)
        if isinstance(value, dict):
            return {key: walk(inner) for key, inner in value.items()}
        return [walk(inner) for inner in value] if isinstance(value, list) else value

    return contents.parse(walk(content.as_json()))


# --- Rows ---------------------------------------------------------------------------------------------------------


def usable(user: User, corp: Corp, pk: int) -> Template:
    """The template `pk` of `corp` that `user` may send from; Invalid otherwise."""
    found = Template.objects.visible_to(user).filter(corp=corp, pk=pk).first()
    if found is None:
        raise _invalid("/template", "not_found", _("There is no such template in this corp."))
    if not found.is_active:
        raise _invalid("/template", "inactive", _("This template is no longer in use."))
    return found


def create(*, user: User, actor: str, corp: Corp, name: str, content: Content) -> Template:
    """Keep a template. Raises NotAllowed, or Invalid whose errors point at `/name` and `/content/…`."""
    require(user, "messaging.add_template")
    _refuse_faults(user, corp, content)
    made = Template(corp=corp, name=name.strip(), created_by_id=user.pk)
    made.msgtype, made.content = content.msgtype, content.as_json()
    changes = {"name": [None, made.name], "content": [None, made.content]}
    _save(made, "template.created", actor, changes)
    return made


def change(
    template: Template,
    *,
    user: User,
    actor: str,
    name: str | None = None,
    content: Content | None = None,
    is_active: bool | None = None,
) -> Template:
    """Change what is given. Messages that were made from it stay as they are."""
    require(user, "messaging.change_template")
    if content is not None:
        _refuse_faults(user, template.corp, content)
        _refuse_unsayable(template, content)
    asked = {
        "name": None if name is None else name.strip(),
        "msgtype": content and content.msgtype,
        "content": content and content.as_json(),
        "is_active": is_active,
    }
    changes = {
        field: [getattr(template, field), new]
        for field, new in asked.items()
        if new is not None and new != getattr(template, field)
    }
    if changes:
        for field, (_old, new) in changes.items():
            setattr(template, field, new)
        template.updated_at = timezone.now()
        _save(template, "template.updated", actor, changes, columns=[*changes, "updated_at"])
    return template


def _save(
    template: Template,
    verb: str,
    actor: str,
    changes: Mapping[str, Any],
    *,
    columns: list[str] | None = None,
) -> None:
    try:
        with transaction.atomic():
            template.save(update_fields=columns)
            record(
                [
                    event(
                        verb,
                        "template",
                        template.pk,
                        actor=actor,
                        corp_id=template.corp_id,
                        changes=changes,
                    )
                ]
            )
    except IntegrityError:
        raise _invalid("/name", "exists", _("This corp has a template of this name already.")) from None


def _refuse_faults(user: User, corp: Corp, content: Content) -> None:
    if content.msgtype not in Template.Type.values:
        raise _invalid(
            "/content/msgtype", "unsupported_type", _("A template is a text or a mini-program notice.")
        )
    if errors := misspelt(content) or _over_limits(corp, content) or _of_files(user, corp, content):
        raise Invalid(_("The template cannot be kept as it is."), errors=errors)


def _refuse_unsayable(template: Template, content: Content) -> None:
    """A welcome in use says this template, with nobody there to complete it."""
    for welcome in template.welcomes.filter(is_active=True).order_by("pk"):
        if faults := alone(template.corp, content, instead_of_name=welcome.instead_of_name):
            words = _("The welcome message %(name)s says this template. %(why)s")
            raise _invalid(
                "/content", faults[0].code, words % {"name": welcome.name, "why": faults[0].detail}
            )


def alone(corp: Corp, content: Content, *, instead_of_name: str) -> list[FieldError]:
    """What stands against welcoming people with `content`; points at `/template` or `/instead_of_name`."""
    if custom := custom_of(content):
        words = _("Nobody is there to give a value for %s: choose a template without it.")
        return [FieldError("/template", "custom_variable", words % f"{{{custom[0]}}}")]
    if CONTACT_NAME in variables_of(content) and not instead_of_name:
        words = _("Say what stands for {contact.name} where WeCom does not tell the name in time.")
        return [FieldError("/instead_of_name", "required", words)]
    shown = render(content, {CONTACT_NAME: instead_of_name, **_LEFT_OUT})
    problems = DIALECTS[corp.dialect].check_welcome(shown)
    return [
        FieldError("/template", each.code, wording.sentence(each)) for each in problems if not each.warning
    ]


def _over_limits(corp: Corp, content: Content) -> list[FieldError]:
    """What stands against sending it to anybody of this corp; a variable counts as one character."""
    try:
        provider = open_provider(first_agent(corp))
    except BadCredential as error:
        raise _invalid("/corp", error.code, _("This corp has no agent: connect one first.")) from None
    shortest = _mapped(content, lambda text: _VARIABLE.sub("x", text))
    found: list[list[FieldError]] = []
    for kind in Message.ToKind.values:
        problems = provider.check(shortest, to_kind=kind)
        found.append([wording.field_error(each) for each in problems if not each.warning])
    return [] if [] in found else found[0]


def _of_files(user: User, corp: Corp, content: Content) -> list[FieldError]:
    problems = media.problems(content, user=user, corp=corp, not_before=None)
    return [wording.field_error(each) for each in problems]


# --- Values -------------------------------------------------------------------------------------------------------


def given(content: Content, variables: Mapping[str, str]) -> dict[str, str]:
    """What the sender gives for the variables of `content`: every one, and none that it has not.

    Raises Invalid whose errors point at `/variables/<name>`.
    """
    wanted: Collection[str] = custom_of(content)
    missing = [name for name in wanted if not variables.get(name, "").strip()]
    needed = _("Give a value for %s.")
    unknown = _("The template has no variable %s that can be given.")
    errors = [FieldError(f"/variables/{name}", "required", needed % f"{{{name}}}") for name in missing] + [
        FieldError(f"/variables/{_escaped(name)}", "unknown_variable", unknown % f"{{{name}}}")
        for name in variables
        if name not in wanted
    ]
    if errors:
        raise Invalid(_("The message cannot be sent as it is."), errors=errors)
    return {name: variables[name] for name in wanted}


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")  # RFC 6901


def _invalid(pointer: str, code: str, detail: str) -> Invalid:
    return Invalid(detail, errors=[FieldError(pointer, code, detail)])
