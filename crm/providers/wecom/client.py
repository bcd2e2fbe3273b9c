"""What both dialects share: members, messages to employees, media, and the shape of a listing."""

from abc import abstractmethod
from collections.abc import Callable, Container, Sequence
from functools import partial
from typing import Any

from urllib3.filepost import encode_multipart_formdata

from crm.providers.base import Credentials, Limiter, Provider
from crm.providers.content import Content
from crm.providers.errors import Absent, Malformed, ProviderError, Refused, StaleCursor
from crm.providers.listed import read_listing
from crm.providers.reading import Unstorable, as_text, ids
from crm.providers.records import Page, Problem, SendReceipt
from crm.providers.tokens import TokenStore
from crm.providers.transport import Transport
from crm.providers.wecom import messages
from crm.providers.wecom.caller import Caller, encode
from crm.providers.wecom.items import read_listed
from crm.providers.wecom.media import LEAST_BYTES, MOST_BYTES, UPLOADED_AS, file_problems
from crm.providers.wecom.paging import next_cursor
from crm.providers.wecom.receipts import NOBODY_VALID, receipt, send_or_refuse_all

NO_RELATION = 84061  # for a listing: this employee has no contacts
BAD_PARAMETER = 40035
PAGE_LIMIT = 100
LIST = "external_contact_list"


class WeComClient(Provider):
    """One app of one WeCom corp; the dialects add how contacts are listed, made and written to."""

    def __init__(
        self, transport: Transport, credentials: Credentials, *, tokens: TokenStore, limiter: Limiter
    ) -> None:
        self._caller = Caller(transport, credentials, tokens=tokens, limiter=limiter)
        self._agentid = credentials.agentid
        self.tally = self._caller.tally

    @abstractmethod
    def _contact_problems(self, content: Content) -> list[Problem]: ...

    @abstractmethod
    def _contact_body(self, content: Content, *, to: Sequence[str], sender: str) -> bytes: ...

    @abstractmethod
    def _send_to_contacts(
        self, body: bytes, to: Sequence[str], on_speak: Callable[[], None]
    ) -> SendReceipt: ...

    def check(self, content: Content, *, to_kind: str) -> list[Problem]:
        if self._is_for_contacts(to_kind):
            return self._contact_problems(content)
        return messages.employee_problems(content, to_kind=to_kind)

    def _is_for_contacts(self, to_kind: str) -> bool:
        if to_kind not in self.recipients_per_send:
            raise ValueError(f"to_kind is one of {list(self.recipients_per_send)}, not {to_kind!r}")
        return to_kind == "contact"

    def body(
        self,
        content: Content,
        *,
        to_kind: str,
        to: Sequence[str],
        sender: str = "",
        duplicate_check_s: int = 0,
    ) -> bytes:
        if self._is_for_contacts(to_kind):
            return self._contact_body(content, to=to, sender=sender)
        return messages.employee_body(
            content, to_kind=to_kind, to=to, agentid=self._agentid, duplicate_check_s=duplicate_check_s
        )

    def send(
        self, body: bytes, *, to_kind: str, to: Sequence[str], on_speak: Callable[[], None] = lambda: None
    ) -> SendReceipt:
        if self._is_for_contacts(to_kind):
            return self._send_to_contacts(body, to, on_speak)
        return send_or_refuse_all(lambda: self._post(body, to, on_speak, to_kind=to_kind), to, NOBODY_VALID)

    def _post(
        self,
        body: bytes,
        to: Sequence[str],
        on_speak: Callable[[], None],
        *,
        api: str = "message/send",
        to_kind: str = "contact",
        final: bool = True,
    ) -> SendReceipt:
        answer = self._caller.write(api, body, on_speak=on_speak)
        warning = self._caller.warning_of(answer)
        return receipt(answer, to, to_kind=to_kind, warning=warning, final=final)

    def recall(self, msgid: str) -> None:
        self._caller.write("message/recall", encode({"msgid": msgid}))

    def update_card(self, response_code: str, userids: Sequence[str], replace_name: str) -> None:
        told: dict[str, Any] = {
            "userids": list(userids),
            "response_code": response_code,
            "button": {"replace_name": replace_name},
        }
        if self._agentid.isdigit():
            told["agentid"] = int(self._agentid)
        answer = self._caller.write("message/update_template_card", encode(told))
        missed = {each.lower() for each in ids(answer.data.get("invaliduser"))}
        if all(each.lower() in missed for each in userids):
            raise Refused("Everybody is named in invaliduser.", errcode=NOBODY_VALID)

    def download_media(self, media_id: str) -> bytes:
        return self._caller.fetch("media/get", query={"media_id": media_id})

    @staticmethod
    def check_media(kind: str, data: bytes) -> list[Problem]:
        return list(file_problems(kind, data))

    def upload_media(self, kind: str, filename: str, data: bytes) -> str:
        if kind not in MOST_BYTES:
            raise Refused(f"There is no media type {kind}.", code="bad_media")
        if not LEAST_BYTES <= len(data) <= MOST_BYTES[kind]:
            words = f"{kind}: {LEAST_BYTES} to {MOST_BYTES[kind]} bytes, not {len(data)}."
            raise Refused(words, code="bad_media")
        form, content_type = encode_multipart_formdata({"media": (filename, data, UPLOADED_AS[kind])})
        answer = self._caller.write(
            "media/upload", form, query={"type": kind}, content_type=content_type, expect="media_id"
        )
        media_id = answer.data.get("media_id")
        if not isinstance(media_id, str) or not media_id:
            raise Malformed("media/upload answered without a media_id.", code="not_json", outcome="unknown")
        return media_id

    def _page(self, api: str, request: dict[str, Any], *, implied: str, known: Container[bytes]) -> Page:
        """One listing answer of either dialect as a Page (contract F3, F4)."""
        read = partial(read_listed, implied=implied)
        parse = partial(read_listing, name=LIST, known=known, read=read)
        try:
            answer = self._caller.read(api, body=request, expect=LIST, parse=parse)
        except Absent as error:
            # Of several employees it does not say who has none, and after a first page it contradicts that page.
            if error.errcode != NO_RELATION or not implied or request["cursor"]:
                raise
            return Page(())
        except ProviderError as error:
            if error.errcode == BAD_PARAMETER and request["cursor"]:
                raise StaleCursor(error.errmsg, errcode=error.errcode) from None
            raise
        if answer.items is None:
            raise Malformed(f"{api} answered without its list.", code="no_list")
        return Page(answer.items, next_cursor=next_cursor(answer), unlicensed=_unlicensed(answer.data))


def _unlicensed(data: dict[str, Any]) -> tuple[str, ...]:
    found = data.get("fail_info")
    if not isinstance(found, dict):
        return ()
    named = []
    for userid in ids(found.get("unlicensed_userid_list")):
        try:
            named.append(as_text(userid, "userid"))
        except Unstorable:
            continue
    return tuple(named)
