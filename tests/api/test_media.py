"""media/: uploaded, listed, read, retired, and named in messages."""

from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import RequestFactory

from crm.api.parsers import UPLOAD_BYTES
from crm.models import Corp
from crm.uploads import MOST_BYTES
from messaging.models import MediaFile, Message
from tests import factories
from tests.api.conftest import Caller, Cast, pointers, upload
from tests.factories import PDF, PNG

SHAPE = set(
    "id corp kind name reference content_type size sha256 is_active uploaded_at created_by created_at".split()
)


def message(reference: str, kind: str = "image") -> dict[str, Any]:
    content = {"msgtype": kind, kind: {"media_id": reference}}
    return {"corp": "ww-south", "to": {"employees": ["lin"]}, "content": content}


def test_file_is_uploaded_read_renamed_and_retired(cast: Cast, lin: Caller) -> None:
    made = lin.upload("media/", upload(filename="价目 表.png"))
    assert made.status_code == 201, made.content
    told, at = made.json(), made["Location"]
    assert set(told) == SHAPE
    assert (told["name"], told["size"], told["content_type"]) == ("价目 表.png", len(PNG), "image/png")
    assert (told["reference"], told["created_by"], told["uploaded_at"]) == (
        f"library:{told['id']}",
        "lin",
        None,
    )
    assert lin.get(at).json() == told
    zhao = cast.caller("zhao")
    assert zhao.patch(at, {"name": "b.png", "is_active": False}).json()["name"] == "b.png"
    assert lin.get(at).json()["is_active"] is False
    assert pointers(lin.post("messages/", message(told["reference"]))) == {
        "/content/image/media_id": "inactive"
    }


def test_content_is_a_download_that_no_browser_runs(cast: Cast, lin: Caller) -> None:
    page = b"<html><script>alert(document.cookie)</script></html>"
    form = upload(page, kind="file", filename="报价.html")
    answer = lin.get(f"media/{lin.upload('media/', form).json()['id']}/content/")
    assert answer.content == page
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"] == "attachment; filename*=utf-8''%E6%8A%A5%E4%BB%B7.html"
    assert answer["Cache-Control"] == "no-store"
    assert "sandbox" in answer["Content-Security-Policy"]


def test_what_is_wrong_with_an_upload_is_named(sun: Caller) -> None:
    def refused(form: dict[str, Any]) -> dict[str, str]:
        answer = sun.upload("media/", form)
        assert answer.status_code == 400, answer.content
        return pointers(answer)

    assert refused(upload(PDF, filename="real.png")) == {"/file": "wrong_type"}
    assert refused(upload(b"")) == {"/file": "too_small"}
    assert refused(upload(kind="sticker")) == {"/kind": "invalid_choice"}
    assert refused(upload(corp="ww-none")) == {"/corp": "not_found"}
    assert refused(upload(colour="red")) == {"/colour": "unknown_field"}
    assert refused({"corp": "ww-south", "kind": "image"}) == {"/file": "required"}
    assert refused(upload(name="../")) == {"/name": "required"}
    assert not MediaFile.objects.exists()


def test_upload_is_larger_than_json_may_be_and_has_its_own_cap(sun: Caller) -> None:
    assert sun.upload("media/", upload(bytes(3 * 1024 * 1024), kind="file")).status_code == 201
    over = sun.upload("media/", upload(bytes(MOST_BYTES + 1), kind="file"))
    assert (over.status_code, pointers(over)) == (400, {"/file": "too_large"})
    answer = sun.upload("media/", upload(bytes(UPLOAD_BYTES), kind="file"))
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert MediaFile.objects.count() == 1


def test_body_that_is_no_form_is_415(sun: Caller) -> None:
    assert sun.post("media/", {"corp": "ww-south"}).status_code == 415


def test_repeated_upload_with_the_same_key_is_kept_once(sun: Caller) -> None:
    key = {"Idempotency-Key": "k"}
    first = sun.upload("media/", upload(), headers=key)
    again = sun.upload("media/", upload(), headers=key)
    assert (first.json(), again.status_code) == (again.json(), 201)
    other = sun.upload("media/", upload(PNG + b"x"), headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert MediaFile.objects.count() == 1


def test_list_holds_the_files_of_ones_own_corps_and_filters(sun: Caller, lin: Caller, cast: Cast) -> None:
    other = Corp.objects.create(corpid="ww-north", provider="wecom", dialect="direct")
    strange = factories.media_file(other, name="strange")
    factories.media_file(cast.corp, name="mine")
    factories.media_file(cast.corp, "file", name="old", is_active=False)

    def names(caller: Caller, query: str = "") -> set[str]:
        return {row["name"] for row in caller.get(f"media/{query}").json()["results"]}

    assert names(lin) == {"mine", "old"}
    assert names(lin, "?kind=file") == {"old"}
    assert names(lin, "?is_active=true") == {"mine"}
    assert names(sun) == {"mine", "old", "strange"}
    assert names(sun, "?corp=ww-north") == {"strange"}
    assert lin.get(f"media/{strange.pk}/").status_code == 404
    assert lin.get(f"media/{strange.pk}/content/").status_code == 404
    assert pointers(lin.post("messages/", message(f"library:{strange.pk}"))) == {
        "/content/image/media_id": "not_found"
    }


def test_message_names_a_file_of_the_library(cast: Cast, lin: Caller) -> None:
    file = factories.media_file(cast.corp)
    answer = lin.post("messages/", message(f"library:{file.pk}"))
    assert answer.status_code == 202, answer.content
    assert list(Message.objects.get().media_files.all()) == [file]
    wrong = lin.post("messages/", message(f"library:{file.pk}", "video"))
    assert pointers(wrong) == {"/content/video/media_id": "wrong_kind"}


def test_preview_warns_of_a_media_id_that_will_have_expired(cast: Cast, lin: Caller) -> None:
    asked = {**message("m1"), "not_before": "2099-01-01T00:00:00Z"}
    (problem,) = lin.post("messages/preview/", asked).json()["problems"]
    assert (problem["pointer"], problem["code"], problem["warning"]) == (
        "/content/image/media_id",
        "media_expires",
        True,
    )


def test_no_uploaded_file_takes_more_than_the_largest_we_keep() -> None:
    """Whatever form it comes in, and before anybody has asked who sends it."""
    file = SimpleUploadedFile("a", bytes(MOST_BYTES + 5_000_000))
    arrived = RequestFactory().post("/admin/login/", {"file": file}).FILES["file"]
    assert MOST_BYTES < arrived.size < MOST_BYTES + 200_000
    arrived.close()
