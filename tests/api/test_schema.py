"""The OpenAPI document is complete, valid, and true about what is answered."""

from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.utils import translation

from tests import factories
from tests.api.conftest import Caller, Cast, person, text


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    import orjson

    out = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json", stdout=out)
    return orjson.loads(out.getvalue())


def test_the_document_is_valid_and_says_3_1_and_bearer(schema: dict[str, Any]) -> None:
    assert schema["openapi"].startswith("3.1")
    assert schema["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


def test_the_document_in_the_repository_is_the_one_the_code_makes(tmp_path: Path) -> None:
    """`make docs` writes it."""
    made = tmp_path / "openapi.yaml"
    with translation.override(settings.LANGUAGE_CODE):  # another test may have left its own
        call_command("spectacular", "--file", str(made))
    kept = settings.BASE_DIR / "docs" / "reference" / "openapi.yaml"
    assert made.read_text(encoding="utf-8") == kept.read_text(encoding="utf-8")


def test_every_operation_describes_its_problems(schema: dict[str, Any]) -> None:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            expected = {"400", "401", "403", "429"} | ({"404"} if "{" in path else set())
            assert set(operation["responses"]) >= expected, (method, path)
            assert "application/problem+json" in operation["responses"]["400"]["content"]


def test_every_post_with_an_effect_takes_an_idempotency_key(schema: dict[str, Any]) -> None:
    def takes_key(operation: dict[str, Any]) -> bool:
        return any(parameter["name"] == "Idempotency-Key" for parameter in operation.get("parameters", ()))

    posts = {path: takes_key(ops["post"]) for path, ops in schema["paths"].items() if "post" in ops}
    assert {path for path, takes in posts.items() if not takes} == {"/api/v1/messages/preview/"}


def test_answers_are_what_the_document_says(cast: Cast, sun: Caller, schema: dict[str, Any]) -> None:
    sun.post("contacts/", person())
    pk = sun.post("messages/", text(cast.contacts["lin"].pk)).json()["id"]
    run = sun.post("sync-runs/", {"corp": "ww-south"}).json()["id"]
    ids = {"contacts": cast.contacts["lin"].pk, "follow-users": cast.follows["lin"].pk, "messages": pk}
    ids["sync-runs"] = run
    ids["templates"] = factories.template(cast.corp).pk
    ids["media"] = factories.media_file(cast.corp).pk
    ids["received-messages"] = factories.received(cast.corp, "lin", "image").pk
    ids["contact-ways"] = factories.contact_way(cast.corp, cast.employees["lin"]).pk
    ids["welcomes"] = factories.welcome(cast.corp).pk
    ids["greetings"] = factories.greeting(cast.employees["lin"], cast.contacts["lin"]).pk
    for path, operations in schema["paths"].items():
        if "get" in operations:
            asked = path.replace("{id}", str(ids.get(path.split("/")[3], "")))
            answer = sun.get(asked)
            assert answer.status_code == 200, asked
            if {"*/*", "image/png"} & set(operations["get"]["responses"]["200"]["content"]):
                continue
            said = operations["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            jsonschema.validate(answer.json(), {**said, "components": schema["components"]})
    problem = {"$ref": "#/components/schemas/Problem", "components": schema["components"]}
    jsonschema.validate(sun.get("contacts/987654/").json(), problem)


def test_the_schema_is_served_in_json_and_yaml_without_a_key(db: None) -> None:
    told = Client().get("/api/v1/schema/?format=json")
    assert told.status_code == 200
    assert "json" in told["Content-Type"]
    assert told.json()["openapi"].startswith("3.1")
    assert Client().get("/api/v1/schema/").content.startswith(b"openapi: 3.1")


def test_the_docs_page_loads_nothing_from_elsewhere(db: None) -> None:
    page = Client().get("/api/v1/docs/")
    assert page.status_code == 200
    assert b"swagger-ui-bundle.js" in page.content
    assert b"https://" not in page.content
    assert b"http://" not in page.content.replace(b"http://testserver", b"")
