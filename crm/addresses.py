"""The address of a provider as people type it: scheme, host and port, and nothing else (contract F2)."""

import re
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import gettext as _

from crm.errors import Invalid

HOST_AND_PORT = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.]+\])(:[1-9]\d{0,4})?")


def provider_address(typed: str) -> str:
    """`typed` without a slash at its end; plain HTTP only where private addresses are allowed. Raises Invalid."""
    if not _is_server(typed):
        raise Invalid(_("Only scheme, host and port belong here, such as https://qyapi.weixin.qq.com."))
    parts = urlsplit(typed)
    if parts.scheme == "http" and not settings.CRM_ALLOW_PRIVATE_UPSTREAM:
        raise Invalid(_("The address must begin with https://."))
    return f"{parts.scheme}://{parts.netloc}"


def _is_server(typed: str) -> bool:
    try:
        parts = urlsplit(typed)
        parts.port  # noqa: B018 - raises above 65535
    except ValueError:
        return False
    more = parts.path.strip("/") or parts.query or parts.fragment
    return parts.scheme in {"http", "https"} and bool(HOST_AND_PORT.fullmatch(parts.netloc)) and not more
