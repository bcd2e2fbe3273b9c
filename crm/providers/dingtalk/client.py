"""Dialect `dingtalk`: contacts of the whole organisation, which can be created; messages to employees only."""

from collections.abc import Callable, Container, Iterator, Sequence

from crm.providers.base import Capability, Credentials, Limiter, Provider
from crm.providers.content import Content
from crm.providers.dingtalk import contacts, messages, results
from crm.providers.dingtalk.caller import Caller, encode
from crm.providers.dingtalk.directory import read_directory
from crm.providers.errors import Unsupported
from crm.providers.records import (
    ContactChange,
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

_NO_FILES = "Files are not uploaded to DingTalk."


class Dingtalk(Provider):
    """One app of one DingTalk organisation."""

    dialect = "dingtalk"
    capabilities = frozenset(
        {
            Capability.CREATE_CONTACT,
            Capability.CONTACT_CARD,
            Capability.EDIT_CONTACT,
            Capability.READ_CONTACT,
            Capability.LIST_TAGS,
            Capability.MESSAGE_EMPLOYEE,
            Capability.RECALL,
        }
    )
    employees_per_listing = 1  # whom a listing names has no meaning here: see lists_whole_corp
    lists_whole_corp = True
    items_name_colleagues = True
    recipients_per_send = messages.PEOPLE_PER_SEND
    results_end_s = 24 * 3600

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

    def update_contact(self, external_userid: str, change: ContactChange) -> None:
        contacts.update(self._caller, external_userid, change)

    def delete_contact(self, external_userid: str) -> None:
        contacts.delete(self._caller, external_userid)

    def check(self, content: Content, *, to_kind: str) -> list[Problem]:
        return messages.problems(content)

    def body(
        self,
        content: Content,
        *,
        to_kind: str,
        to: Sequence[str],
        sender: str = "",
        duplicate_check_s: int = 0,
    ) -> bytes:
        if to_kind not in self.recipients_per_send:
            raise Unsupported(f"DingTalk has no call that writes to a {to_kind}.", code="unsupported_type")
        return messages.body(content, to_kind=to_kind, to=to, agentid=self._agentid)

    def send(
        self, body: bytes, *, to_kind: str, to: Sequence[str], on_speak: Callable[[], None] = lambda: None
    ) -> SendReceipt:
        answer = self._caller.write(results.API + "asyncsend_v2", body, on_speak=on_speak, expect="task_id")
        return results.receipt(answer, to_kind=to_kind)

    def result(self, msgid: str, *, sender: str) -> Iterator[SendResult]:
        return results.read_result(self._caller, msgid, agentid=self._agentid)

    def recall(self, msgid: str) -> None:
        body = encode(results.question(msgid, self._agentid, name="msg_task_id"))
        self._caller.write(results.API + "recall", body)

    @staticmethod
    def check_media(kind: str, data: bytes) -> list[Problem]:
        return [Problem("", "unsupported_type")]

    def upload_media(self, kind: str, filename: str, data: bytes) -> str:
        raise Unsupported(_NO_FILES)
