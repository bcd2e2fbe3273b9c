"""The calls under /_sim/: they look behind the curtain and move things. No password, so loopback only."""

import json
from collections.abc import Callable

from crm.simulator import changes, phones
from crm.simulator.exchange import Answer, JsonObject, Request, json_answer
from crm.simulator.pictures import avatar
from crm.simulator.truth import message_truth, task_truth, truth
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
            with self.world.lock:
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
        corp, now = self._corp(told.get("corp")), self.world.clock.seconds()
        if "ops" not in told:
            return changes.apply(corp, told, now)
        return {"ok": True, "results": [changes.apply(corp, each, now) for each in told["ops"]]}

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

    def confirm_task(self, request: Request) -> object:
        """The employee presses send; from the HTML form the browser is led back to the page."""
        is_form = "form-urlencoded" in request.header("content-type")
        form = Request("GET", "", request.body.decode("utf-8", "replace")).query() if is_form else {}
        told = form or self._body(request)
        corp = self._corp(told.get("corp")).spec.corp
        done = confirm(self.world, corp, str(told.get("msgid")), str(told.get("userid")))
        if is_form:
            return Answer(status=303, headers={"Location": f"/_sim/?corp={corp}#tasks"})
        return {"ok": True} | done

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
        return Answer(
            phones.page(self.world, request.query()).encode("utf-8", "replace"),
            content_type="text/html; charset=utf-8",
        )

    def avatar(self, request: Request) -> Answer:
        return Answer(avatar(request.path), content_type="image/svg+xml")

    def picture(self, request: Request) -> Answer:
        media_id = request.path.rstrip("/").rpartition("/")[2]
        for corp in self.world.corps.values():
            if media_id in corp.media and corp.media[media_id].is_permanent:
                return Answer(corp.media[media_id].data, content_type=corp.media[media_id].content_type)
        raise LookupError(f"no picture {media_id}")


CALLS: dict[tuple[str, str], Call] = {
    ("GET", ""): Control.page,
    ("GET", "avatar"): Control.avatar,
    ("GET", "qr"): Control.avatar,
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
    ("POST", "confirm"): Control.confirm_task,
    ("POST", "poison"): Control.add_poison,
    ("DELETE", "poison"): Control.clear_poison,
    ("POST", "reset"): Control.reset,
}
