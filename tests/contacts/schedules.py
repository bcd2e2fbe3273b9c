"""Reads and runs of one corp in any order, and what its mirror may show meanwhile."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from contacts import reading
from contacts.models import Contact, FollowUser, SyncRun
from contacts.reading import Answer, read_contact
from crm.simulator.server import Simulator
from tests import factories
from tests.contacts.house import LISTING, run
from tests.tables import empty_tables
from tests.truth import differences

ACTOR = "user:sun"
FEW = ("甲", "乙")  # so that changes are taken back, to the very bytes that a listing has told before

Step = tuple[str, tuple[Any, ...]]


@dataclass(slots=True)
class Past:
    """Every state that one contact has had at the provider: its name, and {userid: remark} of its followers.

    The mirror may show no name from before state number `name_from`, no relation from before its `relation_from`.
    """

    states: list[tuple[str, dict[str, str]]]
    name_from: int = 0
    relation_from: Counter[str] = field(default_factory=Counter)
    read_at: int = 0  # how many reads had been applied when one of this contact last was

    @property
    def now(self) -> int:
        return len(self.states) - 1

    def shows_name(self, name: str) -> None:
        """The mirror does: fails when it was called so only before what the mirror has shown already."""
        fitting = [n for n, state in enumerate(self.states) if n >= self.name_from and state[0] == name]
        assert fitting, f"{name} is older than {self.states[self.name_from][0]}"
        self.name_from = fitting[0]

    def shows_relation(self, userid: str, remark: str | None) -> None:
        """The same for one relation with its remark; None: there is none."""
        since = self.relation_from[userid]
        fitting = [n for n, (_, f) in enumerate(self.states) if n >= since and f.get(userid) == remark]
        assert fitting, f"{userid} with {remark} is older than {self.states[since][1].get(userid)}"
        self.relation_from[userid] = fitting[0]

    def may_miss(self, userid: str) -> None:
        """Fails when the relation has lived all the time since what the mirror has shown."""
        since = self.relation_from[userid]
        assert any(userid not in follows for _, follows in self.states[since:]), f"{userid} was never gone"


@dataclass(frozen=True, slots=True)
class Pending:
    """An answer that is not applied yet, the number of the state it tells, and what had been applied before."""

    answer: Answer
    number: int
    writes: int
    reads: int


class Schedule:
    """One corp, its mirror, answers on the way, and what the mirror may show."""

    def __init__(self, sim: Simulator, *, takes_back: bool) -> None:
        empty_tables()
        sim.reset()
        sim.settings(page_limit=2)
        self.sim, self.takes_back = sim, takes_back
        self.corp = factories.corp_of(sim.corp("official"))
        self.staff = [told["userid"] for told in sim.world(self.corp.corpid)["employees"]]
        self.past: dict[str, Past] = {}
        self.words = 0
        self.pending: list[Pending] = []
        self.writes = 0  # moments at which a run may have written
        self.reads = 0
        self.is_running = False  # a run writes whenever it likes while its next page is read
        for followers in (self.staff[:1], self.staff[:3]):
            self.meet(followers)
        self.busy = [next(iter(self.past)), self.staff[0]]  # the contact and the follower of the last step
        run(self.corp)
        self.look()

    def go(self, steps: list[Step]) -> None:
        for what, how in steps:
            getattr(self, what)(*how)

    # --- at the provider
    def change(self, what: str, i: int, j: int, k: int) -> None:
        """Do it, unless it makes no sense now (nobody to unfollow)."""
        one, past = self._one(i)
        userid = self.busy[1] = self.staff[j - 1] if j else self.busy[1]
        name, follows = past.states[-1]
        if what == "meet":
            self.meet([userid], k)
            return
        if what == "rename":
            name = self._word(k, not_=name)
            self._do("edit_contact", external_userid=one, name=name)
        elif what == "note":
            remark = self._word(k, not_=follows.get(userid))
            op = "edit_follow" if userid in follows else "follow"
            self._do(op, external_userid=one, userid=userid, remark=remark)
            follows = {**follows, userid: remark}
        elif userid in follows:
            self._do("unfollow", external_userid=one, userid=userid)
            follows = {other: remark for other, remark in follows.items() if other != userid}
        past.states.append((name, follows))

    def meet(self, followers: list[str], k: int = 0) -> None:
        name, remark = self._word(k), self._word(k)
        told = [{"userid": userid, "remark": remark} for userid in followers]
        made = self._do("add_contact", name=name, follow_user=told)
        self.past[made["external_userid"]] = Past([(name, dict.fromkeys(followers, remark))])

    def _do(self, op: str, **fields: Any) -> Any:
        return self.sim.change(self.corp.corpid, op, **fields)

    def _word(self, k: int, *, not_: str | None = None) -> str:
        self.words += 1
        words = [word for word in FEW if word != not_]
        return words[k % len(words)] if self.takes_back else str(self.words)

    def _one(self, i: int) -> tuple[str, Past]:
        """The contact of that number; 0: the one whom the last step was about."""
        self.busy[0] = list(self.past)[(i - 1) % len(self.past)] if i else self.busy[0]
        return self.busy[0], self.past[self.busy[0]]

    # --- at ours
    def ask(self, i: int) -> None:
        one, past = self._one(i)
        self.pending.append(Pending(reading.ask(self.corp, one), past.now, self.writes, self.reads))

    def apply(self, i: int) -> None:
        """Any of the pending answers: none but an outrun one is refused, and none but a newer one applied."""
        if not self.pending:
            return
        pending = self.pending.pop(i % len(self.pending))
        one = pending.answer.record.external_userid
        is_known = Contact.objects.filter(external_userid=one).exists()
        if reading.apply(pending.answer, actor=ACTOR):
            self._was_told(one, pending.number)
        else:
            read_at = self.past[one].read_at if is_known else self.reads
            assert self.is_running or self.writes > pending.writes or read_at > pending.reads
        self.look()

    def read(self, i: int) -> None:
        one, past = self._one(i)
        read_contact(self.corp, one, actor=ACTOR)
        self._was_told(one, past.now)
        self.look()

    def read_and_take_back(self, i: int, j: int) -> None:
        """A remark is changed, read, and changed back: its item has the bytes again that a listing told before."""
        self.change("note", i, j, 0)
        self.read(0)
        self.change("note", 0, 0, 0)
        if not self.is_running:
            self.run(None, 0, [])

    def _was_told(self, external_userid: str, number: int) -> None:
        """The mirror now shows exactly that state, and may show no older one any more."""
        self.reads += 1
        past = self.past[external_userid]
        name, follows = past.states[number]
        row = Contact.objects.filter(external_userid=external_userid).first()
        if row is None:  # unknown, and followed by nobody: there is nothing to hold
            assert not follows
            return
        assert self._relations(row) == follows
        assert number >= max(past.relation_from.values(), default=0)
        past.relation_from = Counter(dict.fromkeys(self.staff, number))
        past.read_at = self.reads
        if follows:  # whom nobody follows is told without a name
            assert (row.name, row.state) == (name, "active")
            assert number >= past.name_from
            past.name_from = number
        else:
            assert row.state == "lost"

    @staticmethod
    def _relations(row: Contact) -> dict[str, str]:
        rows = FollowUser.objects.current().filter(contact=row)
        return dict(rows.values_list("employee__userid", "remark"))

    def run(self, i: int | None, broken_page: int, inside: list[tuple[int, Step]]) -> None:
        """Of everybody, or of one employee. After the broken page the listing is begun anew, by halves."""
        pages = 0
        trouble: list[Exception] = []  # a run survives whatever is raised inside

        def on_page(_: SyncRun) -> None:
            nonlocal pages
            pages += 1
            try:
                self.go([step for page, step in inside if page == pages])
            except Exception as error:
                trouble.append(error)

        if broken_page:
            listing = {"corp": self.corp.corpid, "api": LISTING["official"]}
            self.sim.fault(**listing, kind="errcode", errcode=60111, skip=broken_page - 1)
        self.is_running = True
        run(self.corp, userid="" if i is None else self.staff[i], on_page=on_page)
        self.is_running = False
        self.writes += 1
        self.sim.clear_faults()
        if trouble:
            raise trouble[0]
        self.look()
        if i is None and not inside:
            self._is_told_all()

    def _is_told_all(self) -> None:
        """A quiet run was told of everybody who is followed now; only who is not takes a second one."""
        for row in Contact.objects.filter(external_userid__in=self.past):
            name, follows = self.past[row.external_userid].states[-1]
            assert not follows or row.name == name
            assert follows.items() <= self._relations(row).items()

    def look(self) -> None:
        """Nothing of what the mirror shows is older than what it showed before."""
        rows = {row.external_userid: row for row in Contact.objects.all()}
        relations: dict[str, dict[str, str]] = {one: {} for one in rows}
        suspects: list[tuple[str, str]] = []
        current = FollowUser.objects.current().values_list(
            "contact__external_userid", "employee__userid", "remark", "absent_since"
        )
        for one, userid, remark, absent_since in current:
            relations[one][userid] = remark
            suspects += [(one, userid)] if absent_since else []
        for one, past in self.past.items():
            if one in rows:
                past.shows_name(rows[one].name)
                for userid in self.staff:
                    past.shows_relation(userid, relations[one].get(userid))
        for one, userid in suspects:
            if one in self.past:
                self.past[one].may_miss(userid)

    def end(self) -> None:
        """Two quiet runs make it equal; what the first one knows the second does not write again."""
        run(self.corp)
        before = stored()
        again = run(self.corp)
        assert (again.state, again.new, again.changed, again.absent) == ("complete", 0, 0, 0)
        assert differences(self.corp, self.sim.world(self.corp.corpid)) == []
        assert again.ended or stored() == before


def stored() -> list[Any]:
    return [list(table.objects.order_by("pk").values_list()) for table in (Contact, FollowUser)]


def one_of(*kinds: SearchStrategy[Step]) -> SearchStrategy[Step]:
    """Any of them; what stands twice comes twice as often (with `st.one_of` it does not)."""
    return st.sampled_from(kinds).flatmap(lambda kind: kind)


def play(
    made: Callable[..., Schedule], orders: SearchStrategy[list[Step]], sim: Simulator, **options: Any
) -> None:
    """Go through generated orders, each with a schedule that `made` makes; `options` are hypothesis's."""

    @hypothesis_settings(
        deadline=None, database=None, print_blob=True, suppress_health_check=list(HealthCheck), **options
    )
    @given(takes_back=st.booleans(), steps=orders)
    def each(takes_back: bool, steps: list[Step]) -> None:
        schedule = made(sim, takes_back=takes_back)
        schedule.go(steps)
        schedule.end()

    each()
