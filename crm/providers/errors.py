"""What the world did to a call, in classes the product can act on."""

from typing import ClassVar, Literal

Outcome = Literal["not_done", "unknown"]


class ProviderError(Exception):
    """A call that did not give its answer.

    `code` is the stable word of contract A12 (`errcode`, `network`, `timeout`, `http_status`, `not_json`,
    `truncated`, `no_list`, `bad_cursor`, …); `errcode` and `errmsg` are the provider's own, `errmsg` without
    secrets. `retry_after` is seconds. `outcome` says whether the call can have had an effect: `not_done` is
    certain, `unknown` means bytes may have reached the provider. `fix` is what a person can do about it
    ("" when there is nothing to configure), `api` the call that failed (`gettoken` behind another call, too).
    """

    retryable: ClassVar[bool] = False

    def __init__(
        self,
        errmsg: str,
        *,
        code: str = "errcode",
        errcode: int | None = None,
        outcome: Outcome = "not_done",
        retry_after: float | None = None,
        fix: str = "",
    ) -> None:
        super().__init__(errmsg)
        self.errmsg = errmsg
        self.code = code
        self.errcode = errcode
        self.outcome: Outcome = outcome
        self.retry_after = retry_after
        self.fix = fix
        self.api = ""

    def __str__(self) -> str:
        number = "" if self.errcode is None else f" {self.errcode}"
        return f"{self.code}{number}: {self.errmsg}"


class Unavailable(ProviderError):
    """Nothing could be read: network, timeout, 5xx, HTML, errcode -1. Try again later."""

    retryable = True


class Malformed(ProviderError):
    """An answer that is not what the protocol says: nothing in it is believed."""


class RateLimited(ProviderError):
    """45009 or 45033: slow down; `retry_after` seconds at least."""

    retryable = True


class BadCredential(ProviderError):
    """The secret, token, IP or permission is wrong: a person must mend the configuration."""


class TokenRejected(ProviderError):
    """40014, 42001 or 40001 on a business call: costs one refresh and one retry, inside the client."""


class StaleCursor(ProviderError):
    """50100 (or 40035 on a cursor): the listing must start again from its first page."""


class Absent(ProviderError):
    """The thing is not there: 60111 no such employee, 84061 no relation, 40096 no such contact."""


class Gone(Absent):
    """The contact is at the provider no more: nobody of the corp follows it."""


class Refused(ProviderError):
    """The provider said no to this request; also every errcode our table does not list."""


class AlreadyWelcomed(Refused):
    """41051: they talk already, or a welcome message has arrived. By whom it does not say."""


class CodeExpired(Refused):
    """41050: the welcome code is older than it may be, or was never one."""


class Unsupported(ProviderError):
    """The dialect has no such call; nothing was asked."""
