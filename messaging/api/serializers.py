"""Messages and deliveries as JSON (docs/reference/contract.md, Shapes), and the body that sends one."""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from crm.api.filters import LARGEST_ID
from crm.api.serializers import Strict
from messaging.api.content_field import ContentField
from messaging.control import WORDS
from messaging.models import Delivery, Errand, Message
from messaging.outbox import MAX_RECIPIENTS


class RecipientsSerializer(Strict):
    """Exactly one of them."""

    contacts = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID),
        required=False,
        min_length=1,
        max_length=MAX_RECIPIENTS,
        help_text="ids of contacts/",
    )
    employees = serializers.ListField(
        child=serializers.CharField(max_length=64),
        required=False,
        min_length=1,
        max_length=MAX_RECIPIENTS,
        help_text="userids",
    )
    departments = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID),
        required=False,
        min_length=1,
        max_length=MAX_RECIPIENTS,
        help_text="department_id of teams/: everybody in them and in their sub-departments",
    )
    tags = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=LARGEST_ID),
        required=False,
        min_length=1,
        max_length=MAX_RECIPIENTS,
        help_text="The provider's ids of member tags; administrators only.",
    )
    everybody = serializers.ChoiceField(
        choices=[True], required=False, help_text="All employees the app can see; administrators only."
    )


class DraftSerializer(Strict):
    """The body of POST messages/ and of the preview."""

    corp = serializers.CharField(max_length=64, help_text="corpid")
    to = RecipientsSerializer()
    content = ContentField(required=False)
    template = serializers.IntegerField(
        min_value=1, max_value=LARGEST_ID, required=False, help_text="id of templates/, instead of content"
    )
    variables = serializers.DictField(
        child=serializers.CharField(max_length=4000, allow_blank=True, trim_whitespace=False),
        required=False,
        help_text="{name: text} of the template's own variables",
    )
    not_before = serializers.DateTimeField(required=False, allow_null=True)
    expires_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="What is not sent by then is never sent."
    )
    urgent = serializers.BooleanField(
        required=False,
        help_text="Send it in quiet hours too, once another person has approved it (approve/).",
    )
    agent = serializers.CharField(
        max_length=64, required=False, allow_null=True, help_text="agentid; else the one connected first"
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "template" not in attrs and "content" not in attrs:
            words = _("Give a content or a template.")
            raise serializers.ValidationError({"content": [serializers.ErrorDetail(words, code="required")]})
        if "template" in attrs and "content" in attrs:
            words = _("Give a content or a template, one of the two.")
            raise serializers.ValidationError({"template": [serializers.ErrorDetail(words, code="invalid")]})
        if "variables" in attrs and "content" in attrs:
            words = _("Variables belong to a template.")
            raise serializers.ValidationError({"variables": [serializers.ErrorDetail(words, code="invalid")]})
        return attrs


class ErrandSerializer(serializers.ModelSerializer[Errand]):
    class Meta:
        model = Errand
        fields = ("kind", "state", "errcode", "code", "errmsg", "created_at")
        read_only_fields = fields


class MessageSerializer(serializers.ModelSerializer[Message]):
    corp = serializers.CharField(source="corp.corpid", help_text="corpid")
    content = serializers.SerializerMethodField(help_text="null for an auditor")
    errands = serializers.SerializerMethodField(help_text="Recalls, reminders and stops, oldest first.")
    counts = serializers.SerializerMethodField(help_text="{state of delivery: number}")
    created_by = serializers.SerializerMethodField(help_text="username")
    urgent = serializers.BooleanField(
        source="urgent_requested", help_text="Whether approval is asked for, to send it in quiet hours too."
    )
    urgent_approved_by = serializers.SerializerMethodField(help_text="username")
    pause_reason = serializers.ChoiceField(
        choices=["", *Message.PauseReason.values], help_text="Why it waits."
    )

    class Meta:
        model = Message
        fields: tuple[str, ...] = (
            "id",
            "corp",
            "to_kind",
            "msgtype",
            "content",
            "state",
            "counts",
            "not_before",
            "expires_at",
            "paused_at",
            "pause_reason",
            "urgent",
            "urgent_approved_at",
            "urgent_approved_by",
            "errands",
            "created_by",
            "created_at",
        )
        read_only_fields = fields

    @extend_schema_field(ErrandSerializer(many=True))
    def get_errands(self, message: Message) -> Any:
        return ErrandSerializer(self.context["errands"].get(message.pk, ()), many=True).data

    @extend_schema_field(ContentField(allow_null=True))
    def get_content(self, message: Message) -> dict[str, Any] | None:
        return message.content if self.context["caller"].reads_free_text else None

    def get_created_by(self, message: Message) -> str | None:
        return message.created_by.get_username() if message.created_by else None

    def get_urgent_approved_by(self, message: Message) -> str | None:
        return message.urgent_approved_by.get_username() if message.urgent_approved_by else None

    def get_counts(self, message: Message) -> dict[str, int]:
        return dict(self.context["counts"].get(message.pk, {}))


class SentSerializer(MessageSerializer):
    messages = serializers.ListField(
        child=serializers.IntegerField(),
        required=False,
        help_text="From a template: the ids of all messages made, several where it names its recipients.",
    )

    class Meta(MessageSerializer.Meta):
        fields = (*MessageSerializer.Meta.fields, "messages")
        read_only_fields = fields


class CancelledSerializer(MessageSerializer):
    cancelled = serializers.IntegerField(help_text="How many deliveries were taken back.")

    class Meta(MessageSerializer.Meta):
        fields = (*MessageSerializer.Meta.fields, "cancelled")
        read_only_fields = fields


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    contact = serializers.IntegerField(source="contact_id", allow_null=True, help_text="id of contacts/")
    final = serializers.SerializerMethodField(help_text="Nothing more will be heard of it (contract C9).")

    class Meta:
        model = Delivery
        fields = (
            "id",
            "to_kind",
            "to",
            "contact",
            "sender",
            "state",
            "final",
            "errcode",
            "code",
            "errmsg",
            "warning",
            "attempts",
            "next_attempt_at",
            "msgid",
            "recalled_at",
            "updated_at",
        )
        read_only_fields = fields

    def get_final(self, delivery: Delivery) -> bool:
        accepted = delivery.state == Delivery.State.ACCEPTED
        return delivery.state in Delivery.FINAL or (accepted and delivery.is_last_word)


class ResolveSerializer(Strict):
    """The body of POST …/resolve/ (contract C11)."""

    reason = serializers.CharField(max_length=500, help_text="Kept in the history.")

    def get_fields(self) -> dict[str, Any]:
        # `as` is a word of Python's own.
        choices = serializers.ChoiceField(choices=list(WORDS), help_text="What became of it.")
        return {"as": choices, **super().get_fields()}


class RecipientSerializer(serializers.Serializer[Any]):
    to_kind = serializers.CharField()
    to = serializers.CharField()
    name = serializers.CharField()
    contact = serializers.IntegerField(source="contact_id", allow_null=True)
    sender = serializers.CharField(help_text="userid in whose name a mass send goes out; else empty")
    sender_name = serializers.CharField()
    people = serializers.IntegerField(
        allow_null=True,
        help_text="Of a department and of everybody: active employees, as far as we know them.",
    )


class ExclusionSerializer(serializers.Serializer[Any]):
    pointer = serializers.CharField(help_text="Where in the body.")
    to = serializers.CharField()
    name = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ContentProblemSerializer(serializers.Serializer[Any]):
    pointer = serializers.CharField(help_text="Where in the body.")
    code = serializers.CharField()
    detail = serializers.CharField()
    warning = serializers.BooleanField(help_text="It can be sent all the same.")


class RecentSerializer(serializers.Serializer[Any]):
    contact = serializers.IntegerField(source="contact_id")
    name = serializers.CharField()
    by = serializers.CharField()
    at = serializers.DateTimeField()


class QuotaSerializer(serializers.Serializer[Any]):
    """How much more the provider takes."""

    kind = serializers.ChoiceField(
        choices=["app", "mass"],
        help_text="app: person-times of the app's messages to employees; mass: mass sends to one contact",
    )
    period = serializers.ChoiceField(choices=["day", "month"], help_text="on the corp's calendar")
    limit = serializers.IntegerField()
    used = serializers.IntegerField(help_text="of mass: by the recipient who has got most")
    left = serializers.IntegerField()
    last = serializers.IntegerField(help_text="of mass: for how many recipients this would be the last one")


class PreviewSerializer(serializers.Serializer[Any]):
    recipients = RecipientSerializer(many=True)
    excluded = ExclusionSerializer(many=True)
    problems = ContentProblemSerializer(many=True)
    calls = serializers.IntegerField(help_text="Calls to the provider.")
    recent = RecentSerializer(many=True, help_text="Recipients to whom a colleague wrote lately.")
    content = serializers.DictField(help_text="What the first recipient gets, as in the body.")
    texts = serializers.IntegerField(help_text="How many different contents; each becomes a message.")
    people = serializers.IntegerField(
        allow_null=True, help_text="All `people` of the recipients, each counted once."
    )
    doubtful = ExclusionSerializer(many=True, help_text="Recipients it may not reach; they are sent it.")
    quota = QuotaSerializer(allow_null=True, help_text="null where no limit is known")
