"""The base of what comes in: a field that does not exist is an error that names it (guarantees R4)."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail


class Strict(serializers.Serializer[Any]):
    """Refuses unknown fields, together with whatever else is wrong."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        unknown = self._unknown(data)
        try:
            value = super().run_validation(data)
        except serializers.ValidationError as error:
            if not unknown or not isinstance(error.detail, dict):
                raise
            raise serializers.ValidationError({**unknown, **error.detail}) from None
        if unknown:
            raise serializers.ValidationError(unknown)
        return value

    def _unknown(self, data: Any) -> dict[str, list[ErrorDetail]]:
        if not isinstance(data, Mapping):
            return {}
        names = [name for name in data if name not in self.fields]
        return {name: [self._refusal(name)] for name in names}

    def _refusal(self, name: str) -> ErrorDetail:
        return ErrorDetail(_("There is no field %s here.") % name, code="unknown_field")
