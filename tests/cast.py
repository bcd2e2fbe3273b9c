"""The cast: Lin and Wang sell in a team that Zhao leads, Qian sells elsewhere; Sun administers, Shen audits."""

from dataclasses import dataclass, field

from django.contrib.auth.models import User

from contacts.models import Contact, Employee, FollowUser, Tag, Team, TeamMembership
from crm import roles
from crm.models import Corp
from tests import factories

ROLE_OF = {
    "lin": roles.SALES,
    "wang": roles.SALES,
    "qian": roles.SALES,
    "zhao": roles.MANAGER,
    "sun": roles.ADMINISTRATOR,
    "shen": roles.AUDITOR,
    "nobody": "",
}


@dataclass
class Cast:
    """They come on stage as it is made: each seller follows one contact, who has a phone, a remark and tags."""

    corp: Corp
    employees: dict[str, Employee] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    contacts: dict[str, Contact] = field(default_factory=dict)
    follows: dict[str, FollowUser] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, role in ROLE_OF.items():
            self.users[name] = factories.user(role, username=name)
            if role in {roles.SALES, roles.MANAGER}:
                self.employees[name] = factories.employee(
                    self.corp, name, user=self.users[name], is_listed=True
                )
        User.objects.filter(pk__in=[user.pk for user in self.users.values()]).update(is_staff=True)
        self.south = Team.objects.create(corp=self.corp, department_id=2, name="South team")
        for name in ("lin", "wang", "zhao"):
            leads = name == "zhao"
            TeamMembership.objects.create(team=self.south, employee=self.employees[name], is_leader=leads)
        Tag.objects.create(corp=self.corp, tag_id="et1", name="VIP", group_name="Level", type=1)
        for name in ("lin", "wang", "qian"):
            self._follow(name)

    def _follow(self, name: str) -> None:
        contact = factories.contact(
            self.corp, f"wm-{name}", name=f"Customer of {name}", corp_name="North Mill"
        )
        self.contacts[name] = contact
        self.follows[name] = factories.follow(
            contact,
            self.employees[name],
            remark=f"met by {name}",
            description="likes tea",
            remark_mobiles=["13900000042"],
            tag_ids=["et1"],
            personal_tags=["golf"],
            createtime=1_700_000_000,
            add_way=1,
        )


def corp(**agent: str) -> Corp:
    """The corp they work in, not synced, with an agent."""
    made = Corp.objects.create(corpid="ww-south", name="South", provider="wecom", dialect="direct")
    factories.agent(made, agentid="1000002", **agent)
    return made
