"""Dialect `dingtalk`: contacts of the whole organisation, which can be created; messages to employees only."""

from collections.abc import Callable, Container, Iterator, Sequence

from crm.providers.base import Capability, Credentials, Limiter, Provider
from crm.providers.content import Content
from crm.providers.dingtalk import contacts
from crm.providers.dingtalk.caller import Caller
from crm.providers.dingtalk.directory import read_directory
from crm.providers.errors import Unsupported
from crm.providers.records import (
    ContactRecord,
    Directory,
    NewContact,
    Page,
    Problem,
    SendReceipt,
    SendResult,
    TagRecord,
)
from crm.providers.tokens import TokenStore
from crm.providers.transport import Transport

_NO_MESSAGES = "DingTalk has no call that writes to an external contact."


class Dingtalk(Provider):
    """One app of one DingTalk organisation."""

    dialect = "dingtalk"
    capabilities = frozenset(
        {
            Capability.CREATE_CONTACT,
            Capability.CONTACT_CARD,
            Capability.READ_CONTACT,
            Capability.LIST_TAGS,
        }
    )
    employees_per_listing = 1  # whom a listing names has no meaning here: see lists_whole_corp
    lists_whole_corp = True
    items_name_colleagues = True
    recipients_per_send = {}  # noqa: RUF012  (a ClassVar in Provider)

    def __init__(
        self, transport: Transport, credentials: Credentials, *, tokens: TokenStore, limiter: Limiter
    ) -> None:
        self._caller = Caller(transport, credentials, tokens=tokens, limiter=limiter)
        self._agentid = credentials.agentid
        self.tally = self._caller.tally

    def directory(self) -> Directory:
        return read_directory(self._caller)

    def contact_page(
        self,
        userids: Sequence[str],
        *,
        cursor: str = "",
        limit: int = contacts.PAGE_LIMIT,
        known: Container[bytes] = (),
    ) -> Page:
        return contacts.read_page(self._caller, userids, cursor=cursor, limit=limit, known=known)

    def contact(self, external_userid: str) -> ContactRecord:
        return contacts.read_contact(self._caller, external_userid)

    def tags(self) -> tuple[TagRecord, ...]:
        return contacts.read_labels(self._caller)

    def create_contact(self, contact: NewContact) -> str:
        return contacts.create(self._caller, contact)

    def check(self, content: Content, *, to_kind: str) -> list[Problem]:
        return [Problem("/msgtype", "unsupported_type")]

    def body(
        self,
        content: Content,
        *,
        to_kind: str,
        to: Sequence[str],
        sender: str = "",
        duplicate_check_s: int = 0,
    ) -> bytes:
        raise Unsupported(_NO_MESSAGES)

    def send(
        self, body: bytes, *, to_kind: str, to: Sequence[str], on_speak: Callable[[], None] = lambda: None
    ) -> SendReceipt:
        raise Unsupported(_NO_MESSAGES)

    def result(self, msgid: str, *, sender: str) -> Iterator[SendResult]:
        raise Unsupported(_NO_MESSAGES)

    @staticmethod
    def check_media(kind: str, data: bytes) -> list[Problem]:
        return [Problem("", "unsupported_type")]

    def upload_media(self, kind: str, filename: str, data: bytes) -> str:
        raise Unsupported(_NO_MESSAGES)
