"""Who stands in a department, its sub-departments included."""

from collections.abc import Iterable

from contacts.models import Employee, Team, TeamMembership
from contacts.querysets import sub_teams
from crm.models import Corp


def people_below(corp: Corp, team_ids: Iterable[int]) -> dict[int, set[int]]:
    """{team id: ids of the active employees in it and in its sub-teams}, in two queries."""
    teams = list(Team.objects.filter(corp=corp).values_list("pk", "parent_id"))
    below = {team_id: sub_teams(teams, {team_id}) for team_id in team_ids}
    memberships = TeamMembership.objects.filter(
        team__among=set().union(*below.values()), employee__status=Employee.Status.ACTIVE
    )
    members: dict[int, set[int]] = {}
    for team_id, employee_id in memberships.values_list("team_id", "employee_id"):
        members.setdefault(team_id, set()).add(employee_id)
    return {team_id: set().union(*(members.get(each, ()) for each in ids)) for team_id, ids in below.items()}
