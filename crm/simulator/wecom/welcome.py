"""The welcome message: one, within seconds of the event whose code it needs (protocol reference, section 3.6)."""

from crm.simulator.wecom.call import Call, Refused, ok
from crm.simulator.wecom.content import cut
from crm.simulator.wecom.mass import read_attachments, read_text


def send_welcome_msg(call: Call) -> bytes:
    """POST send_welcome_msg: the customer's phone shows it; the code opens nothing a second time."""
    code = call.text("welcome_code", missing=41049)
    text, attachments = read_text(call), read_attachments(call)
    if not text and not attachments:
        raise Refused(40063, "text or attachments")
    corp, welcome = call.corp, call.corp.welcomes.get(code)
    if welcome is None:
        raise Refused(41050)
    pair = (welcome.external_userid, welcome.userid)
    if pair in corp.greeted:
        raise Refused(41051)
    if call.clock.now() - welcome.at > call.switches.welcome_seconds:
        raise Refused(41050)
    corp.greeted.add(pair)
    corp.deliver(
        at=call.clock.seconds(),
        kind="contact",
        to=welcome.external_userid,
        sender=welcome.userid,
        msgtype="welcome",
        content={"text": cut(text, 4000), "attachments": attachments},
        msgid=code,
    )
    return ok()
