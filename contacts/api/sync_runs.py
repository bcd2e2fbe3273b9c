"""sync-runs/: what each run found, starting one, confirming a held one."""

from collections.abc import Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.access import get_visible
from contacts.api.filters import SyncRunFilters
from contacts.api.lookups import corp_named
from contacts.models import Quarantine, SyncRun
from contacts.runs import ask_for_run, confirm, report
from crm.api.serializers import Strict
from crm.api.views import Api, ListApi
from crm.providers.records import LIMITS

ID = OpenApiParameter("id", int, OpenApiParameter.PATH, description="id of the sync run")
VIEW = ("contacts.view_syncrun",)


class RunErrorSerializer(serializers.Serializer[Any]):
    userid = serializers.CharField(allow_null=True)
    code = serializers.CharField()
    errcode = serializers.IntegerField(allow_null=True)
    errmsg = serializers.CharField()
    pages = serializers.IntegerField()


class SyncRunSerializer(serializers.ModelSerializer[SyncRun]):
    """Describes `contacts.runs.report`, which makes it."""

    corp = serializers.CharField(help_text="corpid")
    employee = serializers.CharField(allow_null=True, help_text="userid of a run for one employee")
    errors = RunErrorSerializer(many=True)  # type: ignore[assignment]
    warnings = RunErrorSerializer(many=True)
    seconds = serializers.FloatField(allow_null=True)

    class Meta:
        model = SyncRun
        fields = (
            "id",
            "corp",
            "employee",
            "state",
            "trigger",
            "calls",
            "pages",
            "seen",
            "new",
            "changed",
            "unchanged",
            "absent",
            "ended",
            "quarantined",
            "errors",
            "warnings",
            "started_at",
            "finished_at",
            "seconds",
        )
        read_only_fields = fields


class NewRunSerializer(Strict):
    """The body of POST sync-runs/ (contract C4)."""

    corp = serializers.CharField(max_length=64, help_text="corpid")
    employee = serializers.CharField(max_length=LIMITS["userid"], required=False, help_text="userid")


class QuarantineSerializer(serializers.ModelSerializer[Quarantine]):
    class Meta:
        model = Quarantine
        fields = ("external_userid", "userid", "position", "reason", "first_seen_at", "cleared_at")
        read_only_fields = fields


class SyncRunApi(Api):
    queryset = SyncRun.objects.all()
    serializer_class = SyncRunSerializer

    def get_queryset(self) -> QuerySet[SyncRun]:
        return SyncRun.objects.visible_to(self.request.user).select_related("corp")

    def show(self, rows: Sequence[SyncRun]) -> list[dict[str, Any]]:
        return [report(run) for run in rows]

    def accepted(self, run: SyncRun) -> Response:
        return Response(report(run), 202, headers={"Location": reverse("api:sync-run", args=[run.pk])})


class SyncRuns(SyncRunApi, ListApi):
    """Sync runs, newest first."""

    filterset_class = SyncRunFilters
    required_scopes: ClassVar = {"GET": "sync:read", "POST": "sync:run"}
    required_permissions: ClassVar = {"GET": VIEW, "POST": ("contacts.run_sync",)}

    @extend_schema(operation_id="sync_runs_list", tags=["sync-runs"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="sync_runs_create",
        tags=["sync-runs"],
        request=NewRunSerializer,
        responses={202: SyncRunSerializer},
        description="Asks for a run of a corp, or of one employee. 409 `already_running` names the run in `run`.",
    )
    def post(self, request: Request) -> Response:
        return self.once(self._start)

    def _start(self) -> Response:
        body = self.read(NewRunSerializer)
        caller = self.caller
        corp = corp_named(caller.user, body["corp"])
        run = ask_for_run(
            corp, trigger=SyncRun.Trigger.API, actor=caller.actor, userid=body.get("employee", "")
        )
        return self.accepted(run)


class OneSyncRun(SyncRunApi):
    required_scopes: ClassVar = {"GET": "sync:read"}
    required_permissions: ClassVar = {"GET": VIEW}

    @extend_schema(operation_id="sync_runs_retrieve", tags=["sync-runs"])
    def get(self, request: Request, pk: str) -> Response:
        return self.answer_one(get_visible(request.user, self.get_queryset(), pk))


class Confirm(SyncRunApi):
    """Read a held scope again and end what is absent in both runs."""

    required_scopes: ClassVar = {"POST": "sync:run"}
    required_permissions: ClassVar = {"POST": ("contacts.run_sync",)}

    @extend_schema(
        operation_id="sync_runs_confirm",
        tags=["sync-runs"],
        request=None,
        responses={202: SyncRunSerializer},
        description="409 `not_held` when the run is not waiting for it.",
    )
    def post(self, request: Request, pk: str) -> Response:
        run = get_visible(request.user, self.get_queryset(), pk)
        return self.once(lambda: self._confirm(run))

    def _confirm(self, run: SyncRun) -> Response:
        self.read(Strict)
        return self.accepted(confirm(run, actor=self.caller.actor))


class QuarantineOfRun(ListApi):
    """The records this run could not mirror, with the reason."""

    queryset = Quarantine.objects.all()
    serializer_class = QuarantineSerializer
    required_scopes: ClassVar = {"GET": "sync:read"}
    required_permissions: ClassVar = {"GET": (*VIEW, "contacts.view_quarantine")}

    def get_queryset(self) -> QuerySet[Quarantine]:
        return get_visible(self.request.user, SyncRun.objects.all(), self.kwargs["pk"]).quarantine()

    @extend_schema(operation_id="sync_runs_quarantine_list", tags=["sync-runs"], parameters=[ID])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)
