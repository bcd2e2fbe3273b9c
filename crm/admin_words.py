"""The provider's numbers in words a person can act on, in their language. Code and logs keep the numbers."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from crm.providers.wecom.errcodes import TABLE

_SENTENCES: Final[Mapping[int, Promise]] = {
    -1: _("The provider was busy. It is tried again by itself."),
    40001: _(
        "The secret is wrong, belongs to another corp, or the app is stopped. Copy it again from the app's page."
    ),
    40007: _(
        "The provider does not know the file (any more). A file of the library is uploaded again by itself."
    ),
    40013: _("The corp id is wrong. Compare it with My company (我的企业) → 企业ID."),
    40014: _("The provider no longer takes the token. A new one is fetched by itself."),
    42001: _("The provider no longer takes the token. A new one is fetched by itself."),
    40032: _("Too many recipients in one call."),
    40056: _("The agent id is wrong. Compare it with AgentId on the app's page."),
    40091: _("The secret belongs to another corp."),
    40096: _("The provider does not know this contact, or it is outside the app's range."),
    40128: _("This contact was transferred twice within 90 days; the provider allows no more."),
    40201: _("The provider blocked the content (anti-spam). Change the wording."),
    40204: _("The provider blocked the content (forbidden words). Change the wording."),
    41041: _("Together the employees and the members of the teams are more than 100 people."),
    41044: _("The code is gone at the provider."),
    41045: _(
        "The corp has as many contact ways as the provider allows. Delete some that are no longer used."
    ),
    41048: _("There is no customer to send to: nobody among them is followed by the sender any more."),
    41050: _("WeCom no longer takes the code of this welcome: it is good for 20 seconds."),
    41053: _("The contact has not agreed that chats are archived, so WeCom lets nobody welcome them."),
    41096: _("Another app is just sending a welcome to this person. It is tried again by itself."),
    41054: _("The employee has not activated WeCom yet."),
    45009: _("Too many calls: the provider asks us to wait. It goes on by itself."),
    45033: _("Too many calls at the same time. It goes on by itself."),
    48002: _("The app may not call this. Add it in the console under 客户联系 → 可调用接口的应用."),
    48009: _(
        "The contacts-sync secret may not read this from a new address. Use the secret of a self-built app."
    ),
    50003: _("The app is disabled in the console."),
    60011: _("The app has no right on this employee. Widen its visible range (可见范围)."),
    60020: _(
        "The provider does not trust this server's address. Enter the IP below in the console: the app's page"
        " → 企业可信IP. It takes about a minute to act."
    ),
    60140: _("The card can no longer be changed: its code counts once, and not for long."),
    60111: _("The employee does not exist at the provider, or the app cannot see them."),
    81013: _(
        "None of the recipients is valid or visible to the app. Check the app's visible range (可见范围)."
    ),
    84061: _("This employee and this contact do not follow each other (any more)."),
    84074: _("The employee has no right to external contacts."),
    90200: _("The notice names no mini program."),
    90201: _("The notice has more than 10 lines."),
    90202: _("A line of the notice has no label, or one that is too long."),
    90203: _("A line of the notice has no value, or one that is too long."),
    90204: _("The mini program's page is not valid."),
    90206: _("The mini program is not linked to this app."),
    90207: _("This is not the appid of a mini program."),
    301002: _("The app may not act for this agent id. Compare AgentId and secret: they must be of one app."),
    701008: _("The employees have no valid licence for this interface."),
    41002: _("The corp id or the secret is missing."),
    41063: _("The mass message is still being dispatched. Its result is asked for again by itself."),
    45002: _("The content is too long."),
    22005: _("Another external contact at DingTalk has this phone number already."),
    60203: _("DingTalk keeps no more external contacts for this organisation."),
    45031: _("The provider judges the secret unsafe. Reset it on the app's page and enter the new one."),
    48004: _("The authorisation of the app was revoked. Authorise it again in the console."),
    60030: _("The app may not call interfaces. Enable its API access in the console."),
    81026: _("The provider is maintaining this feature. It is tried again by itself."),
    301007: _("The corp is dissolved or banned at the provider."),
}

# Codes that mean the same to a person as another one.
_SAME_AS: Final[Mapping[int, int]] = {
    6000: -1, 301096: 45033, 2000002: 40013, 41004: 41002, 41024: 41002, 41011: 40056,
    82004: 40204, 85002: 40204, 48001: 48002, 50006: 50003, 50002: 60011, 60021: 60011, 60031: 60030,
    301042: 60020, 40003: 60111, 81012: 81013, 82001: 81013, 84084: 84074, 90208: 90206,
    701016: 701008, 701099: 701008,
}  # fmt: skip

# WeCom's sentence is wrong for these; DingTalk's client says what to mend where they can be mended.
_OTHERWISE_AT_DINGTALK: Final = frozenset({40096})

_CODES: Final[Mapping[str, Promise]] = {
    "network": _("The provider could not be reached. Check the address and the network of this server."),
    "timeout": _("The provider did not answer in time."),
    "http_status": _("The provider answered with an HTTP error."),
    "not_json": _("The answer was not what the protocol says: is the address right?"),
    "truncated": _("The answer broke off."),
    "no_list": _("The answer had no list of contacts: nothing in it was believed."),
    "bad_cursor": _("The provider gave a cursor that is none."),
    "cursor_repeated": _("The provider gave the same cursor twice: the listing would never end."),
    "page_cap": _("The listing has more pages than CRM_SYNC_MAX_PAGES allows."),
    "no_agent": _("The corp has no app yet: add one with its secret."),
    "internal": _("A fault of this program; its log says more."),
    "unlicensed": _("This employee has no licence for the interface."),
    "bad_recipient": _("This is not the id of one recipient."),
    "bad_media": _("The provider did not take the picture."),
    "bad_item": _("The provider sent a record that cannot be read."),
    "no_cover": _("The mini-program card has no cover picture."),
    "no_sender": _("There is no employee in whose name it could be sent."),
    "not_friend": _("The contact has removed this employee."),
    "over_cap": _("The contact has already got as many mass messages as the provider allows."),
    "id_taken": _("The provider keeps this person under an id that another contact here has already."),
    "opted_out": _("This contact has asked not to be written to."),
    "erased": _("The contact is no longer here."),
    "lost": _("Nobody follows this contact any more."),
    "way_deleted": _("Its QR code was deleted before the person scanned it."),
    "way_expired": _("Its QR code ended before the person scanned it."),
    "resolved": _("A person decided."),
    "never_told": _("The provider took it, and within a day never said whether it arrived."),
    "minute_limit": _("The provider left this one out: too many messages in a minute. Send it again later."),
    "day_limit": _("The provider left this one out: too many messages to one person in a day."),
    "same_today": _("The provider left this one out: the same content was sent to this person today."),
    "forbidden_content": _("The provider blocked the content. Change the wording."),
    "protected": _("The provider protects this person from messages."),
    "left_out": _("The provider left this one out and did not say why."),
    "invalid_user": _("The provider does not know this employee, or the app cannot see them."),
    "not_delivered": _("The provider could not deliver it."),
    "unanswered": _("The provider was asked for 25 minutes and never said what became of it."),
    "stopped": _("The mass send was stopped before the employee confirmed it."),
    "never_confirmed": _("The employee did not confirm it within 30 days."),
    "crashed": _("This program failed while sending it; its log says more."),
    "no_such_send": _("The provider knows no such mass send: it did not get there. Say what is to be done."),
    "several_sends": _(
        "The provider knows several mass sends that this can be. Look in WeCom, then say what became of it."
    ),
    "welcomed_already": _("They talk already, or WeCom or another app has welcomed them."),
    "welcomed_by_us": _("The first answer was lost; WeCom says that the welcome has arrived."),
    "no_worker": _("No worker came by within 20 seconds. Is supervise running?"),
    "corp_paused": _("Sending of this corp was paused, and after 20 seconds it was too late."),
    "corp_off": _("This corp was switched off."),
    "too_long": _("The content is too long."),
    "worker_lost": _("The worker that was sending it went away."),
    "uploading": _("Its file is still being uploaded. It goes on by itself."),
}

# Codes whose `errmsg` is our own English, not the provider's words.
_OURS: Final = frozenset(
    {
        "not_friend",
        "over_cap",
        "unanswered",
        "no_such_send",
        "several_sends",
        "stopped",
        "never_confirmed",
        "never_told",
        "minute_limit",
        "day_limit",
        "same_today",
        "forbidden_content",
        "protected",
        "left_out",
        "invalid_user",
        "not_delivered",
        "worker_lost",
        "no_worker",
        "corp_paused",
        "corp_off",
        "too_long",
        "uploading",
        "no_agent",
        "no_sender",
        "no_cover",
        "bad_recipient",
    }
)


def provider_sentence(code: str, errcode: int | None = None, errmsg: str = "", *, fix: str = "") -> str:
    """What happened and what to do about it; the provider's own words stand behind it in brackets."""
    sentence, words = advice(code, errcode, fix=fix), provider_words(code, errcode, errmsg)
    if not words:
        return sentence
    return f"{sentence} ({words})" if sentence else _now("The provider said: %(words)s") % {"words": words}


def advice(code: str, errcode: int | None = None, *, fix: str = "") -> str:
    """Our sentence alone; "" when we have none for it."""
    known = _SENTENCES.get(_SAME_AS.get(errcode, errcode)) if errcode is not None else None
    if fix and errcode in _OTHERWISE_AT_DINGTALK:
        return fix
    if known is not None:
        return str(known)
    if code in _CODES:
        return str(_CODES[code])
    if errcode is not None and errcode in TABLE:
        return f"{TABLE[errcode].meaning.capitalize()}. {fix or TABLE[errcode].fix}".strip()
    return fix


def provider_words(code: str, errcode: int | None = None, errmsg: str = "") -> str:
    """The provider's number and words alone; "" when the fault is one that we named."""
    if errcode is None and code in _OURS:
        return ""
    return " ".join(str(part) for part in (errcode, errmsg) if part not in (None, ""))
