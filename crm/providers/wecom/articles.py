"""The limits of media, cards with a link, articles and markdown (docs/reference/protocol-wecom.md 3.9)."""

from collections.abc import Iterator

from crm.providers.content import (
    Article,
    File,
    Image,
    Markdown,
    MpArticle,
    Mpnews,
    News,
    Textcard,
    Video,
    Voice,
)
from crm.providers.records import Problem
from crm.providers.wecom.measuring import (
    cut_bytes,
    most_bytes,
    most_characters,
    most_entries,
    required,
    web_address,
)

# WeCom cuts these silently; newer pages count characters, older ones bytes: we warn at what is certain to be shown.
SHOWN_TITLE_BYTES = 128
SHOWN_DESCRIPTION_BYTES = 512
URL_BYTES = 2048
BUTTON_LENGTH = 4
ARTICLES = 8
AUTHOR_BYTES = 64
HTML_BYTES = 666 * 1024
MARKDOWN_BYTES = 2048


def media_problems(content: Image | Voice | File) -> Iterator[Problem]:
    yield from required(f"/{content.msgtype}", content, "media_id")


def video_problems(content: Video) -> Iterator[Problem]:
    yield from required("/video", content, "media_id")
    yield from cut_bytes("/video/title", content.title, SHOWN_TITLE_BYTES)
    yield from cut_bytes("/video/description", content.description, SHOWN_DESCRIPTION_BYTES)


def textcard_problems(content: Textcard) -> Iterator[Problem]:
    yield from required("/textcard", content, "title", "description", "url")
    yield from cut_bytes("/textcard/title", content.title, SHOWN_TITLE_BYTES)
    yield from cut_bytes("/textcard/description", content.description, SHOWN_DESCRIPTION_BYTES)
    yield from web_address("/textcard/url", content.url, URL_BYTES)
    yield from most_characters("/textcard/btntxt", content.btntxt, BUTTON_LENGTH)


def news_problems(content: News) -> Iterator[Problem]:
    yield from required("/news", content, "articles")
    yield from most_entries("/news/articles", content.articles, ARTICLES)
    for n, article in enumerate(content.articles):
        yield from _article_problems(f"/news/articles/{n}", article)


def _article_problems(at: str, article: Article) -> Iterator[Problem]:
    yield from required(at, article, "title")
    yield from cut_bytes(f"{at}/title", article.title, SHOWN_TITLE_BYTES)
    yield from cut_bytes(f"{at}/description", article.description, SHOWN_DESCRIPTION_BYTES)
    if article.appid or article.pagepath:  # then the url is ignored
        yield from required(at, article, "appid", "pagepath")
    else:
        yield from required(at, article, "url")
        yield from web_address(f"{at}/url", article.url, URL_BYTES)


def mpnews_problems(content: Mpnews) -> Iterator[Problem]:
    yield from required("/mpnews", content, "articles")
    yield from most_entries("/mpnews/articles", content.articles, ARTICLES)
    for n, article in enumerate(content.articles):
        yield from _mparticle_problems(f"/mpnews/articles/{n}", article)


def _mparticle_problems(at: str, article: MpArticle) -> Iterator[Problem]:
    yield from required(at, article, "title", "thumb_media_id", "content")
    yield from cut_bytes(f"{at}/title", article.title, SHOWN_TITLE_BYTES)
    yield from most_bytes(f"{at}/author", article.author, AUTHOR_BYTES)
    yield from most_bytes(f"{at}/content", article.content, HTML_BYTES)
    yield from cut_bytes(f"{at}/digest", article.digest, SHOWN_DESCRIPTION_BYTES)


def markdown_problems(content: Markdown) -> Iterator[Problem]:
    if not content.content.strip():
        yield Problem("/markdown/content", "empty")
    yield from most_bytes("/markdown/content", content.content, MARKDOWN_BYTES)
