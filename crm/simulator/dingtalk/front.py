"""The front of both DingTalk APIs: the table of endpoints, tokens, limits, and how either words a refusal."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from crm.simulator.dingtalk import contacts, directory, notices
from crm.simulator.dingtalk.call import Call, Refused, ok, read_body
from crm.simulator.dingtalk.errcodes import BANNED, GATEWAY, TOKEN, WORDS
from crm.simulator.exchange import Answer, JsonObject, Request, dumps
from crm.simulator.front import Front, Visit
from crm.simulator.world import Corp

PREFIXES = ("/gettoken", "/topapi/", "/v1.0/")
_CHINA = timezone(timedelta(hours=8))
_TOKENS = ("gettoken", "v1.0/oauth2/accessToken")
_HEADER = "x-acs-dingtalk-access-token"
_NEW = "v1.0/"
_NEW_WORDS = {
    40014: (400, "InvalidAuthentication"),
    40035: (400, "MissingParameter"),
    40096: (400, "invalidClientIdOrSecret"),
    60011: (403, "Forbidden.AccessDenied.AccessTokenPermissionDenied"),
    60020: (403, "Forbidden.AccessDenied.IpNotInWhiteList"),
    90002: (403, "Forbidden.AccessDenied.QpsLimitForApi"),
    90018: (403, "Forbidden.AccessDenied.QpsLimitForAppkeyAndApi"),
}


@dataclass(frozen=True, slots=True)
class Route:
    """The function behind one path. A POST reads its body; reads answer a GET with the same parameters too."""

    post: Callable[[Call], bytes]
    takes_get: bool = False


_NOTICE = "topapi/message/corpconversation/"
ROUTES: dict[str, Route] = {
    "topapi/v2/department/listsub": Route(directory.listsub),
    "topapi/v2/department/listsubid": Route(directory.listsubid),
    "topapi/user/listsimple": Route(directory.listsimple),
    "topapi/v2/user/list": Route(directory.full_list),
    "topapi/user/listid": Route(directory.listid),
    "topapi/v2/user/get": Route(directory.get),
    "topapi/v2/user/getbymobile": Route(directory.getbymobile),
    "topapi/extcontact/list": Route(contacts.listing, takes_get=True),
    "topapi/extcontact/get": Route(contacts.get, takes_get=True),
    "topapi/extcontact/listlabelgroups": Route(contacts.listlabelgroups, takes_get=True),
    "topapi/extcontact/create": Route(contacts.create),
    "topapi/extcontact/update": Route(contacts.update),
    "topapi/extcontact/delete": Route(contacts.delete),
    _NOTICE + "asyncsend_v2": Route(notices.send),
    _NOTICE + "getsendprogress": Route(notices.progress),
    _NOTICE + "getsendresult": Route(notices.result),
    _NOTICE + "recall": Route(notices.recall),
}


class DingtalkFront(Front):
    """Answers every path under PREFIXES."""

    def receive(self, request: Request) -> Visit:
        api, query = request.path.strip("/"), request.query()
        is_new = api.startswith(_NEW)
        token = request.header(_HEADER) if is_new else query.get("access_token", "")
        in_body = False
        if not token and not is_new and b"access_token" in request.body:
            token, in_body = str(_quietly(request).get("access_token") or ""), True
        grant = self.world.tokens.find(token) if token else None
        corp = self.world.corps.get(grant.corp) if grant else None
        if api in _TOKENS:
            corp = self._corp_of(query.get("appkey") or _quietly(request).get("appKey"))
        if corp is not None and corp.spec.dialect != "dingtalk":
            corp = None
        return Visit(request, api, query, token, in_body, grant, corp)

    def _corp_of(self, app_key: object) -> Corp | None:
        found = (each for each in self.world.corps.values() if each.spec.app_key)
        return next((each for each in found if each.spec.app_key == app_key), None)

    def params(self, visit: Visit) -> Mapping[str, Any]:
        return visit.query | _quietly(visit.request)

    def perform(self, visit: Visit, inside: int, *, with_items: bool) -> Answer:
        if visit.api in _TOKENS:
            return self._gettoken(visit, inside)
        route = ROUTES.get(visit.api)
        if route is None:
            return _unknown(visit.api)
        corp = self._admit(visit)
        self._check_rates(visit, inside)
        if visit.request.method != "POST":
            if not route.takes_get:
                raise Refused(43002)
            params: Mapping[str, Any] = visit.query
        else:
            params = visit.query | read_body(visit.request)
        return Answer(route.post(Call(self.world, corp, visit.request, visit.api, params, not with_items)))

    def _gettoken(self, visit: Visit, inside: int) -> Answer:
        """GET gettoken and POST accessToken: the app's token, which lives anew whenever it is asked for."""
        is_new = visit.api.startswith(_NEW)
        if (visit.request.method == "POST") != is_new:
            raise Refused(40035, "corpid or appkey")
        told = _quietly(visit.request) if is_new else visit.query
        app_key = told.get("appKey" if is_new else "appkey")
        secret = told.get("appSecret" if is_new else "appsecret")
        if not app_key or not secret:
            raise Refused(40035, "corpid or appkey")
        if visit.corp is None or visit.corp.spec.secret != secret:
            raise Refused(40096)
        self._check_rates(visit, inside)
        ttl = self.world.switches.token_ttl
        grant, lives = self.world.tokens.issue(visit.corp_id, "app", ttl=ttl, renews=True)
        if is_new:
            return Answer(dumps({"accessToken": grant.token, "expireIn": lives}))
        return Answer(ok(access_token=grant.token, expires_in=lives))

    def _admit(self, visit: Visit) -> Corp:
        if not visit.token:
            raise Refused(40000, "access_token is blank")
        if visit.grant is None or visit.corp is None or not self.world.tokens.is_good(visit.grant):
            raise Refused(40014)
        return visit.corp

    def _check_rates(self, visit: Visit, inside: int) -> None:
        switches, key = self.world.switches, (visit.corp_id, visit.api)
        if switches.concurrency_limit and inside > switches.concurrency_limit:
            raise Refused(90018, self._until(1))
        if not self.world.windows.take(key, limit=switches.calls_per_second, seconds=1):
            raise Refused(90018, self._until(1))

    def _until(self, seconds: int) -> str:
        at = datetime.fromtimestamp(self.world.clock.now() + seconds, UTC).astimezone(_CHINA)
        return f"will end at {at:%Y-%m-%d %H:%M:%S}"

    def refusal(self, refusal: Refused, visit: Visit) -> Answer:
        """HTTP 200 and the errcode, wrapped where the gateway of topapi says it; 4xx and words on the new API."""
        code = refusal.errcode
        if code == BANNED:
            told: JsonObject = {"status": BANNED, "wait": 5, "source": "x5", "punish": "deny", "uuid": "sim"}
            return Answer(dumps(told | refusal.fields), errcode=code)
        words = WORDS.get(code, "错误") + (f": {refusal.detail}" if refusal.detail else "")
        if code == 60020:
            words += f", request ip={visit.request.ip}"
        request_id = f"sim{self.world.journal.next_n:012d}"
        if visit.api.startswith(_NEW):
            status, name = _NEW_WORDS.get(code, (400, f"Error{code}"))
            told = {"code": name, "requestid": request_id, "message": words}
            return Answer(dumps(told | refusal.fields), status, errcode=code)
        told = {"errcode": code, "errmsg": words}
        if visit.api.startswith("topapi/") and (code in GATEWAY or code in TOKEN):
            told = {"errcode": 88, "sub_code": str(code), "sub_msg": words}
            told["errmsg"] = f"ding talk error[subcode={code},submsg={words}]"
        return Answer(dumps(told | {"request_id": request_id} | refusal.fields), errcode=code)


def _unknown(api: str) -> Answer:
    if api.startswith("topapi/"):
        name = "dingtalk.oapi." + api.removeprefix("topapi/").replace("/", ".")
        told: JsonObject = {
            "errcode": 22,
            "sub_msg": f"ApiName = {name}",
            "errmsg": f"Invalid method[{name}]",
        }
        return Answer(dumps(told), errcode=22)
    return Answer(dumps({"errcode": 404, "errmsg": WORDS[404]}), errcode=404)


def _quietly(request: Request) -> JsonObject:
    try:
        return read_body(request)
    except Refused:
        return {}
