"""The front of the WeCom API: the table of endpoints, and one call's way through faults, rules and journal."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from crm.simulator.exchange import Answer, JsonObject, Request, dumps
from crm.simulator.front import Front, Visit
from crm.simulator.wecom import cards, customers, directory, listing, mass, media, messages, ways, welcome
from crm.simulator.wecom.admission import admit, check_rates, gettoken, receive
from crm.simulator.wecom.call import Call, Refused, read_body
from crm.simulator.wecom.errcodes import WORDS

PREFIX = "/cgi-bin/"
_ESCAPE = re.compile(rb"\\u[0-9a-fA-F]{4}")
_FORMS = ("media/upload", "media/uploadimg")  # bodies that are not JSON
Endpoint = Callable[[Call], bytes | Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """The functions behind one path. What is `direct_only` does not exist for an official corp."""

    get: Endpoint | None = None
    post: Endpoint | None = None
    direct_only: bool = False


ROUTES: dict[str, Route] = {
    "user/simplelist": Route(get=directory.simplelist),
    "user/list": Route(get=directory.full_list),
    "user/get": Route(get=directory.get),
    "user/list_id": Route(post=directory.list_id),
    "user/getuserid": Route(post=directory.getuserid),
    "department/list": Route(get=directory.department_list),
    "department/simplelist": Route(get=directory.department_simplelist),
    "department/get": Route(get=directory.department_get),
    "externalcontact/get_follow_user_list": Route(get=customers.get_follow_user_list),
    "externalcontact/list": Route(get=listing.list_ids, post=listing.direct_list),
    "externalcontact/get": Route(get=customers.get),
    "externalcontact/batch/get_by_user": Route(post=listing.get_by_user),
    "externalcontact/get_corp_tag_list": Route(post=customers.get_corp_tag_list),
    "externalcontact/remark": Route(post=customers.remark),
    "externalcontact/mark_tag": Route(post=customers.mark_tag),
    "externalcontact/add": Route(post=customers.add, direct_only=True),
    "externalcontact/message/send": Route(post=messages.send_to_contact),
    "externalcontact/add_msg_template": Route(post=mass.add_msg_template),
    "externalcontact/get_groupmsg_list_v2": Route(post=mass.get_groupmsg_list_v2),
    "externalcontact/get_groupmsg_task": Route(post=mass.get_groupmsg_task),
    "externalcontact/get_groupmsg_send_result": Route(post=mass.get_groupmsg_send_result),
    "externalcontact/remind_groupmsg_send": Route(post=mass.remind_groupmsg_send),
    "externalcontact/cancel_groupmsg_send": Route(post=mass.cancel_groupmsg_send),
    "externalcontact/add_contact_way": Route(post=ways.add_contact_way),
    "externalcontact/get_contact_way": Route(post=ways.get_contact_way),
    "externalcontact/update_contact_way": Route(post=ways.update_contact_way),
    "externalcontact/list_contact_way": Route(post=ways.list_contact_way),
    "externalcontact/del_contact_way": Route(post=ways.del_contact_way),
    "externalcontact/send_welcome_msg": Route(post=welcome.send_welcome_msg),
    "message/send": Route(post=messages.send),
    "message/update_template_card": Route(post=cards.update_template_card),
    "message/recall": Route(post=messages.recall),
    "message/get_statistics": Route(post=messages.get_statistics),
    "media/upload": Route(post=media.upload),
    "media/uploadimg": Route(post=media.uploadimg),
    "media/get": Route(get=media.get),
}


class WecomFront(Front):
    """Answers every path under /cgi-bin/."""

    def receive(self, request: Request) -> Visit:
        return receive(self.world, request, request.path[len(PREFIX) :])

    def params(self, visit: Visit) -> JsonObject:
        return _params(visit, strict=False)

    def perform(self, visit: Visit, inside: int, *, with_items: bool) -> Answer:
        if visit.api == "gettoken":
            return Answer(gettoken(self.world, visit, inside=inside))
        route = ROUTES.get(visit.api)
        if route is None:
            return self._unknown_path()
        corp, app = admit(self.world, visit)
        is_direct = corp.spec.dialect == "direct"
        if route.direct_only and not is_direct:
            return self._unknown_path()
        check_rates(self.world, visit, inside=inside)
        if app == "sync" and visit.api.startswith("externalcontact/"):
            raise Refused(48002, "the contacts-sync secret may not read customers")
        endpoint = _endpoint(route, visit.request.method, is_direct=is_direct)
        params = _params(visit, strict=endpoint is route.post)
        if self.world.switches.refuse_escapes and _ESCAPE.search(visit.request.body):
            raise Refused(40033)
        told = endpoint(Call(self.world, corp, app, visit.request, visit.api, params, not with_items))
        return told if isinstance(told, Answer) else Answer(told)

    def _unknown_path(self) -> Answer:
        if self.world.switches.unknown_path == "-1":
            raise Refused(-1)
        return Answer(b"<html><body><h1>404 Not Found</h1></body></html>", 404, "text/html", errcode=404)

    def refusal(self, refusal: Refused, visit: Visit) -> Answer:
        """A business error: HTTP 200, the errcode, and an errmsg in WeCom's shape."""
        now = self.world.clock.seconds()
        hint = hashlib.md5(f"{now}{visit.request.query_string}".encode(), usedforsecurity=False).hexdigest()
        words = WORDS.get(refusal.errcode, "error") + (f": {refusal.detail}" if refusal.detail else "")
        errmsg = (
            f"{words}, hint: [{now}_{now % 100}_{hint}], from ip: {visit.request.ip}, "
            f"more info at https://open.work.weixin.qq.com/devtool/query?e={refusal.errcode}"
        )
        told: JsonObject = {"errcode": refusal.errcode, "errmsg": errmsg} | refusal.fields
        return Answer(dumps(told), errcode=refusal.errcode)


def _endpoint(route: Route, method: str, *, is_direct: bool) -> Endpoint:
    """The function for this method; reads may be asked for by POST, as the service allows."""
    if method == "POST" and route.post and (is_direct or route.post is not listing.direct_list):
        return route.post
    if route.get is None:
        raise Refused(40063, "use POST")
    return route.get


def _params(visit: Visit, *, strict: bool) -> JsonObject:
    """The body of a POST, otherwise the query; a body that is no JSON object is refused only if `strict`."""
    if visit.api in _FORMS or visit.request.method != "POST":
        return dict(visit.query)
    if strict:
        return read_body(visit.request)
    try:
        return visit.query | read_body(visit.request)
    except Refused:
        return dict(visit.query)
