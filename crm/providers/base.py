"""Provider: the few verbs that hide everything else about a remote service."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from crm.providers.content import Content
from crm.providers.errors import Unsupported
from crm.providers.records import (
    ContactChange,
    ContactRecord,
    ContactWayRecord,
    Directory,
    MessageCounts,
    NewContact,
    NewContactWay,
    Page,
    Problem,
    SendReceipt,
    SendResult,
    TagRecord,
)

EVERYBODY = "@all"  # all employees the app can see
_NO_WAYS = "This provider has no contact ways."


class Capability(StrEnum):
    """What a dialect can do; a face asks before it offers."""

    CREATE_CONTACT = "create_contact"
    READ_CONTACT = "read_contact"
    LIST_TAGS = "list_tags"
    MESSAGE_CONTACT = "message_contact"
    MASS_MESSAGE_CONTACT = "mass_message_contact"
    MESSAGE_EMPLOYEE = "message_employee"
    DUPLICATE_CHECK = "duplicate_check"  # the same bytes to employees twice arrive once
    RECALL = "recall"  # of messages to employees
    REMIND = "remind"  # of a mass send, and to stop one
    FIND_MASS_MESSAGE = "find_mass_message"  # a mass send whose answer was lost
    WELCOME = "welcome"  # the first message to who has just added an employee
    CONTACT_WAY = "contact_way"  # a QR code by which people become contacts
    MARK_TAGS = "mark_tags"
    COUNT_MESSAGES = "count_messages"  # the provider's own count of an app's messages
    EDIT_CONTACT = "edit_contact"  # and hand it over, and delete it
    CONTACT_CARD = "contact_card"  # a contact has one owner, a phone and labels of its own


@dataclass(frozen=True, slots=True)
class Credentials:
    """One app of one corp. `secret` never appears in a representation."""

    corpid: str
    secret: str
    agentid: str = ""
    app_key: str = ""  # of a DingTalk app

    def __repr__(self) -> str:
        return f"Credentials(corpid={self.corpid!r}, agentid={self.agentid!r})"


class Limiter(Protocol):
    """The pace towards a provider, shared by whoever speaks for the same corp."""

    def wait(self, api: str) -> None:
        """Return when a call of `api` may be made; raises RateLimited when that is too far away."""

    def limited(self, api: str, *, errcode: int, retry_after: float) -> None:
        """The provider said 45009 or 45033 to `api`."""


class Unlimited:
    """A Limiter that never waits: tests and benchmarks."""

    def wait(self, api: str) -> None:
        return None

    def limited(self, api: str, *, errcode: int, retry_after: float) -> None:
        return None


@dataclass(slots=True)
class Tally:
    """What a client did since it was opened: `calls` counts every request, token included (contract F5).

    `seconds` is how long they took, all threads added up.
    """

    calls: int = 0
    seconds: float = 0.0


class Provider(ABC):
    """A client of one credential. Every method may raise `ProviderError`; none writes a row."""

    dialect: ClassVar[str]
    capabilities: ClassVar[frozenset[Capability]]
    employees_per_listing: ClassVar[int]  # how many userids one listing may name
    items_name_colleagues: ClassVar[bool] = False  # an item may name followers whose listing it is not
    lists_whole_corp: ClassVar[bool] = False  # one listing tells everybody's contacts
    recipients_per_send: ClassVar[
        dict[str, int]
    ]  # {to_kind: how many one call takes}; others cannot be sent to
    results_end_s: ClassVar[float | None] = (
        None  # so long after a send its result is told (None: for as long as asked)
    )

    tally: Tally

    @abstractmethod
    def directory(self) -> Directory:
        """Employees, departments, and whose contacts can be listed (contract A13)."""

    @abstractmethod
    def contact_page(
        self, userids: Sequence[str], *, cursor: str = "", limit: int = 100, known: Container[bytes] = ()
    ) -> Page:
        """One page of the contacts followed by the employees `userids`.

        `known` holds digests of `ContactRecord`s met before: an item whose bytes have one comes back as that
        digest alone, and costs no parsing. Hand in no other digests: the reading relies on where they are from.

        `cursor` is opaque: "" starts, the page's `next_cursor` continues, "" again means the end. `limit` is
        1..100. No userids: the contacts of everybody, where `lists_whole_corp`. Raises Absent (no such employee),
        StaleCursor, RateLimited, Unavailable, Malformed.
        An employee without contacts gives an empty page, however the provider words it.
        Source: docs/reference/protocol-wecom.md, listing contacts.
        """

    @abstractmethod
    def contact(self, external_userid: str) -> ContactRecord:
        """One contact with all its followers. Raises Absent, or Unsupported (no such read here)."""

    @abstractmethod
    def tags(self) -> tuple[TagRecord, ...]:
        """Every corp tag with its group; () where the dialect has none."""

    @abstractmethod
    def create_contact(self, contact: NewContact) -> str:
        """Create the contact and return its `external_userid`. Raises Unsupported."""

    def add_contact_way(self, way: NewContactWay) -> ContactWayRecord:
        """Make a QR code. Doing it twice makes two; whose answer was lost is found by its `state`. Not retried."""
        raise Unsupported(_NO_WAYS)

    def update_contact_way(self, config_id: str, way: NewContactWay) -> None:
        """Make the way say `way`. One of a single user stays one. Raises Absent when no way has this id."""
        raise Unsupported(_NO_WAYS)

    def delete_contact_way(self, config_id: str) -> None:
        """Its code opens nothing any more. Raises Absent when no way has this id (any more)."""
        raise Unsupported(_NO_WAYS)

    def contact_way(self, config_id: str) -> ContactWayRecord:
        """One way. Raises Absent."""
        raise Unsupported(_NO_WAYS)

    def contact_ways(self, *, begin: int, end: int) -> Iterator[str]:
        """The config_ids of the ways made from `begin` to `end` (Unix seconds)."""
        raise Unsupported(_NO_WAYS)

    def mark_tags(
        self, external_userid: str, userid: str, *, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()
    ) -> None:
        """Put corp tags (by id) on the employee's relation to the contact, take others off. Twice does no harm.

        Raises Absent (no such relation), Refused (40068: no such tag).
        """
        raise Unsupported("This provider has no call that sets tags.")

    def update_contact(self, external_userid: str, change: ContactChange) -> None:
        """Change the contact, and leave what `change` does not tell as it is. Raises Absent, Refused, Unsupported."""
        raise Unsupported("This provider has no call that changes a contact.")

    def delete_contact(self, external_userid: str) -> None:
        """Delete the contact for everybody. Raises Absent, Unsupported."""
        raise Unsupported("This provider has no call that deletes a contact.")

    @abstractmethod
    def check(self, content: Content, *, to_kind: str) -> list[Problem]:
        """What stands against sending `content` to `to_kind`; no network.

        `to_kind` is `contact` or `employee`, whose `to` are ids of people; or `department`, `tag` (of members) and
        `everybody`, whose `to` are ids of departments, ids of tags, and EVERYBODY.
        """

    def prepare(self, content: Content, *, to_kind: str) -> Content:
        """`content` with what must be uploaded before it can be sent (a cover picture); may use the network.

        Call it right before `body()`. Most contents come back unchanged, without a request.
        """
        return content

    @abstractmethod
    def body(
        self,
        content: Content,
        *,
        to_kind: str,
        to: Sequence[str],
        sender: str = "",
        duplicate_check_s: int = 0,
    ) -> bytes:
        """The exact bytes a send would post; frozen by the caller before the first try. No network.

        `sender` is the employee a mass send is made for. `duplicate_check_s` > 0 asks the provider to swallow
        the same bytes within that many seconds, where it can (`message/send` only). Raises Refused
        (`bad_recipient`, `no_sender`, `no_cover`, `unsupported_type`).
        """

    @abstractmethod
    def send(
        self, body: bytes, *, to_kind: str, to: Sequence[str], on_speak: Callable[[], None] = lambda: None
    ) -> SendReceipt:
        """Post `body` (made by `body()` for the same `to`) once. Never retried in here, token renewal aside.

        A ProviderError says by its `outcome` whether anything can have been sent. `on_speak` is called with token
        and pace in hand, right before the request goes out (each time, after a token renewal); what it raises
        goes through, and nothing is posted.
        """

    @abstractmethod
    def result(self, msgid: str, *, sender: str) -> Iterator[SendResult]:
        """What became of each recipient of a send whose receipt was not `final`.

        `sender` "" asks for every sender of the task. Raises Unavailable while the task is being dispatched.
        """

    def find_mass_sends(
        self, body: bytes, *, to: Sequence[str], sender: str, begin: int, end: int
    ) -> list[SendReceipt]:
        """The mass sends made from `begin` to `end` (Unix seconds) that can be what posting `body` made.

        Each says what `body` says, waits for `sender` alone, and reaches nobody but some of `to`; the others stand in
        `refused`. Raises Unavailable while one of them is being dispatched.
        """
        raise Unsupported("This provider has no call that lists mass sends.")

    @staticmethod
    def check_welcome(content: Content) -> list[Problem]:
        """What stands against `content` as a welcome message; no network."""
        return [Problem("/msgtype", "unsupported_type")]

    def welcome_body(self, content: Content, *, welcome_code: str) -> bytes:
        """The exact bytes of a welcome message; `prepare()` for a contact goes before. No network. Raises Refused."""
        raise Unsupported("This provider has no welcome messages.")

    def send_welcome(self, body: bytes, *, on_speak: Callable[[], None] = lambda: None) -> None:
        """Post `body` once; `on_speak` as in `send`. Its code works once, so posting it again can do no harm.

        Raises AlreadyWelcomed, CodeExpired, and what `send` raises.
        """
        raise Unsupported("This provider has no welcome messages.")

    def message_counts(self) -> MessageCounts:
        """How many persons the provider says got a message of this app."""
        raise Unsupported("This provider does not count the messages of an app.")

    def recall(self, msgid: str) -> None:
        """Take a message to employees back, within 24 hours. Doing it twice does no harm."""
        raise Unsupported("This provider has no call that takes a message back.")

    def remind(self, msgid: str) -> None:
        """Ask the employees of a mass send once more to confirm it; the provider allows 3 times in 24 hours."""
        raise Unsupported("This provider has no call that reminds of a mass send.")

    def stop(self, msgid: str) -> None:
        """Let nobody confirm the mass send any more; what was confirmed stays sent. Twice does no harm."""
        raise Unsupported("This provider has no call that stops a mass send.")

    def update_card(self, response_code: str, userids: Sequence[str], replace_name: str) -> None:
        """Let the button of a card say `replace_name` on the phones of `userids`; it cannot be pressed any more.

        A `response_code` counts once: 60140 says that it was used, or is too old.
        """
        raise Unsupported("This provider has no call that changes a card.")

    def download_media(self, media_id: str) -> bytes:
        """The bytes of a temporary file, such as one that an employee sent; at most 10 MiB. 40007: it is gone."""
        raise Unsupported("This provider has no call that hands out a file.")

    @staticmethod
    @abstractmethod
    def check_media(kind: str, data: bytes) -> list[Problem]:
        """What stands against uploading `data` as a `kind`: its size, and what it is by its bytes. No network."""

    @abstractmethod
    def upload_media(self, kind: str, filename: str, data: bytes) -> str:
        """Upload a temporary file (`image`, `voice`, `video`, `file`); its `media_id` is good for 3 days."""
