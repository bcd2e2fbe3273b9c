"""Dialect `direct`: externalcontact/list by cursor, /add and /message/send (wecom.md section 2)."""

from collections.abc import Callable, Container, Iterator, Sequence

from crm.providers.base import Capability
from crm.providers.content import Content
from crm.providers.errors import Malformed, ProviderError, Unsupported
from crm.providers.reading import Unstorable, as_text
from crm.providers.records import (
    ContactRecord,
    Directory,
    EmployeeRecord,
    NewContact,
    Page,
    Problem,
    SendReceipt,
    SendResult,
    TagRecord,
)
from crm.providers.wecom import directory as members
from crm.providers.wecom import messages
from crm.providers.wecom.caller import encode
from crm.providers.wecom.client import PAGE_LIMIT, WeComClient


class Direct(WeComClient):
    """Contacts are listed one employee at a time, can be created, and are written to directly."""

    dialect = "direct"
    capabilities = frozenset(
        {
            Capability.CREATE_CONTACT,
            Capability.MESSAGE_CONTACT,
            Capability.MESSAGE_EMPLOYEE,
            Capability.DUPLICATE_CHECK,
            Capability.RECALL,
        }
    )
    employees_per_listing = 1
    items_name_colleagues = True
    recipients_per_send = {"contact": 1, **messages.MEMBERS_PER_SEND}  # noqa: RUF012  (a ClassVar in Provider)

    def directory(self) -> Directory:
        warnings = members.Warnings()
        complete = True
        try:
            teams, teams_complete = members.read_teams(self._caller)
        except ProviderError as error:
            warnings.add("department/list", error)
            teams, teams_complete, complete = [], False, False  # the root alone is not everybody
        departments = [team.department_id for team in teams] or [members.ROOT]
        employees = self._everybody(departments, warnings)
        return Directory(
            listed=tuple(employee.userid for employee in employees),
            employees=tuple(employees),
            teams=tuple(teams),
            teams_complete=teams_complete,
            warnings=warnings.all(),
            listed_complete=complete,
        )

    def _everybody(self, departments: list[int], warnings: members.Warnings) -> list[EmployeeRecord]:
        """Everybody in `departments`. One we may not see is a warning; if that is all of them, an error."""
        found: list[EmployeeRecord] = []
        refused: list[ProviderError] = []
        for department_id in departments:
            try:
                found += members.read_members(self._caller, "user/simplelist", department_id)
            except members.LASTING as error:
                warnings.add("user/simplelist", error)
                refused.append(error)
        if len(refused) == len(departments):
            raise refused[0]
        return members.merge(found)

    def contact_page(
        self,
        userids: Sequence[str],
        *,
        cursor: str = "",
        limit: int = PAGE_LIMIT,
        known: Container[bytes] = (),
    ) -> Page:
        (userid,) = userids
        request = {"userid": userid, "cursor": cursor, "limit": max(1, min(limit, PAGE_LIMIT))}
        return self._page("externalcontact/list", request, implied=userid, known=known)

    def contact(self, external_userid: str) -> ContactRecord:
        raise Unsupported("This dialect cannot read a single contact.")

    def tags(self) -> tuple[TagRecord, ...]:
        return ()

    def create_contact(self, contact: NewContact) -> str:
        optional = {
            "nickname": contact.nickname,
            "gender": contact.gender,
            "position": contact.position,
            "corp_name": contact.corp_name,
        }
        told = {key: value for key, value in optional.items() if value}
        fields = {
            "external_userid": contact.external_userid,
            "name": contact.name,
            "type": contact.type,
            **told,
        }
        request = encode({"external_contact": fields, "follow_user": list(contact.follow_user)})
        data = self._caller.write("externalcontact/add", request, expect="external_contact").data
        made = data.get("external_contact")
        value = made.get("external_userid") if isinstance(made, dict) else None
        try:
            return as_text(value or contact.external_userid, "external_userid")
        except Unstorable as problem:
            reason = str(problem)
        raise Malformed(f"externalcontact/add: {reason}", code="not_json", outcome="unknown")

    def _contact_problems(self, content: Content) -> list[Problem]:
        return messages.contact_problems(content)

    def _contact_body(self, content: Content, *, to: Sequence[str], sender: str) -> bytes:
        return messages.contact_body(content, to=to)

    def _send_to_contacts(self, body: bytes, to: Sequence[str], on_speak: Callable[[], None]) -> SendReceipt:
        return self._post(body, to, on_speak, api="externalcontact/message/send")

    def result(self, msgid: str, *, sender: str) -> Iterator[SendResult]:
        raise Unsupported("This dialect tells nothing after a send.")
