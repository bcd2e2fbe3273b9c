"""The mirror's rows as JSON (docs/reference/contract.md, Shapes), and the bodies that POST and PATCH take.

What rows lack (tags by id, the last `seq`) is looked up once per page by `contacts.api.lookups` and passed in the
context, beside `caller`.
"""

from typing import Any

from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail

from contacts.models import Contact, FollowUser, Tag
from crm.api.serializers import Strict
from crm.events import mask_id, mask_phone
from crm.providers.records import LIMITS


class FollowTagSerializer(serializers.Serializer[Any]):
    """A tag on a follow user; `id` is the provider's, null for a personal tag (type 2)."""

    id = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    group = serializers.CharField()
    type = serializers.IntegerField()


class FollowUserSerializer(serializers.ModelSerializer[FollowUser]):
    userid = serializers.CharField(source="employee.userid")
    name = serializers.CharField(source="employee.name", help_text="Of the employee.")
    role = serializers.CharField(help_text="owner or shared where a provider tells them apart, else empty")
    remark = serializers.SerializerMethodField(help_text="null for an auditor")
    description = serializers.SerializerMethodField(help_text="null for an auditor")
    createtime = serializers.IntegerField(allow_null=True, help_text="Unix seconds")
    add_way = serializers.IntegerField()
    tags = serializers.SerializerMethodField()
    remark_mobiles = serializers.SerializerMethodField(help_text="masked without the scope contacts:pii")

    class Meta:
        model = FollowUser
        fields: tuple[str, ...] = (
            "id",
            "userid",
            "name",
            "role",
            "remark",
            "description",
            "createtime",
            "add_way",
            "state",
            "tags",
            "remark_corp_name",
            "remark_mobiles",
            "stage",
            "next_follow_up_at",
            "last_follow_up_at",
            "ended_at",
            "absent_since",
        )
        read_only_fields = fields

    def get_remark(self, follow: FollowUser) -> str | None:
        return follow.remark if self.context["caller"].reads_free_text else None

    def get_description(self, follow: FollowUser) -> str | None:
        return follow.description if self.context["caller"].reads_free_text else None

    def get_remark_mobiles(self, follow: FollowUser) -> list[str]:
        mobiles = [str(mobile) for mobile in follow.remark_mobiles]
        return mobiles if self.context["caller"].reads_phones else [mask_phone(mobile) for mobile in mobiles]

    @extend_schema_field(FollowTagSerializer(many=True))
    def get_tags(self, follow: FollowUser) -> list[dict[str, Any]]:
        known: dict[tuple[int, str], Tag] = self.context["tags"]
        tags = [_tag(tag_id, known.get((follow.employee.corp_id, tag_id))) for tag_id in follow.tag_ids]
        return tags + [
            {"id": None, "name": name, "group": "", "type": Tag.Type.PERSONAL.value}
            for name in follow.personal_tags
        ]


def _tag(tag_id: str, row: Tag | None) -> dict[str, Any]:
    """A tag of a follow user; without a name as long as the provider has not told one."""
    if row is None:
        return {"id": tag_id, "name": "", "group": "", "type": Tag.Type.CORP.value}
    return {"id": tag_id, "name": row.name, "group": row.group_name, "type": row.type}


class AssignmentSerializer(FollowUserSerializer):
    """A follow user on its own: with the contact it belongs to (contract C3)."""

    contact = serializers.IntegerField(source="contact_id", help_text="id of the contact")
    external_userid = serializers.CharField(source="contact.external_userid")
    corp = serializers.CharField(source="contact.corp.corpid", help_text="corpid")

    class Meta(FollowUserSerializer.Meta):
        fields = (*FollowUserSerializer.Meta.fields, "contact", "external_userid", "corp")
        read_only_fields = fields


class WayOfContactSerializer(serializers.Serializer[Any]):
    """The QR code by which a contact created here comes to be."""

    id = serializers.IntegerField()
    qr_code = serializers.CharField(help_text="The provider's address of the picture, once it is made.")
    state = serializers.CharField(help_text="As of contact-ways/.")
    expires_at = serializers.DateTimeField(allow_null=True)


class ContactSerializer(serializers.ModelSerializer[Contact]):
    corp = serializers.CharField(source="corp.corpid", help_text="corpid")
    type = serializers.IntegerField(help_text="1 WeChat user, 2 WeCom user")
    gender = serializers.IntegerField(help_text="0 unknown, 1 male, 2 female")
    unionid = serializers.SerializerMethodField(help_text="masked without the scope contacts:pii")
    follow_users = FollowUserSerializer(many=True, help_text="Current first (`ended_at` null), then ended.")
    contact_way = serializers.SerializerMethodField(
        help_text="While it waits for the person to scan; null otherwise."
    )
    seq = serializers.SerializerMethodField(help_text="The last event that concerns this contact; 0: none.")

    class Meta:
        model = Contact
        fields = (
            "id",
            "corp",
            "external_userid",
            "name",
            "nickname",
            "avatar",
            "type",
            "gender",
            "position",
            "corp_name",
            "corp_full_name",
            "unionid",
            "state",
            "create_error",
            "contact_way",
            "opted_out_at",
            "follow_users",
            "created_at",
            "updated_at",
            "seq",
        )
        read_only_fields = fields

    @extend_schema_field(WayOfContactSerializer(allow_null=True))
    def get_contact_way(self, contact: Contact) -> dict[str, Any] | None:
        way = getattr(contact, "contact_way", None)
        if way is None or contact.state not in (Contact.State.PENDING, Contact.State.FAILED):
            return None
        return dict(WayOfContactSerializer(way).data)

    def get_unionid(self, contact: Contact) -> str:
        return contact.unionid if self.context["caller"].reads_phones else mask_id(contact.unionid)

    def get_seq(self, contact: Contact) -> int:
        return int(self.context["seqs"].get(contact.pk, 0))


class NewContactSerializer(Strict):
    """The body of POST contacts/ (contract C5)."""

    corp = serializers.CharField(max_length=64, help_text="corpid")
    external_userid = serializers.CharField(max_length=LIMITS["external_userid"], required=False)
    name = serializers.CharField(max_length=LIMITS["name"])
    nickname = serializers.CharField(max_length=LIMITS["nickname"], required=False, allow_blank=True)
    gender = serializers.ChoiceField(choices=Contact.Gender.choices, required=False)
    position = serializers.CharField(max_length=LIMITS["position"], required=False, allow_blank=True)
    corp_name = serializers.CharField(max_length=LIMITS["corp_name"], required=False, allow_blank=True)
    type = serializers.ChoiceField(choices=Contact.Type.choices, required=False)
    follow_users = serializers.ListField(
        child=serializers.CharField(max_length=LIMITS["userid"]), min_length=1, max_length=100
    )
    mobile = serializers.CharField(
        max_length=64,
        required=False,
        help_text="DingTalk only, and required there: 13900000001, or +86-13900000001.",
    )
    tags = serializers.ListField(
        child=serializers.CharField(max_length=LIMITS["tag_id"]),
        required=False,
        max_length=100,
        help_text="DingTalk only, and required there: 1 to 20 ids of labels.",
    )
    remark = serializers.CharField(
        max_length=LIMITS["remark"], required=False, allow_blank=True, help_text="DingTalk only."
    )


class CardSerializer(Strict):
    """The body of PATCH contacts/{id}/card/: what is to change at the provider."""

    name = serializers.CharField(max_length=LIMITS["name"], required=False)
    position = serializers.CharField(max_length=LIMITS["position"], required=False, allow_blank=True)
    corp_name = serializers.CharField(max_length=LIMITS["corp_name"], required=False, allow_blank=True)
    remark = serializers.CharField(max_length=LIMITS["remark"], required=False, allow_blank=True)
    tags = serializers.ListField(
        child=serializers.CharField(max_length=LIMITS["tag_id"]), required=False, max_length=100
    )
    owner = serializers.CharField(
        max_length=LIMITS["userid"], required=False, help_text="Whom it is handed over to: a userid."
    )


class ContactPatchSerializer(Strict):
    """What is ours of a contact: what the provider tells, the sync writes."""

    opted_out = serializers.BooleanField(required=False, help_text="Asked not to be written to.")

    def _refusal(self, name: str) -> ErrorDetail:
        if name in ContactSerializer.Meta.fields:
            return ErrorDetail(_("This field is read only."), code="read_only")
        return super()._refusal(name)


class FollowUpSerializer(Strict):
    """The body of PATCH follow-users/{id}/."""

    stage = serializers.ChoiceField(choices=FollowUser.Stage.choices, required=False)
    next_follow_up_at = serializers.DateTimeField(required=False, allow_null=True)

    def _refusal(self, name: str) -> ErrorDetail:
        if name in AssignmentSerializer.Meta.fields:
            return ErrorDetail(_("This field is read only."), code="read_only")
        return super()._refusal(name)
