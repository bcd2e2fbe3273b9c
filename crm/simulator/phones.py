"""The page that shows what arrived: imagined phones, and the mass tasks that wait for an employee."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from html import escape
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from crm.simulator.bubbles import bubble, template_card
from crm.simulator.phones_style import STYLE
from crm.simulator.records import ContactWay, MassPart, MassTask, Message
from crm.simulator.wecom.cards import buttons_of
from crm.simulator.world import Corp, World

_CHINA = timezone(timedelta(hours=8))
_PHONES = 60
_BUBBLES = 30


def page(world: World, query: Mapping[str, str]) -> str:
    """The whole page for the corp in the query (default: the first); `q` searches names and ids."""
    corp = world.corps.get(query.get("corp", "")) or next(iter(world.corps.values()))
    search = query.get("q", "").strip()
    phones = "".join(_phone(corp, *each) for each in islice(_inboxes(corp, search), _PHONES))
    return f"""<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>模拟器 · {escape(corp.spec.name)}</title>
<style>{STYLE}</style></head><body>
<header><h1>企业微信模拟器 <small>Renmai simulator</small></h1>{_tabs(world, corp)}
<form class="search" method="get"><input type="hidden" name="corp" value="{escape(corp.spec.corp)}">
<input type="search" name="q" value="{escape(search)}" placeholder="按姓名搜索 name" aria-label="按姓名搜索">
<button>搜索</button></form></header>
<main>{_figures(world, corp)}{_tasks(corp)}{_codes(world, corp)}
<h2>手机 <small>phones, latest first</small></h2>
{f'<div class="phones">{phones}</div>' if phones else _nothing(search)}</main></body></html>"""


def _tabs(world: World, chosen: Corp) -> str:
    links = [
        f'<a class="{"on" if corp is chosen else ""}" href="?{escape(urlencode({"corp": corp.spec.corp}))}">'
        f"{escape(corp.spec.name)} <small>{escape(corp.spec.dialect)}</small></a>"
        for corp in world.corps.values()
    ]
    return f"<nav>{''.join(links)}</nav>"


def _figures(world: World, corp: Corp) -> str:
    now = datetime.fromtimestamp(world.clock.now(), UTC).astimezone(_CHINA)
    figures = (
        (len(corp.contacts), "外部联系人", "contacts"),
        (len(corp.employees), "员工", "employees"),
        (len(corp.messages), "消息", "messages"),
        (f"{now:%m-%d %H:%M}", "模拟时间", "clock"),
    )
    cells = (
        f"<div><b>{value}</b>{label} <small>{english}</small></div>" for value, label, english in figures
    )
    return f'<section class="figures">{"".join(cells)}</section>'


def _nothing(search: str) -> str:
    words = "没有匹配的手机 no match" if search else "还没有人收到消息 nothing received yet"
    return f'<p class="nothing">{words}</p>'


def _inboxes(corp: Corp, search: str) -> list[tuple[str, str, str, list[Message]]]:
    """(kind, id, name, messages) of everyone who received something and matches, latest first."""
    inboxes: dict[tuple[str, str], list[Message]] = {}
    for message in reversed(corp.messages):
        inboxes.setdefault((message.kind, message.to), []).append(message)
    found = [(kind, to, _name(corp, kind, to), messages) for (kind, to), messages in inboxes.items()]
    wanted = search.lower()
    return [each for each in found if wanted in each[2].lower() or wanted in each[1].lower()]


def _name(corp: Corp, kind: str, to: str) -> str:
    person = corp.contacts.get(to) if kind == "contact" else corp.employee(to)
    return person.name if person else to


def _phone(corp: Corp, kind: str, to: str, name: str, messages: list[Message]) -> str:
    contact = corp.contacts.get(to) if kind == "contact" else None
    label = "联系人 <small>contact</small>" if kind == "contact" else "员工 <small>employee</small>"
    work = contact.corp_full_name or contact.corp_name if contact else corp.spec.name
    picture = contact.avatar if contact and contact.avatar else f"/_sim/avatar/{escape(to)}.svg"
    older = len(messages) - _BUBBLES
    note = f'<p class="nothing">更早 {older} 条 older</p>' if older > 0 else ""
    bubbles = "".join(_row(corp, each) for each in messages[:_BUBBLES])
    return (
        f'<article class="phone"><div class="who"><img src="{escape(picture)}" alt="" width="40" height="40">'
        f'<div><b>{escape(name)}</b><span class="kind {kind}">{label}</span>'
        f"<small>{escape(work)}</small><code>{escape(to)}</code></div></div>"
        f'<div class="screen">{bubbles}{note}</div>{_writing(corp, to) if kind == "employee" else ""}</article>'
    )


def _writing(corp: Corp, userid: str) -> str:
    """What an employee writes goes to the app."""
    return (
        '<form class="write" method="post" action="/_sim/app-events/">'
        f'<input type="hidden" name="corp" value="{escape(corp.spec.corp)}">'
        f'<input type="hidden" name="userid" value="{escape(userid)}">'
        '<input name="text" maxlength="600" required placeholder="写给应用 write to the app" aria-label="写给应用">'
        "<button>发送</button></form>"
    )


def _row(corp: Corp, message: Message) -> str:
    sender = corp.spec.name if message.sender == "app" else _name(corp, "employee", message.sender)
    recalled = '<span class="recalled">已撤回 recalled</span>' if message.recalled else ""
    return (
        f'<div class="row{" gone" if message.recalled else ""}"><div class="meta">{escape(sender)} · '
        f"{_time(message.at)} · {escape(message.msgtype)}{recalled}</div>"
        f"{_pressable(corp, message) or bubble(message.msgtype, message.content)}</div>"
    )


def _pressable(corp: Corp, message: Message) -> str:
    """A card with the buttons that can be pressed; "" for any other message."""
    if message.msgtype != "template_card":
        return ""
    hidden = (
        f'<input type="hidden" name="corp" value="{escape(corp.spec.corp)}">'
        f'<input type="hidden" name="n" value="{message.n}">'
    )
    buttons = [] if message.recalled else buttons_of(message.content)
    return template_card(message.content, hidden, buttons)


def _time(unix: int) -> str:
    return f"{datetime.fromtimestamp(unix, UTC).astimezone(_CHINA):%Y-%m-%d %H:%M:%S}"


def _tasks(corp: Corp) -> str:
    waiting = [
        (task, part)
        for task in reversed(corp.tasks.values())
        if not task.cancelled
        for part in task.parts.values()
        if not part.send_time
    ]
    if not waiting:
        return ""
    cards = "".join(_task(corp, task, part) for task, part in waiting[:_PHONES])
    return (
        f'<h2 id="tasks">待员工确认的群发 <small>mass messages waiting ({len(waiting)})</small></h2>'
        f'<div class="tasks">{cards}</div>'
    )


def _codes(world: World, corp: Corp) -> str:
    """The QR codes that are out there, latest first, each with the way to its button."""
    ways = [
        each for each in reversed(corp.ways.values()) if each.scene == 2 and each.is_live(world.clock.now())
    ]
    cards = "".join(code_card(corp, each, button=True) for each in ways[:_PHONES])
    title = f'<h2 id="codes">渠道码 <small>contact ways ({len(ways)})</small></h2>'
    return f'{title}<div class="tasks">{cards}</div>' if ways else ""


def code_card(corp: Corp, way: ContactWay, *, button: bool) -> str:
    """A code, whom it leads to and what it notes."""
    names = [escape(each.name) for each in corp.members_of_way(way)]
    more = f" 等 {len(names)} 人" if len(names) > 3 else ""
    link = f'<a class="act" href="/_sim/scan/{way.config_id}/">扫码 <small>scan</small></a>' if button else ""
    return (
        f'<div class="task code"><img src="/_sim/qr/{way.config_id}.png" alt="" width="132" height="132">'
        f"<div><b>{'、'.join(names[:3])}{more}</b><p>{escape(way.remark)}</p>"
        f"<small>state <code>{escape(way.state) or '–'}</code> · 已扫 {way.scans} 次</small>{link}</div></div>"
    )


def _task(corp: Corp, task: MassTask, part: MassPart) -> str:
    hidden: dict[str, Any] = {"corp": corp.spec.corp, "msgid": task.msgid, "userid": part.userid}
    inputs = "".join(
        f'<input type="hidden" name="{key}" value="{escape(value)}">' for key, value in hidden.items()
    )
    people = [_name(corp, "contact", each) for each in islice(part.recipients, 3)]
    reminded = f" · 已提醒 {len(task.reminders)} 次" if task.reminders else ""
    return (
        f'<form class="task" method="post" action="/_sim/confirm/">{inputs}'
        f"<b>{escape(_name(corp, 'employee', part.userid))}</b> <code>{escape(part.userid)}</code>"
        f"<p>{escape(task.text) or '（仅附件 attachments only）'}</p>"
        f"<small>发给 {len(part.recipients)} 位客户：{escape('、'.join(people))}"
        f" · {len(task.attachments)} 个附件 · {_time(task.created_at)}{reminded}</small>"
        f"<button>确认发送 <small>send</small></button></form>"
    )
