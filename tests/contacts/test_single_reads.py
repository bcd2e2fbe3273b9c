"""One contact read again by itself: what its answer tells holds at once, nothing else changes (guarantees S3, S9)."""

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
from crm.providers.errors import Absent, Malformed, ProviderError, Unsupported
from crm.simulator.server import Simulator
from tests.contacts.house import assert_true, run

pytestmark = pytest.mark.django_db(transaction=True)

ACTOR = "user:sun"
MIRRORED = (Contact, FollowUser, Employee)


@pytest.fixture
def corp(official_corp: Corp) -> Corp:
    """The dialect that has such a read, synced once."""
    assert run(official_corp).state == "complete"
    return official_corp


def followers_of(sim: Simulator, corp: Corp, external_userid: str) -> set[str]:
    told = next(c for c in sim.world(corp.corpid)["contacts"] if c["external_userid"] == external_userid)
    return {follow["userid"] for follow in told["follow_user"]}


def with_followers(sim: Simulator, corp: Corp, number: int) -> str:
    """The external_userid of somebody whom so many follow."""
    contacts = sim.world(corp.corpid)["contacts"]
    return str(next(c["external_userid"] for c in contacts if len(c["follow_user"]) == number))


def current(external_userid: str) -> set[str]:
    rows = FollowUser.objects.current().filter(contact__external_userid=external_userid)
    return set(rows.values_list("employee__userid", flat=True))


def the_relation(external_userid: str, userid: str) -> FollowUser:
    return FollowUser.objects.get(contact__external_userid=external_userid, employee__userid=userid)


def state_of(external_userid: str) -> str:
    return Contact.objects.get(external_userid=external_userid).state


def rows() -> list[Any]:
    """Every mirrored row, the number of the last read aside."""
    kept = [[f.attname for f in table._meta.concrete_fields if f.name != "read_number"] for table in MIRRORED]
    return [
        list(t.objects.order_by("pk").values_list(*names)) for t, names in zip(MIRRORED, kept, strict=True)
    ]


def verbs(*, since: int) -> list[str]:
    return sorted(Event.objects.filter(actor=ACTOR, seq__gt=since).values_list("verb", flat=True))


def last_event() -> int:
    return Event.objects.order_by("-seq").values_list("seq", flat=True)[0]


def asked(sim: Simulator, corp: Corp) -> int:
    """How many requests single reads have cost."""
    return len(sim.journal(corp=corp.corpid, api="externalcontact/get"))


# --- what it writes


def test_read_brings_every_edit_with_its_events_and_keeps_what_is_ours(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    (userid,) = followers_of(sim, corp, one)
    FollowUser.objects.filter(contact__external_userid=one).update(stage=FollowUser.Stage.WON)
    tags = [tag["id"] for group in sim.world(corp.corpid)["tags"] for tag in group["tag"]]
    told = {"remark": "改过", "remark_mobiles": ["13900000042"], "tags": [*tags[:2], {"tag_name": "own"}]}
    sim.change(corp.corpid, "edit_contact", external_userid=one, name="陈改名")
    sim.change(corp.corpid, "edit_follow", external_userid=one, userid=userid, **told)
    before = last_event()
    read_contact(corp, one, actor=ACTOR)
    follow = the_relation(one, userid)
    assert follow.contact.name == "陈改名"
    assert (follow.remark, follow.remark_mobiles, follow.stage) == ("改过", ["13900000042"], "won")
    assert (follow.tag_ids, follow.personal_tags) == (tags[:2], ["own"])
    assert verbs(since=before) == ["contact.updated", "follow.updated"]
    assert_true(corp, sim)


def test_read_that_finds_nothing_new_writes_no_event_and_no_mirrored_field(
    corp: Corp, sim: Simulator
) -> None:
    one = with_followers(sim, corp, 2)
    read_contact(corp, one, actor=ACTOR)  # the listing tells no personal tags, this does
    before, events = rows(), Event.objects.count()
    read_contact(corp, one, actor=ACTOR)
    assert (rows(), Event.objects.count()) == (before, events)


def test_read_adds_a_new_follower_also_one_whom_no_listing_has_named(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    known = next(e for e in Employee.objects.all() if e.userid not in followers_of(sim, corp, one))
    sim.change(corp.corpid, "add_employee", userid="newcomer")
    for userid in (known.userid, "newcomer"):
        sim.change(corp.corpid, "follow", external_userid=one, userid=userid)
    before = last_event()
    read_contact(corp, one, actor=ACTOR)
    assert verbs(since=before) == ["employee.created", "follow.started", "follow.started"]
    assert current(one) == followers_of(sim, corp, one)
    assert_true(corp, sim)


def test_follower_whom_the_read_does_not_show_ends_at_once(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 2)
    gone, stays = sorted(followers_of(sim, corp, one))
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=gone)
    before = last_event()
    read_contact(corp, one, actor=ACTOR)
    ended = the_relation(one, gone)
    assert (ended.ended_source, ended.is_current) == ("read", False)
    assert (current(one), state_of(one)) == ({stays}, "active")
    assert verbs(since=before) == ["follow.ended"]


def test_contact_whom_nobody_follows_is_lost_and_comes_back_on_a_read(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    (userid,) = followers_of(sim, corp, one)
    FollowUser.objects.filter(contact__external_userid=one).update(stage=FollowUser.Stage.WON)
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=userid)
    before = last_event()
    read_contact(corp, one, actor=ACTOR)  # 84061
    assert (state_of(one), current(one)) == ("lost", set())
    assert verbs(since=before) == ["contact.lost", "follow.ended"]
    sim.change(corp.corpid, "follow", external_userid=one, userid=userid)
    before = last_event()
    read_contact(corp, one, actor=ACTOR)
    follow = the_relation(one, userid)
    assert (state_of(one), follow.is_current, follow.ended_source, follow.stage) == (
        "active",
        True,
        "",
        "won",
    )
    assert {"contact.restored", "follow.restored"} <= set(verbs(since=before))


def test_contact_lost_by_a_read_comes_back_on_the_next_listing(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    (userid,) = followers_of(sim, corp, one)
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=userid)
    read_contact(corp, one, actor=ACTOR)
    sim.change(corp.corpid, "follow", external_userid=one, userid=userid)
    run(corp)
    assert (state_of(one), current(one)) == ("active", {userid})


def test_relation_suspected_by_a_run_is_cleared_by_a_read_that_shows_it(corp: Corp, sim: Simulator) -> None:
    one = with_followers(sim, corp, 1)
    (userid,) = followers_of(sim, corp, one)
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=userid)
    assert run(corp).absent == 1
    sim.change(corp.corpid, "follow", external_userid=one, userid=userid)
    read_contact(corp, one, actor=ACTOR)
    assert the_relation(one, userid).absent_since is None


def test_relations_of_employees_out_of_range_are_left(corp: Corp, sim: Simulator) -> None:
    """The answer leaves them out whether they follow or not."""
    one = with_followers(sim, corp, 2)
    hidden, shown = sorted(followers_of(sim, corp, one))
    sim.change(corp.corpid, "set_visible", userid=hidden, visible=False)
    run(corp)
    read_contact(corp, one, actor=ACTOR)
    assert current(one) == {hidden, shown}
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=shown)
    read_contact(corp, one, actor=ACTOR)  # 84061: nobody whom the app can see
    assert (current(one), state_of(one)) == ({hidden}, "active")


def test_unknown_contact_is_created_with_all_its_followers(corp: Corp, sim: Simulator) -> None:
    staff = [told["userid"] for told in sim.world(corp.corpid)["employees"]][:3]
    made = sim.change(corp.corpid, "add_contact", name="新来的", follow_user=staff)
    before = last_event()
    read_contact(corp, made["external_userid"], actor=ACTOR)
    assert current(made["external_userid"]) == set(staff)
    assert verbs(since=before) == ["contact.created", *["follow.started"] * 3]
    assert_true(corp, sim)


def test_unknown_contact_whom_nobody_follows_leaves_no_row(corp: Corp, sim: Simulator) -> None:
    made = sim.change(corp.corpid, "add_contact", name="Nobody's")
    read_contact(corp, made["external_userid"], actor=ACTOR)
    assert not Contact.objects.filter(external_userid=made["external_userid"]).exists()


def test_followers_over_many_pages_are_one_answer(corp: Corp, sim: Simulator) -> None:
    """More than 500 followers are paged (wecom.md 3.3); here more than one."""
    sim.settings(follower_page=1)
    staff = [told["userid"] for told in sim.world(corp.corpid)["employees"]]
    one = sim.change(corp.corpid, "add_contact", name="Known to many", follow_user=staff)["external_userid"]
    read_contact(corp, one, actor=ACTOR)
    assert current(one) == set(staff)
    assert asked(sim, corp) == len(staff) > 2
    sim.change(corp.corpid, "unfollow", external_userid=one, userid=staff[-1])
    read_contact(corp, one, actor=ACTOR)
    assert current(one) == set(staff[:-1])


# --- what changes nothing


TROUBLES = [
    pytest.param({"kind": "errcode", "errcode": 40096}, Absent, id="40096"),
    pytest.param({"kind": "errcode", "errcode": 48002}, ProviderError, id="48002"),
    pytest.param({"kind": "reset", "times": None}, ProviderError, id="reset"),
    pytest.param({"kind": "http_status", "status": 500, "times": None}, ProviderError, id="500"),
    pytest.param({"kind": "truncated", "times": None}, ProviderError, id="truncated"),
    pytest.param({"kind": "no_list"}, Malformed, id="no list"),
    pytest.param({"fields": {"follow_user": None}}, Malformed, id="list null"),
    pytest.param({"fields": {"follow_user": {}}}, Malformed, id="list object"),
    pytest.param({"fields": {"external_contact": []}}, Malformed, id="no contact"),
    pytest.param(
        {"fields": {"external_contact": {"external_userid": "wmOther"}}}, Malformed, id="somebody else"
    ),
    pytest.param({"fields": {"follow_user": [{"remark": "x"}]}}, Malformed, id="nameless follower"),
    pytest.param({"fields": {"next_cursor": 7}}, Malformed, id="bad cursor"),
    pytest.param({"kind": "errcode", "errcode": 84061, "skip": 1}, Malformed, id="84061 on page 2"),
    pytest.param({"kind": "no_list", "skip": 1}, Malformed, id="no list on page 2"),
    pytest.param({"kind": "errcode", "errcode": 50100, "skip": 1}, ProviderError, id="cursor stale"),
]


@pytest.mark.parametrize(("fault", "error"), TROUBLES)
def test_answer_that_cannot_be_believed_changes_nothing_and_says_so(
    corp: Corp, sim: Simulator, fault: dict[str, Any], error: type[ProviderError]
) -> None:
    one = with_followers(sim, corp, 2)
    sim.settings(follower_page=1)
    sim.change(corp.corpid, "edit_contact", external_userid=one, name="never read")
    before, events = rows(), Event.objects.count()
    sim.fault(corp=corp.corpid, api="externalcontact/get", **fault)
    with pytest.raises(error):
        read_contact(corp, one, actor=ACTOR)
    assert (rows(), Event.objects.count()) == (before, events)


def test_contact_deleted_at_the_provider_changes_nothing_and_says_so(corp: Corp, sim: Simulator) -> None:
    """40096 may also mean that the app no longer sees it: the next runs decide."""
    one = with_followers(sim, corp, 1)
    sim.change(corp.corpid, "delete_contact", external_userid=one)
    before = rows()
    with pytest.raises(Absent) as told:
        read_contact(corp, one, actor=ACTOR)
    assert (told.value.errcode, rows()) == (40096, before)


def test_dialect_without_such_a_call_says_so_and_asks_nothing(direct_corp: Corp, sim: Simulator) -> None:
    one = sim.world(direct_corp.corpid)["contacts"][0]["external_userid"]
    with pytest.raises(Unsupported):
        read_contact(direct_corp, one, actor=ACTOR)
    assert sim.journal(corp=direct_corp.corpid) == []


# --- beside runs


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
