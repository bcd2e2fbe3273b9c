"""welcomes/: what is said to new contacts; greetings/: each time it was to be said."""

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.access import get_visible
from contacts.api.lookups import corp_named
from contacts.models import ContactWay, Employee
from contacts.querysets import User
from crm.api.serializers import Strict
from crm.api.views import Api, ListApi
from crm.errors import FieldError, Invalid
from crm.models import Corp
from messaging import welcomes
from messaging.api.content_field import TemplateContentField
from messaging.api.filters import GreetingFilters, WelcomeFilters
from messaging.models import Greeting, Template, Welcome

READ = ("messaging.view_welcome",)
MOST_EMPLOYEES = 500


class WelcomeSerializer(serializers.ModelSerializer[Welcome]):
    corp = serializers.CharField(source="corp.corpid", help_text="corpid")
    template = serializers.IntegerField(source="template_id", help_text="id of a template")
    way = serializers.IntegerField(source="way_id", allow_null=True, help_text="id of a contact way")
    employees = serializers.SerializerMethodField(help_text="userids")
    created_by = serializers.SerializerMethodField(help_text="username")

    class Meta:
        model = Welcome
        fields = (
            "id",
            "corp",
            "name",
            "template",
            "scope",
            "employees",
            "way",
            "instead_of_name",
            "is_active",
            "created_by",
            "created_at",
            "updated_at",
        )
        read_only_fields = fields

    def get_employees(self, welcome: Welcome) -> list[str]:
        return sorted(each.userid for each in welcome.employees.all())

    def get_created_by(self, welcome: Welcome) -> str | None:
        return welcome.created_by.get_username() if welcome.created_by else None


class _About(Strict):
    """What a welcome is about, in POST and PATCH alike."""

    employees = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        max_length=MOST_EMPLOYEES,
        help_text="userids, where scope is employees",
    )
    way = serializers.IntegerField(
        required=False, allow_null=True, help_text="id of a contact way, where scope is way"
    )
    instead_of_name = serializers.CharField(
        max_length=welcomes.SPARE_LENGTH,
        required=False,
        allow_blank=True,
        help_text="Stands for {contact.name} where WeCom does not tell the name in time.",
    )
    is_active = serializers.BooleanField(required=False, help_text="false: it is not said.")


class WelcomeDraftSerializer(_About):
    """The body of POST welcomes/."""

    corp = serializers.CharField(max_length=64, help_text="corpid")
    name = serializers.CharField(max_length=welcomes.NAME_LENGTH)
    template = serializers.IntegerField(help_text="id of a template")
    scope = serializers.ChoiceField(Welcome.Scope.choices, default=Welcome.Scope.CORP.value)


class WelcomeChangeSerializer(_About):
    """The body of PATCH welcomes/{id}/."""

    name = serializers.CharField(max_length=welcomes.NAME_LENGTH, required=False)
    template = serializers.IntegerField(required=False, help_text="id of a template")
    scope = serializers.ChoiceField(Welcome.Scope.choices, required=False)


class WelcomeApi(Api):
    queryset = Welcome.objects.all()
    serializer_class = WelcomeSerializer

    def get_queryset(self) -> QuerySet[Welcome]:
        rows = Welcome.objects.visible_to(self.request.user)
        rows = rows.select_related("corp", "created_by", "template", "way").defer("way__picture")
        return rows.prefetch_related("employees")

    def _rows(self, corp: Corp, body: dict[str, Any]) -> dict[str, Any]:
        """`body` with the rows it names."""
        user, found = self.caller.user, dict(body)
        if "template" in body:
            found["template"] = _one(Template.objects.visible_to(user), corp, "/template", body["template"])
        if body.get("way") is not None:
            found["way"] = _one(ContactWay.objects.visible_to(user), corp, "/way", body["way"])
        if "employees" in body:
            found["employees"] = _employees(user, corp, body["employees"])
        return found


def _one(rows: Any, corp: Corp, pointer: str, pk: int) -> Any:
    row = rows.filter(corp=corp, pk=pk).first() if 0 < pk < 2**63 else None
    if row is None:
        raise Invalid(errors=[FieldError(pointer, "not_found", _("There is no such record."))])
    return row


def _employees(user: User, corp: Corp, userids: list[str]) -> list[Employee]:
    found = Employee.objects.visible_to(user).filter(corp=corp).named(userids)
    missing = [n for n, userid in enumerate(userids) if userid not in found]
    if missing:
        words = _("There is no such employee.")
        raise Invalid(errors=[FieldError(f"/employees/{n}", "not_found", words) for n in missing])
    return list({each.pk: each for each in found.values()}.values())


class Welcomes(WelcomeApi, ListApi):
    """Welcome messages of the corps one works in, newest first."""

    filterset_class = WelcomeFilters
    required_scopes: ClassVar = {"GET": "messages:read", "POST": "messages:send"}
    required_permissions: ClassVar = {"GET": READ, "POST": (welcomes.ADD,)}

    @extend_schema(operation_id="welcomes_list", tags=["welcomes"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="welcomes_create",
        tags=["welcomes"],
        request=WelcomeDraftSerializer,
        responses={201: WelcomeSerializer},
        description=(
            "Said to who adds an employee, within 20 seconds: the one of the contact way that was scanned, else the"
            " one of the employee, else the one for everybody."
        ),
    )
    def post(self, request: Request) -> Response:
        return self.once(self._create)

    def _create(self) -> Response:
        body, caller = self.read(WelcomeDraftSerializer), self.caller
        corp = corp_named(caller.user, body.pop("corp"))
        made = welcomes.create(user=caller.user, actor=caller.actor, corp=corp, **self._rows(corp, body))
        shown = self.show([self.get_queryset().get(pk=made.pk)])[0]
        return Response(shown, 201, headers={"Location": reverse("api:welcome", args=[made.pk])})


class OneWelcome(WelcomeApi):
    """One welcome message; what was said stays said."""

    required_scopes: ClassVar = {"GET": "messages:read", "PATCH": "messages:send", "DELETE": "messages:send"}
    required_permissions: ClassVar = {"GET": READ, "PATCH": (welcomes.CHANGE,), "DELETE": (welcomes.CHANGE,)}

    @extend_schema(operation_id="welcomes_retrieve", tags=["welcomes"])
    def get(self, request: Request, pk: str) -> Response:
        return self.answer_one(get_visible(request.user, self.get_queryset(), pk))

    @extend_schema(operation_id="welcomes_partial_update", tags=["welcomes"], request=WelcomeChangeSerializer)
    def patch(self, request: Request, pk: str) -> Response:
        welcome = get_visible(request.user, self.get_queryset(), pk)
        told = self._rows(welcome.corp, self.read(WelcomeChangeSerializer))
        welcomes.change(welcome, user=request.user, actor=self.caller.actor, **told)
        return self.answer_one(self.get_queryset().get(pk=welcome.pk))

    @extend_schema(
        operation_id="welcomes_destroy",
        tags=["welcomes"],
        description="Sets `is_active` to false: it is no longer said, and keeps its history.",
    )
    def delete(self, request: Request, pk: str) -> Response:
        welcome = get_visible(request.user, self.get_queryset(), pk)
        welcomes.change(welcome, user=request.user, actor=self.caller.actor, is_active=False)
        return Response(status=204)


class GreetingSerializer(serializers.ModelSerializer[Greeting]):
    corp = serializers.CharField(source="corp.corpid", help_text="corpid")
    contact = serializers.IntegerField(source="contact_id", allow_null=True, help_text="id of the contact")
    welcome = serializers.IntegerField(source="welcome_id", help_text="id of the welcome message")
    content = serializers.SerializerMethodField(help_text="What was said, or null")

    class Meta:
        model = Greeting
        fields = (
            "id",
            "corp",
            "welcome",
            "external_userid",
            "contact",
            "userid",
            "state",
            "content",
            "errcode",
            "code",
            "errmsg",
            "attempts",
            "deadline",
            "created_at",
            "finished_at",
        )
        read_only_fields = fields

    @extend_schema_field(TemplateContentField(allow_null=True))
    def get_content(self, greeting: Greeting) -> Any:
        return greeting.content if self.context["caller"].reads_free_text else None


class GreetingApi(Api):
    queryset = Greeting.objects.all()
    serializer_class = GreetingSerializer
    required_scopes: ClassVar = {"GET": "messages:read"}
    required_permissions: ClassVar = {"GET": ("messaging.view_greeting",)}

    def get_queryset(self) -> QuerySet[Greeting]:
        return Greeting.objects.visible_to(self.request.user).select_related("corp")


class Greetings(GreetingApi, ListApi):
    """Who was to be welcomed in the name of employees within reach, newest first."""

    filterset_class = GreetingFilters

    @extend_schema(operation_id="greetings_list", tags=["welcomes"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)


class OneGreeting(GreetingApi):
    @extend_schema(operation_id="greetings_retrieve", tags=["welcomes"])
    def get(self, request: Request, pk: str) -> Response:
        return self.answer_one(get_visible(request.user, self.get_queryset(), pk))
