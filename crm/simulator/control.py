"""The calls under /_sim/: they look behind the curtain and move things. No password, so loopback only."""

import json
from collections.abc import Callable
from contextlib import nullcontext

from crm.simulator import changes, events, phones, scanning
from crm.simulator.callbacks import verify
from crm.simulator.exchange import Answer, JsonObject, Request, json_answer
from crm.simulator.pictures import avatar, qr_code
from crm.simulator.records import Callback, ContactWay
from crm.simulator.truth import message_truth, notice_truth, task_truth, truth
from crm.simulator.wecom import cards
from crm.simulator.wecom.mass import confirm
from crm.simulator.world import Corp, World

PREFIX = "/_sim/"
Call = Callable[["Control", Request], object]


class Control:
    """Answers every path under /_sim/. `rebuild` fills a fresh world the way this one was filled."""

    def __init__(self, world: World, rebuild: Callable[[], None]) -> None:
        self.world = world
        self._rebuild = rebuild
        self._initial = world.switches.as_json()

    def __call__(self, request: Request) -> Answer:
        """One control call. 400 says what was wrong with it, 404 that there is no such thing."""
        name = request.path[len(PREFIX) :].partition("/")[0]
        call = CALLS.get((request.method, name))
        if call is None:
            return json_answer({"error": f"no {request.method} {request.path}"}, status=404)
        try:
            # An app that is asked to prove its URL may call the API meanwhile.
            with nullcontext() if call is Control.set_callback else self.world.lock:
                told = call(self, request)
        except KeyError as missing:
            return json_answer({"error": f"needs {missing}"}, status=400)
        except LookupError as error:
            return json_answer({"error": str(error)}, status=404)
        except (ValueError, TypeError) as error:
            return json_answer({"error": str(error)}, status=400)
        return told if isinstance(told, Answer) else json_answer(told)

    def _body(self, request: Request) -> JsonObject:
        told = json.loads(request.body or b"{}")
        if not isinstance(told, dict):
            raise ValueError("the body must be a JSON object")
        return told

    def _corp(self, corp_id: object) -> Corp:
        if corp_id not in self.world.corps:
            raise LookupError(f"no corp {corp_id!r}; there are {', '.join(self.world.corps)}")
        return self.world.corps[str(corp_id)]

    def _corps(self, corp_id: str) -> list[Corp]:
        return [self._corp(corp_id)] if corp_id else list(self.world.corps.values())

    def read_world(self, request: Request) -> object:
        return truth(self._corp(request.query().get("corp")))

    def change_world(self, request: Request) -> object:
        """One op, or many in `ops` (each may leave out `corp`)."""
        told = self._body(request)
        corp = self._corp(told.get("corp"))
        if "ops" not in told:
            return self._change(corp, told)
        return {"ok": True, "results": [self._change(corp, each) for each in told["ops"]]}

    def _change(self, corp: Corp, told: JsonObject) -> JsonObject:
        """Do it, then tell the corp's app: what people do rings, what the API does never comes here."""
        try:
            return changes.apply(corp, told, self.world.clock.seconds())
        finally:
            self.world.emit(corp)

    def read_callbacks(self, request: Request) -> object:
        """What was told to the apps, how often it was tried and what was answered."""
        query = request.query()
        told = self.world.callbacks.read(corp=query.get("corp", ""), since=int(query.get("since") or 0))
        corps = self._corps(query.get("corp", ""))
        told["urls"] = {
            each.spec.corp: {"url": each.callback.url, "mode": each.callback.mode}
            for each in corps
            if each.callback
        }
        return told

    def set_callback(self, request: Request) -> object:
        """The corp's app wants to be told at `url`, once that has proved that it can decrypt."""
        told = self._body(request)
        corp = self._corp(told.get("corp"))
        callback = Callback(str(told["url"]), told.get("mode", "encrypted"))
        verify(corp.spec, callback, seconds=self.world.switches.verify_timeout)
        with self.world.lock:
            corp.callback = callback
            corp.changed()
        return {"ok": True}

    def forget_callbacks(self, request: Request) -> object:
        """Nobody is told any more; what waited is dropped, and the journal of it."""
        for corp in self.world.corps.values():
            corp.callback = None
            corp.changed()
        self.world.callbacks.clear()
        return {"ok": True}

    def app_event(self, request: Request) -> object:
        """A member writes to the app or presses something in it; or a customer group changes.

        From the form of a phone it is a text, and the browser is led back to the page.
        """
        form = _form(request)
        told = form | {"kind": "text", "fields": {"Content": form["text"]}} if form else self._body(request)
        corp = self._corp(told.get("corp"))
        if "userid" in told and corp.employee(told["userid"]) is None:
            raise LookupError(f"no employee {told['userid']}")
        now, number = self.world.clock.seconds(), corp.next_n()
        corp.tell(events.on_order(told, now, agentid=corp.spec.agentid, number=number))
        self.world.emit(corp)
        if form:
            return Answer(status=303, headers={"Location": f"/_sim/?corp={corp.spec.corp}"})
        return {"ok": True}

    def _way(self, request: Request) -> tuple[Corp, ContactWay]:
        config_id = request.path.rstrip("/").rpartition("/")[2]
        for corp in self.world.corps.values():
            if config_id in corp.ways:
                return corp, corp.ways[config_id]
        raise LookupError(f"no contact way {config_id}")

    def scan_page(self, request: Request) -> Answer:
        """What a customer sees who holds the phone to the code."""
        corp, way = self._way(request)
        return _page(scanning.page(self.world, corp, way))

    def scan(self, request: Request) -> object:
        """A new customer scans the code; from the page's form, a page says whom they can write to now."""
        corp, way = self._way(request)
        told = _form(request) or self._body(request)
        done = self._change(corp, told | {"op": "scan", "config_id": way.config_id})
        return _page(scanning.done(corp, done)) if _is_form(request) else done

    def read_clock(self, request: Request) -> object:
        return {"now": self.world.clock.now()}

    def move_clock(self, request: Request) -> object:
        told = self._body(request)
        if "set" in told:
            self.world.clock.set(float(told["set"]))
        self.world.clock.advance(float(told.get("advance", 0)))
        return {"now": self.world.clock.now()}

    def read_faults(self, request: Request) -> object:
        return {"faults": self.world.faults.as_json()}

    def add_fault(self, request: Request) -> object:
        return {"ok": True, "id": self.world.faults.add(self._body(request)).id}

    def clear_faults(self, request: Request) -> object:
        number = request.query().get("id")
        self.world.faults.clear(int(number) if number else None)
        return {"ok": True}

    def read_journal(self, request: Request) -> object:
        query = request.query()
        since = int(query.get("since") or 0)
        entries = self.world.journal.read(corp=query.get("corp", ""), api=query.get("api", ""), since=since)
        return {"entries": entries}

    def clear_journal(self, request: Request) -> object:
        self.world.journal.clear()
        return {"ok": True}

    def read_stats(self, request: Request) -> object:
        return self.world.journal.stats()

    def change_tokens(self, request: Request) -> object:
        told = self._body(request)
        corp = self._corp(told.get("corp")).spec.corp
        desk = self.world.tokens
        if told.get("op") not in ("revoke", "expire"):
            raise ValueError("op must be revoke or expire")
        return {"ok": True, "tokens": desk.revoke(corp) if told["op"] == "revoke" else desk.expire(corp)}

    def read_settings(self, request: Request) -> object:
        return self.world.switches.as_json()

    def change_settings(self, request: Request) -> object:
        self._switch(self._body(request))
        return self.world.switches.as_json()

    def restore_settings(self, request: Request) -> object:
        self._switch(self._initial)
        return self.world.switches.as_json()

    def _switch(self, wanted: JsonObject) -> None:
        switches = self.world.switches
        shape = switches.follow_user_objects
        switches.change(wanted)
        self.world.journal.resize(switches.journal_size)
        if switches.follow_user_objects != shape:
            for corp in self.world.corps.values():
                corp.touch_all(corp.contacts.values())

    def read_messages(self, request: Request) -> object:
        query = request.query()
        to, since = query.get("to", ""), int(query.get("since") or 0)
        corps = self._corps(query.get("corp", ""))
        found = [
            (corp, each) for corp in corps for each in corp.messages if to in ("", each.to) and each.n > since
        ]
        return {"messages": [message_truth(corp, each) for corp, each in found]}

    def read_tasks(self, request: Request) -> object:
        corps = self._corps(request.query().get("corp", ""))
        return {"tasks": [task_truth(corp, each) for corp in corps for each in corp.tasks.values()]}

    def read_notices(self, request: Request) -> object:
        corps = self._corps(request.query().get("corp", ""))
        return {"notices": [notice_truth(corp, each) for corp in corps for each in corp.notices.values()]}

    def confirm_task(self, request: Request) -> object:
        """The employee presses send; from the HTML form the browser is led back to the page."""
        told = _form(request) or self._body(request)
        corp = self._corp(told.get("corp")).spec.corp
        done = confirm(self.world, corp, str(told.get("msgid")), str(told.get("userid")))
        if _is_form(request):
            return Answer(status=303, headers={"Location": f"/_sim/?corp={corp}#tasks"})
        return {"ok": True} | done

    def press(self, request: Request) -> object:
        """A member presses a button of a card on the phone; from the page's form, the browser is led back to it."""
        told = _form(request) or self._body(request)
        corp, number = self._corp(told.get("corp")), int(told["n"])
        message = next((each for each in corp.messages if each.n == number), None)
        if message is None:
            raise LookupError(f"no message {number}")
        chosen = told.get("selected") or {
            name.removeprefix("q."): [value] for name, value in told.items() if name.startswith("q.")
        }
        corp.tell(cards.press(corp, message, str(told["key"]), chosen, at=self.world.clock.seconds()))
        self.world.emit(corp)
        if _is_form(request):
            return Answer(status=303, headers={"Location": f"/_sim/?corp={corp.spec.corp}"})
        return {"ok": True}

    def add_poison(self, request: Request) -> object:
        """Serve a hostile item in place of a contact's, or on top of a page of a member's listing."""
        told = self._body(request)
        corp = self._corp(told.get("corp"))
        # json.dumps escapes: lone surrogates and NULs reach the client as \\ud800 and \\u0000.
        raw = (
            told["raw"].encode("utf-8", "surrogatepass")
            if "raw" in told
            else json.dumps(told["item"]).encode()
        )
        if "external_userid" in told:
            contact = corp.contacts.get(told["external_userid"])
            if contact is None:
                raise LookupError(f"no contact {told['external_userid']}")
            contact.poison = raw
            corp.touch(contact)
        else:
            key = (str(told["userid"]).lower(), int(told.get("page", 1)))
            corp.poison_pages.setdefault(key, []).append(raw)
        return {"ok": True}

    def clear_poison(self, request: Request) -> object:
        for corp in self._corps(request.query().get("corp", "")):
            corp.poison_pages.clear()
            for contact in corp.contacts.values():
                if contact.poison is not None:
                    contact.poison = None
                    corp.touch(contact)
        return {"ok": True}

    def reset(self, request: Request) -> object:
        """Everything as after the start: world, clock, switches, tokens, faults, journal."""
        self._rebuild()
        self._switch(self._initial)
        return {"ok": True}

    def page(self, request: Request) -> Answer:
        return _page(phones.page(self.world, request.query()))

    def avatar(self, request: Request) -> Answer:
        return Answer(avatar(request.path), content_type="image/svg+xml")

    def qr_code(self, request: Request) -> Answer:
        return Answer(qr_code(request.path), content_type="image/png")

    def picture(self, request: Request) -> Answer:
        media_id = request.path.rstrip("/").rpartition("/")[2]
        for corp in self.world.corps.values():
            if media_id in corp.media and corp.media[media_id].is_permanent:
                return Answer(corp.media[media_id].data, content_type=corp.media[media_id].content_type)
        raise LookupError(f"no picture {media_id}")


def _page(html: str) -> Answer:
    return Answer(html.encode("utf-8", "replace"), content_type="text/html; charset=utf-8")


def _is_form(request: Request) -> bool:
    return "form-urlencoded" in request.header("content-type")


def _form(request: Request) -> JsonObject:
    """The fields of a form, {} for any other body."""
    body = request.body.decode("utf-8", "replace")
    return dict(Request("GET", "", body).query()) if _is_form(request) else {}


CALLS: dict[tuple[str, str], Call] = {
    ("GET", ""): Control.page,
    ("GET", "avatar"): Control.avatar,
    ("GET", "qr"): Control.qr_code,
    ("GET", "picture"): Control.picture,
    ("GET", "world"): Control.read_world,
    ("POST", "world"): Control.change_world,
    ("GET", "clock"): Control.read_clock,
    ("POST", "clock"): Control.move_clock,
    ("GET", "faults"): Control.read_faults,
    ("POST", "faults"): Control.add_fault,
    ("DELETE", "faults"): Control.clear_faults,
    ("GET", "journal"): Control.read_journal,
    ("DELETE", "journal"): Control.clear_journal,
    ("GET", "stats"): Control.read_stats,
    ("POST", "tokens"): Control.change_tokens,
    ("GET", "settings"): Control.read_settings,
    ("POST", "settings"): Control.change_settings,
    ("DELETE", "settings"): Control.restore_settings,
    ("GET", "messages"): Control.read_messages,
    ("GET", "tasks"): Control.read_tasks,
    ("GET", "notices"): Control.read_notices,
    ("POST", "confirm"): Control.confirm_task,
    ("POST", "press"): Control.press,
    ("GET", "callbacks"): Control.read_callbacks,
    ("POST", "callbacks"): Control.set_callback,
    ("DELETE", "callbacks"): Control.forget_callbacks,
    ("POST", "app-events"): Control.app_event,
    ("GET", "scan"): Control.scan_page,
    ("POST", "scan"): Control.scan,
    ("POST", "poison"): Control.add_poison,
    ("DELETE", "poison"): Control.clear_poison,
    ("POST", "reset"): Control.reset,
}
