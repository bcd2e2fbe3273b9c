"""The library of files: judged by their bytes, fresh whenever they are sent, uploaded once for all."""

import threading
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from crm.errors import Invalid, NotAllowed
from crm.models import Corp, Event
from crm.providers import content as contents
from crm.providers.content import Content
from messaging import library, media, outbox, tasks, templates, wording
from messaging.models import MediaFile, Message
from tests import factories
from tests.factories import AMR, MEDIA, MP4, PDF, PNG
from tests.messaging.house import House, house

DAY = 86_400
MIB = 1024 * 1024


def parsed(file: MediaFile, kind: str = "") -> Content:
    kind = kind or file.kind
    return contents.parse({"msgtype": kind, kind: {"media_id": media.reference(file)}})


def compose(house: House, content: Content, **more: Any) -> Message:
    to = {"employees": house.userids[:1]} | more
    return outbox.compose(user=house.user, actor="user:test", corp=house.corp, content=content, **to)


def send(house: House, content: Content, **more: Any) -> Message:
    message = compose(house, content, **more)
    tasks.deliver(message.pk)
    return message


def uploads(house: House) -> int:
    """How often a file got there; one with an expired token does not count."""
    return len([each for each in house.posts("media/upload") if each["errcode"] == 0])


def faults(caught: Any) -> dict[str, str]:
    return {each.pointer: each.code for each in caught.value.errors}


def keep(house: House, kind: str, data: bytes, name: str = "a.bin") -> MediaFile:
    return library.add(user=house.user, actor="user:test", corp=house.corp, kind=kind, name=name, data=data)


def days_pass(house: House, days: float) -> None:
    """For the provider, and for what we know of it."""
    house.sim.advance(days * DAY)
    for file in MediaFile.objects.exclude(uploaded_at=None):
        file.uploaded_at -= timedelta(days=days)
        file.save(update_fields=["uploaded_at"])


def all_at_once(works: Sequence[Callable[[], Any]]) -> None:
    def go(work: Callable[[], Any]) -> None:
        try:
            work()
        finally:
            connection.close()

    threads = [threading.Thread(target=go, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- What is kept -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MEDIA)
def test_add_when_the_bytes_are_of_the_kind_then_file_and_event_are_kept(direct: House, kind: str) -> None:
    file = keep(direct, kind, MEDIA[kind], "报价 单.bin")
    kept = MediaFile.objects.get()
    assert (kept.name, kept.size, bytes(kept.data)) == ("报价 单.bin", len(MEDIA[kind]), MEDIA[kind])
    assert Event.objects.get(verb="media_file.created").subject_id == str(file.pk)


def test_add_when_the_same_file_comes_twice_then_it_is_kept_once(direct: House) -> None:
    first = keep(direct, "image", PNG, "价目.png")
    assert keep(direct, "image", PNG, "价目.png") == first
    assert keep(direct, "image", PNG, "另一.png") != first
    assert Event.objects.filter(verb="media_file.created").count() == 2


@pytest.mark.parametrize(
    ("kind", "data", "code"),
    [
        ("image", b"GIF89a" + bytes(50), "wrong_type"),
        ("image", b"<html><script>alert(1)</script>", "wrong_type"),
        ("image", MP4, "wrong_type"),
        ("voice", b"RIFF0000WAVE" + bytes(50), "wrong_type"),
        ("video", b"\0\0\0\x14ftypqt  " + bytes(50), "wrong_type"),
        ("video", b"\0\0\0\x18ftypheic" + bytes(50), "wrong_type"),
        ("file", b"12345", "too_small"),
        ("image", PNG + bytes(10 * MIB), "too_large"),
        ("voice", AMR + bytes(2 * MIB), "too_large"),
        ("video", MP4 + bytes(10 * MIB), "too_large"),
        ("file", bytes(20 * MIB + 1), "too_large"),
        ("voice", b"#!AMR\n" + (b"\x3c" + bytes(31)) * 3001, "too_long_voice"),
        ("sticker", PNG, "unsupported_type"),
    ],
)
def test_add_when_the_bytes_are_not_what_the_kind_takes_then_nothing_is_kept(
    direct: House, kind: str, data: bytes, code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        keep(direct, kind, data, "innocent.png")
    assert faults(caught) == {"/file": code}
    assert caught.value.errors[0].detail.endswith((".", "。")), caught.value.errors[0].detail
    assert not MediaFile.objects.exists()


def test_add_when_at_the_limit_then_it_is_kept(direct: House) -> None:
    assert keep(direct, "voice", b"#!AMR\n" + (b"\x3c" + bytes(31)) * 3000).pk
    assert keep(direct, "file", bytes(20 * MIB)).size == 20 * MIB


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("C:\\temp\\报价.pdf", "报价.pdf"),
        ("../../etc/passwd", "passwd"),
        ("invoice\u202efdp.exe", "invoicefdp.exe"),
        ("a\r\nb.pdf", "ab.pdf"),
    ],
)
def test_add_when_a_name_hides_something_then_it_is_tidied(direct: House, name: str, kept: str) -> None:
    assert keep(direct, "file", PDF, name).name == kept


@pytest.mark.parametrize(("name", "code"), [("", "required"), ("a/", "required"), ("长" * 129, "too_long")])
def test_add_when_a_name_cannot_be_then_it_is_refused(direct: House, name: str, code: str) -> None:
    with pytest.raises(Invalid) as caught:
        keep(direct, "file", PDF, name)
    assert faults(caught) == {"/name": code}


def test_change_when_not_allowed_then_nothing_changes(direct: House) -> None:
    file = factories.media_file(direct.corp)
    with pytest.raises(NotAllowed):
        library.change(file, user=factories.user("sales"), actor="user:x", is_active=False)
    assert MediaFile.objects.get().is_active


def test_lists_when_many_files_are_kept_then_no_bytes_are_read(
    direct: House, django_assert_num_queries: Any
) -> None:
    factories.media_file(direct.corp)
    with django_assert_num_queries(1) as asked:
        assert [file.name for file in MediaFile.objects.all()]
    assert '"data"' not in asked.captured_queries[0]["sql"]


# --- What a content may name --------------------------------------------------------------------------------------


def test_compose_when_a_file_cannot_be_used_then_its_field_says_why(direct: House) -> None:
    other = Corp.objects.create(corpid="ww-other", provider="wecom", dialect="direct")
    told = {
        "not_found": parsed(factories.media_file(other)),
        "inactive": parsed(factories.media_file(direct.corp, is_active=False)),
        "wrong_kind": parsed(factories.media_file(direct.corp, "video"), "image"),
    }
    for code, content in told.items():
        with pytest.raises(Invalid) as caught:
            compose(direct, content)
        assert faults(caught) == {"/content/image/media_id": code}
        assert caught.value.errors[0].detail.endswith(".")


@pytest.mark.parametrize("odd", ["library:", "library:x", "library:-1", "library:٣", "library:" + "9" * 30])
def test_compose_when_a_reference_is_no_number_then_there_is_not_found(direct: House, odd: str) -> None:
    with pytest.raises(Invalid) as caught:
        compose(direct, contents.parse({"msgtype": "file", "file": {"media_id": odd}}))
    assert faults(caught) == {"/content/file/media_id": "not_found"}


def test_compose_when_attachments_name_files_then_each_is_judged_in_its_place(official: House) -> None:
    video = media.reference(factories.media_file(official.corp, "video"))
    card = {"title": "t", "appid": "wx00000000000000aa", "page": "p", "pic_media_id": video}
    told = [
        {"msgtype": "video", "video": {"media_id": video}},
        {"msgtype": "file", "file": {"media_id": video}},
        {"msgtype": "miniprogram", "miniprogram": card},
    ]
    with pytest.raises(Invalid) as caught:
        compose(
            official,
            contents.parse({"msgtype": "text", "text": {"content": "x"}, "attachments": told}),
            employees=(),
            contacts=official.ids[:1],
        )
    assert faults(caught) == {
        "/content/attachments/1/file/media_id": "wrong_kind",
        "/content/attachments/2/miniprogram/pic_media_id": "wrong_kind",
    }


def test_template_when_it_names_a_strange_file_then_it_is_not_kept(official: House) -> None:
    other = Corp.objects.create(corpid="ww-other", provider="wecom", dialect="official")
    told = [{"msgtype": "file", "file": {"media_id": media.reference(factories.media_file(other, "file"))}}]
    content = contents.parse({"msgtype": "text", "text": {"content": "x"}, "attachments": told})
    with pytest.raises(Invalid) as caught:
        templates.create(user=official.user, actor="user:test", corp=official.corp, name="x", content=content)
    assert faults(caught) == {"/content/attachments/0/file/media_id": "not_found"}


def test_preview_when_a_raw_media_id_will_have_expired_then_it_warns(direct: House) -> None:
    raw = contents.parse({"msgtype": "image", "image": {"media_id": "m1"}})

    def warned(content: Content, days: int) -> list[str]:
        told = outbox.preview(
            user=direct.user,
            corp=direct.corp,
            employees=direct.userids[:1],
            content=content,
            not_before=timezone.now() + timedelta(days=days),
        )
        assert all(problem.warning and wording.sentence(problem) for problem in told.problems)
        return [problem.code for problem in told.problems]

    assert warned(raw, 4) == ["media_expires"]
    assert warned(raw, 2) == []
    assert warned(parsed(factories.media_file(direct.corp)), 4) == []


def test_compose_when_a_file_is_named_then_its_uses_are_remembered(direct: House) -> None:
    file = factories.media_file(direct.corp)
    message = compose(direct, parsed(file))
    assert list(file.messages.all()) == [message]
    assert message.content["image"]["media_id"] == f"library:{file.pk}"


def test_compose_when_a_text_only_mentions_a_reference_then_it_stays_text(direct: House) -> None:
    message = send(direct, contents.Text("library:1"))
    assert message.deliveries.get().state == "accepted"
    assert direct.phones()[0][2] == {"content": "library:1"}


# --- What is sent -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MEDIA)
def test_deliver_when_a_file_is_named_then_phones_get_a_media_id_of_its_bytes(
    either: House, kind: str
) -> None:
    file = keep(either, kind, MEDIA[kind], '报价;"一".pdf')
    message = send(either, parsed(file))
    assert message.deliveries.get().state == "accepted", message.deliveries.get().errmsg
    ((_to, msgtype, content),) = either.phones()
    file.refresh_from_db()
    assert (msgtype, content["media_id"]) == (kind, file.media_id)
    (upload,) = either.posts("media/upload")
    assert upload["errcode"] == 0


def test_deliver_when_articles_and_attachments_name_a_file_then_each_is_replaced(official: House) -> None:
    cover = media.reference(keep(official, "image", PNG))
    article = {"title": "t", "thumb_media_id": cover, "content": "<p>x</p>"}
    send(official, contents.parse({"msgtype": "mpnews", "mpnews": {"articles": [article]}}))
    card = {"title": "t", "appid": "wx00000000000000aa", "page": "p", "pic_media_id": cover}
    attachments = [
        {"msgtype": "image", "image": {"media_id": cover}},
        {"msgtype": "miniprogram", "miniprogram": card},
    ]
    content = {"msgtype": "text", "text": {"content": "x"}, "attachments": attachments}
    message = send(official, contents.parse(content), employees=(), contacts=official.ids[:1])
    assert {row.state for row in message.deliveries.all()} == {"accepted"}
    assert uploads(official) == 1
    message.refresh_from_db()
    assert message.content == content


def test_deliver_when_the_copy_is_old_then_it_is_uploaded_again(direct: House) -> None:
    file = keep(direct, "image", PNG)
    send(direct, parsed(file))
    send(direct, parsed(file))
    assert uploads(direct) == 1
    days_pass(direct, 2)
    send(direct, parsed(file))
    assert uploads(direct) == 1
    days_pass(direct, 1.1)
    message = send(direct, parsed(file))
    assert message.deliveries.get().state == "accepted"
    assert uploads(direct) == 2
    assert len(direct.phones()) == 4


def test_deliver_when_the_provider_forgot_early_then_the_next_try_uploads_again(direct: House) -> None:
    file = keep(direct, "image", PNG)
    send(direct, parsed(file))
    MediaFile.objects.update(uploaded_at=timezone.now() - timedelta(hours=1))
    direct.sim.advance(4 * DAY)
    message = send(direct, parsed(file))
    delivery = message.deliveries.get()
    assert (delivery.state, delivery.code, delivery.errcode) == ("queued", "media_expired", 40007)
    message.deliveries.update(next_attempt_at=None)
    tasks.deliver(message.pk)
    assert message.deliveries.get().state == "accepted"
    assert uploads(direct) == 2


def test_deliver_when_even_a_new_copy_is_refused_then_it_fails(direct: House) -> None:
    direct.sim.settings(media_ttl=0)
    delivery = send(direct, parsed(keep(direct, "image", PNG))).deliveries.get()
    assert (delivery.state, delivery.errcode, delivery.attempts) == ("failed", 40007, 1)
    assert uploads(direct) == 1


def test_deliver_when_the_upload_fails_then_nothing_was_sent_and_it_is_tried_again(direct: House) -> None:
    message = compose(direct, parsed(keep(direct, "image", PNG)))
    direct.sim.fault(api="media/upload", kind="reset", times=1)
    tasks.deliver(message.pk)
    assert message.deliveries.get().state == "queued"
    assert not direct.phones()
    assert MediaFile.objects.get().uploading_until is None
    message.deliveries.update(next_attempt_at=None)
    tasks.deliver(message.pk)
    assert message.deliveries.get().state == "accepted"


def test_deliver_when_the_file_was_retired_after_acceptance_then_it_still_goes_out(direct: House) -> None:
    file = keep(direct, "image", PNG)
    message = compose(direct, parsed(file))
    library.change(file, user=direct.user, actor="user:test", is_active=False)
    tasks.deliver(message.pk)
    assert message.deliveries.get().state == "accepted"


def test_deliver_when_the_file_got_another_name_then_receivers_see_that(direct: House) -> None:
    file = keep(direct, "file", PDF, "old.pdf")
    send(direct, parsed(file))
    library.change(file, user=direct.user, actor="user:test", name="新报价.pdf")
    send(direct, parsed(file))
    assert uploads(direct) == 2


@pytest.fixture
def shared(transactional_db: None, sim: Any) -> House:
    return house(sim, "direct")


def test_add_when_clicks_come_at_once_then_one_file_is_kept(shared: House) -> None:
    all_at_once([partial(keep, shared, "image", PNG)] * 4)
    assert MediaFile.objects.count() == 1


def test_deliver_when_several_workers_need_a_file_then_it_is_uploaded_once(shared: House) -> None:
    file = keep(shared, "image", PNG)
    messages = [compose(shared, parsed(file)) for _ in range(4)]
    shared.sim.settings(latency_ms=200)
    all_at_once([partial(tasks.deliver, message.pk) for message in messages])
    assert uploads(shared) == 1
    assert len(shared.phones()) == 4


def test_deliver_when_an_uploading_worker_was_lost_then_another_takes_its_turn(direct: House) -> None:
    file = keep(direct, "image", PNG)
    MediaFile.objects.update(uploading_until=timezone.now() - timedelta(seconds=1))
    assert send(direct, parsed(file)).deliveries.get().state == "accepted"
