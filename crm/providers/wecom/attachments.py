"""The attachments of a mass message: their limits (docs/reference/protocol-wecom.md 3.7)."""

from collections.abc import Iterator, Sequence

from crm.providers.attachments import Attachment, ImageAttachment, LinkAttachment, MiniprogramAttachment
from crm.providers.records import Problem
from crm.providers.wecom.measuring import most_bytes, most_entries, required

ATTACHMENTS = 9
LINK_BYTES = {"title": 128, "url": 2048, "picurl": 2048, "desc": 512}
MINIPROGRAM_TITLE_BYTES = 64


def attachment_problems(attachments: Sequence[Attachment]) -> Iterator[Problem]:
    yield from most_entries("/attachments", attachments, ATTACHMENTS)
    for n, attachment in enumerate(attachments):
        yield from _problems(f"/attachments/{n}/{attachment.msgtype}", attachment)


def _problems(at: str, attachment: Attachment) -> Iterator[Problem]:
    if isinstance(attachment, LinkAttachment):
        yield from required(at, attachment, "title", "url")
        for name, limit in LINK_BYTES.items():
            yield from most_bytes(f"{at}/{name}", getattr(attachment, name), limit)
    elif isinstance(attachment, MiniprogramAttachment):
        yield from required(at, attachment, "title", "pic_media_id", "appid", "page")
        yield from most_bytes(f"{at}/title", attachment.title, MINIPROGRAM_TITLE_BYTES)
    elif not (isinstance(attachment, ImageAttachment) and attachment.pic_url.strip()):
        yield from required(at, attachment, "media_id")
