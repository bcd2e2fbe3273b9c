"""employees/, teams/, tags/: who and what can be named."""

from contacts.models import Tag, Team
from crm.models import Corp
from tests import factories
from tests.api.conftest import Cast


def test_an_employee_is_named_by_userid_and_tells_its_teams(cast: Cast) -> None:
    rows = cast.caller("lin").get("employees/?userid=wang").json()["results"]
    assert [(row["userid"], row["corp"], row["status"]) for row in rows] == [("wang", "ww-south", "active")]
    assert rows[0]["teams"] == [cast.south.pk]


def test_colleagues_of_another_corp_are_out_of_reach(cast: Cast) -> None:
    other = Corp.objects.create(corpid="ww-north", provider="wecom", dialect="official")
    factories.employee(other, "stranger")
    Tag.objects.create(corp=other, tag_id="et7", name="Theirs")

    def seen(who: str, path: str, key: str) -> set[str]:
        return {row[key] for row in cast.caller(who).get(path).json()["results"]}

    assert "stranger" not in seen("lin", "employees/", "userid")
    assert "stranger" in seen("sun", "employees/", "userid")
    assert seen("lin", "tags/", "id") == {"et1"}
    assert seen("sun", "tags/", "id") == {"et1", "et7"}


def test_a_team_tells_its_leaders_and_a_manager_sees_the_led_ones(cast: Cast) -> None:
    Team.objects.create(corp=cast.corp, department_id=3, name="Sub", parent=cast.south)
    Team.objects.create(corp=cast.corp, department_id=4, name="North")
    rows = cast.caller("zhao").get("teams/").json()["results"]
    assert {row["name"]: row["leaders"] for row in rows} == {"South team": ["zhao"], "Sub": []}
    assert len(cast.caller("sun").get("teams/").json()["results"]) == 3


def test_a_tag_has_the_providers_id(cast: Cast) -> None:
    (tag,) = cast.caller("lin").get("tags/?corp=ww-south").json()["results"]
    assert (tag["id"], tag["name"], tag["group"], tag["type"]) == ("et1", "VIP", "Level", 1)
