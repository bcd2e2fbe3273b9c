"""The cast as callers of REST, and bodies to send."""

from typing import Any

import pytest
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from rest_framework.test import APIClient

from crm.models import Corp
from tests import factories
from tests.cast import Cast as People
from tests.cast import corp as cast_corp


class Caller(APIClient):
    """Asks as an API key, in JSON, at paths below /api/v1/."""

    def __init__(self, key: str = "") -> None:
        super().__init__(**({"HTTP_AUTHORIZATION": f"Bearer {key}"} if key else {}))
        self.default_format = "json"

    def generic(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        at = path if path.startswith(("/", "http")) else f"/api/v1/{path}"
        return super().generic(method, at, *args, **kwargs)

    def post(self, path: str, data: Any = None, **kwargs: Any) -> Any:
        return super().post(path, data if data is not None else {}, format="json", **kwargs)

    def patch(self, path: str, data: Any = None, **kwargs: Any) -> Any:
        return super().patch(path, data, format="json", **kwargs)

    def upload(self, path: str, data: Any, **kwargs: Any) -> Any:
        """POST of a form with a file."""
        return super().post(path, data, format="multipart", **kwargs)


class Cast(People):
    def caller(self, name: str, *scopes: str) -> Caller:
        """A key of `name` with every scope, or with `scopes`."""
        _row, key = factories.api_key(self.users[name], *([scopes] if scopes else []))
        return Caller(key)


@pytest.fixture
def corp(db: None) -> Corp:
    return cast_corp()


@pytest.fixture
def cast(corp: Corp) -> Cast:
    cache.clear()
    return Cast(corp)


@pytest.fixture
def sun(cast: Cast) -> Caller:
    return cast.caller("sun")


@pytest.fixture
def lin(cast: Cast) -> Caller:
    return cast.caller("lin")


def text(*ids: int, words: str = "hello", **more: Any) -> dict[str, Any]:
    """A body of POST messages/ to contacts."""
    content = {"msgtype": "text", "text": {"content": words}}
    return {"corp": "ww-south", "to": {"contacts": list(ids)}, "content": content, **more}


def person(**more: Any) -> dict[str, Any]:
    """A body of POST contacts/."""
    return {"corp": "ww-south", "name": "Chen Wei", "follow_users": ["lin"], **more}


def upload(data: bytes = factories.PNG, **more: Any) -> dict[str, Any]:
    """A form of POST media/."""
    name = more.pop("filename", "photo.png")
    return {"corp": "ww-south", "kind": "image", "file": SimpleUploadedFile(name, data), **more}


def pointers(answer: Any) -> dict[str, str]:
    """{pointer: code} of a problem answer."""
    return {error["pointer"]: error["code"] for error in answer.json()["errors"]}
