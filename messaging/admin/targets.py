"""How a page calls the departments, tags and everybody that a message went to."""

from collections.abc import Sequence
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _

from contacts.models import Team
from messaging.models import Delivery, Message


def name_targets(deliveries: Sequence[Any]) -> None:
    """Give each delivery its `target`, (name, address of its page or ""); None where it is for one person.

    Their messages must be loaded. One query, or none where no department is among them.
    """
    to_departments = [each for each in deliveries if each.to_kind == Message.ToKind.DEPARTMENT]
    teams = _teams(to_departments) if to_departments else {}
    for each in deliveries:
        each.target = _target(each, teams.get((each.message.corp_id, each.to)))


def _teams(deliveries: Sequence[Delivery]) -> dict[tuple[int, str], Team]:
    rows = Team.objects.filter(
        corp__in={each.message.corp_id for each in deliveries},
        department_id__in={int(each.to) for each in deliveries},
    )
    return {(row.corp_id, str(row.department_id)): row for row in rows}


def _target(delivery: Delivery, team: Team | None) -> tuple[str, str] | None:
    if team is not None:
        return str(team), reverse("admin:contacts_team_change", args=(team.pk,))
    if delivery.to_kind == Message.ToKind.DEPARTMENT:
        return _("Department %(number)s") % {"number": delivery.to}, ""
    if delivery.to_kind == Message.ToKind.TAG:
        return _("Member tag %(number)s") % {"number": delivery.to}, ""
    return (_("Everybody"), "") if delivery.to_kind == Message.ToKind.EVERYBODY else None
