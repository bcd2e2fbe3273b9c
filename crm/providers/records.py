"""What comes in: provider answers as records, the same from every dialect."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from operator import attrgetter
from typing import Any, Final


class Unset:
    """The type of `UNSET`: the provider did not tell; which is not the same as empty."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset()


# Integers that fit a column: `createtime` and `order` 0..MAX_TIME, every other one 32 bits.
MAX_INT: Final = 2**31 - 1
MAX_TIME: Final = 2**53

# The three records of an item are not frozen: that makes each of them six times as dear. Nobody changes one.


@dataclass(slots=True)
class TagRecord:
    """A customer tag. `tag_id` is "" for an employee's personal tag (type 2), which has no id."""

    tag_id: str
    name: str
    group: str = ""
    type: int = 1
    group_id: str = ""
    order: int = 0


@dataclass(slots=True)
class FollowRecord:
    """One assignment: employee `userid` follows the contact. `createtime` is Unix seconds.

    `tag_ids` are corp and rule-group tags (types 1 and 3), `personal_tags` the names of type 2.
    `tags` carries names where the dialect tells them, so that a tag met before its listing has one.
    """

    userid: str
    remark: str | Unset = UNSET
    description: str | Unset = UNSET
    createtime: int | Unset = UNSET
    tag_ids: tuple[str, ...] | Unset = UNSET
    personal_tags: tuple[str, ...] | Unset = UNSET
    tags: tuple[TagRecord, ...] = ()
    remark_corp_name: str | Unset = UNSET
    remark_mobiles: tuple[str, ...] | Unset = UNSET
    oper_userid: str | Unset = UNSET
    add_way: int | Unset = UNSET
    state: str | Unset = UNSET
    wechat_channels: dict[str, Any] | Unset = UNSET
    role: str | Unset = UNSET  # "owner" or "shared", where a dialect knows the difference


@dataclass(slots=True)
class ContactRecord:
    """An external person with the assignments this answer told.

    `raw` is the item as JSON bytes, the provider's own where they could be told apart; `digest` names them.
    """

    external_userid: str
    name: str | Unset = UNSET
    nickname: str | Unset = UNSET
    avatar: str | Unset = UNSET
    type: int | Unset = UNSET
    gender: int | Unset = UNSET
    position: str | Unset = UNSET
    corp_name: str | Unset = UNSET
    corp_full_name: str | Unset = UNSET
    unionid: str | Unset = UNSET
    external_profile: dict[str, Any] | Unset = UNSET
    follows: tuple[FollowRecord, ...] = ()
    raw: bytes = b""
    digest: bytes = b""


def digest_of(raw: bytes) -> bytes:
    """The name of an item's bytes: 16 bytes. Who has met it need not parse the item again."""
    return hashlib.blake2b(raw, digest_size=16).digest()


@dataclass(frozen=True, slots=True)
class BadItem:
    """A listed item that cannot be mirrored; `reason` is one word, with an optional detail after ": "."""

    position: int
    reason: str
    external_userid: str = ""
    userid: str = ""
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Page:
    """One listing answer. `next_cursor` is "" on the last page.

    An item the caller said it knows is only its digest (`bytes`): the same bytes came again.
    `unlicensed` names employees whose part of the answer is missing: nothing may be concluded about them.
    """

    items: Sequence[ContactRecord | BadItem | bytes]
    next_cursor: str = ""
    unlicensed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EmployeeRecord:
    """A member of the corp. `status` is the provider's: 1 active, 2 disabled, 4 not activated, 5 left."""

    userid: str
    name: str | Unset = UNSET
    alias: str | Unset = UNSET
    position: str | Unset = UNSET
    status: int | Unset = UNSET
    avatar: str | Unset = UNSET
    departments: tuple[int, ...] | Unset = UNSET
    leads: tuple[int, ...] | Unset = UNSET


@dataclass(frozen=True, slots=True)
class TeamRecord:
    """A department. `leaders` are userids."""

    department_id: int
    name: str | Unset = UNSET
    parent_id: int | Unset = UNSET
    order: int | Unset = UNSET
    leaders: tuple[str, ...] | Unset = UNSET


@dataclass(frozen=True, slots=True)
class Warned:
    """A name look-up that failed without stopping the directory (contract A13)."""

    call: str
    code: str
    errcode: int | None
    errmsg: str


@dataclass(frozen=True, slots=True)
class Directory:
    """Who is in the corp. `listed` are the userids whose contacts can be read, in the provider's order.

    `teams_complete` says whether departments could be read (else nothing is concluded from their absence).
    `listed_complete` is False when a part of the employee list could not be read because of a passing
    trouble: then nothing is concluded about employees that are not in `listed`.
    """

    listed: tuple[str, ...]
    employees: tuple[EmployeeRecord, ...] = ()
    teams: tuple[TeamRecord, ...] = ()
    teams_complete: bool = False
    warnings: tuple[Warned, ...] = ()
    listed_complete: bool = True


@dataclass(frozen=True, slots=True)
class NewContact:
    """A contact to create. The `direct` dialect lets the caller choose `external_userid`.

    In `dingtalk` the first of `follow_user` is the owner, and `mobile` (`+86-13900000001`) and a tag are needed.
    """

    external_userid: str
    name: str
    follow_user: tuple[str, ...]
    nickname: str = ""
    gender: int = 0
    position: str = ""
    corp_name: str = ""
    type: int = 1
    mobile: str = ""
    tag_ids: tuple[str, ...] = ()
    remark: str = ""


@dataclass(frozen=True, slots=True)
class ContactChange:
    """What is to change of a contact at the provider; UNSET stays. `owner` is a userid."""

    name: str | Unset = UNSET
    position: str | Unset = UNSET
    corp_name: str | Unset = UNSET
    remark: str | Unset = UNSET
    tag_ids: tuple[str, ...] | Unset = UNSET
    owner: str | Unset = UNSET


@dataclass(frozen=True, slots=True)
class NewContactWay:
    """A QR code to make, or what it shall be from now on. `state` comes back in each relation it makes.

    It leads to one of `users` (userids) and of the members of `departments`; at least one is given. Unless it
    `is_of_several`, which is settled when it is made, it has one user and no department.
    """

    state: str
    users: tuple[str, ...] = ()
    departments: tuple[int, ...] = ()
    remark: str = ""
    skip_verify: bool = True
    is_of_several: bool = False


@dataclass(frozen=True, slots=True)
class ContactWayRecord:
    """A QR code as the provider tells of it. `qr_code` is the address of its picture."""

    config_id: str
    state: str = ""
    qr_code: str = ""
    remark: str = ""
    skip_verify: bool = True
    users: tuple[str, ...] = ()
    departments: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Refusal:
    """A recipient the provider named as not reached. `code` is "" or our word (`unlicensed`)."""

    to: str
    errcode: int | None
    errmsg: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class SendReceipt:
    """What a send call answered. Recipients not in `refused` were accepted.

    `final` is False where the provider tells the outcome later (mass sends: poll with `result`).
    `warning` keeps an `errmsg` that came with errcode 0 and is not one of the usual words.
    """

    msgid: str = ""
    refused: tuple[Refusal, ...] = ()
    final: bool = True
    warning: str = ""


@dataclass(frozen=True, slots=True)
class SendResult:
    """The later word on one recipient: `state` is `waiting`, `delivered` or `refused`; `reason` is ours."""

    to: str
    state: str
    reason: str = ""
    sent_at: int | None = None


@dataclass(frozen=True, slots=True)
class MessageCounts:
    """Persons reached by an app's messages, on the provider's days."""

    today: int
    yesterday: int


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a content cannot be sent: `pointer` is a JSON pointer into it; a `warning` does not block."""

    pointer: str
    code: str
    params: dict[str, Any] = field(default_factory=dict)
    warning: bool = False


def told(record: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of `record` among `names` that the provider told."""
    values = zip(names, _values_of(names)(record), strict=True)
    return {name: value for name, value in values if value is not UNSET}


@cache
def _values_of(names: tuple[str, ...]) -> "attrgetter[tuple[Any, ...]]":
    return attrgetter(*names)


CONTACT_FIELDS: Final = tuple(
    f.name for f in fields(ContactRecord) if f.name not in {"external_userid", "follows", "raw", "digest"}
)
FOLLOW_FIELDS: Final = tuple(f.name for f in fields(FollowRecord) if f.name not in {"userid", "tags"})

# The longest text a column takes, in characters: what is over it is a BadItem, never cut (contract F6).
LIMITS: Final[dict[str, int]] = {
    "external_userid": 64,
    "userid": 64,
    "name": 255,
    "nickname": 255,
    "avatar": 2048,
    "position": 255,
    "corp_name": 255,
    "corp_full_name": 255,
    "unionid": 64,
    "remark": 255,
    "description": 2000,
    "remark_corp_name": 255,
    "remark_mobiles": 64,
    "state": 255,
    "oper_userid": 64,
    "tag_id": 64,
    "tag": 255,  # the name of a tag or of its group
    "team_name": 255,
    "msgid": 255,
    "errmsg": 500,
    "config_id": 64,
    "qr_code": 512,
}


@dataclass(frozen=True, slots=True)
class CallbackKeys:
    """What a provider and we share for its calls; the EncodingAESKey has 43 characters."""

    token: str
    aes_key: str


class Forged(Exception):
    """A call that is not the provider's, or not for us. The words are for our log, never for the caller."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a person wrote to an app: of the fields, those of its kind. `media_id` is good for 3 days."""

    text: str = ""
    media_id: str = ""
    title: str = ""
    description: str = ""
    url: str = ""
    label: str = ""
    latitude: float | None = None
    longitude: float | None = None


@dataclass(frozen=True, slots=True)
class Press:
    """A button of a card that somebody pressed. `response_code` changes that person's card, once.

    `selected` is {key of the question: ids of the options}.
    """

    task_id: str
    key: str
    response_code: str
    selected: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Notice:
    """A genuine call. `kind` is MsgType, or Event and ChangeType with a dot; `fields` what stands right in it.

    Two calls with the same `identity` say the same thing. `told_at` is when it was made, by the provider's clock (Unix
    seconds), as are the times in `fields`.
    """

    kind: str
    userid: str
    external_userid: str
    text: str
    identity: bytes
    fields: dict[str, str]
    told_at: int = 0
