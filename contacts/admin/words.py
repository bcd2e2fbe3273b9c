"""Words of the mirror that a page says in full."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

# wecom.md 3.3, add_way
_ADD_WAYS: Final[Mapping[int, Promise]] = {
    0: _("unknown way"),
    1: _("QR code"),
    2: _("phone search"),
    3: _("card share"),
    4: _("group chat"),
    5: _("phone book"),
    6: _("WeChat contact"),
    8: _("third-party app"),
    9: _("e-mail search"),
    10: _("Channels (视频号)"),
    11: _("calendar participant"),
    12: _("meeting participant"),
    13: _("WeCom of a WeChat friend"),
    14: _("hardware service"),
    15: _("on-site service"),
    16: _("acquisition link"),
    17: _("custom development"),
    18: _("demand reply"),
    21: _("third-party pre-sales"),
    22: _("possible business partner"),
    24: _("accepted WeChat friend request"),
    201: _("shared by a colleague"),
    202: _("assigned by a leader"),
}

VERBS: Final[Mapping[str, tuple[str, Promise]]] = {
    "contact.created": ("person_add", _("Contact created")),
    "contact.updated": ("edit", _("Contact changed")),
    "contact.lost": ("person_off", _("Nobody follows this contact any more")),
    "contact.restored": ("person_check", _("Followed again")),
    "contact.erased": ("delete_forever", _("Personal data erased")),
    "contact.joined": ("qr_code_scanner", _("Came by a contact way")),
    "contact.merged": ("merge", _("Put together with the contact created here")),
    "contact_way.created": ("qr_code_2", _("A QR code was asked for")),
    "contact_way.made": ("qr_code_2", _("The QR code was made")),
    "contact_way.updated": ("qr_code_2", _("The QR code was changed")),
    "contact_way.failed": ("error", _("The QR code could not be made")),
    "contact_way.deleted": ("delete", _("The QR code was deleted")),
    "contact_way.expired": ("event_busy", _("The QR code has ended")),
    "follow.started": ("link", _("%(name)s follows this contact")),
    "follow.updated": ("edit_note", _("%(name)s: relation changed")),
    "follow.ended": ("link_off", _("%(name)s no longer follows this contact")),
    "follow.restored": ("link", _("%(name)s follows this contact again")),
}


def add_way(number: int) -> str:
    known = _ADD_WAYS.get(number)
    return str(known) if known else _now("other way (%(n)d)") % {"n": number}
