"""The page for people."""

import urllib.parse
import urllib.request
from typing import Any

HOSTILE = "<script>alert(1)</script>\"'&"


def page(sim: Any, **query: Any) -> str:
    with urllib.request.urlopen(f"{sim.url}/_sim/?{urllib.parse.urlencode(query)}") as answer:
        return str(answer.read().decode())


def test_page_when_nothing_arrived_then_says_so(sim: Any) -> None:
    html = page(sim)
    assert "还没有人收到消息" in html
    assert html.startswith("<!doctype html>")


def test_page_when_hostile_text_arrived_then_escaped_everywhere(direct: Any, sim: Any) -> None:
    userid = direct.employees()[0]
    sim.change(direct.corp, "add_contact", external_userid="wmH", name=HOSTILE, follow_user=[userid])
    body = {"touser": "wmH", "msgtype": "text", "text": {"content": HOSTILE}}
    direct.post("externalcontact/message/send", **body)
    item = {"key": "<b>", "value": HOSTILE[:25]}
    notice = {"appid": "wx00000000000000aa", "title": "<i>t</i>", "content_item": [item], "page": HOSTILE}
    direct.send(userid, "miniprogram_notice", notice | {"emphasis_first_item": True})
    html = page(sim, corp=direct.corp)
    assert "<script>" not in html
    assert "<i>t" not in html
    assert "<b></span>" not in html
    assert html.count("&lt;script&gt;") >= 4


def test_page_when_a_notice_arrived_then_drawn_as_a_card(direct: Any, sim: Any) -> None:
    items = [{"key": "金额", "value": "¥9,800"}, {"key": "截止", "value": "周五"}]
    notice = {"appid": "wx00000000000000aa", "title": "合同待确认", "content_item": items, "page": "pages/a"}
    direct.send(direct.employees()[0], "miniprogram_notice", notice | {"emphasis_first_item": True})
    html = page(sim, corp=direct.corp)
    assert '<div class="emphasis"><b>¥9,800</b><span>金额</span></div>' in html
    assert "<dt>截止</dt><dd>周五</dd>" in html
    assert "pages/a" in html


def test_page_when_searched_then_shows_only_matching_phones(direct: Any, sim: Any) -> None:
    first, second, *_ = direct.employees()
    direct.send(f"{first}|{second}")
    assert page(sim, corp=direct.corp).count('class="phone"') == 2
    assert page(sim, corp=direct.corp, q=first).count('class="phone"') == 1
    assert "没有匹配的手机" in page(sim, corp=direct.corp, q="nobody-of-this-name")


def test_form_when_pressed_then_confirms_and_leads_back(official: Any, sim: Any) -> None:
    userid = official.employees()[0]
    task = official.post("externalcontact/add_msg_template", sender=userid, text={"content": "群发"})
    assert "确认发送" in page(sim, corp=official.corp)
    form = urllib.parse.urlencode({"corp": official.corp, "msgid": task["msgid"], "userid": userid}).encode()
    with urllib.request.urlopen(f"{sim.url}/_sim/confirm/", form) as answer:
        assert answer.url.startswith(f"{sim.url}/_sim/?corp={official.corp}")
        html = answer.read().decode()
    assert "确认发送" not in html
    assert "群发" in html


def test_avatar_when_asked_for_then_a_picture(sim: Any) -> None:
    with urllib.request.urlopen(f"{sim.url}/_sim/avatar/7.svg") as answer:
        assert answer.headers["Content-Type"] == "image/svg+xml"
        assert answer.read().startswith(b"<svg")
