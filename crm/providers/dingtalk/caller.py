"""How DingTalk is called: its token, its paths, and what its answers say."""

import re
import time
from typing import Any

from crm.providers import caller
from crm.providers.answers import Reply, scrub
from crm.providers.caller import DEFAULT_LIFE_S, encode
from crm.providers.dingtalk.errcodes import BAN_S, BANNED, WRAPPER, error_for
from crm.providers.errors import Malformed
from crm.providers.reading import as_int

__all__ = ["Caller", "encode"]

_SUBCODE = re.compile(r"subcode=(-?\d{1,10})")
_EARLIER_S = 300  # besides what the store allows: ten minutes before the token's end, as DingTalk advises


class Caller(caller.Caller):
    """Speaks for one app of one organisation, which DingTalk knows by its app key."""

    _banned_until = 0.0  # time.monotonic(): until then every call would only lengthen the ban

    def _once(self, api: str, token: str, **request: Any) -> Reply:
        left = self._banned_until - time.monotonic()
        if left > 0:
            error = error_for(BANNED, "")
            error.retry_after, error.api = left, api
            raise error
        return super()._once(api, token, **request)

    def _fetch_token(self) -> tuple[str, float]:
        query = {"appkey": self._credentials.app_key, "appsecret": self._credentials.secret}
        data = self._once("gettoken", "", query=query, expect="access_token").data
        token = data.get("access_token")
        if not isinstance(token, str) or not token:
            raise Malformed("gettoken answered without an access_token.", code="not_json")
        told = as_int(data.get("expires_in"))
        life = float(DEFAULT_LIFE_S if told is None else max(told, 0))
        return token, max(life - _EARLIER_S, life / 2)

    def _path(self, api: str) -> str:
        return f"/{api}"

    def _judge(self, api: str, answer: Reply, token: str, expect: str) -> None:
        data = answer.data
        if as_int(data.get("status")) == BANNED and "errcode" not in data:
            error = error_for(BANNED, "")
            self._banned_until = time.monotonic() + BAN_S
            raise error
        errcode = as_int(data.get("errcode"))
        if errcode is None:
            raise Malformed("The answer has no errcode.", code="not_json", outcome="unknown")
        if errcode != 0:
            code, words = _effective(errcode, data)
            raise error_for(code, scrub(words, token, self._credentials.secret), api=api)


def _effective(errcode: int, data: dict[str, Any]) -> tuple[int, Any]:
    """The code and the words of a refusal: those inside, where the gateway wrapped them."""
    errmsg = data.get("errmsg")
    if errcode != WRAPPER:
        return errcode, errmsg
    inside = as_int(data.get("sub_code"))
    if inside is None:
        found = _SUBCODE.search(errmsg) if isinstance(errmsg, str) else None
        inside = int(found.group(1)) if found else errcode
    return inside, data.get("sub_msg") or errmsg
