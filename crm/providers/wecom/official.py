"""Dialect `official`: batch/get_by_user, get, tags, add_msg_template and its results (wecom.md section 3)."""

import dataclasses
import threading
import time
from collections.abc import Callable, Container, Iterator, Sequence
from typing import Any

from crm.providers.base import Capability, Credentials, Limiter
from crm.providers.content import Content, MiniprogramNotice
from crm.providers.errors import Absent, Malformed, ProviderError, Refused, Unsupported
from crm.providers.reading import as_text, ids
from crm.providers.records import (
    BadItem,
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
    TeamRecord,
)
from crm.providers.tokens import TokenStore
from crm.providers.transport import Transport
from crm.providers.wecom import directory as members
from crm.providers.wecom import messages, ways
from crm.providers.wecom.caller import encode
from crm.providers.wecom.client import PAGE_LIMIT, WeComClient
from crm.providers.wecom.counts import read_counts
from crm.providers.wecom.cover import cover_png
from crm.providers.wecom.items import read_item
from crm.providers.wecom.mass import find_sends, read_results
from crm.providers.wecom.paging import every_page
from crm.providers.wecom.receipts import NO_CUSTOMER, send_or_refuse_all
from crm.providers.wecom.tags import read_tags

STOPPED_ALREADY = 41093
COVER_LIFE_S = 24 * 3600  # a media_id is good for three days


class Official(WeComClient):
    """Lists contacts for up to 100 employees together; contacts get mass messages that employees confirm."""

    dialect = "official"
    capabilities = frozenset(
        {
            Capability.READ_CONTACT,
            Capability.LIST_TAGS,
            Capability.MASS_MESSAGE_CONTACT,
            Capability.MESSAGE_EMPLOYEE,
            Capability.DUPLICATE_CHECK,
            Capability.RECALL,
            Capability.REMIND,
            Capability.FIND_MASS_MESSAGE,
            Capability.COUNT_MESSAGES,
            Capability.WELCOME,
            Capability.CONTACT_WAY,
            Capability.MARK_TAGS,
        }
    )
    employees_per_listing = 100
    recipients_per_send = {"contact": 10_000, **messages.MEMBERS_PER_SEND}  # noqa: RUF012  (a ClassVar in Provider)

    def __init__(
        self, transport: Transport, credentials: Credentials, *, tokens: TokenStore, limiter: Limiter
    ) -> None:
        super().__init__(transport, credentials, tokens=tokens, limiter=limiter)
        self._cover = ("", 0.0)  # media_id, time.monotonic() of its upload
        self._covering = threading.Lock()

    def directory(self) -> Directory:
        listed = self._followers()
        warnings = members.Warnings()
        teams: list[TeamRecord] = []
        teams_complete = False
        try:
            teams, teams_complete = members.read_teams(self._caller)
        except ProviderError as error:
            warnings.add("department/list", error)
        departments = [team.department_id for team in teams] or [members.ROOT]
        employees = members.read_names(self._caller, departments, warnings)
        return Directory(
            listed=listed,
            employees=tuple(employees),
            teams=tuple(teams),
            teams_complete=teams_complete,
            warnings=warnings.all(),
        )

    def _followers(self) -> tuple[str, ...]:
        """The employees with the right to customers: the start of every sync."""
        api = "externalcontact/get_follow_user_list"
        data = self._caller.read(api, expect="follow_user").data
        if "follow_user" not in data:
            raise Malformed("get_follow_user_list answered without its list.", code="no_list")
        return tuple(dict.fromkeys(as_text(userid, "userid") for userid in ids(data["follow_user"])))

    def contact_page(
        self,
        userids: Sequence[str],
        *,
        cursor: str = "",
        limit: int = PAGE_LIMIT,
        known: Container[bytes] = (),
    ) -> Page:
        if not 1 <= len(userids) <= self.employees_per_listing:
            raise ValueError(f"1 to {self.employees_per_listing} userids, not {len(userids)}")
        request = {"userid_list": list(userids), "cursor": cursor, "limit": max(1, min(limit, PAGE_LIMIT))}
        implied = userids[0] if len(userids) == 1 else ""
        return self._page("externalcontact/batch/get_by_user", request, implied=implied, known=known)

    def contact(self, external_userid: str) -> ContactRecord:
        whole: dict[str, Any] = {}
        followers: list[Any] = []
        for data in every_page(lambda cursor: self._get(external_userid, cursor)):
            if not isinstance(data.get("follow_user"), list):
                raise Malformed("externalcontact/get answered without its followers.", code="no_list")
            whole = whole or data
            followers += data["follow_user"]
        item = {"external_contact": whole.get("external_contact"), "follow_user": followers}
        record = read_item(item)
        if isinstance(record, BadItem):
            raise Malformed(record.reason, code="bad_item")
        if record.external_userid != external_userid:
            raise Malformed("externalcontact/get answered with somebody else.", code="bad_item")
        return record

    def _get(self, external_userid: str, cursor: str) -> Any:
        query = {"external_userid": external_userid, **({"cursor": cursor} if cursor else {})}
        try:
            return self._caller.read("externalcontact/get", query=query, expect="external_contact")
        except Absent as error:
            if not cursor:
                raise
            # After a first page it contradicts that page.
            raise Malformed(error.errmsg, errcode=error.errcode) from None

    def tags(self) -> tuple[TagRecord, ...]:
        return read_tags(self._caller)

    def create_contact(self, contact: NewContact) -> str:
        raise Unsupported("Official WeCom has no call that creates a contact; use a contact way.")

    def add_contact_way(self, way: NewContactWay) -> ContactWayRecord:
        return ways.add(self._caller, way)

    def update_contact_way(self, config_id: str, way: NewContactWay) -> None:
        ways.update(self._caller, config_id, way)

    def delete_contact_way(self, config_id: str) -> None:
        ways.delete(self._caller, config_id)

    def contact_way(self, config_id: str) -> ContactWayRecord:
        return ways.get(self._caller, config_id)

    def contact_ways(self, *, begin: int, end: int) -> Iterator[str]:
        return ways.listed(self._caller, begin=begin, end=end)

    def mark_tags(
        self, external_userid: str, userid: str, *, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()
    ) -> None:
        ways.mark_tags(self._caller, external_userid, userid, add=add, remove=remove)

    def prepare(self, content: Content, *, to_kind: str) -> Content:
        is_mass = self._is_for_contacts(to_kind)
        if not is_mass or not isinstance(content, MiniprogramNotice) or content.pic_media_id:
            return content
        return dataclasses.replace(content, pic_media_id=self._cover_media_id())

    def _cover_media_id(self) -> str:
        """The cover's media_id, uploaded by one thread for all of them when there is none."""
        with self._covering:
            media_id, made_at = self._cover
            if not media_id or time.monotonic() - made_at > COVER_LIFE_S:
                media_id = self.upload_media("image", "cover.png", cover_png())
                self._cover = (media_id, time.monotonic())
            return media_id

    def _contact_problems(self, content: Content) -> list[Problem]:
        return messages.mass_problems(content)

    def _contact_body(self, content: Content, *, to: Sequence[str], sender: str) -> bytes:
        return messages.mass_body(content, to=to, sender=sender)

    def _send_to_contacts(self, body: bytes, to: Sequence[str], on_speak: Callable[[], None]) -> SendReceipt:
        api = "externalcontact/add_msg_template"
        return send_or_refuse_all(
            lambda: self._post(body, to, on_speak, api=api, final=False), to, NO_CUSTOMER
        )

    def remind(self, msgid: str) -> None:
        self._caller.write("externalcontact/remind_groupmsg_send", encode({"msgid": msgid}))

    def stop(self, msgid: str) -> None:
        try:
            self._caller.write("externalcontact/cancel_groupmsg_send", encode({"msgid": msgid}))
        except Refused as error:
            if error.errcode != STOPPED_ALREADY:
                raise

    def find_mass_sends(
        self, body: bytes, *, to: Sequence[str], sender: str, begin: int, end: int
    ) -> list[SendReceipt]:
        return find_sends(self._caller, body, to=to, sender=sender, begin=begin, end=end)

    @staticmethod
    def check_welcome(content: Content) -> list[Problem]:
        return messages.mass_problems(content)  # the same shapes and limits (wecom.md 3.6)

    def welcome_body(self, content: Content, *, welcome_code: str) -> bytes:
        return messages.welcome_body(content, welcome_code=welcome_code)

    def send_welcome(self, body: bytes, *, on_speak: Callable[[], None] = lambda: None) -> None:
        self._caller.write("externalcontact/send_welcome_msg", body, on_speak=on_speak)

    def message_counts(self) -> MessageCounts:
        return read_counts(self._caller, self._agentid)

    def result(self, msgid: str, *, sender: str) -> Iterator[SendResult]:
        return read_results(self._caller, msgid, sender=sender)
