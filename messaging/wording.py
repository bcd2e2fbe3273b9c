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
    if problem.code in _ABOUT_FILES:
        return _of_file(problem)
    return _sentences().get(problem.code, problem.code)


_ABOUT_FILES = {"too_large", "too_small", "too_long_voice", "wrong_type", "wrong_kind"}


def _of_file(problem: Problem) -> str:
    """What stands against a file: `wrong_type` for what its kind takes, `wrong_kind` for where it shall go."""
    words = {
        "too_large": _("The file is too large: at most %(limit)s MiB are allowed."),
        "too_small": _("The file is empty: it needs at least %(limit)s bytes."),
        "too_long_voice": _("The voice message lasts %(length)s seconds; at most %(limit)s are allowed."),
        "wrong_type": {
            "image": _("This is no JPG or PNG image, whatever its name says."),
            "voice": _("This is no AMR voice message, whatever its name says."),
            "video": _("This is no MP4 video, whatever its name says."),
        }.get(problem.params.get("kind", ""), ""),
        "wrong_kind": {
            "image": _("The file of the library is no image."),
            "voice": _("The file of the library is no voice message."),
            "video": _("The file of the library is no video."),
            "file": _("The file of the library was not kept to be sent as a file."),
        }.get(problem.params.get("kind", ""), ""),
    }
    return words[problem.code] % problem.params


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
        "not_to_everybody": _("A mini-program notice cannot be sent to everybody at once."),
        "not_found": _("There is no such file in the library of this corp."),
        "inactive": _("This file of the library is no longer in use."),
        "media_expires": _("WeCom forgets this media_id after three days, before the message may go out."),
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
        "over_cap": _("This contact has got as many mass messages as the provider allows for now."),
        "no_relation": _("No employee within your reach follows this contact."),
        "employee_left": _("This employee has left."),
        "employee_disabled": _("This employee is disabled."),
        "department_gone": _("This department no longer exists."),
        "bad_recipient": _("This id cannot be written to."),
    }[code]


def field_error(problem: Problem) -> FieldError:
    return FieldError(f"/content{problem.pointer}", problem.code, sentence(problem))


def too_many_people(people: int, limit: int) -> str:
    words = _("These departments have %(people)s people; you may write to at most %(limit)s at once.")
    return words % {"people": people, "limit": limit}


def too_many_recipients(limit: int) -> str:
    return ngettext("At most %(limit)s recipient.", "At most %(limit)s recipients.", limit) % {"limit": limit}
