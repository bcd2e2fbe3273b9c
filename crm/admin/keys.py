"""API keys: who holds which, when it was used, and the way to revoke one. Keys are made by command, shown once."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from crm.admin_base import OversightMixin, ReadOnlyAdmin, is_administrator
from crm.admin_cells import badge, chips, moment, two_lines
from crm.models import ApiKey


@admin.register(ApiKey)
class ApiKeyAdmin(OversightMixin, ReadOnlyAdmin):
    list_display = ("key_cell", "user", "scopes_cell", "state_cell", "used_cell", "expires_cell")
    list_select_related = ("user",)
    waits_for_corp = False
    fields = ("key_cell", "user", "scopes_cell", "state_cell", "created_at", "used_cell", "expires_cell")
    change_form_outer_after_template = "admin/crm/key_tools.html"

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.fields

    def get_urls(self) -> list[URLPattern]:
        revoke = path(
            "<path:object_id>/revoke/", self.admin_site.admin_view(self.revoke_view), name="crm_apikey_revoke"
        )
        return [revoke, *super().get_urls()]

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.get_visible(request, object_id)
        if not is_administrator(request):
            raise PermissionDenied
        if request.method == "POST":
            ApiKey.objects.filter(pk=key.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())
            messages.success(request, _now("The key %(key)s is revoked.") % {"key": key})
            return HttpResponseRedirect(self.url("changelist"))
        return self.confirm_page(
            request,
            title=_("Revoke the key %(key)s") % {"key": key},
            text=_(
                "Programs that use it are answered 401 at once. A revoked key cannot come back; make a new one instead."
            ),
            button=_("Revoke"),
            tone="danger",
            obj=key,
            back=self.url("change", key.pk),
        )

    def empty_state(self, request: HttpRequest) -> dict[str, Any]:
        return {
            "title": _("No API key yet"),
            "text": _("A key is made by command and shown once; only its digest is kept."),
            "command": "python manage.py create_api_key --user NAME --scopes contacts:read,messages:send",
            "buttons": [],
        }

    @admin.display(description=_("key"), ordering="prefix")
    def key_cell(self, key: ApiKey) -> SafeString:
        return two_lines(key.name or str(key), f"{key}.…" if key.name else "")

    @admin.display(description=_("scopes"))
    def scopes_cell(self, key: ApiKey) -> SafeString:
        return chips(key.scopes)

    @admin.display(description=_("state"))
    def state_cell(self, key: ApiKey) -> SafeString:
        if key.revoked_at:
            return badge(_("revoked"), "cancelled")
        if key.expires_at and key.expires_at <= timezone.now():
            return badge(_("expired"), "expired")
        return (
            badge(_("usable"), "active")
            if key.user.is_active
            else badge(_("its login is disabled"), "failed")
        )

    @admin.display(description=_("last used"), ordering="last_used_at")
    def used_cell(self, key: ApiKey) -> SafeString:
        return moment(key.last_used_at)

    @admin.display(description=_("expires at"), ordering="expires_at")
    def expires_cell(self, key: ApiKey) -> SafeString:
        return moment(key.expires_at)
