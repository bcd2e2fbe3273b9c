"""What `migrate` leaves behind besides tables."""

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command
from django_q.models import Schedule

from crm import roles, schedules


@pytest.mark.django_db
def test_migrate_applies_roles_and_schedules() -> None:
    Group.objects.all().delete()
    Schedule.objects.all().delete()
    call_command("migrate", verbosity=0)
    assert set(Group.objects.values_list("name", flat=True)) == set(roles.ROLES)
    assert set(Schedule.objects.values_list("func", flat=True)) == {job.path for job in schedules.jobs()}
