"""Groups of employees that a message may go to: departments, member tags, everybody.

Who is in them the provider knows; the mirror counts them, so that a person sees how many get it.
"""

from collections.abc import Sequence

from django.db.models import BigIntegerField
from django.utils.translation import gettext as _

from contacts.access import reached_teams
from contacts.models import Employee, Team
from contacts.querysets import User
from contacts.teams import people_below
from crm.models import Corp
from crm.providers.base import EVERYBODY
from messaging.models import Message
from messaging.recipients import Found, Recipient, Resolved, excluded, first_places, sorted_in


def of_departments(user: User, corp: Corp, ids: Sequence[int]) -> Resolved:
    """The departments `ids`, as the provider numbers them, all of whose people `user` reaches."""
    wanted = [each for each in dict.fromkeys(ids) if 0 < each <= BigIntegerField.MAX_BIGINT]
    rows = reached_teams(user).filter(corp=corp, department_id__among=wanted)
    found = {row.department_id: row for row in rows.only("department_id", "name", "absent_since")}
    people = people_below(corp, [row.pk for row in found.values() if row.absent_since is None])
    return sorted_in(
        (_department(number, position, found.get(number), people) for position, number in first_places(ids)),
        people=len(set().union(*people.values())),
    )


def _department(number: int, position: int, row: Team | None, people: dict[int, set[int]]) -> Found:
    if row is None:
        return excluded(str(number), "", "not_found", position)
    if row.absent_since is not None:
        return excluded(str(number), row.name, "department_gone", position)
    return Recipient(
        Message.ToKind.DEPARTMENT, str(number), row.name, position=position, people=len(people[row.pk])
    )


def of_tags(ids: Sequence[int]) -> Resolved:
    """The member tags `ids`. They are not mirrored: what is no tag, the provider refuses."""
    return sorted_in(_tag(number, position) for position, number in first_places(ids))


def _tag(number: int, position: int) -> Found:
    if not 0 < number <= BigIntegerField.MAX_BIGINT:
        return excluded(str(number), "", "not_found", position)
    return Recipient(Message.ToKind.TAG, str(number), "", position=position)


def of_everybody(corp: Corp) -> Resolved:
    people = Employee.objects.filter(corp=corp, status=Employee.Status.ACTIVE).count()
    everybody = Recipient(Message.ToKind.EVERYBODY, EVERYBODY, _("Everybody"), people=people)
    return Resolved([everybody], [], people)
