"""messages/: send, preview, follow what became of each recipient, take back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar

from django.db.models import Count, QuerySet
from django.urls import reverse
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from contacts.access import get_visible
from contacts.api.lookups import corp_named
from contacts.querysets import User
from crm.api.serializers import Strict
from crm.api.views import Api, ListApi
from crm.models import Corp
from crm.providers import content as contents
from messaging import control, errands, outbox, templates, wording
from messaging.api import serializers
from messaging.api.filters import DeliveryFilters, MessageFilters
from messaging.models import Delivery, Errand, Message
from messaging.recipients import Exclusion, place

ID = OpenApiParameter("id", int, OpenApiParameter.PATH, description="id of the message")
VIEW = ("messaging.view_message",)
SEND = ("messaging.add_message",)
JOINED = ("corp", "created_by", "urgent_approved_by")


class MessageApi(Api):
    queryset = Message.objects.all()
    serializer_class = serializers.MessageSerializer

    def get_queryset(self) -> QuerySet[Message]:
        return Message.objects.visible_to(self.request.user).select_related(*JOINED)

    def show(self, rows: Sequence[Message]) -> list[dict[str, Any]]:
        context = {**self.get_serializer_context(), "counts": _counts(rows), "errands": _errands(rows)}
        return list(serializers.MessageSerializer(rows, many=True, context=context).data)


def _counts(messages: Sequence[Message]) -> dict[int, dict[str, int]]:
    """{message id: {state: number of deliveries}}, in one query."""
    rows = Delivery.objects.filter(message__in=[message.pk for message in messages]).order_by()
    counts: dict[int, dict[str, int]] = {}
    for message_id, state, number in rows.values_list("message_id", "state").annotate(n=Count("pk")):
        counts.setdefault(message_id, {})[state] = number
    return counts


def _errands(messages: Sequence[Message]) -> dict[int, list[Errand]]:
    """{message id: its errands}, in one query."""
    found: dict[int, list[Errand]] = {}
    for errand in Errand.objects.filter(message__in=[message.pk for message in messages]):
        found.setdefault(errand.message_id, []).append(errand)
    return found


class Messages(MessageApi, ListApi):
    """Messages, newest first."""

    filterset_class = MessageFilters
    required_scopes: ClassVar = {"GET": "messages:read", "POST": "messages:send"}
    required_permissions: ClassVar = {"GET": VIEW, "POST": SEND}

    @extend_schema(operation_id="messages_list", tags=["messages"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)

    @extend_schema(
        operation_id="messages_create",
        tags=["messages"],
        request=serializers.DraftSerializer,
        responses={202: serializers.SentSerializer},
        description=(
            "One content to many recipients: accepted for all of them or, with 400, for none. With `template`"
            " in place of `content` it is rendered for each recipient, and each different text is a message:"
            " `messages` names them, the rest of the answer is the first."
        ),
    )
    def post(self, request: Request) -> Response:
        return self.once(self._send)

    def _send(self) -> Response:
        body = self.read(serializers.DraftSerializer)
        caller = self.caller
        asked: dict[str, Any] = {
            "user": caller.user,
            "actor": caller.actor,
            "corp": corp_named(caller.user, body["corp"]),
            "not_before": body.get("not_before"),
            "expires_at": body.get("expires_at"),
            "urgent": body.get("urgent", False),
            "agent": body.get("agent"),
            **body["to"],
        }
        if "content" in body:
            made = [outbox.compose(content=body["content"], **asked)]
        else:
            made = outbox.compose_from_template(**asked, **_from_template(caller.user, asked["corp"], body))
        row = Message.objects.select_related(*JOINED).get(pk=made[0].pk)
        return Response(
            {
                **self.show([row])[0],
                **({"messages": [each.pk for each in made]} if "template" in body else {}),
            },
            202,
            headers={"Location": reverse("api:message", args=[row.pk])},
        )


def _from_template(user: User, corp: Corp, body: dict[str, Any]) -> dict[str, Any]:
    """The content and the variables of a body that names a template."""
    template = templates.usable(user, corp, body["template"])
    return {"content": contents.parse(template.content), "variables": body.get("variables", {})}


class Preview(MessageApi):
    """Who would get this message, who cannot and why, what is wrong with the content."""

    idempotent = False
    required_scopes: ClassVar = {"POST": "messages:send"}
    required_permissions: ClassVar = {"POST": SEND}

    @extend_schema(
        operation_id="messages_preview",
        tags=["messages"],
        request=serializers.DraftSerializer,
        responses={200: serializers.PreviewSerializer},
    )
    def post(self, request: Request) -> Response:
        body = self.read(serializers.DraftSerializer)
        corp = corp_named(request.user, body["corp"])
        asked: dict[str, Any] = {
            "user": request.user,
            "corp": corp,
            "not_before": body.get("not_before"),
            "agent": body.get("agent"),
            **body["to"],
        }
        if "content" in body:
            found = outbox.preview(content=body["content"], **asked)
        else:
            found = outbox.preview_from_template(**asked, **_from_template(request.user, corp, body))
        return Response(
            {
                "recipients": serializers.RecipientSerializer(found.recipients, many=True).data,
                "excluded": _placed(found.to_kind, found.excluded),
                "doubtful": _placed(found.to_kind, found.doubtful),
                "problems": [
                    {
                        "pointer": f"/content{each.pointer}" if "content" in body else "/template",
                        "code": each.code,
                        "detail": wording.sentence(each),
                        "warning": each.warning,
                    }
                    for each in found.problems
                ],
                "calls": found.calls,
                "recent": serializers.RecentSerializer(found.recent, many=True).data,
                "content": found.content.as_json(),
                "texts": found.texts,
                "people": found.people,
                "quota": found.quota and serializers.QuotaSerializer(found.quota).data,
            }
        )


def _placed(kind: str, exclusions: Sequence[Exclusion]) -> list[dict[str, str]]:
    """Each with its place in the body."""
    return [
        {
            "pointer": place(kind, each.position),
            "to": each.to,
            "name": each.name,
            "code": each.code,
            "detail": each.detail,
        }
        for each in exclusions
    ]


class OneMessage(MessageApi):
    required_scopes: ClassVar = {"GET": "messages:read"}
    required_permissions: ClassVar = {"GET": VIEW}

    @extend_schema(operation_id="messages_retrieve", tags=["messages"])
    def get(self, request: Request, pk: str) -> Response:
        return self.answer_one(get_visible(request.user, self.get_queryset(), pk))


class Cancel(MessageApi):
    """Take back what is still queued."""

    required_scopes: ClassVar = {"POST": "messages:send"}
    required_permissions: ClassVar = {"POST": SEND}

    @extend_schema(
        operation_id="messages_cancel",
        tags=["messages"],
        request=None,
        responses={200: serializers.CancelledSerializer},
        description="409 `too_late` when nothing is queued any more.",
    )
    def post(self, request: Request, pk: str) -> Response:
        message = get_visible(request.user, self.get_queryset(), pk)
        return self.once(lambda: self._cancel(message))

    def _cancel(self, message: Message) -> Response:
        self.read(Strict)
        number = control.cancel(message, user=self.caller.user, actor=self.caller.actor)
        row = Message.objects.select_related(*JOINED).get(pk=message.pk)
        return Response({**self.show([row])[0], "cancelled": number})


class _Control(MessageApi):
    """One verb on a message; the answer is the message."""

    required_scopes: ClassVar = {"POST": "messages:send"}
    required_permissions: ClassVar = {"POST": SEND}

    def _do(self, pk: str, act: Callable[..., object]) -> Response:
        message = get_visible(self.request.user, self.get_queryset(), pk)
        return self.once(lambda: self._act(message, act))

    def _act(self, message: Message, act: Callable[..., object]) -> Response:
        self.read(Strict)
        act(message, user=self.caller.user, actor=self.caller.actor)
        return self.answer_one(self.get_queryset().get(pk=message.pk))


class Pause(_Control):
    """Let what is queued wait until it is resumed."""

    @extend_schema(
        operation_id="messages_pause",
        tags=["messages"],
        request=None,
        responses={200: serializers.MessageSerializer},
        description="409 `too_late` when nothing is queued any more. Pausing a paused message changes nothing.",
    )
    def post(self, request: Request, pk: str) -> Response:
        return self._do(pk, control.pause)


class Resume(_Control):
    """Send what waits."""

    @extend_schema(
        operation_id="messages_resume",
        tags=["messages"],
        request=None,
        responses={200: serializers.MessageSerializer},
        description="What a restore of the database held is released by managers and administrators only.",
    )
    def post(self, request: Request, pk: str) -> Response:
        return self._do(pk, control.resume)


class Approve(_Control):
    """Let an urgent message go out in quiet hours."""

    required_permissions: ClassVar = {"POST": (control.APPROVE,)}

    @extend_schema(
        operation_id="messages_approve",
        tags=["messages"],
        request=None,
        responses={200: serializers.MessageSerializer},
        description=(
            "By another manager or administrator than the one who sent it: one's own is 403 `own_message`."
            " 409 `not_urgent` when nobody asked for it, `too_late` when nothing is queued any more."
            " Approving an approved message changes nothing."
        ),
    )
    def post(self, request: Request, pk: str) -> Response:
        return self._do(pk, control.approve)


class _Errand(_Control):
    """Something asked of the provider about a message it already took: a worker does it."""

    kind: ClassVar[Errand.Kind]

    def _act(self, message: Message, act: Callable[..., object]) -> Response:
        answer = super()._act(message, act)
        answer.status_code = 202
        return answer

    def ask(self, pk: str) -> Response:
        return self._do(pk, partial(errands.ask, kind=self.kind))


class Recall(_Errand):
    """Take back what employees got within 24 hours."""

    kind = Errand.Kind.RECALL

    @extend_schema(
        operation_id="messages_recall",
        tags=["messages"],
        request=None,
        responses={202: serializers.MessageSerializer},
        description="409 `too_late` when nothing can be taken back any more; `errands` tells what became of it.",
    )
    def post(self, request: Request, pk: str) -> Response:
        return self.ask(pk)


class Remind(_Errand):
    """Ask the employees of a mass send once more to confirm it."""

    kind = Errand.Kind.REMIND

    @extend_schema(
        operation_id="messages_remind",
        tags=["messages"],
        request=None,
        responses={202: serializers.MessageSerializer},
        description="409 `too_late` when nobody has to confirm any more, `too_often` after 3 in 24 hours.",
    )
    def post(self, request: Request, pk: str) -> Response:
        return self.ask(pk)


class Stop(_Errand):
    """Let nobody confirm a mass send any more; what was confirmed stays sent."""

    kind = Errand.Kind.STOP

    @extend_schema(
        operation_id="messages_stop",
        tags=["messages"],
        request=None,
        responses={202: serializers.MessageSerializer},
        description="409 `too_late` when nobody has to confirm any more.",
    )
    def post(self, request: Request, pk: str) -> Response:
        return self.ask(pk)


class Resolve(Api):
    """A person's word on a delivery whose answer was lost."""

    queryset = Delivery.objects.all()
    serializer_class = serializers.DeliverySerializer
    required_scopes: ClassVar = {"POST": "messages:send"}
    required_permissions: ClassVar = {"POST": ("messaging.resolve_delivery",)}

    @extend_schema(
        operation_id="messages_deliveries_resolve",
        tags=["messages"],
        parameters=[ID],
        request=serializers.ResolveSerializer,
        responses={200: serializers.DeliverySerializer},
        description="409 `not_uncertain` when it is not, or no longer. `resend` may send it a second time.",
    )
    def post(self, request: Request, pk: str, delivery_id: str) -> Response:
        message = get_visible(request.user, Message.objects.all(), pk)
        delivery = get_visible(request.user, message.deliveries.all(), delivery_id)
        return self.once(lambda: self._resolve(delivery))

    def _resolve(self, delivery: Delivery) -> Response:
        body = self.read(serializers.ResolveSerializer)
        caller = self.caller
        resolved = control.resolve(
            delivery, word=body["as"], reason=body["reason"], user=caller.user, actor=caller.actor
        )
        return Response(serializers.DeliverySerializer(resolved).data)


class Deliveries(ListApi):
    """Each recipient's copy of the message and what became of it, in the order they were asked for."""

    queryset = Delivery.objects.all()
    serializer_class = serializers.DeliverySerializer
    filterset_class = DeliveryFilters
    ordering = "pk"
    required_scopes: ClassVar = {"GET": "messages:read"}
    required_permissions: ClassVar = {"GET": ("messaging.view_delivery",)}

    def get_queryset(self) -> QuerySet[Delivery]:
        message = get_visible(self.request.user, Message.objects.all(), self.kwargs["pk"])
        return Delivery.objects.filter(message=message)

    @extend_schema(operation_id="messages_deliveries_list", tags=["messages"], parameters=[ID])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        return super().get(request, *args, **kwargs)
