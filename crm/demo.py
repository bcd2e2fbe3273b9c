"""The people and the data of the demo: made once, on top of the simulator's corps."""

import struct
import zlib
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Final

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from contacts import ways
from contacts.models import Employee, FollowUser, Tag, Team
from crm import roles
from crm.connections import can
from crm.models import Corp
from crm.providers.base import Capability
from crm.providers.content import Content, MiniprogramNotice, Text
from messaging import library, templates, welcomes

PASSWORD: Final = "renmai-demo"
CORP_NAMES: Final = {
    "direct": "晨星文具（direct）",
    "official": "远山茶业（official）",
    "dingtalk": "听涛木业（钉钉）",
}

TEMPLATES: Final[dict[str, Content]] = {
    "报价提醒 · Quote": Text(
        "{contact.name}，您好！{产品}的报价单已经备好，{日期}前有效。有问题请随时联系我。"
    ),
    "送货通知 · Delivery": MiniprogramNotice(
        appid="wx00000000000000aa",
        title="送货时间已定",
        page="pages/order/view?id=7",
        content_item=(("客户", "{contact.name}"), ("订单号", "{订单号}"), ("送货日期", "{日期}")),
    ),
}
WELCOME: Final = Text(
    "{contact.name}，您好！我是远山茶业的{employee.name}，很高兴认识您。想喝什么茶，随时告诉我。"
)
PRICES: Final = "价目表（示例）\n\n龙井 50 克    128 元\n普洱 100 克   96 元\n茉莉花茶 50 克 58 元\n"


@dataclass(frozen=True, slots=True)
class Login:
    username: str
    role: str
    what: str


LOGINS: Final = (
    Login("admin", roles.ADMINISTRATOR, "everything: corps, sync runs, messages"),
    Login("manager", roles.MANAGER, "a team and its contacts"),
    Login("sales", roles.SALES, "the contacts of one salesperson"),
    Login("auditor", roles.AUDITOR, "reads everything, changes nothing"),
)


def is_populated() -> bool:
    return User.objects.filter(username=LOGINS[0].username).exists()


@transaction.atomic
def populate() -> None:
    """Create the four logins and give the follow users stages and dates. The first sync must have run."""
    corp = Corp.objects.order_by("pk")[0]
    for login in LOGINS:
        user = User.objects.create_user(login.username, password=PASSWORD, is_staff=True)
        user.groups.add(Group.objects.get(name=login.role))
    seller = _busiest(corp)
    _link("sales", seller)
    leader = _leader_of(seller)
    if leader is not None:
        _link("manager", leader)
    team = Team.objects.filter(memberships__employee=seller).first()
    if team is not None:
        team.managers.add(User.objects.get(username="manager"))
    _plan_follow_ups()
    for corp in Corp.objects.order_by("pk"):
        if corp.provider == Corp.Provider.WECOM:  # DingTalk sends neither to contacts nor files
            _keep_templates(corp)
            _keep_files(corp)
        if can(corp, Capability.WELCOME):
            _keep_welcome(corp)
        if can(corp, Capability.CONTACT_WAY):
            _make_way(corp)


def _busiest(corp: Corp) -> Employee:
    current = Count("follow_users", filter=Q(follow_users__ended_at__isnull=True))
    followers = Employee.objects.filter(corp=corp, memberships__is_leader=False).annotate(n=current)
    return followers.order_by("-n", "pk")[0]


def _leader_of(employee: Employee) -> Employee | None:
    leaders = Employee.objects.filter(
        memberships__is_leader=True, memberships__team__memberships__employee=employee
    )
    return leaders.exclude(pk=employee.pk).first()


def _link(username: str, employee: Employee) -> None:
    Employee.objects.filter(pk=employee.pk).update(user=User.objects.get(username=username))


def _keep_templates(corp: Corp) -> None:
    """With variables of both kinds: what is known of each contact, and what the sender is asked for."""
    admin = User.objects.get(username=LOGINS[0].username)
    for name, content in TEMPLATES.items():
        templates.create(user=admin, actor="command", corp=corp, name=name, content=content)


def _keep_welcome(corp: Corp) -> None:
    """Said to whoever scans a code of the simulator or adds an employee there."""
    who: dict[str, Any] = {"user": User.objects.get(username=LOGINS[0].username), "actor": "command"}
    template = templates.create(corp=corp, name="欢迎 · Welcome", content=WELCOME, **who)
    welcomes.create(
        corp=corp,
        name="欢迎新客户 · New customers",
        template=template,
        scope="corp",
        instead_of_name="尊敬的客户",
        **who,
    )


def _keep_files(corp: Corp) -> None:
    """Something to send from the library: a picture and a price list."""
    keep = partial(library.add, user=User.objects.get(username="admin"), actor="command", corp=corp)
    keep(kind="image", name="春季新品.png", data=_poster())
    keep(kind="file", name="价目表.txt", data=PRICES.encode())


def _make_way(corp: Corp) -> None:
    """A campaign's QR code; the worker has it made as soon as it runs."""
    people = Employee.objects.filter(corp=corp, is_listed=True).order_by("pk")[:3]
    tags = Tag.objects.filter(corp=corp, type=Tag.Type.CORP, deleted_at__isnull=True).order_by("pk")[:1]
    ways.create(
        user=User.objects.get(username="admin"),
        actor="command",
        corp=corp,
        campaign="秋季茶博会 · Autumn fair",
        employees=[each.userid for each in people],
        tags=[each.tag_id for each in tags],
        remark="展位 4 号",
    )


def _poster() -> bytes:
    """A PNG of 480 x 300: a morning sky over a green field."""
    width, height = 480, 300
    rows = bytearray()
    for y in range(height):
        sky = (150 + y // 3, 200 + y // 8, 235) if y < 200 else (60, 140 - (y - 200) // 4, 95)
        for x in range(width):
            is_sun = (x - 350) ** 2 + (y - 90) ** 2 < 45**2
            rows += bytes((255, 214, 120) if is_sun else sky) if x else b"\0" + bytes(sky)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _plan_follow_ups() -> None:
    """Spread stages and dates by the row's number: the same rows get the same plan in every demo."""
    now = timezone.now()
    stages = FollowUser.Stage.values
    rows = list(FollowUser.objects.order_by("pk").only("pk")[:600])
    for row in rows:
        row.stage = stages[row.pk % len(stages)]
        row.last_follow_up_at = now - timedelta(days=row.pk % 40)
        row.next_follow_up_at = now + timedelta(days=row.pk % 9 - 3) if row.pk % 3 == 0 else None
    FollowUser.objects.bulk_update(rows, ["stage", "last_follow_up_at", "next_follow_up_at"], batch_size=200)
