"""employees/, teams/, tags/ and me/."""

from typing import Any, ClassVar

from django.db.models import Prefetch, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.access import visible_corps, visible_tags, visible_teams
from contacts.api.filters import EmployeeFilters, TagFilters, TeamFilters
from contacts.models import Employee, Tag, Team, TeamMembership
from crm.api.authentication import PII
from crm.api.views import Api, ListApi
from crm.keys import SCOPES


class EmployeeSerializer(serializers.ModelSerializer[Employee]):
    corp = serializers.CharField(source="corp.corpid", help_text="corpid")
    teams = serializers.SerializerMethodField(help_text="ids of teams/")

    class Meta:
        model = Employee
        fields = ("id", "corp", "userid", "name", "alias", "position", "avatar", "status", "teams")
        read_only_fields = fields

    def get_teams(self, employee: Employee) -> list[int]:
        return sorted(membership.team_id for membership in employee.memberships.all())


class TeamSerializer(serializers.ModelSerializer[Team]):
    corp = serializers.CharField(source="corp.corpid", help_text="corpid")
    parent = serializers.IntegerField(  # type: ignore[assignment]
        source="parent_id", allow_null=True, help_text="id of teams/"
    )
    leaders = serializers.SerializerMethodField(help_text="userids")

    class Meta:
        model = Team
        fields = ("id", "corp", "department_id", "name", "parent", "leaders", "absent_since")
        read_only_fields = fields

    def get_leaders(self, team: Team) -> list[str]:
        rows = team.memberships.all()
        return sorted(membership.employee.userid for membership in rows if membership.is_leader)


class TagSerializer(serializers.ModelSerializer[Tag]):
    """A corp tag; `id` is the provider's, as in the tags of a follow user."""

    id = serializers.CharField(source="tag_id")
    corp = serializers.CharField(source="corp.corpid", help_text="corpid")
    group = serializers.CharField(source="group_name")

    class Meta:
        model = Tag
        fields = ("id", "corp", "name", "group", "type", "deleted_at")
        read_only_fields = fields


class Directory(ListApi):
    required_scopes: ClassVar = {"GET": "directory:read"}


class Employees(Directory):
    """The colleagues within reach."""

    queryset = Employee.objects.all()
    serializer_class = EmployeeSerializer
    filterset_class = EmployeeFilters
    required_permissions: ClassVar = {"GET": ("contacts.view_employee",)}

    def get_queryset(self) -> QuerySet[Employee]:
        rows = Employee.objects.visible_to(self.request.user)
        return rows.select_related("corp").prefetch_related("memberships")

    @extend_schema(operation_id="employees_list", tags=["directory"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class Teams(Directory):
    """The departments within reach."""

    queryset = Team.objects.all()
    serializer_class = TeamSerializer
    filterset_class = TeamFilters
    required_permissions: ClassVar = {"GET": ("contacts.view_team",)}

    def get_queryset(self) -> QuerySet[Team]:
        leaders = TeamMembership.objects.filter(is_leader=True).select_related("employee")
        rows = visible_teams(self.request.user).select_related("corp")
        return rows.prefetch_related(Prefetch("memberships", queryset=leaders))

    @extend_schema(operation_id="teams_list", tags=["directory"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class Tags(Directory):
    """The customer tags of the corps within reach."""

    queryset = Tag.objects.all()
    serializer_class = TagSerializer
    filterset_class = TagFilters
    required_permissions: ClassVar = {"GET": ("contacts.view_tag",)}

    def get_queryset(self) -> QuerySet[Tag]:
        return visible_tags(self.request.user).select_related("corp")

    @extend_schema(operation_id="tags_list", tags=["directory"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class KeySerializer(serializers.Serializer[Any]):
    prefix = serializers.CharField()
    expires_at = serializers.DateTimeField(allow_null=True)


class SelfSerializer(serializers.Serializer[Any]):
    username = serializers.CharField()
    role = serializers.CharField(help_text="sales, manager, administrator, auditor, or empty")
    employee = serializers.CharField(allow_null=True, help_text="userid of the linked employee")
    corps = serializers.ListField(child=serializers.CharField(), help_text="corpids within reach")
    scopes = serializers.ListField(child=serializers.CharField())
    key = KeySerializer(allow_null=True)


class Me(Api):
    """Who this key or login is, and what it may reach."""

    serializer_class = SelfSerializer
    required_scopes: ClassVar = {"GET": ""}
    required_permissions: ClassVar = {"GET": ()}

    @extend_schema(operation_id="me_retrieve", tags=["me"])
    def get(self, request: Request) -> Response:
        caller = self.caller
        linked = Employee.objects.filter(user=caller.user.pk).first()
        return self.answer_one(
            {
                "username": caller.user.get_username(),
                "role": caller.role,
                "employee": linked.userid if linked else None,
                "corps": list(visible_corps(caller.user).order_by("corpid").values_list("corpid", flat=True)),
                "scopes": caller.key.scopes if caller.key else [scope for scope in SCOPES if scope != PII],
                "key": caller.key,
            }
        )
