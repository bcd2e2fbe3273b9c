"""Roles × routes × verbs: every refusal beside its success (guarantees R1, R2; contract C12)."""

from typing import Any

import pytest
from django.urls import URLPattern, URLResolver

from contacts.models import SyncRun
from crm.api import urls
from crm.models import Corp
from messaging.models import Delivery
from tests import factories
from tests.api.conftest import Caller, Cast, person, text, upload

# For each role the answer to each route, in the order of ROLES. 404: out of reach; 403: not this role's verb.
ROLES = ("lin", "zhao", "sun", "shen", "nobody")
READS = {
    "contacts/": (200, 200, 200, 200, 403),
    "contacts/{lin}/": (200, 200, 200, 200, 403),
    "contacts/{wang}/": (404, 200, 200, 200, 403),
    "contacts/{qian}/": (404, 404, 200, 200, 403),
    "contacts/{qian}/follow-users/": (404, 404, 200, 200, 403),
    "contacts/{qian}/timeline/": (404, 404, 200, 200, 403),
    "contacts/{lin}/follow-users/": (200, 200, 200, 200, 403),
    "contacts/{lin}/timeline/": (200, 200, 200, 200, 403),
    "follow-users/": (200, 200, 200, 200, 403),
    "follow-users/{follow_of_qian}/": (404, 404, 200, 200, 403),
    "follow-users/{follow_of_lin}/": (200, 200, 200, 200, 403),
    "contact-ways/": (200, 200, 200, 200, 403),
    "contact-ways/{way_of_lin}/": (200, 200, 200, 200, 403),
    "contact-ways/{way_of_qian}/": (404, 404, 200, 200, 403),
    "contact-ways/{way_of_lin}/qr/": (200, 200, 200, 200, 403),
    "contact-ways/{way_of_qian}/qr/": (404, 404, 200, 200, 403),
    "employees/": (200, 200, 200, 200, 403),
    "teams/": (403, 200, 200, 200, 403),
    "tags/": (200, 200, 200, 200, 403),
    "messages/": (200, 200, 200, 200, 403),
    "messages/{message_of_lin}/": (200, 200, 200, 200, 403),
    "messages/{message_of_lin}/deliveries/": (200, 200, 200, 200, 403),
    "messages/{message_of_sun}/": (404, 404, 200, 200, 403),
    "messages/{message_of_sun}/deliveries/": (404, 404, 200, 200, 403),
    "templates/": (200, 200, 200, 403, 403),
    "templates/{template}/": (200, 200, 200, 403, 403),
    "welcomes/": (200, 200, 200, 403, 403),
    "welcomes/{welcome}/": (200, 200, 200, 403, 403),
    "greetings/": (200, 200, 200, 200, 403),
    "greetings/{greeting_of_lin}/": (200, 200, 200, 200, 403),
    "greetings/{greeting_of_qian}/": (404, 404, 200, 200, 403),
    "media/": (200, 200, 200, 403, 403),
    "media/{media}/": (200, 200, 200, 403, 403),
    "media/{media}/content/": (200, 200, 200, 403, 403),
    "received-messages/": (200, 200, 200, 200, 403),
    "received-messages/{received_of_lin}/": (200, 200, 200, 200, 403),
    "received-messages/{received_of_lin}/content/": (200, 200, 200, 403, 403),
    "received-messages/{received_of_qian}/": (404, 404, 200, 200, 403),
    "received-messages/{received_of_qian}/content/": (404, 404, 200, 403, 403),
    "sync-runs/": (403, 200, 200, 200, 403),
    "sync-runs/{run}/": (403, 200, 200, 200, 403),
    "sync-runs/{run}/quarantine/": (403, 200, 200, 200, 403),
    "events/": (403, 403, 200, 200, 403),
    "me/": (200, 200, 200, 200, 200),
}
WRITES: dict[tuple[str, str], tuple[int, ...]] = {
    ("POST", "contacts/"): (201, 201, 201, 403, 403),
    ("PATCH", "contacts/{lin}/"): (400, 400, 400, 403, 403),
    ("PATCH", "contacts/{lin}/card/"): (409, 409, 409, 403, 403),
    ("PATCH", "contacts/{qian}/card/"): (404, 404, 409, 403, 403),
    ("DELETE", "contacts/{lin}/card/"): (403, 403, 409, 403, 403),
    ("PATCH", "follow-users/{follow_of_lin}/"): (200, 200, 200, 403, 403),
    ("PATCH", "follow-users/{follow_of_qian}/"): (404, 404, 200, 403, 403),
    ("POST", "contact-ways/"): (201, 201, 201, 403, 403),
    ("PATCH", "contact-ways/{way_of_lin}/"): (200, 200, 200, 403, 403),
    ("PATCH", "contact-ways/{way_of_qian}/"): (404, 404, 200, 403, 403),
    ("DELETE", "contact-ways/{way_of_lin}/"): (204, 204, 204, 403, 403),
    ("DELETE", "contact-ways/{way_of_qian}/"): (404, 404, 204, 403, 403),
    ("POST", "messages/"): (202, 202, 202, 403, 403),
    ("POST", "messages/preview/"): (200, 200, 200, 403, 403),
    ("POST", "messages/{message_of_lin}/cancel/"): (200, 200, 200, 403, 403),
    ("POST", "messages/{message_of_sun}/cancel/"): (404, 404, 200, 403, 403),
    ("POST", "messages/{message_of_lin}/pause/"): (200, 200, 200, 403, 403),
    ("POST", "messages/{message_of_sun}/pause/"): (404, 404, 200, 403, 403),
    ("POST", "messages/{message_of_lin}/resume/"): (200, 200, 200, 403, 403),
    ("POST", "messages/{message_of_sun}/resume/"): (404, 404, 200, 403, 403),
    ("POST", "messages/{message_of_lin}/approve/"): (403, 409, 409, 403, 403),
    ("POST", "messages/{message_of_sun}/approve/"): (403, 404, 409, 403, 403),
    ("POST", "messages/{urgent_of_zhao}/approve/"): (403, 403, 200, 403, 403),
    ("POST", "messages/{message_of_lin}/recall/"): (409, 409, 409, 403, 403),
    ("POST", "messages/{message_of_sun}/recall/"): (404, 404, 409, 403, 403),
    ("POST", "messages/{message_of_lin}/remind/"): (400, 400, 400, 403, 403),
    ("POST", "messages/{message_of_sun}/remind/"): (404, 404, 400, 403, 403),
    ("POST", "messages/{message_of_lin}/stop/"): (400, 400, 400, 403, 403),
    ("POST", "messages/{message_of_sun}/stop/"): (404, 404, 400, 403, 403),
    ("POST", "messages/{message_of_lin}/deliveries/{delivery_of_lin}/resolve/"): (403, 409, 409, 403, 403),
    ("POST", "messages/{message_of_sun}/deliveries/{delivery_of_sun}/resolve/"): (403, 404, 409, 403, 403),
    ("POST", "templates/"): (403, 201, 201, 403, 403),
    ("PATCH", "templates/{template}/"): (403, 200, 200, 403, 403),
    ("DELETE", "templates/{template}/"): (403, 204, 204, 403, 403),
    ("POST", "welcomes/"): (403, 201, 201, 403, 403),
    ("PATCH", "welcomes/{welcome}/"): (403, 200, 200, 403, 403),
    ("PATCH", "welcomes/{welcome_of_all}/"): (403, 403, 200, 403, 403),
    ("DELETE", "welcomes/{welcome}/"): (403, 204, 204, 403, 403),
    ("POST", "media/"): (201, 201, 201, 403, 403),
    ("PATCH", "media/{media}/"): (403, 200, 200, 403, 403),
    ("POST", "sync-runs/"): (403, 403, 202, 403, 403),
    ("POST", "sync-runs/{run}/confirm/"): (403, 403, 409, 403, 403),
}


@pytest.fixture
def ids(cast: Cast) -> dict[str, int]:
    """What the placeholders of the tables stand for."""
    found = {name: contact.pk for name, contact in cast.contacts.items()}
    found |= {f"follow_of_{name}": follow.pk for name, follow in cast.follows.items()}
    for name in ("lin", "qian"):
        found[f"way_of_{name}"] = factories.contact_way(cast.corp, cast.employees[name]).pk
    for name in ("lin", "sun"):
        answer = cast.caller(name).post("messages/", text(cast.contacts["lin"].pk))
        found[f"message_of_{name}"] = answer.json()["id"]
        found[f"delivery_of_{name}"] = Delivery.objects.get(message=answer.json()["id"]).pk
    asks = cast.caller("zhao").post("messages/", text(cast.contacts["lin"].pk, urgent=True))
    found["urgent_of_zhao"] = asks.json()["id"]
    found["template"] = factories.template(cast.corp).pk
    of_lin = {"scope": "employees", "employees": [cast.employees["lin"]]}
    found["welcome"] = factories.welcome(cast.corp, name="those of Lin", is_active=False, **of_lin).pk
    found["welcome_of_all"] = factories.welcome(cast.corp, name="everybody's", is_active=False).pk
    for name in ("lin", "qian"):
        found[f"greeting_of_{name}"] = factories.greeting(cast.employees[name], cast.contacts[name]).pk
    found["media"] = factories.media_file(cast.corp).pk
    for name in ("lin", "qian"):
        found[f"received_of_{name}"] = factories.received(cast.corp, name, kind="image").pk
    found["run"] = SyncRun.objects.create(corp=cast.corp, trigger="command", state="complete").pk
    return found


def body(method: str, path: str, cast: Cast) -> dict[str, Any]:
    if path == "contacts/":
        return person()
    if path in {"messages/", "messages/preview/"}:
        return text(cast.contacts["lin"].pk)
    if path == "templates/":
        return {"corp": "ww-south", "name": "greeting", "content": text(1)["content"]}
    if path.startswith("welcomes/"):
        Corp.objects.update(dialect="official")
        told = {"name": "hello", "scope": "employees", "employees": ["lin"]}
        more = {"corp": "ww-south", "template": factories.template(cast.corp).pk}
        return {**told, **more} if method == "POST" else told if method == "PATCH" else {}
    if path == "media/":
        return upload()
    if path.startswith("follow-users/"):
        return {"stage": "won"}
    if path == "contact-ways/":
        cast.corp.dialect = "official"  # the only one that has them
        cast.corp.save()
        return {"corp": "ww-south", "campaign": "Autumn fair", "employees": ["lin"]}
    if path.startswith("contact-ways/"):
        return {"campaign": "x"} if method == "PATCH" else {}
    if path.endswith("resolve/"):
        return {"as": "failed", "reason": "asked"}
    if path == "sync-runs/":
        return {"corp": "ww-south"}
    return {"name": "x"} if method == "PATCH" else {}


@pytest.mark.parametrize("role", ROLES)
def test_reads_are_answered_as_the_matrix_says(cast: Cast, ids: dict[str, int], role: str) -> None:
    caller = cast.caller(role)
    found = {path: caller.get(path.format(**ids)).status_code for path in READS}
    assert found == {path: answers[ROLES.index(role)] for path, answers in READS.items()}


@pytest.mark.parametrize("n", range(len(ROLES)), ids=ROLES)
@pytest.mark.parametrize(("method", "path"), WRITES)
def test_a_write_is_answered_as_the_matrix_says(
    cast: Cast, ids: dict[str, int], method: str, path: str, n: int
) -> None:
    caller = cast.caller(ROLES[n])
    send = caller.upload if path == "media/" else getattr(caller, method.lower())
    answer = send(path.format(**ids), body(method, path, cast))
    assert answer.status_code == WRITES[method, path][n], answer.content


def test_nobody_gets_in_without_a_key(ids: dict[str, int]) -> None:
    paths = [*READS, *(path for _method, path in WRITES)]
    assert {Caller().get(path.format(**ids)).status_code for path in paths} == {401}


def routes(patterns: list[Any], before: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            found += routes(pattern.url_patterns, before + str(pattern.pattern))
        elif isinstance(pattern, URLPattern) and hasattr(pattern.callback, "cls"):
            found.append((before + str(pattern.pattern), pattern.callback.cls))
    return found


def test_every_route_and_verb_stands_in_the_matrix() -> None:
    def plain(path: str) -> str:
        return "/".join("*" if part[:1] in "{<" and part else part for part in path.split("/"))

    told = {("GET", plain(path)) for path in READS} | {(method, plain(path)) for method, path in WRITES}
    exist = {
        (method, plain(path))
        for path, view in routes(urls.urlpatterns)
        if path not in {"schema/", "docs/"}
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE")
        if hasattr(view, method.lower())
    }
    assert told == exist


def test_an_id_out_of_reach_is_answered_exactly_like_one_that_does_not_exist(cast: Cast, lin: Caller) -> None:
    def without_id(answer: Any) -> Any:
        return {k: v for k, v in answer.json().items() if k not in {"instance", "request_id"}}

    hidden, absent = lin.get(f"contacts/{cast.contacts['qian'].pk}/"), lin.get("contacts/987654/")
    assert hidden.status_code == absent.status_code == 404
    assert without_id(hidden) == without_id(absent)
    hidden = lin.post("messages/", text(cast.contacts["qian"].pk))
    absent = lin.post("messages/", text(987654))
    assert hidden.status_code == absent.status_code == 400
    assert without_id(hidden) == without_id(absent)


def test_a_list_holds_what_is_in_reach_and_nothing_else(cast: Cast) -> None:
    def names(who: str) -> set[str]:
        return {row["external_userid"] for row in cast.caller(who).get("contacts/").json()["results"]}

    assert names("lin") == {"wm-lin"}
    assert names("zhao") == {"wm-lin", "wm-wang"}
    assert names("sun") == names("shen") == {"wm-lin", "wm-wang", "wm-qian"}


@pytest.mark.parametrize("odd", ["abc", "0", "-1", "99999999999999999999", "1.5", "%00", "%E4%BA%BA"])
def test_an_odd_id_is_404(sun: Caller, odd: str) -> None:
    for path in (
        "contacts/{}/",
        "follow-users/{}/",
        "messages/{}/",
        "sync-runs/{}/",
        "templates/{}/",
        "media/{}/",
        "welcomes/{}/",
        "greetings/{}/",
        "media/{}/content/",
        "received-messages/{}/",
        "received-messages/{}/content/",
        "contact-ways/{}/",
        "contact-ways/{}/qr/",
        "contacts/{}/timeline/",
    ):
        assert sun.get(path.format(odd)).status_code == 404
