"""Reads, runs and calls of one corp in any order: what people do is told, and worked out when the order says."""

from typing import Any

from crm.models import Corp
from crm.simulator.server import Simulator
from messaging import inbox
from messaging.models import Callback
from tests.contacts.schedules import Schedule
from tests.messaging.wire import wire
from tests.truth import differences

KINDS = {"add_contact": "add", "follow": "add", "edit_follow": "edit", "unfollow": "del"}


class ToldSchedule(Schedule):
    """A schedule whose changes are told by calls. Calls say whole seconds, here all the same one."""

    def __init__(self, sim: Simulator, *, takes_back: bool) -> None:
        self.untold: list[str] = []
        super().__init__(sim, takes_back=takes_back)
        self.wire = wire(Corp.objects.get(pk=self.corp.pk))
        self.untold.clear()  # the run in between has read it

    def _do(self, op: str, **fields: Any) -> Any:
        made = super()._do(op, **fields)
        pairs = [(fields.get("external_userid") or made["external_userid"], fields.get("userid"))]
        if "follow_user" in fields:
            pairs = [(pairs[0][0], told["userid"]) for told in fields["follow_user"]]
        self.untold += [f"{KINDS[op]} {one} {userid}" for one, userid in pairs]
        return made

    def tell(self, i: int, keeps: bool) -> None:
        """Any of the calls that are under way; one that is kept comes again."""
        if self.untold:
            at = i % len(self.untold)
            kind, one, userid = (self.untold[at] if keeps else self.untold.pop(at)).split()
            event = self.wire.event(
                f"change_external_contact.{kind}_external_contact",
                UserID=userid, ExternalUserID=one, CreateTime=1735689600,
            )  # fmt: skip
            assert self.wire.call(event).status_code == 200

    def handle(self) -> None:
        due = set(Callback.objects.filter(state="queued").values_list("external_userid", flat=True))
        inbox.handle(self.corp.pk)
        assert not Callback.objects.exclude(state="done").exists()
        for one in due:
            self._was_told(one, self.past[one].now)
        self.look()

    def end(self) -> None:
        """Once the last call is worked out the mirror is equal, and no run has to come."""
        while self.untold:
            self.tell(0, keeps=False)
        self.handle()
        assert differences(self.corp, self.sim.world(self.corp.corpid)) == []
