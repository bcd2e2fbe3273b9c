"""What may be given as the address of a provider, by the command and by the form (contract F2)."""

from typing import Any

import pytest

from crm.addresses import provider_address
from crm.errors import Invalid


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("https://qyapi.weixin.qq.com/", "https://qyapi.weixin.qq.com"),
        ("http://127.0.0.1:8801", "http://127.0.0.1:8801"),
        ("https://[::1]:8443", "https://[::1]:8443"),
        ("http://simulator:8801", "http://simulator:8801"),
    ],
)
def test_scheme_host_and_port_are_kept(typed: str, kept: str) -> None:
    assert provider_address(typed) == kept


@pytest.mark.parametrize(
    "more",
    [
        "h/cgi-bin",
        "h?a=1",
        "h#a",
        "u:p@h",
        ":p@h",
        "u@h",
        "h:99999",
        "h:0",
        "h:",
        "h:x",
        "[::1",
        "a b",
        "",
        "h\\a",
    ],
)
def test_anything_more_is_refused(more: str) -> None:
    with pytest.raises(Invalid):
        provider_address(f"https://{more}")


@pytest.mark.parametrize("typed", ["ftp://h", "qyapi.weixin.qq.com", "//h", "javascript:alert(1)", "https:h"])
def test_another_scheme_is_refused(typed: str) -> None:
    with pytest.raises(Invalid):
        provider_address(typed)


def test_plain_http_is_refused_where_private_addresses_are(settings: Any) -> None:
    settings.CRM_ALLOW_PRIVATE_UPSTREAM = False
    assert provider_address("https://h.example")
    with pytest.raises(Invalid):
        provider_address("http://h.example")
