"""What may be asked for at all: the scope of the key times the verb of the role. Which rows, is `visible_to`."""

from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from crm.api.authentication import Caller

if TYPE_CHECKING:  # DRF's views import this module
    from rest_framework.views import APIView

READS = {"HEAD": "GET", "OPTIONS": "GET"}


class ScopedPermission(BasePermission):
    """Every view says per method which scope a key needs and which permissions a role needs.

    `required_scopes = {"GET": "contacts:read"}` and `required_permissions = {"GET": ("contacts.view_contact",)}`.
    "" and () stand for none; a method that a view answers without saying so is a fault of ours and raises KeyError.
    """

    def has_permission(self, request: Request, view: "APIView") -> bool:
        if not request.user or not request.user.is_authenticated:
            return False
        method = READS.get(str(request.method), str(request.method))
        if not hasattr(view, method.lower()):
            return True  # 405 follows
        _require_scope(Caller.of(request), self._required(view, "required_scopes", method))
        if not request.user.has_perms(self._required(view, "required_permissions", method)):
            raise PermissionDenied(_("Your role does not allow this."), code="forbidden")
        return True

    @staticmethod
    def _required(view: "APIView", attribute: str, method: str) -> Any:
        return getattr(view, attribute)[method]


def _require_scope(caller: Caller, scope: str) -> None:
    if scope and not caller.has_scope(scope):
        raise PermissionDenied(_("This key lacks the scope %s.") % scope, code="insufficient_scope")
