"""Logins: made and changed by administrators, who cannot raise or lock out themselves."""

import pytest
from django.contrib.auth.models import User

from contacts.models import Employee
from crm import roles
from tests import factories
from tests.admin.conftest import Browser, Cast


def test_administrator_adds_a_login_with_role_and_employee(cast: Cast, sun: Browser) -> None:
    staff = factories.employee(cast.corp, "new")
    form = {
        "username": "newcomer",
        "role": "sales",
        "linked_employee": str(staff.pk),
        "password1": "a-long-pass-9",
        "password2": "a-long-pass-9",
    }
    assert sun.post("auth/user/add/", form).status_code == 302
    made = User.objects.get(username="newcomer")
    assert made.is_staff
    assert not made.is_superuser
    assert roles.role_of(made) == "sales"
    assert Employee.objects.get(pk=staff.pk).user == made


def test_administrator_changes_role_and_disables(cast: Cast, sun: Browser) -> None:
    lin = cast.users["lin"]
    form = {"role": "manager", "linked_employee": "", "first_name": "Lin"}
    assert sun.post(f"auth/user/{lin.pk}/change/", form).status_code == 302
    changed = User.objects.get(pk=lin.pk)
    assert not changed.is_active
    assert changed.groups.get().name == "manager"
    assert not Employee.objects.filter(user=lin).exists()


def test_nobody_changes_their_own_role(cast: Cast, sun: Browser) -> None:
    me = cast.users["sun"]
    sun.post(f"auth/user/{me.pk}/change/", {"role": "auditor", "first_name": "Sun", "is_superuser": "on"})
    changed = User.objects.get(pk=me.pk)
    assert changed.first_name == "Sun"
    assert changed.groups.get().name == "administrator"
    assert not changed.is_superuser


def test_employee_of_another_login_cannot_be_taken(cast: Cast, sun: Browser) -> None:
    form = {"role": "sales", "linked_employee": str(cast.employees["wang"].pk), "is_active": "on"}
    answer = sun.post(f"auth/user/{cast.users['lin'].pk}/change/", form)
    assert "linked to another login" in answer.content.decode()


@pytest.mark.parametrize("name", ["lin", "zhao", "shen"])
def test_others_change_no_login(cast: Cast, name: str) -> None:
    path = f"auth/user/{cast.users['lin'].pk}/change/"
    assert cast.browser(name).post(path, {"role": "administrator"}).status_code == 403
    assert cast.browser(name).get("auth/user/add/").status_code == 403
    assert roles.role_of(User.objects.get(username="lin")) == "sales"


def test_password_page_works_and_is_for_administrators(cast: Cast, sun: Browser) -> None:
    path = f"auth/user/{cast.users['lin'].pk}/password/"
    assert sun.get(path).status_code == 200
    assert sun.post(path, {"password1": "a-new-pass-77", "password2": "a-new-pass-77"}).status_code == 302
    assert User.objects.get(username="lin").check_password("a-new-pass-77")
    assert cast.browser("zhao").get(path).status_code == 403
