"""Who came by a contact way: joined once, whatever order scan, callback and sync come in (guarantees S9)."""

import random
from typing import Any

import pytest

from contacts import actions, ways
from contacts.arrivals import Arrivals
from contacts.follow_up import plan_follow_up
from contacts.models import Arrival, Contact, ContactWay, Employee, FollowUser, Tag
from contacts.reading import read_contact, read_tags
from crm.models import Corp, Event
from crm.providers.records import ContactRecord, FollowRecord
from crm.simulator.server import Simulator
from tests import factories
from tests.contacts.house import run
from tests.contacts.waysides import calls, made, work
from tests.tables import empty_tables
from tests.truth import differences

pytestmark = pytest.mark.django_db(transaction=True)
ACTOR = "callback"


@pytest.fixture
def fair(official_corp: Corp) -> Corp:
    """A corp that was synced before."""
    assert run(official_corp).state == "complete"
    return official_corp


def employees(corp: Corp) -> list[Employee]:
    return list(Employee.objects.filter(corp=corp, is_listed=True).order_by("pk"))


def create(corp: Corp, *people: Employee, name: str = "陈静") -> Contact:
    user = factories.user()
    contact = actions.create_contact(
        user=user,
        actor="user:test",
        corp=corp,
        name=name,
        follow_user=[each.userid for each in people],
        corp_name="North Mill",
    )
    work()
    contact.refresh_from_db()
    assert (contact.state, contact.contact_way.state) == ("pending", "active")
    return contact


def scan(sim: Simulator, way: ContactWay, **fields: Any) -> str:
    way.refresh_from_db()
    return str(sim.scan(way.config_id, **fields)["external_userid"])


def joined() -> list[Event]:
    return list(Event.objects.filter(verb="contact.joined").order_by("seq"))


def untrue(corp: Corp, sim: Simulator) -> list[str]:
    return differences(corp, sim.world(corp.corpid))


def by_callback(corp: Corp, external_userid: str) -> None:
    read_contact(corp, external_userid, actor=ACTOR)


def by_sync(corp: Corp, external_userid: str) -> None:
    assert run(corp).state == "complete"


@pytest.mark.parametrize("bring", [by_callback, by_sync])
def test_created_contact_when_it_scans_then_it_is_that_person_and_keeps_what_is_ours(
    fair: Corp, sim: Simulator, bring: Any
) -> None:
    lin = employees(fair)[0]
    contact = create(fair, lin)
    who, author = factories.user(), contact.created_by_id
    plan_follow_up(contact.follow_users.get(), user=who, actor="user:test", stage="interested")
    external_userid = scan(sim, contact.contact_way, name="静静")
    bring(fair, external_userid)
    contact.refresh_from_db()
    assert (contact.state, contact.external_userid, contact.name) == ("active", external_userid, "静静")
    assert (contact.created_by_id, contact.follow_users.get().stage) == (author, "interested")
    [told] = joined()
    assert (told.subject_id, told.contact_id) == (str(contact.pk), contact.pk)
    assert told.changes["campaign"] == [None, "陈静"]
    assert told.changes["way"] == [None, contact.contact_way.pk]
    assert untrue(fair, sim) == []
    run(fair)
    by_callback(fair, external_userid)
    assert len(joined()) == Arrival.objects.count() == 1
    assert untrue(fair, sim) == []


def test_created_contact_when_a_half_made_connection_tells_it_then_joined(fair: Corp, sim: Simulator) -> None:
    contact = create(fair, employees(fair)[0])
    by_callback(fair, scan(sim, contact.contact_way, half=True))
    contact.refresh_from_db()
    assert contact.state == "active"


def test_created_contact_when_it_chose_one_of_several_then_the_others_are_let_go(
    fair: Corp, sim: Simulator
) -> None:
    lin, wang, *_ = employees(fair)
    contact = create(fair, lin, wang)
    external_userid = scan(sim, contact.contact_way)
    by_callback(fair, external_userid)
    ends = dict(contact.follow_users.values_list("employee__userid", "ended_source"))
    assert ends == {lin.userid: "", wang.userid: "not_chosen"}
    assert untrue(fair, sim) == []
    done = run(fair)
    assert (done.absent, done.ended) == (0, 0)


def test_personal_code_when_another_person_scans_it_too_then_they_are_an_ordinary_new_contact(
    fair: Corp, sim: Simulator
) -> None:
    contact = create(fair, employees(fair)[0])
    first, second = (scan(sim, contact.contact_way, name=name) for name in ("甲", "乙"))
    run(fair)
    contact.refresh_from_db()
    other = Contact.objects.get(external_userid=({first, second} - {contact.external_userid}).pop())
    assert {contact.state, other.state} == {"active"}
    assert len(joined()) == contact.contact_way.arrivals.count() == 2
    assert untrue(fair, sim) == []


def test_created_contact_when_it_is_somebody_we_knew_then_the_two_become_one(
    fair: Corp, sim: Simulator
) -> None:
    lin, wang, zhou, *_ = employees(fair)
    known = FollowUser.objects.current().filter(employee=wang).exclude(contact__follow_users__employee=lin)
    real = known.select_related("contact").first().contact  # type: ignore[union-attr]
    double = create(fair, lin, zhou)
    for employee, stage in ((lin, "negotiating"), (zhou, "interested")):
        planned = double.follow_users.get(employee=employee)
        plan_follow_up(planned, user=factories.user(), actor="user:test", stage=stage)
    scan(sim, double.contact_way, external_userid=real.external_userid)
    by_callback(fair, real.external_userid)
    assert not Contact.objects.filter(pk=double.pk).exists()
    real.refresh_from_db()
    assert real.created_by_id == double.created_by_id
    assert real.follow_users.get(employee=lin).stage == "negotiating"
    merged = Event.objects.get(verb="contact.merged")
    assert (merged.subject_id, merged.contact_id) == (str(double.pk), real.pk)
    assert merged.changes["into"] == [None, real.pk]
    assert ContactWay.objects.get().contact_id == real.pk
    not_chosen = Event.objects.get(verb="follow.ended", contact_id=real.pk)
    assert not_chosen.changes["stage"] == ["interested", None]
    run(fair)
    assert untrue(fair, sim) == []


def test_created_contact_when_its_code_was_deleted_as_it_scanned_then_joined_all_the_same(
    fair: Corp, sim: Simulator
) -> None:
    contact = create(fair, employees(fair)[0])
    external_userid = scan(sim, contact.contact_way)
    ways.delete(contact.contact_way, user=factories.user(), actor="user:test")
    work()
    contact.refresh_from_db()
    assert (contact.state, contact.create_error) == ("failed", "way_deleted")
    by_sync(fair, external_userid)
    contact.refresh_from_db()
    assert (contact.state, contact.create_error) == ("active", "")


def test_created_contact_when_its_code_ended_then_a_new_one_can_be_asked_for(
    fair: Corp, sim: Simulator
) -> None:
    contact = create(fair, employees(fair)[0])
    old = contact.contact_way.config_id
    ways.delete(contact.contact_way, user=factories.user(), actor="user:test")
    work()
    contact.refresh_from_db()
    actions.retry_create(contact, user=factories.user(), actor="user:test")
    work()
    way = ContactWay.objects.get()
    assert (way.state, way.config_id != old, way.picture is not None) == ("active", True, True)
    by_callback(fair, scan(sim, way))
    contact.refresh_from_db()
    assert contact.state == "active"


def a_tag(corp: Corp, sim: Simulator) -> Tag:
    read_tags(corp, actor="user:test")
    return Tag.objects.filter(corp=corp, deleted_at=None, type=1).order_by("pk")[0]


def test_campaign_when_people_come_then_their_tags_are_set_at_the_provider(
    fair: Corp, sim: Simulator
) -> None:
    tag = a_tag(fair, sim)
    way = made(fair, *(each.userid for each in employees(fair)[:2]), tags=[tag.tag_id])
    sim.fault(api="externalcontact/mark_tag", kind="reset")
    came = [scan(sim, way) for _ in range(3)]
    run(fair)
    work()
    assert set(Arrival.objects.values_list("due_at", "error")) == {(None, "")}
    assert not Arrival.objects.filter(tagged_at=None).exists()
    for follow in FollowUser.objects.filter(contact__external_userid__in=came):
        assert follow.tag_ids == [tag.tag_id]
    assert untrue(fair, sim) == []
    run(fair)
    work()
    assert calls(sim, fair, "mark_tag") == 4


def test_campaign_when_somebody_left_and_comes_again_then_their_tags_are_set_again(
    fair: Corp, sim: Simulator
) -> None:
    way = made(fair, employees(fair)[0].userid, tags=[a_tag(fair, sim).tag_id])
    external_userid = scan(sim, way)
    by_callback(fair, external_userid)
    work()
    sim.change(fair.corpid, "unfollow", external_userid=external_userid, userid=employees(fair)[0].userid)
    by_callback(fair, external_userid)
    sim.advance(60)
    scan(sim, way, external_userid=external_userid)
    by_callback(fair, external_userid)
    work()
    assert calls(sim, fair, "mark_tag") == 2
    assert (len(joined()), Arrival.objects.count()) == (2, 1)
    assert untrue(fair, sim) == []


def test_campaign_when_a_tag_cannot_be_set_then_it_is_said_and_not_tried_for_ever(
    fair: Corp, sim: Simulator
) -> None:
    way = made(fair, employees(fair)[0].userid, tags=[a_tag(fair, sim).tag_id])
    sim.fault(api="externalcontact/mark_tag", kind="errcode", errcode=40068, times=None)
    by_callback(fair, scan(sim, way))
    work()
    arrival = Arrival.objects.get()
    assert (arrival.due_at, arrival.tagged_at, arrival.error[:13]) == (None, None, "errcode 40068")
    assert calls(sim, fair, "mark_tag") == 1


def test_campaign_when_the_app_may_not_tag_for_a_while_then_tags_are_set_once_it_may(
    fair: Corp, sim: Simulator
) -> None:
    read_tags(fair, actor=ACTOR)
    tag = Tag.objects.filter(corp=fair).earliest("pk")
    way = made(fair, employees(fair)[0].userid, tags=[tag.tag_id])
    sim.fault(api="externalcontact/mark_tag", kind="errcode", errcode=48002)
    by_callback(fair, scan(sim, way))
    work()
    arrival = Arrival.objects.get(way=way)
    assert (arrival.error, arrival.tagged_at is None, arrival.due_at) == ("", False, None)
    assert arrival.follow_user.tag_ids == [tag.tag_id]
    assert calls(sim, fair, "mark_tag") == 2


def test_batch_when_nobody_came_by_a_way_then_ways_are_not_asked_for(
    official_corp: Corp, sim: Simulator, django_assert_num_queries: Any
) -> None:
    items = [ContactRecord("wm1", follows=(FollowRecord("lin", state="expo"), FollowRecord("wang")))]
    with django_assert_num_queries(0):
        arrivals = Arrivals(official_corp, items, actor=ACTOR)
        arrivals.adopt()
        arrivals.note()


def test_way_of_another_corp_when_its_token_comes_here_then_nobody_is_joined(
    fair: Corp, sim: Simulator
) -> None:
    other = Corp.objects.create(corpid="ww-other", provider="wecom", dialect="official")
    way = ContactWay.objects.create(corp=other, campaign="Theirs", state="active", due_at=None)
    lin = employees(fair)[0].userid
    sim.change(fair.corpid, "add_contact", name="x", follow_user=[{"userid": lin, "state": way.token}])
    run(fair)
    assert not Arrival.objects.exists()


@pytest.mark.parametrize("seed", range(6))
def test_scans_callbacks_and_syncs_in_any_order_end_in_the_same_state(sim: Simulator, seed: int) -> None:
    """Each callback comes late, twice or never; in the end two syncs have run."""
    draw = random.Random(seed)
    empty_tables()
    sim.reset()
    corp = factories.corp_of(sim.corp("official"))
    run(corp)
    lin, wang, *_ = employees(corp)
    tag = a_tag(corp, sim)
    created = [create(corp, lin, name="甲"), create(corp, lin, wang, name="乙")]
    campaign = made(corp, lin.userid, wang.userid, tags=[tag.tag_id])
    real = Contact.objects.filter(state="active").exclude(follow_users__employee=lin).order_by("pk")[0]
    known = real.external_userid
    scans: list[tuple[ContactWay, dict[str, Any]]] = [
        (created[0].contact_way, {"external_userid": known}),
        (created[1].contact_way, {}),
        (created[1].contact_way, {}),
        (campaign, {}),
        (campaign, {}),
    ]
    draw.shuffle(scans)
    waiting: list[str] = []
    came: set[str] = set()
    while scans or waiting:
        step = draw.choice(["scan", "scan", "callback", "sync", "work"])
        if step == "scan" and scans:
            way, fields = scans.pop()
            external_userid = scan(sim, way, **fields)
            came.add(external_userid)
            waiting += [external_userid] * draw.choice([0, 1, 1, 2])
        elif step == "callback" and waiting:
            by_callback(corp, waiting.pop(draw.randrange(len(waiting))))
        elif step == "sync":
            run(corp)
        elif step == "work":
            work()
    run(corp)
    work()
    run(corp)
    assert untrue(corp, sim) == []
    assert not Contact.objects.filter(state__in=["pending", "failed"]).exists()
    assert len(came) == Arrival.objects.count() == len(joined()) == 5
    assert Arrival.objects.filter(way=campaign, tagged_at__isnull=False).count() == 2
    assert not Contact.objects.filter(pk=created[0].pk).exists()
    created[1].refresh_from_db()
    assert created[1].external_userid in came
    assert Event.objects.filter(verb="contact.merged").count() == 1
