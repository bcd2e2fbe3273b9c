"""The sentences of a refused or doubtful message: from a stable code to words a salesperson can act on."""

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from crm.errors import FieldError
from crm.providers.records import Problem


def sentence(problem: Problem) -> str:
    """What stands against a content, in the reader's language."""
    if problem.code == "too_long":
        return _too_long(problem)
    if problem.code == "cut":
        return _cut(problem)
    if problem.code == "long":
        return _("Longer than the %(limit)s characters the provider advises.") % problem.params
    if problem.code == "too_short":
        return _("Shorter than %(limit)s characters; the provider asks for more.") % problem.params
    if problem.code == "too_many":
        return _("At most %(limit)s entries; these are %(length)s.") % problem.params
    return _sentences().get(problem.code, problem.code)


def _too_long(problem: Problem) -> str:
    params = problem.params
    if params.get("unit") == "bytes":
        text = _(
            "Too long: %(length)s bytes, at most %(limit)s are allowed (a Chinese character counts as 3)."
        )
        return text % params
    return _("Too long: %(length)s characters, at most %(limit)s are allowed.") % params


def _cut(problem: Problem) -> str:
    text = _("It will be cut at %(limit)s bytes: these are %(length)s (a Chinese character counts as 3).")
    return text % problem.params


def _sentences() -> dict[str, str]:
    return {
        "empty": _("Write something first."),
        "required": _("This field is required."),
        "half_empty": _("Fill in both the key and the value, or neither."),
        "invalid_characters": _("This contains a character that cannot be sent."),
        "not_shown": _("The provider does not show this in a mass message."),
        "no_scheme": _("Write the whole address, with https:// in front."),
        "bad_task_id": _("Only letters, digits, and _ - @ can stand here."),
        "unsupported_type": _("This kind of message cannot be sent to these recipients."),
        "unsupported_option": _("This cannot go with a message to these recipients."),
    }


def reason(code: str) -> str:
    """Why somebody cannot be written to."""
    return {
        "not_found": _("There is no such recipient."),
        "pending": _("This contact is still being created."),
        "failed": _("Creating this contact failed."),
        "opted_out": _("This contact has asked not to be written to."),
        "lost": _("Nobody follows this contact any more."),
        "no_relation": _("No employee within your reach follows this contact."),
        "employee_left": _("This employee has left."),
        "employee_disabled": _("This employee is disabled."),
        "bad_recipient": _("This id cannot be written to."),
    }[code]


def field_error(problem: Problem) -> FieldError:
    return FieldError(f"/content{problem.pointer}", problem.code, sentence(problem))


def too_many_recipients(limit: int) -> str:
    return ngettext("At most %(limit)s recipient.", "At most %(limit)s recipients.", limit) % {"limit": limit}
