"""The way of one API call through faults, rules and journal, the same for every dialect."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm.simulator.exchange import Answer, Refused, Request
from crm.simulator.faults import NOT_PERFORMED, Fault
from crm.simulator.spoil import instead, spoil
from crm.simulator.tokens import Grant
from crm.simulator.world import Corp, World

_SILENT = ("reset", "timeout", "after")


@dataclass(frozen=True, slots=True)
class Visit:
    """A call at the door: what could be told about it before its token was judged."""

    request: Request
    api: str
    query: dict[str, str]
    token: str
    token_was_in_body: bool
    grant: Grant | None
    corp: Corp | None

    @property
    def corp_id(self) -> str:
        return self.corp.spec.corp if self.corp else ""


class Front(ABC):
    """Answers the paths of a dialect."""

    def __init__(self, world: World) -> None:
        self.world = world

    @abstractmethod
    def receive(self, request: Request) -> Visit:
        """Read who calls what; judges nothing."""

    @abstractmethod
    def params(self, visit: Visit) -> Mapping[str, Any]:
        """What the call says, as faults match it; never refuses."""

    @abstractmethod
    def perform(self, visit: Visit, inside: int, *, with_items: bool) -> Answer:
        """The honest answer while `inside` calls of the kind are answered. Raises Refused."""

    @abstractmethod
    def refusal(self, refusal: Refused, visit: Visit) -> Answer:
        """How this dialect words an errcode."""

    def __call__(self, request: Request) -> Answer:
        """One call; its latency is waited for outside the world's lock."""
        world = self.world
        visit = self.receive(request)
        with world.gate.pass_through((visit.corp_id, visit.api)) as inside:
            with world.lock:
                answer = self._answer(visit, inside)
                self._note(visit, answer)
            if world.switches.latency_ms:
                time.sleep(world.switches.latency_ms / 1000)
        return answer

    def _answer(self, visit: Visit, inside: int) -> Answer:
        fault: Fault | None = None
        if self.world.faults:
            fault = self.world.faults.pick(visit.corp_id, visit.api, self.params(visit))
        if fault is not None and fault.kind in NOT_PERFORMED:
            if fault.kind == "errcode":
                return self.refusal(Refused(fault.errcode, fault.errmsg, **fault.fields), visit)
            return instead(fault)
        try:
            answer = self.perform(visit, inside, with_items=fault is None or fault.kind != "empty_page")
        except Refused as refusal:
            answer = self.refusal(refusal, visit)
        return spoil(fault, answer, dict(self.params(visit))) if fault else answer

    def _note(self, visit: Visit, answer: Answer) -> None:
        is_silent = answer.delivery is not None and answer.delivery.kind in _SILENT
        self.world.journal.write(
            at=self.world.clock.now(),
            corp=visit.corp_id,
            api=visit.api,
            method=visit.request.method,
            query_string=visit.request.query_string,
            token=visit.grant.ordinal if visit.grant else 0,
            body=visit.request.body,
            errcode=answer.errcode,
            status=0 if is_silent else answer.status,
        )
