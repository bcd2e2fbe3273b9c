"""How WeCom is called: its token, its paths, and what its answers say."""

from crm.providers import caller
from crm.providers.answers import Reply, scrub
from crm.providers.caller import DEFAULT_LIFE_S, encode
from crm.providers.errors import Malformed
from crm.providers.reading import as_int
from crm.providers.wecom.errcodes import error_for

__all__ = ["Caller", "encode"]

_FINE = {"", "ok", "created", "updated", "deleted"}


class Caller(caller.Caller):
    """Speaks for one app of one corp."""

    def _fetch_token(self) -> tuple[str, float]:
        query = {"corpid": self._credentials.corpid, "corpsecret": self._credentials.secret}
        data = self._once("gettoken", "", query=query, expect="access_token").data
        token = data.get("access_token")
        if not isinstance(token, str) or not token:
            raise Malformed("gettoken answered without an access_token.", code="not_json")
        life = as_int(data.get("expires_in"))
        return token, float(DEFAULT_LIFE_S if life is None else max(life, 0))

    def _path(self, api: str) -> str:
        return f"/cgi-bin/{api}"

    def _judge(self, api: str, answer: Reply, token: str, expect: str) -> None:
        """Raise unless the answer says success (wecom.md 1, rule 1)."""
        data = answer.data
        verdict = data.get("errcode", data.get("result"))
        if verdict is None and "errcode" not in data and expect and expect in data:
            return
        errcode = as_int(verdict)
        if errcode is None:
            raise Malformed("The answer has no errcode.", code="not_json", outcome="unknown")
        if errcode != 0:
            raise error_for(errcode, scrub(data.get("errmsg"), token, self._credentials.secret), api=api)

    def warning_of(self, answer: Reply) -> str:
        """The `errmsg` of a success when it is not one of the usual words."""
        errmsg = scrub(answer.data.get("errmsg"), self._credentials.secret)
        return "" if errmsg.lower() in _FINE else errmsg
