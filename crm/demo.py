"""The people and the data of the demo: made once, on top of the simulator's corps."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.db.models import Count, Q
from django.utils import timezone

from contacts.models import Employee, FollowUser, Team
from crm import roles
from crm.models import Corp

PASSWORD: Final = "renmai-demo"
CORP_NAMES: Final = {"direct": "晨星文具（direct）", "official": "远山茶业（official）"}


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
