"""Urgent messages: who asks to write in quiet hours is told apart, and a second person says yes."""

from typing import Any

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from unfold.contrib.filters.admin import DropdownFilter

from messaging import control


class ApprovalFilter(DropdownFilter):
    title = _("approval")
    parameter_name = "approval"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[Any, Any]]:
        return [("waiting", _("waits for approval"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> QuerySet:
        if not self.value():
            return queryset
        return queryset.unapproved() if self.value() == "waiting" else queryset.none()


class ApprovalMixin:
    def approval_urls(self: Any) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.approve_view)
        return [path("<int:pk>/approve/", view, name="messaging_message_approve")]

    def approve_view(self: Any, request: HttpRequest, pk: int) -> HttpResponse:
        message = self.get_visible(request, pk)
        if not request.user.has_perm(control.APPROVE):
            raise PermissionDenied
        if request.method == "POST":
            return self._act(request, pk, control.approve, _now("Approved: quiet hours do not hold it."))
        return self.confirm_page(
            request,
            title=_("Approve message %(n)s") % {"n": message.pk},
            text=_("It then goes out at once, in quiet hours as well."),
            lines=self.told_of(request, message),
            button=_("Approve"),
            obj=message,
            back=self.url("change", pk),
        )
