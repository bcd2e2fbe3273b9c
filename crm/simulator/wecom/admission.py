"""Who may come in: gettoken, and the token and rate rules of every other call."""

from crm.simulator.exchange import Request
from crm.simulator.front import Visit
from crm.simulator.wecom.call import Refused, ok, read_body
from crm.simulator.world import Corp, World

_MINUTE, _HOUR = 60, 3600
_DEBUG_PER_MINUTE = 5  # a forgotten debug=1 in the query


def receive(world: World, request: Request, api: str) -> Visit:
    """Read the token, or the corpid of gettoken; judges nothing."""
    query = request.query()
    token, in_body = query.get("access_token", ""), False
    if not token and b'"access_token"' in request.body:
        token, in_body = _token_in(request), True
    grant = world.tokens.find(token) if token else None
    corp_id = query.get("corpid", "") if api == "gettoken" else grant.corp if grant else ""
    corp = world.corps.get(corp_id)
    if corp is not None and corp.spec.dialect == "dingtalk":
        corp = None
    return Visit(request, api, query, token, in_body, grant, corp)


def _token_in(request: Request) -> str:
    try:
        return str(read_body(request).get("access_token") or "")
    except Refused:
        return ""


def admit(world: World, visit: Visit) -> tuple[Corp, str]:
    """The corp and the app ("app" or "sync") of a good token. Raises Refused."""
    if not visit.token:
        raise Refused(41001)
    if visit.grant is None or visit.corp is None or visit.grant.is_revoked:
        raise Refused(40014)
    if not world.tokens.is_good(visit.grant):
        raise Refused(world.switches.expired_errcode)
    corp = world.corps[visit.grant.corp]
    accepted = world.switches.token_in_body
    if visit.token_was_in_body and not (corp.spec.dialect == "direct" if accepted is None else accepted):
        raise Refused(41001, "the token belongs in the query")
    return corp, visit.grant.app


def check_rates(world: World, visit: Visit, *, inside: int) -> None:
    """Refuse when `inside` calls of this API are too many at once, or this minute had too many."""
    switches = world.switches
    if switches.concurrency_limit and inside > switches.concurrency_limit:
        raise Refused(45033)
    if not world.windows.take((visit.corp_id, visit.api), limit=switches.rate_limit_minute, seconds=_MINUTE):
        raise Refused(45009)
    if visit.query.get("debug") == "1":
        key = (visit.corp_id, visit.api, "debug")
        if not world.windows.take(key, limit=_DEBUG_PER_MINUTE, seconds=_MINUTE):
            raise Refused(45009, "debug=1")


def gettoken(world: World, visit: Visit, *, inside: int) -> bytes:
    """GET gettoken: the app's token, the same one until it expires."""
    secret = visit.query.get("corpsecret", "")
    if not visit.query.get("corpid"):
        raise Refused(41002)
    if not secret:
        raise Refused(41004)
    if visit.corp is None:
        raise Refused(40013)
    spec = visit.corp.spec
    app = {spec.secret: "app", spec.sync_secret: "sync"}.get(secret)
    _check_guessing(world, visit, is_wrong=app is None)
    if app is None:
        others = [each.spec for each in world.corps.values()]
        raise Refused(40091 if any(secret in (each.secret, each.sync_secret) for each in others) else 40001)
    check_rates(world, visit, inside=inside)
    grant, lives = world.tokens.issue(spec.corp, app, ttl=world.switches.token_ttl)
    return ok(access_token=grant.token, expires_in=lives)


def _check_guessing(world: World, visit: Visit, *, is_wrong: bool) -> None:
    """Too many wrong secrets block the address for the rest of the hour, the right secret included."""
    key, limit = ("wrong secret", visit.corp_id, visit.request.ip), world.switches.wrong_secret_limit
    if world.windows.is_full(key, limit=limit, seconds=_HOUR):
        raise Refused(45009)
    if is_wrong:
        world.windows.take(key, limit=limit, seconds=_HOUR)
