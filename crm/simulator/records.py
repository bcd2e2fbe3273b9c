"""What the imagined world is made of. Slots everywhere: a million contacts must fit in memory.

Records that point at each other compare by identity: comparing their fields would walk the whole corp.
"""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Department:
    id: int
    name: str
    parentid: int
    order: int
    name_en: str = ""
    department_leader: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Tag:
    id: str
    name: str
    create_time: int
    order: int
    group: "TagGroup"


@dataclass(slots=True, eq=False)
class TagGroup:
    group_id: str
    group_name: str
    create_time: int
    order: int
    tags: list[Tag] = field(default_factory=list)


@dataclass(slots=True)
class MemberTag:
    """A tag of members, by which the app can address them; has nothing to do with the tags of customers."""

    tagid: int
    tagname: str
    userids: list[str]


@dataclass(slots=True, eq=False)
class Employee:
    """A member of the corp. `follows` is sorted by `n`, which is the order every listing pages in."""

    userid: str
    name: str
    department: list[int]
    is_leader_in_dept: list[int]
    position: str = ""
    mobile: str = ""
    email: str = ""
    gender: str = "0"
    status: int = 1  # 1 active, 2 disabled, 4 not activated, 5 left
    licensed: bool = True
    visible: bool = True  # in the range of the app's customer contact feature
    follows: list["Follow"] = field(default_factory=list, repr=False)

    @property
    def is_reachable(self) -> bool:
        """Whether the app may read this member's customers."""
        return self.visible and self.status == 1

    @property
    def is_present(self) -> bool:
        """Whether the directory still shows this member."""
        return self.status != 5


@dataclass(slots=True)
class Card:
    """What DingTalk keeps of an external contact itself, where WeCom keeps it of each relation."""

    state_code: str = "86"
    mobile: str = ""
    remark: str = ""
    address: str = ""
    email: str = ""
    labels: tuple[str, ...] = ()
    share_dept_ids: tuple[int, ...] = ()


@dataclass(slots=True, eq=False)
class Contact:
    """An external person. `listed` caches the bytes a direct listing serves, `poison` replaces them."""

    external_userid: str
    name: str
    nickname: str = ""
    gender: int = 0
    type: int = 1
    position: str = ""
    corp_name: str = ""
    corp_full_name: str = ""
    avatar: str = ""
    unionid: str = ""
    card: Card | None = None  # of a DingTalk corp; there the first of `follows` is the owner's
    follows: tuple["Follow", ...] = field(default=(), repr=False)
    listed: bytes | None = field(default=None, repr=False)
    poison: bytes | None = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class Follow:
    """The live relation of one employee to one contact; when it ends the object is dropped."""

    n: int
    contact: Contact
    employee: Employee
    createtime: int
    remark: str = ""
    description: str = ""
    tags: tuple[str, ...] = ()  # ids of corp tags
    own_tags: tuple[tuple[str, str], ...] = ()  # (group_name, tag_name) of the member's personal tags
    remark_corp_name: str = ""
    remark_mobiles: tuple[str, ...] = ()
    oper_userid: str = ""
    add_way: int = 0
    state: str = ""
    customer_left: bool = (
        False  # the customer deleted the member: reads still work, mass messages do not arrive
    )
    listed: bytes | None = field(default=None, repr=False)


@dataclass(slots=True)
class Message:
    """What one phone received. `kind` says whose phone: "contact" or "employee"."""

    n: int
    at: int
    kind: str
    to: str
    sender: str
    msgtype: str
    content: Any
    msgid: str
    recalled: bool = False


@dataclass(slots=True)
class Sent:
    """An accepted app message, kept for recall and for the duplicate check."""

    msgid: str
    agentid: int
    at: int


@dataclass(slots=True)
class Notice:
    """A DingTalk work notification: whom it reached, and who was named in vain and why (errcode)."""

    task_id: int
    at: float
    reached: list[str]
    invalid: list[str]
    forbidden: dict[str, int]
    read: list[str] = field(default_factory=list)


@dataclass(slots=True)
class MassPart:
    """One employee's share of a mass message: to whom, and what became of each (0 unsent, 1 sent, 2, 3)."""

    userid: str
    recipients: dict[str, int]
    send_time: int = 0


@dataclass(slots=True)
class MassTask:
    msgid: str
    created_at: int
    agentid: int
    text: str
    attachments: list[Any]
    parts: dict[str, MassPart]
    cancelled: bool = False
    reminders: list[int] = field(default_factory=list)


@dataclass(slots=True)
class ContactWay:
    """A QR code or button by which people add a member; `state` comes back in the relation it makes."""

    config_id: str
    type: int
    scene: int
    user: list[str]
    created_at: int
    remark: str = ""
    state: str = ""
    skip_verify: bool = True
    party: list[int] = field(default_factory=list)
    style: int = 0
    is_temp: bool = False
    expires_in: int = 0
    chat_expires_in: int = 0
    unionid: str = ""
    conclusions: dict[str, Any] | None = None
    scans: int = 0

    def is_live(self, now: float) -> bool:
        """Whether the code still opens something: a temporary one ends by itself."""
        return not self.is_temp or now < self.created_at + self.expires_in


@dataclass(frozen=True, slots=True)
class Callback:
    """Where a corp's app wants to be told, and how: "encrypted", or "signature" as the old documents have it."""

    url: str
    mode: str = "encrypted"


@dataclass(frozen=True, slots=True)
class Welcome:
    """What a welcome code is for: the one first message of a member to a new customer."""

    external_userid: str
    userid: str
    at: float


@dataclass(slots=True)
class CardCode:
    """A response_code: once, it changes a card on the phones it went to; that of a press on one phone only."""

    msgid: str
    at: int
    userid: str = ""
    is_used: bool = False


@dataclass(slots=True)
class Media:
    media_id: str
    type: str
    filename: str
    content_type: str
    data: bytes
    created_at: int
    is_permanent: bool = False
