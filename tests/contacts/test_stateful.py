"""Generated lives of a corp: whatever happens, two quiet runs make the mirror equal (guarantees S1, S3, S13)."""

import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from django.apps import apps
from django.db import connection, transaction
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from contacts.models import Contact, FollowUser, SyncRun
from crm.simulator.server import Simulator
from tests import factories
from tests.contacts.house import confirm, run
from tests.contacts.worlds import Change, World, changes
from tests.truth import differences, tag_differences

pytestmark = pytest.mark.django_db(transaction=True)

EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "400"))
STEPS = int(os.environ.get("TEST_STEPS", "40"))
OURS = {"stage": FollowUser.Stage.WON, "next_follow_up_at": datetime(2030, 1, 2, 3, 4, tzinfo=UTC)}

moments = st.lists(st.tuples(st.integers(1, 8), changes), max_size=3)  # (after which page, what happens)


class Killed(BaseException):
    """The process ends here."""


def empty_tables() -> None:
    """Faster than a flush; foreign keys are checked at the end of the transaction only."""
    models = [m for app in ("contacts", "crm", "messaging") for m in apps.get_app_config(app).get_models()]
    with transaction.atomic(), connection.cursor() as cursor:
        for model in models:
            cursor.execute(f"DELETE FROM {connection.ops.quote_name(model._meta.db_table)}")


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
        self.is_sound = True

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

    def _note(self, done: SyncRun) -> None:
        assert done.state != SyncRun.State.FAILED or done.userid or done.errors, done.errors
        assert all(line["code"] == "errcode" for line in done.errors), done.errors

    def _own_what_is_new(self) -> None:
        fresh = FollowUser.objects.exclude(pk__in=self.ours)
        self.ours.update(fresh.values_list("pk", flat=True))
        fresh.update(**OURS)

    @invariant()
    def no_local_field_changed_and_no_row_is_lost(self) -> None:
        held = set(FollowUser.objects.filter(**OURS).values_list("pk", flat=True))
        assert self.ours - held == set()
        contacts = Contact.objects.count()
        assert contacts >= self.contacts
        self.contacts = contacts

    @invariant()
    def nothing_that_was_always_there_is_suspected(self) -> None:
        suspects = FollowUser.objects.exclude(absent_since=None, ended_at=None)
        pairs = set(suspects.values_list("contact__external_userid", "employee__userid"))
        assert pairs - self.world.gone == set()

    @invariant()
    def runs_add_up_and_end(self) -> None:
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
        self.no_local_field_changed_and_no_row_is_lost()

    def teardown(self) -> None:
        self.check_example_is_sound()


def live(sim: Simulator, dialect: str, *, with_objects: bool, examples: int, steps: int, **more: Any) -> None:
    run_state_machine_as_test(
        lambda: Life(sim, dialect, with_objects=with_objects),
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


@pytest.fixture(autouse=True)
def hurry(settings: Any) -> None:
    settings.CRM_REMOTE_RATE = 1_000_000


SHAPES = [
    pytest.param("official", False, id="official"),
    pytest.param("direct", False, id="direct"),
    pytest.param("direct", True, id="direct-objects"),
]


@pytest.mark.parametrize(("dialect", "with_objects"), SHAPES)
def test_a_few_lives_end_in_a_true_mirror(sim: Simulator, dialect: str, with_objects: bool) -> None:
    live(sim, dialect, with_objects=with_objects, examples=5, steps=15, derandomize=True)


@pytest.mark.slow
@pytest.mark.parametrize(("dialect", "with_objects"), SHAPES)
def test_many_lives_end_in_a_true_mirror(sim: Simulator, dialect: str, with_objects: bool) -> None:
    live(sim, dialect, with_objects=with_objects, examples=-(-EXAMPLES // len(SHAPES)), steps=STEPS)
