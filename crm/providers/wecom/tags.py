"""Corp customer tags with their groups (wecom.md 3.5)."""

from collections.abc import Iterator
from typing import Any

from crm.providers.errors import Malformed
from crm.providers.reading import Unstorable, as_list, number, plain
from crm.providers.records import MAX_TIME, TagRecord
from crm.providers.wecom.caller import Caller


def read_tags(caller: Caller) -> tuple[TagRecord, ...]:
    """Every tag that is not deleted; entries without id or name are left out."""
    data = caller.read("externalcontact/get_corp_tag_list", body={}, expect="tag_group").data
    if "tag_group" not in data:
        raise Malformed("get_corp_tag_list answered without its list.", code="no_list")
    groups = (group for group in as_list(data["tag_group"]) if isinstance(group, dict))
    return tuple(tag for group in groups if not group.get("deleted") for tag in _tags_of(group))


def _tags_of(group: dict[str, Any]) -> Iterator[TagRecord]:
    for entry in as_list(group.get("tag")):
        if not isinstance(entry, dict) or entry.get("deleted"):
            continue
        try:
            tag = _tag(entry, group)
        except Unstorable:
            continue
        if tag.tag_id and tag.name:
            yield tag


def _tag(entry: dict[str, Any], group: dict[str, Any]) -> TagRecord:
    order = number(entry, "order", low=0, high=MAX_TIME)
    return TagRecord(
        tag_id=plain(entry, "id", limit="tag_id"),
        name=plain(entry, "name", limit="tag"),
        group=plain(group, "group_name", limit="tag"),
        group_id=plain(group, "group_id", limit="tag_id"),
        order=order if isinstance(order, int) else 0,
    )
