"""What goes out: message contents as frozen, provider-independent values, and their JSON form.

Names are WeCom's own. A media is named by its `media_id`, which lives three days. Sizes, and what may not be empty, are
the provider's to check: see `<provider>/messages.py`.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from crm.providers.attachments import Attachment
from crm.providers.cards import (
    ActionMenu,
    Button,
    CardAction,
    CardImage,
    Checkbox,
    ImageTextArea,
    Jump,
    QuoteArea,
    Row,
    Selection,
    Source,
    SubmitButton,
    Title,
)
from crm.providers.shapes import UNTOLD, ContentError, Envelope, Shape, read_envelope

__all__ = [
    "Article",
    "Content",
    "ContentError",
    "File",
    "Image",
    "Markdown",
    "MiniprogramNotice",
    "MpArticle",
    "Mpnews",
    "News",
    "TemplateCard",
    "Text",
    "Textcard",
    "Video",
    "Voice",
    "parse",
]

Switch = Literal[0, 1]
CardType = Literal[
    "text_notice", "news_notice", "button_interaction", "vote_interaction", "multiple_interaction"
]


@dataclass(frozen=True)
class _Content(Envelope):
    """A content with the options of a send: `safe` 1 is confidential, `enable_id_trans` translates ids."""

    __slots__ = ()
    beside: ClassVar[tuple[str, ...]] = ("safe", "enable_id_trans", "attachments")


@dataclass(frozen=True, slots=True)
class Text(_Content):
    """A text; as a mass message with `attachments`, and then possibly empty."""

    msgtype: ClassVar[str] = "text"
    content: str
    attachments: tuple[Attachment, ...] = ()
    safe: Switch = 0
    enable_id_trans: Switch = 0


@dataclass(frozen=True, slots=True)
class Image(_Content):
    msgtype: ClassVar[str] = "image"
    media_id: str
    safe: Switch = 0
    enable_id_trans: Switch = 0


@dataclass(frozen=True, slots=True)
class Voice(_Content):
    msgtype: ClassVar[str] = "voice"
    media_id: str
    enable_id_trans: Switch = 0


@dataclass(frozen=True, slots=True)
class Video(_Content):
    msgtype: ClassVar[str] = "video"
    media_id: str
    title: str = ""
    description: str = ""
    safe: Switch = 0
    enable_id_trans: Switch = 0


@dataclass(frozen=True, slots=True)
class File(_Content):
    msgtype: ClassVar[str] = "file"
    media_id: str
    safe: Switch = 0
    enable_id_trans: Switch = 0


@dataclass(frozen=True, slots=True)
class Textcard(_Content):
    msgtype: ClassVar[str] = "textcard"
    title: str
    description: str
    url: str
    btntxt: str = ""
    enable_id_trans: Switch = 0


@dataclass(frozen=True, slots=True)
class Article(Shape):
    """One of the news. It opens `url`, or with `appid` the mini-program page `pagepath`."""

    title: str
    description: str = ""
    url: str = ""
    picurl: str = ""
    appid: str = ""
    pagepath: str = ""


@dataclass(frozen=True, slots=True)
class News(_Content):
    msgtype: ClassVar[str] = "news"
    articles: tuple[Article, ...]
    enable_id_trans: Switch = 0


@dataclass(frozen=True, slots=True)
class MpArticle(Shape):
    """One of the mpnews; `content` is HTML that WeCom keeps."""

    title: str
    thumb_media_id: str
    content: str
    author: str = ""
    content_source_url: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Mpnews(_Content):
    """`safe` 2: may be shared inside the corp only."""

    msgtype: ClassVar[str] = "mpnews"
    articles: tuple[MpArticle, ...]
    safe: Literal[0, 1, 2] = 0
    enable_id_trans: Switch = 0


@dataclass(frozen=True, slots=True)
class Markdown(_Content):
    msgtype: ClassVar[str] = "markdown"
    content: str
    enable_id_trans: Switch = 0


@dataclass(frozen=True, slots=True)
class MiniprogramNotice(_Content):
    """A mini-program notice (wecom.md 2.4). `content_item` holds (key, value) pairs.

    `pic_media_id` is the cover where the notice becomes a mini-program attachment of a mass send. It is set
    by `Provider.prepare` just before `body()` and is no part of the JSON form: a media_id lives three days.
    """

    msgtype: ClassVar[str] = "miniprogram_notice"
    appid: str
    title: str
    page: str = ""
    description: str = ""
    emphasis_first_item: bool = False
    content_item: tuple[tuple[str, str], ...] = ()
    enable_id_trans: Switch = 0
    pic_media_id: str = field(default="", metadata=UNTOLD)


@dataclass(frozen=True, slots=True)
class TemplateCard(_Content):
    """A card of one of five kinds; the last three ask the reader for an answer."""

    msgtype: ClassVar[str] = "template_card"
    card_type: CardType
    source: Source | None = None
    action_menu: ActionMenu | None = None
    task_id: str = ""
    main_title: Title | None = None
    quote_area: QuoteArea | None = None
    emphasis_content: Title | None = None
    sub_title_text: str = ""
    image_text_area: ImageTextArea | None = None
    card_image: CardImage | None = None
    vertical_content_list: tuple[Title, ...] = ()
    horizontal_content_list: tuple[Row, ...] = ()
    jump_list: tuple[Jump, ...] = ()
    card_action: CardAction | None = None
    button_selection: Selection | None = None
    button_list: tuple[Button, ...] = ()
    checkbox: Checkbox | None = None
    select_list: tuple[Selection, ...] = ()
    submit_button: SubmitButton | None = None
    replace_text: str = ""  # what the button says to who has pressed it; no part of what is sent
    enable_id_trans: Switch = 0


Content = (
    Text
    | Image
    | Voice
    | Video
    | File
    | Textcard
    | News
    | Mpnews
    | Markdown
    | MiniprogramNotice
    | TemplateCard
)


def parse(data: Any) -> Content:
    """The content written as `{"msgtype": "text", "text": {"content": "…"}}`; raises ContentError."""
    content: Content = read_envelope(get_args(Content), data)
    return content
