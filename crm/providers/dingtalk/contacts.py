"""External contacts: the listing of the whole organisation, one contact, its labels, and what changes them."""

import hashlib
from collections.abc import Collection, Container, Iterator, Sequence
from functools import partial
from typing import Any, Final

from crm.providers.answers import Reply
from crm.providers.dingtalk.caller import Caller, encode
from crm.providers.dingtalk.errcodes import EXISTS, GONE
from crm.providers.dingtalk.items import parts_of, phone, read_item, read_listed
from crm.providers.errors import Absent, Gone, Malformed, Refused, StaleCursor
from crm.providers.listed import read_listing
from crm.providers.reading import Unstorable, as_int, as_list, as_text, ids, plain
from crm.providers.records import (
    BadItem,
    ContactChange,
    ContactRecord,
    NewContact,
    Page,
    TagRecord,
    Unset,
    told,
)

PAGE_LIMIT: Final = 100
_LIST = "topapi/extcontact/list"
_LABELS = "topapi/extcontact/listlabelgroups"
_MOST_PAGES = 10_000
_NAMES: Final = {"position": "title", "corp_name": "company_name", "remark": "remark"}  # ours -> theirs
Item = ContactRecord | BadItem | bytes


def read_page(
    caller: Caller, userids: Sequence[str], *, cursor: str, limit: int, known: Container[bytes]
) -> Page:
    """The contacts at an offset; of those, whom one of `userids` follows (none: all).

    The cursor is `<offset>.<mark of the page before>`. The listing ends with an empty page: a short one may be a
    server's own limit, and to take it for the end would make the rest look absent.
    """
    offset, before = _place(cursor)
    request = {"offset": offset, "size": max(1, min(limit, PAGE_LIMIT))}
    parse = partial(read_listing, name="results", known=known, read=read_listed)
    answer = caller.read(_LIST, body=request, expect="results", parse=parse)
    if answer.items is None:
        raise Malformed("extcontact/list answered without its list.", code="no_list")
    if not answer.items:
        return Page(())
    mark = _mark(answer)
    if mark == before:
        raise Malformed("The same page came twice.", code="cursor_repeated")
    following = f"{offset + len(answer.items)}.{mark}"
    return Page(_of(answer.items, {each.lower() for each in userids}), next_cursor=following)


def _place(cursor: str) -> tuple[int, str]:
    offset, _, mark = cursor.partition(".")
    if cursor and not offset.isdecimal():
        raise StaleCursor("This cursor is of another listing.", code="bad_cursor")
    return int(offset or 0), mark


def _mark(answer: Reply) -> str:
    """Names a page by its items, as far as they could be read."""
    digests = (
        item if isinstance(item, bytes) else getattr(item, "digest", b"") for item in answer.items or ()
    )
    return hashlib.blake2b(b"".join(digests), digest_size=8).hexdigest()


def _of(items: Sequence[Item], userids: Collection[str]) -> list[Item]:
    if not userids:
        return list(items)
    return [item for item in items if isinstance(item, bytes) or _concerns(item, userids)]


def _concerns(item: ContactRecord | BadItem, userids: Collection[str]) -> bool:
    if isinstance(item, BadItem):
        return not item.userid or item.userid.lower() in userids
    return any(follow.userid.lower() in userids for follow in item.follows)


def read_contact(caller: Caller, external_userid: str) -> ContactRecord:
    """One contact. Raises Gone."""
    record = read_item(_whole(caller, external_userid))
    if isinstance(record, BadItem):
        raise Malformed(record.reason, code="bad_item")
    if record.external_userid != external_userid:
        raise Malformed("extcontact/get answered with somebody else.", code="bad_item")
    return record


def _whole(caller: Caller, external_userid: str) -> dict[str, Any]:
    """The contact as DingTalk writes it. Raises Gone."""
    try:
        result = caller.read("topapi/extcontact/get", body={"user_id": external_userid}).data.get("result")
    except Absent as error:
        if error.errcode in GONE:
            raise Gone(error.errmsg, errcode=error.errcode) from None
        raise
    if not isinstance(result, dict):
        raise Malformed("extcontact/get answered without the contact.", code="bad_item")
    return result


def read_labels(caller: Caller) -> tuple[TagRecord, ...]:
    """Every label with the name of its group; groups have no id. Entries without id or name are left out."""
    found: list[TagRecord] = []
    offset = 0
    for _ in range(_MOST_PAGES):
        page = caller.read(_LABELS, body={"offset": offset, "size": PAGE_LIMIT}, expect="results").data
        if "results" not in page:
            raise Malformed("listlabelgroups answered without its list.", code="no_list")
        groups = as_list(page["results"])
        if not groups:
            return tuple(found)
        found += [tag for group in groups if isinstance(group, dict) for tag in _labels_of(group)]
        offset += len(groups)
    raise Malformed(f"More than {_MOST_PAGES} pages.", code="page_cap")


def _labels_of(group: dict[str, Any]) -> Iterator[TagRecord]:
    for label in as_list(group.get("labels")):
        if not isinstance(label, dict):
            continue
        try:
            tag_id, name = plain(label, "id", limit="tag_id"), plain(label, "name", limit="tag")
            tag = TagRecord(tag_id, name, group=plain(group, "name", limit="tag"))
        except Unstorable:
            continue
        if tag_id and name:
            yield tag


def create(caller: Caller, contact: NewContact) -> str:
    """The userid of the new contact, or of the one that was made by an earlier try whose answer was lost.

    A phone belongs to one contact: where another has it the refusal (22005) says so. Raises Refused.
    """
    state_code, mobile = parts_of(contact.mobile)
    owner, *shared = contact.follow_user
    fields = {
        "name": contact.name,
        "state_code": state_code,
        "mobile": mobile,
        "follower_user_id": owner,
        "label_ids": _label_ids(contact.tag_ids),
        "title": contact.position,
        "company_name": contact.corp_name,
        "remark": contact.remark,
        "share_user_ids": shared,
    }
    request = encode({"contact": {name: value for name, value in fields.items() if value}})
    try:
        data = caller.write("topapi/extcontact/create", request, expect="userid").data
    except Refused as error:
        if error.errcode != EXISTS:
            raise
        refusal = error
    else:
        try:
            return as_text(data.get("userid"), "external_userid")
        except Unstorable as problem:
            reason = str(problem)
        raise Malformed(f"extcontact/create: {reason}", code="not_json", outcome="unknown")
    held = _find(caller, phone(state_code, mobile))
    if held is not None and held.name == contact.name and held.follows[0].userid.lower() == owner.lower():
        return held.external_userid
    raise refusal


def update(caller: Caller, external_userid: str, change: ContactChange) -> None:
    """Post the whole contact with what changes: what DingTalk does with a field that is left out is not known."""
    present = _whole(caller, external_userid)
    kept = (
        "name",
        "follower_user_id",
        "label_ids",
        "share_user_ids",
        "share_dept_ids",
        *_NAMES.values(),
        "address",
    )
    contact = {name: present[name] for name in kept if present.get(name) not in (None, "", [])}
    contact |= {_NAMES.get(name, name): value for name, value in told(change, ("name", *_NAMES)).items()}
    if not isinstance(change.tag_ids, Unset):
        contact["label_ids"] = _label_ids(change.tag_ids)
    if not isinstance(change.owner, Unset):
        contact["follower_user_id"] = change.owner
        others = [each for each in ids(present.get("share_user_ids")) if each.lower() != change.owner.lower()]
        contact["share_user_ids"] = others
    request = encode({"contact": contact | {"user_id": external_userid}})
    caller.write("topapi/extcontact/update", request)


def delete(caller: Caller, external_userid: str) -> None:
    caller.write("topapi/extcontact/delete", encode({"user_id": external_userid}))


def _label_ids(tag_ids: Sequence[str]) -> list[int]:
    numbers = [as_int(each) for each in tag_ids]
    if any(each is None for each in numbers):
        raise Refused("A label of DingTalk is a number.", code="bad_label")
    return [each for each in numbers if each is not None]


def _find(caller: Caller, number: str) -> ContactRecord | None:
    """The contact with this phone: there is no look-up but a pass over all of them."""
    cursor = ""
    for _ in range(_MOST_PAGES):
        page = read_page(caller, (), cursor=cursor, limit=PAGE_LIMIT, known=())
        for item in page.items:
            if isinstance(item, ContactRecord) and item.follows[0].remark_mobiles == (number,):
                return item
        cursor = page.next_cursor
        if not cursor:
            return None
    return None
