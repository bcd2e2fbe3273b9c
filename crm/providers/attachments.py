"""What a mass message can carry beside its text (docs/reference/protocol-wecom.md 3.7)."""

from dataclasses import dataclass
from typing import ClassVar

from crm.providers.shapes import Envelope


@dataclass(frozen=True, slots=True)
class ImageAttachment(Envelope):
    """A picture: `media_id`, or `pic_url` of one that was uploaded for good; media_id wins."""

    msgtype: ClassVar[str] = "image"
    media_id: str = ""
    pic_url: str = ""


@dataclass(frozen=True, slots=True)
class LinkAttachment(Envelope):
    msgtype: ClassVar[str] = "link"
    title: str
    url: str
    picurl: str = ""
    desc: str = ""


@dataclass(frozen=True, slots=True)
class MiniprogramAttachment(Envelope):
    """A mini-program card. `pic_media_id` is its cover."""

    msgtype: ClassVar[str] = "miniprogram"
    title: str
    pic_media_id: str
    appid: str
    page: str


@dataclass(frozen=True, slots=True)
class VideoAttachment(Envelope):
    msgtype: ClassVar[str] = "video"
    media_id: str


@dataclass(frozen=True, slots=True)
class FileAttachment(Envelope):
    msgtype: ClassVar[str] = "file"
    media_id: str


Attachment = ImageAttachment | LinkAttachment | MiniprogramAttachment | VideoAttachment | FileAttachment
