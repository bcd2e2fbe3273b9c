"""Generated lives of a corp: whatever happens, two quiet runs make the mirror equal (guarantees S1, S3, S13)."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contacts.models import Contact, FollowUser, SyncRun
from crm.simulator.server import Simulator, running
from tests import factories
from tests.contacts.house import confirm, run
from tests.contacts.worlds import Change, World, changes
from tests.sizes import size
from tests.tables import empty_tables
from tests.truth import differences, tag_differences

pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLES = size("TEST_EXAMPLES")
STEPS = size("TEST_STEPS")
SHAPES = 3  # the parameters of `new_life`
SHARDS = 8  # of each shape
OURS = {"stage": FollowUser.Stage.WON, "next_follow_up_at": datetime(2030, 1, 2, 3, 4, tzinfo=UTC)}

moments = st.lists(st.tuples(st.integers(1, 8), changes), max_size=3)  # (after which page, what happens)


class Killed(BaseException):
    """The process ends here."""


class Life(RuleBasedStateMachine):
    """One corp, its mirror, and everything that may happen to them."""

    def __init__(self, sim: Simulator, dialect: str, *, with_objects: bool) -> None:
        super().__init__()
        empty_tables()
        sim.reset()
        sim.settings(follow_user_objects=with_objects)
        self.sim, self.with_objects = sim, with_objects
        self.corp = factories.corp_of(sim.corp(dialect))
        self.world = World(sim, self.corp.corpid)
        self.ours: set[int] = set()  # follow rows with local fields that no run may touch
        self.contacts = 0

    @rule(wanted=st.lists(changes, min_size=1, max_size=4))
    def world_changes(self, wanted: list[Change]) -> None:
        for each in wanted:
            self.world.change(each)

    @rule(limit=st.sampled_from([0, 1, 2, 5, 20]))
    def page_limit_changes(self, limit: int) -> None:
        self.sim.settings(page_limit=limit)

    @rule(inside=moments)
    def whole_run(self, inside: list[tuple[int, Change]]) -> None:
        self._run(inside)

    @rule(i=st.integers(0, 9), inside=moments)
    def run_of_one_employee(self, i: int, inside: list[tuple[int, Change]]) -> None:
        self._run(inside, userid=self.world.staff[i % len(self.world.staff)])

    @rule(page=st.integers(1, 6), inside=moments)
    def run_that_is_killed(self, page: int, inside: list[tuple[int, Change]]) -> None:
        self._run(inside, killed_at=page)

    @precondition(lambda self: SyncRun.objects.filter(state="held", confirmations=None).exists())
    @rule()
    def confirmation(self) -> None:
        self._note(confirm(SyncRun.objects.filter(state="held", confirmations=None).latest("pk")))
        self._check_rows()

    def _run(self, inside: Iterable[tuple[int, Change]], *, killed_at: int = 0, **options: Any) -> None:
        pages = 0

        def on_page(_: SyncRun) -> None:
            nonlocal pages
            pages += 1
            for when, change in inside:
                if when == pages:
                    self.world.change(change)
            if pages == killed_at:
                raise Killed

        with suppress(Killed):
            self._note(run(self.corp, on_page=on_page, **options))
        self._own_what_is_new()
        self._check_rows()

    def _note(self, done: SyncRun) -> None:
        assert done.state != SyncRun.State.FAILED or done.userid or done.errors, done.errors
        assert all(line["code"] == "errcode" for line in done.errors), done.errors

    def _check_rows(self) -> None:
        """After everything that writes rows."""
        self._no_local_field_changed_and_no_row_is_lost()
        self._nothing_that_was_always_there_is_suspected()
        self._runs_add_up_and_end()

    def _own_what_is_new(self) -> None:
        fresh = FollowUser.objects.exclude(pk__in=self.ours)
        self.ours.update(fresh.values_list("pk", flat=True))
        fresh.update(**OURS)

    def _no_local_field_changed_and_no_row_is_lost(self) -> None:
        held = set(FollowUser.objects.filter(**OURS).values_list("pk", flat=True))
        assert self.ours - held == set()
        contacts = Contact.objects.count()
        assert contacts >= self.contacts
        self.contacts = contacts

    def _nothing_that_was_always_there_is_suspected(self) -> None:
        suspects = FollowUser.objects.exclude(absent_since=None, ended_at=None)
        pairs = set(suspects.values_list("contact__external_userid", "employee__userid"))
        assert pairs - self.world.gone == set()

    def _runs_add_up_and_end(self) -> None:
        for each in SyncRun.objects.order_by("-pk")[:1]:
            assert each.seen == each.new + each.changed + each.unchanged + each.quarantined
            assert each.state not in SyncRun.ACTIVE

    def check_example_is_sound(self) -> None:
        """What the promise is: no more changes, two complete runs, and nothing differs."""
        if self.corp.dialect == "direct":
            self.world.show_everybody()  # its directory lists whom the app may not read: such runs are partial
        if run(self.corp).resumes_id:  # what an interrupted run had read before is not part of a quiet run
            run(self.corp)
        done = run(self.corp)
        if done.state == SyncRun.State.HELD:
            done = confirm(done)
        assert (done.state, done.errors) == ("complete", [])
        shown = self.world.shown()
        assert differences(self.corp, shown, with_objects=self.with_objects) == []
        if self.corp.dialect == "official":
            assert tag_differences(self.corp, shown) == []
        again = run(self.corp)
        assert (again.new, again.changed, again.absent, again.ended) == (0, 0, 0, 0)
        self._no_local_field_changed_and_no_row_is_lost()

    def teardown(self) -> None:
        self.check_example_is_sound()


@pytest.fixture(scope="session")
def small_simulator() -> Iterator[Simulator]:
    """Few contacts, so that changes and listings meet each other often."""
    with running(contacts=36, employees=12, seed=1) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def hurry(settings: Any) -> None:
    """No waiting, and a guard that asks about few removals, as few as there are."""
    settings.CRM_REMOTE_RATE = 1_000_000
    settings.CRM_SYNC_REMOVAL_GUARD = (4, 0.1)


def live(make: Callable[[], Life], *, examples: int, steps: int, **more: Any) -> None:
    run_state_machine_as_test(
        make,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
            **more,
        ),
    )


@pytest.fixture(
    params=[
        pytest.param(("official", False), id="official"),
        pytest.param(("direct", False), id="direct"),
        pytest.param(("direct", True), id="direct-objects"),
    ]
)
def new_life(request: pytest.FixtureRequest, small_simulator: Simulator) -> Callable[[], Life]:
    dialect, with_objects = request.param
    return lambda: Life(small_simulator, dialect, with_objects=with_objects)


def test_a_few_lives_end_in_a_true_mirror(new_life: Callable[[], Life]) -> None:
    live(new_life, examples=5, steps=15, derandomize=True)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
def test_many_lives_end_in_a_true_mirror(new_life: Callable[[], Life], shard: int) -> None:
    """Each shard draws its own lives: together they are EXAMPLES, and as many as there are cores run at once."""
    live(new_life, examples=-(-EXAMPLES // (SHAPES * SHARDS)), steps=STEPS)
