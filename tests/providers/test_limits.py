"""Every documented limit in its unit, one under, at, and one over; the simulator draws the same line."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from crm.providers.attachments import Attachment, ImageAttachment, LinkAttachment, MiniprogramAttachment
from crm.providers.cards import (
    ActionMenu,
    Button,
    Checkbox,
    CheckOption,
    Jump,
    MenuAction,
    Option,
    Row,
    Selection,
    Title,
)
from crm.providers.content import (
    Article,
    Content,
    File,
    Image,
    Markdown,
    MpArticle,
    Mpnews,
    News,
    TemplateCard,
    Text,
    Textcard,
    Video,
    Voice,
)
from crm.providers.errors import Refused
from crm.providers.records import Problem
from crm.providers.wecom import messages
from tests.providers.contents import APPID, CARDS, NOTICE, URL, mass_text, to_employees
from tests.providers.corps import Corp

TEXT_NOTICE, _, BUTTONS, VOTE, CHOICES = CARDS
MPARTICLE = MpArticle("t", "m", "c")
LONG = URL + "/"


@dataclass(frozen=True)
class Limit:
    """`made(n, media_id)` is a content with n units at `pointer`."""

    made: Callable[[int, str], Content]
    most: int
    pointer: str
    code: str
    unit: str = "bytes"

    def __str__(self) -> str:
        return self.pointer


def address(n: int) -> str:
    return LONG + "a" * (n - len(LONG))


def mp(m: str, **fields: Any) -> Mpnews:
    return Mpnews((replace(MPARTICLE, thumb_media_id=m, **fields),))


def entries(name: str, entry: Any, base: TemplateCard = TEXT_NOTICE) -> Callable[[int, str], Content]:
    return lambda n, m: replace(base, **{name: (entry,) * n})


def attached(attachment: Attachment, **fields: Any) -> Text:
    return Text("", attachments=(replace(attachment, **fields),))


CARD = "/template_card"
SELECTION = Selection("q", (Option("1", "a"),))
EMPLOYEE_LIMITS = [
    Limit(lambda n, m: Text("a" * n), 2048, "/text/content", "too_long"),
    Limit(lambda n, m: Video(m, title="a" * n), 128, "/video/title", "cut"),
    Limit(lambda n, m: Video(m, description="a" * n), 512, "/video/description", "cut"),
    Limit(lambda n, m: Textcard("a" * n, "d", URL), 128, "/textcard/title", "cut"),
    Limit(lambda n, m: Textcard("t", "a" * n, URL), 512, "/textcard/description", "cut"),
    Limit(lambda n, m: Textcard("t", "d", address(n)), 2048, "/textcard/url", "too_long"),
    Limit(lambda n, m: Textcard("t", "d", URL, "汉" * n), 4, "/textcard/btntxt", "too_long", "characters"),
    Limit(lambda n, m: News((Article("a", url=URL),) * n), 8, "/news/articles", "too_many", ""),
    Limit(lambda n, m: News((Article("a" * n, url=URL),)), 128, "/news/articles/0/title", "cut"),
    Limit(lambda n, m: News((Article("t", "a" * n, URL),)), 512, "/news/articles/0/description", "cut"),
    Limit(lambda n, m: News((Article("t", url=address(n)),)), 2048, "/news/articles/0/url", "too_long"),
    Limit(
        lambda n, m: Mpnews((replace(MPARTICLE, thumb_media_id=m),) * n),
        8,
        "/mpnews/articles",
        "too_many",
        "",
    ),
    Limit(lambda n, m: mp(m, title="a" * n), 128, "/mpnews/articles/0/title", "cut"),
    Limit(lambda n, m: mp(m, digest="a" * n), 512, "/mpnews/articles/0/digest", "cut"),
    Limit(lambda n, m: mp(m, author="a" * n), 64, "/mpnews/articles/0/author", "too_long"),
    Limit(lambda n, m: mp(m, content="a" * n), 666 * 1024, "/mpnews/articles/0/content", "too_long"),
    Limit(lambda n, m: Markdown("a" * n), 2048, "/markdown/content", "too_long"),
    Limit(lambda n, m: replace(BUTTONS, task_id="a" * n), 128, f"{CARD}/task_id", "too_long"),
    Limit(
        lambda n, m: replace(TEXT_NOTICE, main_title=Title("汉" * n)),
        36,
        f"{CARD}/main_title/title",
        "long",
        "characters",
    ),
    Limit(
        lambda n, m: replace(TEXT_NOTICE, main_title=Title("t", "汉" * n)),
        44,
        f"{CARD}/main_title/desc",
        "long",
        "characters",
    ),
    Limit(entries("horizontal_content_list", Row("k")), 6, f"{CARD}/horizontal_content_list", "too_many", ""),
    Limit(entries("jump_list", Jump("t")), 3, f"{CARD}/jump_list", "too_many", ""),
    Limit(entries("vertical_content_list", Title("t")), 4, f"{CARD}/vertical_content_list", "too_many", ""),
    Limit(entries("button_list", Button("t"), BUTTONS), 6, f"{CARD}/button_list", "too_many", ""),
    Limit(entries("select_list", SELECTION, CHOICES), 3, f"{CARD}/select_list", "too_many", ""),
    Limit(
        lambda n, m: replace(VOTE, checkbox=Checkbox("q", (CheckOption("1", "a"),) * n)),
        20,
        f"{CARD}/checkbox/option_list",
        "too_many",
        "",
    ),
]
LINK = LinkAttachment("t", URL)
MINIPROGRAM = MiniprogramAttachment("t", "m", APPID, "pages/a")
MASS_LIMITS = [
    Limit(lambda n, m: Text("a" * n), 4000, "/text/content", "too_long"),
    Limit(lambda n, m: Text("", attachments=(LINK,) * n), 9, "/attachments", "too_many", ""),
    Limit(lambda n, m: attached(LINK, title="a" * n), 128, "/attachments/0/link/title", "too_long"),
    Limit(lambda n, m: attached(LINK, url=address(n)), 2048, "/attachments/0/link/url", "too_long"),
    Limit(lambda n, m: attached(LINK, picurl=address(n)), 2048, "/attachments/0/link/picurl", "too_long"),
    Limit(lambda n, m: attached(LINK, desc="a" * n), 512, "/attachments/0/link/desc", "too_long"),
    Limit(
        lambda n, m: attached(MINIPROGRAM, pic_media_id=m, title="a" * n),
        64,
        "/attachments/0/miniprogram/title",
        "too_long",
    ),
]
WARNINGS = ("cut", "long")
CUT_BY_WECOM = ("/text/content", "/textcard/btntxt")  # and refused by us


def check_limit(limit: Limit, problems: Callable[[Content], list[Problem]]) -> None:
    assert problems(limit.made(limit.most - 1, "m")) == []
    assert problems(limit.made(limit.most, "m")) == []
    params = {"limit": limit.most, "length": limit.most + 1} | ({"unit": limit.unit} if limit.unit else {})
    expected = Problem(limit.pointer, limit.code, params, warning=limit.code in WARNINGS)
    assert problems(limit.made(limit.most + 1, "m")) == [expected]


@pytest.mark.parametrize("limit", EMPLOYEE_LIMITS, ids=str)
def test_a_limit_of_messages_to_employees(limit: Limit) -> None:
    check_limit(limit, messages.employee_problems)


@pytest.mark.parametrize("limit", MASS_LIMITS, ids=str)
def test_a_limit_of_mass_messages(limit: Limit) -> None:
    check_limit(limit, messages.mass_problems)


def test_bytes_are_utf8() -> None:
    assert messages.employee_problems(Markdown("汉" * 682)) == []
    (problem,) = messages.employee_problems(Markdown("汉" * 683))
    assert problem.params == {"limit": 2048, "length": 2049, "unit": "bytes"}


def send(corp: Corp, content: Content, to_kind: str, to: str, sender: str = "") -> str:
    corp.sim.settings(member_per_minute=10_000)
    body = corp.provider.body(content, to_kind=to_kind, to=[to], sender=sender)
    return corp.provider.send(body, to_kind=to_kind, to=[to]).msgid


def test_the_simulator_draws_the_same_line_for_employees(corp: Corp) -> None:
    (to, *_) = corp.provider.directory().listed
    media_id = corp.provider.upload_media("image", "a.png", b"0123456789")
    for limit in EMPLOYEE_LIMITS:
        assert send(corp, limit.made(limit.most, media_id), "employee", to), limit
        over = limit.made(limit.most + 1, media_id)
        if limit.code in WARNINGS or limit.pointer in CUT_BY_WECOM:
            assert send(corp, over, "employee", to), limit
        else:
            with pytest.raises(Refused):
                send(corp, over, "employee", to)


def test_the_simulator_draws_the_same_line_for_mass_messages(official: Corp) -> None:
    userid, to = official.listed_contact()
    media_id = official.provider.upload_media("image", "a.png", b"0123456789")
    for limit in MASS_LIMITS:
        assert send(official, limit.made(limit.most, media_id), "contact", to, userid), limit
        with pytest.raises(Refused):
            send(official, limit.made(limit.most + 1, media_id), "contact", to, userid)


@pytest.mark.parametrize("limit", [each for each in EMPLOYEE_LIMITS if each.code == "cut"], ids=str)
def test_what_is_told_to_be_cut_arrives_cut(official: Corp, limit: Limit) -> None:
    (to, *_) = official.provider.directory().listed
    media_id = official.provider.upload_media("image", "a.png", b"0123456789")
    send(official, limit.made(limit.most + 1, media_id), "employee", to)
    (message,) = official.sim.messages(corp=official.corp)
    found: Any = {message["msgtype"]: message["content"]}
    for step in limit.pointer.split("/")[1:]:
        found = found[int(step) if step.isdigit() else step]
    assert found == "a" * limit.most


MISSING: list[tuple[Content, set[str]]] = [
    (Image(""), {"/image/media_id"}),
    (Voice(" "), {"/voice/media_id"}),
    (Video(""), {"/video/media_id"}),
    (File(""), {"/file/media_id"}),
    (Textcard("", " ", ""), {"/textcard/title", "/textcard/description", "/textcard/url"}),
    (News(()), {"/news/articles"}),
    (News((Article(""),)), {"/news/articles/0/title", "/news/articles/0/url"}),
    (News((Article("t", appid=APPID),)), {"/news/articles/0/pagepath"}),
    (News((Article("t", pagepath="pages/a"),)), {"/news/articles/0/appid"}),
    (Mpnews(()), {"/mpnews/articles"}),
    (
        Mpnews((MpArticle("", "", ""),)),
        {f"/mpnews/articles/0/{name}" for name in ("title", "thumb_media_id", "content")},
    ),
    (TemplateCard("text_notice"), {f"{CARD}/card_action"}),
    (TemplateCard("news_notice"), {f"{CARD}/card_action"}),
    (TemplateCard("button_interaction"), {f"{CARD}/button_list", f"{CARD}/task_id"}),
    (TemplateCard("vote_interaction"), {f"{CARD}/checkbox", f"{CARD}/task_id"}),
    (TemplateCard("multiple_interaction"), {f"{CARD}/select_list", f"{CARD}/task_id"}),
    (replace(VOTE, checkbox=Checkbox("q", ())), {f"{CARD}/checkbox/option_list"}),
    (replace(TEXT_NOTICE, action_menu=ActionMenu((MenuAction("a", "b"),))), {f"{CARD}/task_id"}),
]


@pytest.mark.parametrize(("content", "pointers"), MISSING)
def test_what_must_be_there_is_required(content: Content, pointers: set[str]) -> None:
    found = {(each.pointer, each.code, each.warning) for each in messages.employee_problems(content)}
    assert found == {(pointer, "required", False) for pointer in pointers}


@pytest.mark.parametrize(
    ("attachment", "names"),
    [
        (ImageAttachment(), {"media_id"}),
        (LinkAttachment("", ""), {"title", "url"}),
        (MiniprogramAttachment("", "", "", ""), {"title", "pic_media_id", "appid", "page"}),
    ],
)
def test_what_an_attachment_must_have(attachment: Attachment, names: set[str]) -> None:
    found = messages.mass_problems(Text("a", attachments=(LINK, attachment)))
    at = f"/attachments/1/{attachment.msgtype}"
    assert {(each.pointer, each.code) for each in found} == {(f"{at}/{name}", "required") for name in names}


@pytest.mark.parametrize(
    ("content", "pointer", "code"),
    [
        (Markdown(" "), "/markdown/content", "empty"),
        (Textcard("t", "d", "crm.example"), "/textcard/url", "no_scheme"),
        (News((Article("t", url="crm.example"),)), "/news/articles/0/url", "no_scheme"),
        (replace(BUTTONS, task_id="a b"), f"{CARD}/task_id", "bad_task_id"),
        (replace(TEXT_NOTICE, replace_text="Taken"), f"{CARD}/replace_text", "unsupported_option"),
        (replace(TEXT_NOTICE, main_title=Title("a\0")), f"{CARD}/main_title/title", "invalid_characters"),
        (Text("a", attachments=(LINK,)), "/attachments", "unsupported_option"),
    ],
)
def test_what_employees_cannot_be_sent(content: Content, pointer: str, code: str) -> None:
    assert messages.employee_problems(content) == [Problem(pointer, code)]


def test_what_a_pressed_button_says_has_a_length_of_ours() -> None:
    (found,) = messages.employee_problems(replace(BUTTONS, replace_text="汉" * 43))
    assert (found.pointer, found.code, found.params["limit"]) == (f"{CARD}/replace_text", "too_long", 128)
    assert not messages.employee_problems(replace(BUTTONS, replace_text="汉" * 42))


def test_contacts_take_text_and_notices_alone() -> None:
    for content in to_employees("m"):
        found = [messages.contact_problems(content), messages.mass_problems(content)]
        if content.msgtype in ("text", "miniprogram_notice"):
            assert not any(each.code == "unsupported_type" for problems in found for each in problems)
        else:
            assert found == [[Problem("/msgtype", "unsupported_type")]] * 2


def test_options_that_contacts_would_not_have_are_refused() -> None:
    content = Text("a", attachments=(LINK,), safe=1, enable_id_trans=1)
    options = [Problem("/safe", "unsupported_option"), Problem("/enable_id_trans", "unsupported_option")]
    assert messages.mass_problems(content) == options
    assert messages.contact_problems(content) == [*options, Problem("/attachments", "unsupported_option")]
    assert messages.contact_problems(replace(NOTICE, enable_id_trans=1)) == options[1:]


def test_sound_contents_have_no_problem() -> None:
    assert [each for content in to_employees("m") for each in messages.employee_problems(content)] == []
    assert messages.mass_problems(mass_text("m")) == messages.mass_problems(mass_text("m", "")) == []
