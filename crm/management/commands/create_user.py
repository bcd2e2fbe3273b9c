"""manage.py create_user: a login with its role, linked to its employee; again for the same name updates it."""

import argparse
import secrets
from typing import Any

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from contacts.models import Employee, Team
from crm import roles
from crm.command import Command as OurCommand
from crm.command import bad_input, corp_of, must_fit, secret_of


class Command(OurCommand):
    help = "Create or update a login; a manager leads the teams the employee leads, or those of --team."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--role", required=True, choices=roles.ROLES)
        parser.add_argument("--corp", metavar="CORPID")
        parser.add_argument("--employee", metavar="USERID")
        parser.add_argument("--team", metavar="DEPARTMENT_ID", type=int, action="append", default=[])
        self.add_secret(parser, "password", "the password")
        self.add_json(parser)

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        must_fit("NAME", options["name"], User, "username")
        employee = _employee(options)
        teams = _teams(options)
        password = secret_of(options, "password")
        user = User.objects.filter(username=options["name"]).first()
        made = user is None
        shown = None
        if user is None:
            shown = None if password else secrets.token_urlsafe(12)
            password = password or shown
            user = User(username=options["name"])
        _fill(user, password, employee)
        user.groups.set([Group.objects.get_or_create(name=options["role"])[0]])
        if options["team"]:
            user.managed_teams.set(teams)
        self._report(user, employee, made=made, shown=shown, options=options)

    def _report(
        self, user: User, employee: Employee | None, *, made: bool, shown: str | None, options: dict[str, Any]
    ) -> None:
        employee = employee or Employee.objects.select_related("corp").filter(user=user).first()
        if shown:
            self.say(f"Password of {user.username}, shown once: {shown}")
        if options["json"]:
            self.print_json(
                {
                    "id": user.pk,
                    "username": user.username,
                    "role": options["role"],
                    "corp": employee.corp.corpid if employee else None,
                    "employee": employee.userid if employee else None,
                }
            )
            return
        linked = f", employee {employee.userid} of {employee.corp.corpid}" if employee else ""
        self.stdout.write(f"{'Created' if made else 'Updated'} {user.username}: {options['role']}{linked}.")


def _employee(options: dict[str, Any]) -> Employee | None:
    if bool(options["corp"]) < bool(options["employee"]) or (options["team"] and not options["corp"]):
        bad_input("--employee and --team need --corp.")
    if not options["employee"]:
        return None
    employee = Employee.objects.select_related("corp").filter(
        corp=corp_of(options["corp"]), userid=options["employee"]
    )
    return employee.first() or bad_input(
        f"No employee {options['employee']} in {options['corp']}. Employees come with the first sync_contacts."
    )


def _teams(options: dict[str, Any]) -> list[Team]:
    if not options["team"]:
        return []
    found = Team.objects.filter(corp=corp_of(options["corp"]), department_id__in=options["team"])
    missing = set(options["team"]) - {team.department_id for team in found}
    if missing:
        bad_input(f"No team {', '.join(map(str, sorted(missing)))} in {options['corp']}.")
    return list(found)


def _fill(user: User, password: str | None, employee: Employee | None) -> None:
    try:
        User.username_validator(user.username)
        if password:
            validate_password(password, user)
            user.set_password(password)
    except ValidationError as error:
        bad_input(" ".join(error.messages))
    user.is_active = user.is_staff = True
    user.save()
    if employee is not None:
        Employee.objects.filter(user=user).update(user=None)
        Employee.objects.filter(pk=employee.pk).update(user=user)
