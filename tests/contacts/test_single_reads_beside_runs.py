"""One contact read again while runs go on beside it: what was observed last holds (guarantees S9)."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections

from contacts import reading
from contacts.models import Contact, Employee, FollowUser, SyncRun
from contacts.reading import read_contact
from crm.errors import Conflict
from crm.models import Corp, Event
from crm.simulator.server import Simulator
from tests.contacts.house import assert_true, run
from tests.contacts.single_reads import (
    ACTOR,
    asked,
    current,
    followers_of,
    rows,
    the_relation,
    with_followers,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def corp(official_corp: Corp) -> Corp:
    """The dialect that has such a read, synced once."""
    assert run(official_corp).state == "complete"
    return official_corp


def during(corp: Corp, *steps: Any) -> SyncRun:
    """A run that takes a step of ours after each page it fetched, before it writes that page."""
    waiting = list(steps)

    def on_page(_: SyncRun) -> None:
        if waiting:
            waiting.pop(0)()

    done = run(corp, on_page=on_page)
    assert (done.state, waiting) == ("complete", [])  # a step that fails would fail the run
    return done


def test_read_inside_a_run_is_not_overwritten_by_a_page_fetched_before(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 2)
    gone, stays = sorted(followers_of(sim, corp, one))

    def change_and_read() -> None:
        sim.change(corp.corpid, "edit_contact", external_userid=one, name="newer than the page")
        sim.change(corp.corpid, "edit_follow", external_userid=one, userid=stays, remark="newer too")
        sim.change(corp.corpid, "unfollow", external_userid=one, userid=gone)
        read_contact(corp, one, actor=ACTOR)

    sim.change(corp.corpid, "edit_contact", external_userid=one, name="on the page")
    done = during(corp, change_and_read)
    assert (done.state, done.changed, done.absent) == ("complete", 0, 0)
    assert the_relation(one, stays).remark == "newer too"
    assert the_relation(one, stays).contact.name == "newer than the page"
    assert current(one) == {stays}
    assert_true(corp, sim)


def test_read_inside_a_run_that_finds_a_new_follower_is_no_absence(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    other = next(e.userid for e in Employee.objects.all() if e.userid not in followers_of(sim, corp, one))

    def meet_and_read() -> None:
        sim.change(corp.corpid, "follow", external_userid=one, userid=other)
        read_contact(corp, one, actor=ACTOR)

    done = during(corp, meet_and_read)
    assert (done.absent, the_relation(one, other).absent_since) == (0, None)
    assert_true(corp, sim)


def test_relation_that_a_read_inside_a_run_shows_is_not_suspected_by_that_run(
    corp: Corp, sim: Simulator
) -> None:
    """The listing did not show it: it was begun before the relation came back."""
    one = with_followers(sim, corp, 1)
    (userid,) = followers_of(sim, corp, one)
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=userid)

    def follow_again_and_read() -> None:
        sim.change(corp.corpid, "follow", external_userid=one, userid=userid)
        read_contact(corp, one, actor=ACTOR)

    assert during(corp, follow_again_and_read).absent == 0
    assert the_relation(one, userid).absent_since is None


def test_remark_that_is_read_and_then_taken_back_is_compared_by_the_next_run(
    corp: Corp, sim: Simulator
) -> None:
    """Its item has the very bytes again that the last run told."""
    one = with_followers(sim, corp, 1)
    (userid,) = followers_of(sim, corp, one)
    before = the_relation(one, userid).remark
    for remark in ("for a moment", before):
        sim.change(corp.corpid, "edit_follow", external_userid=one, userid=userid, remark=remark)
        if remark != before:
            read_contact(corp, one, actor=ACTOR)
    run(corp)
    assert the_relation(one, userid).remark == before


def test_answer_asked_for_before_a_run_is_refused_after_it(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    answer = reading.ask(corp, one)
    sim.change(corp.corpid, "edit_contact", external_userid=one, name="told by the run")
    run(corp)
    before = rows()
    assert reading.apply(answer, actor=ACTOR) is False
    assert rows() == before
    assert_true(corp, sim)


def test_answer_asked_for_before_the_directory_was_read_is_refused_after_it(
    corp: Corp, sim: Simulator
) -> None:
    """Whom the app could not see then, the answer leaves out: it says nothing about them."""
    one = with_followers(sim, corp, 2)
    hidden, _ = sorted(followers_of(sim, corp, one))
    sim.change(corp.corpid, "set_visible", userid=hidden, visible=False)
    run(corp)
    answer = reading.ask(corp, one)
    sim.change(corp.corpid, "set_visible", userid=hidden, visible=True)
    during(corp, lambda: reading.apply(answer, actor=ACTOR))
    assert the_relation(one, hidden).ended_at is None
    assert_true(corp, sim)


def test_older_answer_is_refused_after_a_newer_one(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    older = reading.ask(corp, one)
    sim.change(corp.corpid, "edit_contact", external_userid=one, name="newer")
    newer = reading.ask(corp, one)
    assert reading.apply(newer, actor=ACTOR) is True
    assert reading.apply(older, actor=ACTOR) is False
    assert Contact.objects.get(external_userid=one).name == "newer"


def test_answers_about_different_contacts_do_not_outrun_each_other(corp: Corp, sim: Simulator) -> None:
    """Callbacks come in crowds: reads of several workers must not keep refusing each other."""
    told = [contact["external_userid"] for contact in sim.world(corp.corpid)["contacts"][:5]]
    answers = [reading.ask(corp, one) for one in told]
    assert [reading.apply(answer, actor=ACTOR) for answer in reversed(answers)] == [True] * 5
    assert [reading.apply(answer, actor=ACTOR) for answer in answers] == [False] * 5


def test_older_answer_about_an_unknown_contact_is_refused(corp: Corp, sim: Simulator) -> None:
    """No row of it says when it was last read, so any other read may have been of it."""
    staff = sim.world(corp.corpid)["employees"][0]["userid"]
    one = sim.change(corp.corpid, "add_contact", name="Short", follow_user=[staff])["external_userid"]
    older = reading.ask(corp, one)
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=staff)
    read_contact(corp, one, actor=ACTOR)
    assert reading.apply(older, actor=ACTOR) is False
    assert not Contact.objects.filter(external_userid=one).exists()


# --- trying again


@contextmanager
def beside(work: Callable[[], None]) -> Iterator[Future[None]]:
    """`work` in a thread with a connection of its own, while the block runs."""

    def with_own_connection() -> None:
        try:
            work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(with_own_connection)


def test_read_that_a_run_outruns_asks_again(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    (userid,) = followers_of(sim, corp, one)
    sim.fault(corp=corp.corpid, api="externalcontact/get", kind="delay", seconds=2)
    with beside(lambda: read_contact(corp, one, actor=ACTOR)) as reading_it:
        while not asked(sim, corp):
            time.sleep(0.01)
        sim.change(corp.corpid, "edit_contact", external_userid=one, name="after the first answer")
        run(corp, userid=userid)
        sim.change(corp.corpid, "edit_contact", external_userid=one, name="only the second answer")
    reading_it.result()
    assert asked(sim, corp) == 2
    assert Contact.objects.get(external_userid=one).name == "only the second answer"


def test_read_gives_up_when_runs_are_always_faster(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    (userid,) = followers_of(sim, corp, one)
    sim.fault(corp=corp.corpid, api="externalcontact/get", kind="delay", seconds=1, times=None)
    with beside(lambda: read_contact(corp, one, actor=ACTOR)) as reading_it:
        while not reading_it.done():
            run(corp, userid=userid)
    with pytest.raises(Conflict) as refusal:
        reading_it.result()
    assert refusal.value.code == "outrun"
    assert asked(sim, corp) == reading.TRIES


# --- and the quiet runs after


def test_run_after_a_read_only_learns_the_items_anew_and_the_next_writes_nothing(
    corp: Corp, sim: Simulator
) -> None:
    """A changed relation's item is not known by its bytes any more: one run compares and notes it (S14 again)."""
    changed, unchanged = with_followers(sim, corp, 1), with_followers(sim, corp, 2)
    (userid,) = followers_of(sim, corp, changed)
    sim.change(corp.corpid, "edit_follow", external_userid=changed, userid=userid, remark="other")
    for one in (changed, unchanged):
        read_contact(corp, one, actor=ACTOR)
    before, events = noted(), Event.objects.count()
    assert run(corp).changed == 0
    learnt = {key for key, row in noted().items() if row != before[key]}
    assert learnt <= set(
        FollowUser.objects.filter(contact__external_userid__in=(changed, unchanged)).values_list(
            "pk", flat=True
        )
    )
    assert not FollowUser.objects.filter(raw_digest=None).exists()
    settled = rows()
    done = run(corp)
    assert (done.changed, done.absent, done.unchanged) == (0, 0, done.seen)
    assert (rows(), Event.objects.count()) == (settled, events)


def noted() -> dict[int, bytes | None]:
    return {
        pk: bytes(digest) if digest else None
        for pk, digest in FollowUser.objects.values_list("pk", "raw_digest")
    }
