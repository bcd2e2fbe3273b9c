"""The admins of the ground's tables, and the farewell to the pages that nobody here may see."""

from typing import Any

from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group

from crm.admin import agents, corps, events, keys

__all__ = ["agents", "corps", "events", "keys"]

# django-q2's own admin stores any dotted path and runs it (guarantees F5); groups are our roles, set by code.
_hidden: list[Any] = [*apps.get_app_config("django_q").get_models(), Group]
for _model in _hidden:
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
