"""What a send call answered -> SendReceipt: who was reached, who was not and why (contract C10)."""

from collections.abc import Callable, Iterable, Sequence

from crm.providers.answers import Reply, scrub
from crm.providers.errors import Refused
from crm.providers.reading import as_int, ids
from crm.providers.records import LIMITS, Refusal, SendReceipt

NOBODY_VALID = 81013  # message/send: no receiver is valid or visible
NO_CUSTOMER = 41048  # add_msg_template: nobody to send to


_TO_PEOPLE = (
    ("invaliduser", NOBODY_VALID, ""),
    ("fail_list", NOBODY_VALID, ""),
    ("unlicenseduser", None, "unlicensed"),
)
# {to_kind: (list of the answer that names recipients, errcode, code)}
_NAMED: dict[str, tuple[tuple[str, int | None, str], ...]] = {
    "contact": _TO_PEOPLE,
    "employee": _TO_PEOPLE,
    "department": (("invalidparty", NOBODY_VALID, ""),),
    "tag": (("invalidtag", NOBODY_VALID, ""),),
    "everybody": (),
}


def receipt(
    answer: Reply, to: Sequence[str], *, to_kind: str, warning: str, final: bool = True
) -> SendReceipt:
    """The receipt of a send to `to` that answered errcode 0."""
    msgid = answer.data.get("msgid")
    number = as_int(msgid)
    text = scrub(msgid) if isinstance(msgid, str) else "" if number is None else str(number)
    return SendReceipt(
        msgid=text[: LIMITS["msgid"]],
        refused=tuple(_refusals(answer, to, to_kind)),
        final=final or not text,
        warning=scrub("; ".join(filter(None, (warning, *_left_out(answer, to_kind))))),
    )


def _left_out(answer: Reply, to_kind: str) -> Iterable[str]:
    """People of a department or tag who did not get what it got: no recipients of ours, yet worth telling."""
    if _NAMED[to_kind] is _TO_PEOPLE:
        return
    for key in ("invaliduser", "unlicenseduser"):
        if named := ids(answer.data.get(key)):
            yield f"{key}: {', '.join(named)}"


def _refusals(answer: Reply, to: Sequence[str], to_kind: str) -> Iterable[Refusal]:
    """Recipients named as not reached, under the ids we used: WeCom answers in lower case."""
    ours = {recipient.lower(): recipient for recipient in to}
    named: set[str] = set()
    for key, errcode, code in _NAMED[to_kind]:
        for other in ids(answer.data.get(key)):
            recipient = ours.get(other.lower())
            if recipient is not None and recipient not in named:
                named.add(recipient)
                yield Refusal(recipient, errcode, f"named in {key}", code)


def send_or_refuse_all(send: Callable[[], SendReceipt], to: Sequence[str], errcode: int) -> SendReceipt:
    """`send()`; where the provider says with `errcode` that nobody could be reached, everybody is refused."""
    try:
        return send()
    except Refused as error:
        if error.errcode != errcode or error.api == "gettoken":
            raise
        return SendReceipt(refused=tuple(Refusal(one, errcode, error.errmsg) for one in to))
