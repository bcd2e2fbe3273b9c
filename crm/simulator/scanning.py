"""The pages a customer sees who scans a contact way's code."""

from html import escape

from crm.simulator.exchange import JsonObject
from crm.simulator.phones import code_card
from crm.simulator.phones_style import STYLE
from crm.simulator.records import ContactWay
from crm.simulator.world import Corp, World


def page(world: World, corp: Corp, way: ContactWay) -> str:
    """The code and the button that scans it, or the words that it has expired."""
    if not way.is_live(world.clock.now()):
        return _frame(corp, '<p class="nothing">此码已过期 this code has expired</p>')
    return _frame(
        corp,
        f"""{code_card(corp, way, button=False)}
<form method="post"><label>客户姓名 <small>name of the new customer</small>
<input name="name" value="新客户" maxlength="40" required></label>
<button>以新客户扫码 <small>scan this code as a new customer</small></button></form>""",
    )


def done(corp: Corp, told: JsonObject) -> str:
    """Who is connected now."""
    employee = corp.employee(told["userid"])
    name = employee.name if employee else told["userid"]
    external_userid = told["external_userid"]
    contact = corp.contacts[external_userid]
    return _frame(
        corp,
        f"<p>{escape(contact.name)} 已添加 {escape(name)}，可以开始聊天了。 <small>connected</small></p>"
        f"<p><code>{escape(external_userid)}</code></p>",
    )


def _frame(corp: Corp, body: str) -> str:
    return f"""<!doctype html><html lang="zh-CN"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1"><title>扫码 · {escape(corp.spec.name)}</title>
<style>{STYLE}</style></head><body><header><h1>{escape(corp.spec.name)} <small>模拟器 simulator</small></h1>
</header><main class="scan">{body}
<p><a href="/_sim/?corp={escape(corp.spec.corp)}">手机 <small>phones</small></a></p></main></body></html>"""
