"""The parts of a template card, under WeCom's own names. Which card takes which is the provider's to say."""

from dataclasses import dataclass

from crm.providers.shapes import Shape


@dataclass(frozen=True, slots=True)
class Source(Shape):
    """Where the card comes from, in its head."""

    icon_url: str = ""
    desc: str = ""
    desc_color: int = 0


@dataclass(frozen=True, slots=True)
class MenuAction(Shape):
    text: str
    key: str


@dataclass(frozen=True, slots=True)
class ActionMenu(Shape):
    """The menu in the corner of the card."""

    action_list: tuple[MenuAction, ...]
    desc: str = ""


@dataclass(frozen=True, slots=True)
class Title(Shape):
    """`main_title`, `emphasis_content`, and an entry of `vertical_content_list`."""

    title: str = ""
    desc: str = ""


@dataclass(frozen=True, slots=True)
class QuoteArea(Shape):
    type: int = 0
    url: str = ""
    appid: str = ""
    pagepath: str = ""
    title: str = ""
    quote_text: str = ""


@dataclass(frozen=True, slots=True)
class ImageTextArea(Shape):
    image_url: str
    type: int = 0
    url: str = ""
    appid: str = ""
    pagepath: str = ""
    title: str = ""
    desc: str = ""


@dataclass(frozen=True, slots=True)
class CardImage(Shape):
    url: str
    aspect_ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Row(Shape):
    """An entry of `horizontal_content_list`. `type`: 1 a link, 2 a file, 3 an employee."""

    keyname: str
    value: str = ""
    type: int = 0
    url: str = ""
    media_id: str = ""
    userid: str = ""


@dataclass(frozen=True, slots=True)
class Jump(Shape):
    """An entry of `jump_list`. `type`: 1 a link, 2 a mini program."""

    title: str
    type: int = 0
    url: str = ""
    appid: str = ""
    pagepath: str = ""


@dataclass(frozen=True, slots=True)
class CardAction(Shape):
    """What a tap on the whole card opens. `type`: 1 a link, 2 a mini program."""

    type: int = 0
    url: str = ""
    appid: str = ""
    pagepath: str = ""


@dataclass(frozen=True, slots=True)
class Button(Shape):
    """`type` 1 opens `url`; otherwise a tap is told with `key`."""

    text: str
    type: int = 0
    style: int = 0
    key: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class SubmitButton(Shape):
    text: str
    key: str


@dataclass(frozen=True, slots=True)
class Option(Shape):
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckOption(Shape):
    id: str
    text: str
    is_checked: bool = False


@dataclass(frozen=True, slots=True)
class Selection(Shape):
    """`button_selection`, and an entry of `select_list`: one of several."""

    question_key: str
    option_list: tuple[Option, ...]
    title: str = ""
    selected_id: str = ""
    disable: bool = False


@dataclass(frozen=True, slots=True)
class Checkbox(Shape):
    """What is voted on. `mode`: 0 one of them, 1 several."""

    question_key: str
    option_list: tuple[CheckOption, ...]
    mode: int = 0
    disable: bool = False
