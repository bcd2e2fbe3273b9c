"""The page of a corp: what an administrator may set there."""

from typing import Any

import pytest

from crm.models import Corp
from tests.admin.conftest import Browser, Cast

FORM = {"name": "South", "base_url": "https://qyapi.weixin.qq.com", "is_active": "on"}


def page(cast: Cast, sun: Browser) -> str:
    return sun.get(f"crm/corp/{cast.corp.pk}/change/").content.decode()


def test_the_time_zone_is_found_by_typing_and_the_default_is_shown(
    cast: Cast, sun: Browser, settings: Any
) -> None:
    told = page(cast, sun)
    assert f'placeholder="{settings.TIME_ZONE}"' in told
    assert 'list="time_zone-choices"' in told
    assert '<option value="Asia/Tokyo">' in told
    assert '<option value="PRC">' not in told


@pytest.mark.parametrize(
    ("zone", "kept"), [("Asia/Tokyo", "Asia/Tokyo"), ("Etc/GMT-9", "Etc/GMT-9"), ("", ""), ("Tokyo", "")]
)
def test_a_time_zone_is_kept_when_there_is_one(cast: Cast, sun: Browser, zone: str, kept: str) -> None:
    answer = sun.post(f"crm/corp/{cast.corp.pk}/change/", {**FORM, "time_zone": zone})
    assert (answer.status_code == 200) == (zone == "Tokyo")
    assert Corp.objects.get().time_zone == kept
    if zone and kept:
        assert f'value="{zone}"' in page(cast, sun)
