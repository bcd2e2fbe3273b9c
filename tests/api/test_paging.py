"""Lists: the envelope, links that keep filters, pages that stay put (contract C1, guarantees R5)."""

import pytest

from tests import factories
from tests.api.conftest import Caller, Cast


@pytest.fixture
def many(cast: Cast) -> Cast:
    for n in range(12):
        factories.contact(cast.corp, f"wm-{n:02d}", name=f"N{n:02d}")
    return cast


def walk(caller: Caller, path: str, link: str = "next") -> list[list[int]]:
    """The ids of each page from `path` on."""
    pages = []
    while path:
        told = caller.get(path).json()
        pages.append([row["id"] for row in told["results"]])
        path = told[link]
    return pages


def test_a_list_is_walked_by_next_and_back_by_previous(many: Cast, sun: Caller) -> None:
    pages = walk(sun, "contacts/?limit=4")
    assert [len(page) for page in pages] == [4, 4, 4, 3]
    flat = [pk for page in pages for pk in page]
    assert flat == sorted(flat, reverse=True)
    third = sun.get(sun.get(sun.get("contacts/?limit=4").json()["next"]).json()["next"]).json()
    assert walk(sun, third["previous"], "previous") == [pages[1], pages[0]]


@pytest.mark.parametrize("ordering", ["id", "-id", "created_at", "-created_at", "updated_at", "-updated_at"])
def test_every_ordering_shows_every_row_once(many: Cast, sun: Caller, ordering: str) -> None:
    from contacts.models import Contact

    Contact.objects.filter(pk__lte=many.contacts["qian"].pk).update(
        created_at=many.contacts["lin"].created_at, updated_at=many.contacts["lin"].created_at
    )
    pages = walk(sun, f"contacts/?limit=2&ordering={ordering}")
    flat = [pk for page in pages for pk in page]
    field = ordering.lstrip("-")
    expected = Contact.objects.order_by(ordering, ordering.replace(field, "pk"))
    assert flat == list(expected.values_list("pk", flat=True))


def test_pages_are_stable_while_rows_are_inserted(many: Cast, sun: Caller) -> None:
    before = [pk for page in walk(sun, "contacts/?limit=4") for pk in page]
    first = sun.get("contacts/?limit=4").json()
    factories.contact(many.corp, "wm-late")
    after = [row["id"] for row in first["results"]]
    after += [pk for page in walk(sun, first["next"]) for pk in page]
    assert after == before


def test_next_is_absolute_and_keeps_all_filters(many: Cast, sun: Caller) -> None:
    answer = sun.get("contacts/?limit=2&q=N&state=active&state=pending")
    link = answer.json()["next"]
    assert link.startswith("http://testserver/api/v1/contacts/?")
    assert all(part in link for part in ("limit=2", "q=N", "state=active", "state=pending", "cursor="))
    assert answer["Link"] == f'<{link}>; rel="next"'
    assert sun.get(link)["Link"].endswith('rel="previous"')


def test_the_first_and_the_last_page_say_so(many: Cast, sun: Caller) -> None:
    only = sun.get("contacts/?limit=200").json()
    assert (only["next"], only["previous"], len(only["results"])) == (None, None, 15)
    empty = sun.get("contacts/?q=nothing").json()
    assert empty == {"results": [], "next": None, "previous": None}


def test_a_cursor_under_other_filters_is_400(many: Cast, sun: Caller) -> None:
    link = sun.get("contacts/?limit=2&q=N").json()["next"]
    assert sun.get(link.replace("limit=2", "limit=3")).status_code == 200
    for bent in (link.replace("q=N", "q=C"), link.replace("contacts/", "follow-users/").replace("q=N&", "")):
        answer = sun.get(bent)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, "filters_changed")


def test_a_forged_cursor_is_400(many: Cast, sun: Caller) -> None:
    link = sun.get("contacts/?limit=2").json()["next"]
    answer = sun.get(link[:-1] + ("A" if link[-1] != "A" else "B"))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/cursor")


def test_a_limit_above_the_maximum_is_400_naming_it(many: Cast, sun: Caller) -> None:
    assert sun.get("contacts/?limit=200").status_code == 200
    answer = sun.get("contacts/?limit=201")
    assert answer.status_code == 400
    assert "200" in answer.json()["detail"]
