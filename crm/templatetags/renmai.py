"""The cells of crm.admin_cells, for templates."""

from datetime import datetime
from typing import Any

from django import template
from django.utils import timezone

from crm import admin_cells

register = template.Library()

register.filter("moment", admin_cells.moment)
register.filter("age", admin_cells.age)
register.simple_tag(admin_cells.badge, name="badge")
register.simple_tag(admin_cells.avatar, name="avatar")
register.simple_tag(admin_cells.chips, name="chips")


@register.filter
def state(row: Any, field: str = "state") -> str:
    """The badge of a row's state: `{{ run|state }}`."""
    return admin_cells.state_badge(row, field)


@register.filter
def percent(part: int, whole: int) -> int:
    return min(100, round(100 * part / whole)) if whole else 0


@register.filter
def at(mapping: dict[Any, Any], key: Any) -> Any:
    return mapping.get(key, "")


@register.simple_tag
def overdue(at: datetime | None) -> str:
    return admin_cells.moment(at, overdue=at is not None and at < timezone.now())
