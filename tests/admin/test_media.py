"""The media library at the browser: kept, shown, retired, chosen or uploaded while one writes."""

import re
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from crm.models import Corp
from messaging.models import MediaFile, Message
from tests import factories
from tests.admin.conftest import Browser, Cast
from tests.admin.test_sending import begin, write
from tests.factories import AMR, MEDIA, MP4, PDF, PNG


def upload(data: bytes = PNG, name: str = "报价 单.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data)


def add(browser: Browser, cast: Cast, **form: Any) -> Any:
    told = {"corp": cast.corp.pk, "kind": "image", "file": upload(), **form}
    return browser.post("messaging/mediafile/add/", told)


def to_employee(browser: Browser, cast: Cast, kind: str) -> str:
    at = begin(browser, "image", f"employee={cast.employees['lin'].pk}")
    return str(browser.get(f"{at}?kind={kind}")["Location"])


def sent(browser: Browser, at: str, **form: Any) -> Message:
    confirm = write(browser, at, **form)
    assert browser.get(confirm).status_code == 200
    browser.post(confirm)
    return Message.objects.get()


# --- The library --------------------------------------------------------------------------------------------------


def test_file_is_added_shown_renamed_and_retired(cast: Cast) -> None:
    zhao = cast.browser("zhao")
    answer = add(zhao, cast)
    file = MediaFile.objects.get()
    assert answer["Location"] == f"/admin/messaging/mediafile/{file.pk}/change/"
    assert (file.name, file.created_by) == ("报价 单.png", cast.users["zhao"])
    assert f"/admin/messaging/mediafile/{file.pk}/content/" in zhao.get(answer["Location"]).content.decode()
    assert zhao.post(answer["Location"], {"name": "b.png"}).status_code == 302
    file.refresh_from_db()
    assert (file.name, file.is_active) == ("b.png", False)
    assert "retired" in zhao.text("messaging/mediafile/")


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"file": upload(PDF, "real.png")}, "no JPG or PNG image"),
        ({"kind": "voice"}, "no AMR voice message"),
        ({"kind": "video"}, "no MP4 video"),
        ({"file": upload(b"")}, "needs at least 6 bytes"),
        ({"file": upload(PNG + bytes(10 * 1024 * 1024))}, "at most 10 MiB"),
        ({"file": ""}, "required"),
    ],
)
def test_what_is_wrong_with_an_upload_stands_beside_it(
    cast: Cast, sun: Browser, form: Any, said: str
) -> None:
    answer = add(sun, cast, **form)
    assert answer.status_code == 200
    assert said in answer.content.decode()
    assert not MediaFile.objects.exists()


def test_library_lists_the_files_of_ones_own_corps(cast: Cast, lin: Browser, sun: Browser) -> None:
    other = Corp.objects.create(corpid="ww-north", provider="wecom", dialect="direct")
    strange = factories.media_file(other, name="strange.png")
    factories.media_file(cast.corp, name="mine.png")
    assert "mine.png" in lin.text("messaging/mediafile/")
    assert "strange.png" not in lin.text("messaging/mediafile/")
    assert "strange.png" in sun.text("messaging/mediafile/")
    for page in ("change", "content", "download"):
        assert lin.get(f"messaging/mediafile/{strange.pk}/{page}/").status_code == 404
        assert sun.get(f"messaging/mediafile/{strange.pk}/{page}/").status_code == 200
        assert cast.browser("shen").get(f"messaging/mediafile/{strange.pk}/{page}/").status_code in {403, 404}


def test_seller_adds_files_and_retires_none(cast: Cast, lin: Browser) -> None:
    add(lin, cast)
    at = f"messaging/mediafile/{MediaFile.objects.get().pk}/change/"
    assert 'name="is_active"' not in lin.get(at).content.decode()
    assert lin.post(at, {"name": "b.png"}).status_code == 403


def test_only_pictures_are_shown_in_a_page(cast: Cast, lin: Browser) -> None:
    page = factories.media_file(cast.corp, "file", "a.html", data=b"<script>alert(1)</script>")
    image = factories.media_file(cast.corp)
    shown = lin.get(f"messaging/mediafile/{page.pk}/content/")
    assert (shown["Content-Type"], shown["Content-Disposition"][:10]) == (
        "application/octet-stream",
        "attachment",
    )
    shown = lin.get(f"messaging/mediafile/{image.pk}/content/")
    assert (shown["Content-Type"], shown["Content-Disposition"][:6]) == ("image/png", "inline")
    assert shown["X-Content-Type-Options"] == "nosniff"
    assert shown["Cache-Control"] == "private, max-age=86400, immutable"
    assert lin.get(f"messaging/mediafile/{image.pk}/download/")["Content-Disposition"].startswith(
        "attachment"
    )


def test_page_of_a_file_names_the_messages_it_was_sent_with(cast: Cast, lin: Browser, sun: Browser) -> None:
    file = factories.media_file(cast.corp, name="tour.png")
    message = sent(sun, to_employee(sun, cast, "image"), picked=file.pk)
    at = f"messaging/mediafile/{file.pk}/change/"
    link = f"/admin/messaging/message/{message.pk}/change/"
    assert link in sun.get(at).content.decode()
    assert "Sent with 1 message" in lin.text(at)
    assert link not in lin.get(at).content.decode()


# --- Sending ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MEDIA)
def test_file_of_the_library_is_sent_to_an_employee(cast: Cast, lin: Browser, kind: str) -> None:
    file = factories.media_file(cast.corp, kind, "目录.bin")
    at = to_employee(lin, cast, kind)
    confirm = write(lin, at, picked=file.pk)
    page = lin.get(confirm).content.decode()
    assert f"/mediafile/{file.pk}/content/" in page if kind == "image" else "目录.bin" in page
    lin.post(confirm)
    message = Message.objects.get()
    assert message.content[kind]["media_id"] == f"library:{file.pk}"
    assert "目录.bin" in lin.text("messaging/message/")
    assert f"library:{file.pk}" not in lin.text(f"messaging/message/{message.pk}/change/")


@pytest.mark.parametrize(("kind", "data"), [("image", PNG), ("voice", AMR), ("video", MP4), ("file", PDF)])
def test_file_is_uploaded_on_the_spot_and_kept(cast: Cast, lin: Browser, kind: str, data: bytes) -> None:
    message = sent(lin, to_employee(lin, cast, kind), upload=upload(data, "现场.bin"))
    file = MediaFile.objects.get()
    assert (file.kind, file.name, file.created_by) == (kind, "现场.bin", cast.users["lin"])
    assert message.content[kind]["media_id"] == f"library:{file.pk}"


def test_video_has_its_title(cast: Cast, lin: Browser) -> None:
    file = factories.media_file(cast.corp, "video")
    message = sent(lin, to_employee(lin, cast, "video"), picked=file.pk, title="参观", description="")
    assert message.content["video"] == {"media_id": f"library:{file.pk}", "title": "参观"}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({}, "Choose a file, or upload one."),
        ({"upload": upload(PDF, "a.png")}, "no JPG or PNG image"),
        ({"picked": "999999"}, "valid choice"),
    ],
)
def test_without_a_fit_file_nothing_goes_on(cast: Cast, lin: Browser, form: Any, said: str) -> None:
    answer = lin.post(to_employee(lin, cast, "image"), form)
    assert answer.status_code == 200
    assert said in answer.content.decode()


def test_choice_has_the_files_of_this_corp_and_kind_in_use(cast: Cast, sun: Browser) -> None:
    other = Corp.objects.create(corpid="ww-north", provider="wecom", dialect="direct")
    factories.media_file(cast.corp, name="fit.png")
    factories.media_file(cast.corp, name="retired.png", is_active=False)
    factories.media_file(cast.corp, "file", name="paper.pdf")
    factories.media_file(other, name="strange.png")
    page = sun.get(to_employee(sun, cast, "image")).content.decode()
    assert re.findall(r"(\w+)\.(?:png|pdf) ·", page) == ["fit"]


def test_file_retired_while_one_writes_is_refused_before_it_is_sent(cast: Cast, lin: Browser) -> None:
    file = factories.media_file(cast.corp)
    confirm = write(lin, to_employee(lin, cast, "image"), picked=file.pk)
    MediaFile.objects.update(is_active=False)
    assert "no longer in use" in lin.text(confirm)
    lin.post(confirm)
    assert not Message.objects.exists()


def test_employees_page_offers_files_and_contacts_page_does_not(cast: Cast, sun: Browser) -> None:
    label = "Send image, video or file"
    assert label in sun.text(f"contacts/employee/{cast.employees['lin'].pk}/change/")
    assert label in sun.text("contacts/employee/")
    assert label not in sun.text(f"contacts/contact/{cast.contacts['lin'].pk}/change/")


def test_kind_is_changed_among_files_only(cast: Cast, lin: Browser) -> None:
    at = to_employee(lin, cast, "voice")
    assert "AMR, at most 60 seconds" in lin.text(at)
    assert lin.get(f"{at}?kind=text").status_code == 404
    text = begin(lin, "text", f"contact={cast.contacts['lin'].pk}")
    assert lin.get(f"{text}?kind=image").status_code == 404


# --- Attachments of a mass send -----------------------------------------------------------------------------------


@pytest.fixture
def mass(cast: Cast, lin: Browser) -> str:
    Corp.objects.update(dialect="official")
    return begin(lin, "text", f"contact={cast.contacts['lin'].pk}")


def test_mass_text_goes_out_with_its_attachments(cast: Cast, lin: Browser, mass: str) -> None:
    file = factories.media_file(cast.corp, "file", "价目.pdf")
    cover = factories.media_file(cast.corp, "image")
    form = {
        "content": "您好",
        "attachment_0-kind": "file",
        "attachment_0-picked": file.pk,
        "attachment_2-kind": "image",
        "attachment_2-upload": upload(name="新.png"),
        "attachment_3-kind": "link",
        "attachment_3-title": "官网",
        "attachment_3-url": "https://example.com/",
        "attachment_4-kind": "miniprogram",
        "attachment_4-title": "订货",
        "attachment_4-appid": "wx00000000000000aa",
        "attachment_4-page": "pages/list",
        "attachment_4-picked": cover.pk,
    }
    confirm = write(lin, mass, **form)
    page = lin.text(confirm)
    assert [word in page for word in ("您好", "价目.pdf", "官网", "订货")] == [True] * 4
    lin.post(confirm)
    fresh = MediaFile.objects.get(name="新.png")
    assert Message.objects.get().content["attachments"] == [
        {"msgtype": "file", "file": {"media_id": f"library:{file.pk}"}},
        {"msgtype": "image", "image": {"media_id": f"library:{fresh.pk}"}},
        {"msgtype": "link", "link": {"title": "官网", "url": "https://example.com/"}},
        {
            "msgtype": "miniprogram",
            "miniprogram": {
                "title": "订货",
                "appid": "wx00000000000000aa",
                "page": "pages/list",
                "pic_media_id": f"library:{cover.pk}",
            },
        },
    ]
    again = lin.get(mass, follow=True).content.decode()
    assert "价目.pdf" in again


def test_attachment_alone_is_enough_and_nothing_is_not(cast: Cast, lin: Browser, mass: str) -> None:
    assert "Write something first" in lin.post(mass, {"content": ""}).content.decode()
    file = factories.media_file(cast.corp)
    message = sent(lin, mass, **{"content": "", "attachment_0-kind": "image", "attachment_0-picked": file.pk})
    assert message.content["attachments"]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"attachment_1-kind": "image"}, "Choose a file, or upload one."),
        ({"attachment_1-kind": "image", "attachment_1-upload": upload(PDF, "a.png")}, "no JPG or PNG image"),
        ({"attachment_1-kind": "link", "attachment_1-title": "x"}, "This field is required"),
        (
            {"attachment_1-kind": "link", "attachment_1-url": "x", "attachment_1-title": "字" * 43},
            "129 bytes",
        ),
        ({"attachment_1-kind": "poster"}, "valid choice"),
    ],
)
def test_fault_of_an_attachment_stands_beside_its_field(
    cast: Cast, lin: Browser, mass: str, form: Any, said: str
) -> None:
    answer = lin.post(mass, {"content": "x", **form})
    assert answer.status_code == 200
    assert said in answer.content.decode()


def test_attachment_of_another_kind_than_its_file_is_refused_there(
    cast: Cast, lin: Browser, mass: str
) -> None:
    file = factories.media_file(cast.corp, "file")
    form = {"content": "x", "attachment_0-kind": "video", "attachment_0-picked": file.pk}
    assert "is no video" in lin.post(mass, form).content.decode()


def test_text_where_contacts_are_written_to_at_once_has_no_attachments(cast: Cast, lin: Browser) -> None:
    page = lin.get(begin(lin, "text", f"contact={cast.contacts['lin'].pk}")).content.decode()
    assert "attachment_0-kind" not in page


def test_template_keeps_its_attachments_when_its_text_changes(cast: Cast, sun: Browser) -> None:
    Corp.objects.update(dialect="official")
    told = [
        {"msgtype": "file", "file": {"media_id": f"library:{factories.media_file(cast.corp, 'file').pk}"}}
    ]
    content = {"msgtype": "text", "text": {"content": "old"}, "attachments": told}
    template = factories.template(cast.corp, content=content)
    at = f"messaging/template/{template.pk}/change/"
    assert sun.post(at, {"name": "a", "content": "new", "is_active": "on"}).status_code == 302
    template.refresh_from_db()
    assert template.content == {**content, "text": {"content": "new"}}
