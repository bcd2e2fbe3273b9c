"""What our own rules refuse: a stable code and a sentence a salesperson can act on."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault of an input. `pointer` is a JSON pointer into what was sent."""

    pointer: str
    code: str
    detail: str


class CrmError(Exception):
    """Base of the refusals; `code` is stable and untranslated, the message may be translated."""

    code = "refused"

    def __init__(
        self, message: object = "", *, code: str | None = None, errors: Sequence[FieldError] = ()
    ) -> None:
        super().__init__(str(message))
        self.message = message
        self.code = code or self.code
        self.errors = tuple(errors)


class Invalid(CrmError):
    """The input cannot be accepted; `errors` name the fields."""

    code = "validation_error"


class NotAllowed(CrmError):
    """The person may not do this at all."""

    code = "forbidden"


class NotFound(CrmError):
    """Not there, or out of the person's reach: the two are not told apart."""

    code = "not_found"


class Conflict(CrmError):
    """The state of things forbids it now."""

    code = "conflict"
