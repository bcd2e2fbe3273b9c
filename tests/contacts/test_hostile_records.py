"""Records that nobody should ever send: stored or set aside with the reason, never at a neighbour's cost (S10)."""

import json
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from contacts.models import Contact, FollowUser, Quarantine, SyncRun
from crm.models import Corp
from crm.simulator.server import Simulator
from tests import factories
from tests.contacts.house import WECOM, assert_true, busiest, run

pytestmark = [pytest.mark.django_db(transaction=True), WECOM]

LONG = "长" * 70_000
ID = "wmHOSTILE00000000000000000000001"
ABSENT = object()


def deep(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


# What is wrong with the person: fields of `external_contact`, and how the reason begins.
CONTACTS: dict[str, tuple[dict[str, Any], str]] = {
    "nul_name": ({"name": "a\0b"}, "nul: name"),
    "nul_company": ({"corp_name": "\0"}, "nul: corp_name"),
    "surrogate_name": ({"name": "a\ud800b"}, "surrogate: name"),
    "surrogate_position": ({"position": "\udfff"}, "surrogate: position"),
    "long_name": ({"name": LONG}, "too_long: name 70000"),
    "long_company": ({"corp_name": LONG}, "too_long: corp_name"),
    "name_is_object": ({"name": {"a": 1}}, "wrong_type: name"),
    "name_is_list": ({"name": ["a"]}, "wrong_type: name"),
    "name_is_true": ({"name": True}, "wrong_type: name"),
    "id_absent": ({"external_userid": ABSENT}, "no_external_userid"),
    "id_empty": ({"external_userid": ""}, "no_external_userid"),
    "id_blank": ({"external_userid": "   "}, "no_external_userid"),
    "id_null": ({"external_userid": None}, "no_external_userid"),
    "id_false": ({"external_userid": False}, "no_external_userid"),
    "id_list": ({"external_userid": ["wm1"]}, "no_external_userid"),
    "id_long": ({"external_userid": "wm" + "x" * 300}, "too_long: external_userid"),
    "id_nul": ({"external_userid": "wm\0x"}, "nul: external_userid"),
    "id_surrogate": ({"external_userid": "wm\ud800"}, "surrogate: external_userid"),
    "profile_nul": ({"external_profile": {"a": [{"b\0": "c"}]}}, "nul: external_profile"),
    "profile_deep": ({"external_profile": json.loads(deep(150))}, "too_deep: external_profile"),
    "profile_surrogate": ({"external_profile": {"a": [{"b": "\ud800"}]}}, "surrogate: external_profile"),
}
# What is wrong with the relation: fields of `follow_info`.
FOLLOWS: dict[str, tuple[dict[str, Any], str]] = {
    "remark_nul": ({"remark": "\0"}, "nul: remark"),
    "remark_surrogate": ({"remark": "\ud83d"}, "surrogate: remark"),
    "remark_long": ({"remark": LONG}, "too_long: remark"),
    "remark_is_list": ({"remark": [1]}, "wrong_type: remark"),
    "description_long": ({"description": LONG}, "too_long: description"),
    "userid_nul": ({"userid": "a\0"}, "nul: userid"),
    "userid_long": ({"userid": "u" * 100}, "too_long: userid"),
    "mobile_nul": ({"remark_mobiles": ["1\0"]}, "nul: remark_mobiles"),
    "mobile_is_object": ({"remark_mobiles": [{"a": 1}]}, "wrong_type: remark_mobiles"),
    "mobile_long": ({"remark_mobiles": ["1" * 70_000]}, "too_long: remark_mobiles"),
    "channels_deep": ({"wechat_channels": json.loads(deep(150))}, "too_deep: wechat_channels"),
    "tag_nul": ({"tag_id": ["et\0"]}, "nul: tag_id"),
    "tag_long": ({"tag_id": ["et" + "x" * 70_000]}, "too_long: tag_id"),
    "tag_is_object": ({"tag_id": [{"a": 1}]}, "wrong_type: tag_id"),
    "tag_name_surrogate": ({"tags": [{"tag_id": "et1", "tag_name": "\ud800", "type": 1}]}, "surrogate: tag"),
    "tag_name_long": ({"tags": [{"tag_id": "et1", "tag_name": LONG, "type": 1}]}, "too_long: tag"),
}
NO_OBJECTS = {
    "null": "null",
    "text": '"wm1"',
    "number": "7",
    "list": "[]",
    "list_of_lists": "[[[]]]",
    "true": "true",
}
# Odd but storable: fields of the person and of the relation.
ODD: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "unknown_type": ({"type": 77, "gender": -5}, {"add_way": 9999}),
    "numbers_as_text": ({"type": "2", "gender": "1"}, {"createtime": "1700000000", "add_way": "16"}),
    "huge_numbers": ({"type": 10**30, "gender": -(10**30)}, {"createtime": 10**30, "add_way": 10**30}),
    "time_before_time": ({}, {"createtime": -1}),
    "time_in_milliseconds": ({}, {"createtime": 1_700_000_000_000}),
    "time_beyond_years": ({}, {"createtime": 2**62}),
    "time_is_a_date": ({}, {"createtime": "2024-01-01"}),
    "time_is_a_fraction": ({}, {"createtime": 1.5, "add_way": 0.1}),
    "numbers_are_lists": ({"type": [1], "gender": {}}, {"createtime": [], "add_way": None}),
    "everything_null": ({"name": None, "type": None, "avatar": None}, {"remark": None, "tag_id": None}),
    "lists_are_texts": ({}, {"remark_mobiles": "13900000000", "tag_id": "et1"}),
    "name_is_number": ({"name": 12345}, {"remark": 6.5}),
    "profile_is_text": ({"external_profile": "none"}, {"wechat_channels": 3}),
    "markup_and_controls": ({"name": "<b>{{x}}</b>\r\n\x1b\x7f\u202e\u2028"}, {"remark": "\x01\ufffe"}),
    "wide_characters": ({"name": "\U0001f468\u200d\U0001f469\u200d\U0001f467" * 20}, {"remark": "𠮷" * 255}),
    "extra_fields": ({"x" * 5000: [1, {"y": None}]}, {"zz": {"a": [[[[[]]]]]}}),
    "extra_field_with_nul": ({"later": "a\0b"}, {"later": "\ud800"}),
    "unknown_tag_kind": ({}, {"tags": [{"tag_id": "et9", "tag_name": "", "type": 42}, 5, None, {}]}),
}
# Raw JSON in a field nobody knows, and how the reason begins ("": stored all the same).
STRANGE = {
    "deep_300": (deep(300), ""),
    "deep_1200": (deep(1200), "too_deep"),
    "deep_20000": (deep(20_000), "too_deep"),
    "deep_list_20000": ("[" * 20_000 + "]" * 20_000, "too_deep"),
    "number_of_5000_digits": ("9" * 5000, "bad_number"),
    "number_beyond_float": ("1e999", "bad_number"),
    "number_below_float": ("-1e-999", ""),
    "number_beyond_64_bits": ("-" + "9" * 30, ""),
    "not_a_number": ("NaN", "bad_number"),
    "infinity": ("-Infinity", "bad_number"),
    "number_with_a_zero_before": ("007", "not_json"),
    "word": ("None", "not_json"),
    "escape_of_its_own": (r'"\x41"', "not_json"),
    "text_of_a_million": (f'"{LONG * 15}"', ""),
    "name_twice": ('1,"external_userid":"wmTWICE","external_userid":"wmHOSTILE2"', ""),
    "key_with_nul": (r'1,"a\u0000b":2', ""),
}


class Poisoner:
    """Puts hostile items into the busiest employee's listing."""

    def __init__(self, sim: Simulator, corp: Corp) -> None:
        self.sim, self.corp, self.userid = sim, corp, busiest(sim, corp)

    def item(self, contact: dict[str, Any], follow: dict[str, Any]) -> str:
        told = {"external_userid": ID, "name": "Hostile", "type": 1, "gender": 0, **contact}
        told = {name: value for name, value in told.items() if value is not ABSENT}
        info = {"userid": self.userid, "remark": "", "createtime": 1_700_000_000, **follow}
        if self.corp.dialect == "official":
            return json.dumps({"external_contact": told, "follow_info": info})
        return json.dumps({**told, "follow_user": [info]})

    def add(self, raw: str, *, page: int = 1) -> None:
        self.sim.post(
            "/_sim/poison/", {"corp": self.corp.corpid, "userid": self.userid, "page": page, "raw": raw}
        )

    def neighbours(self) -> int:
        return len(self.sim.world(self.corp.corpid)["contacts"])


@pytest.fixture
def poison(corp: Corp, sim: Simulator) -> Poisoner:
    return Poisoner(sim, corp)


def assert_neighbours_stored(poison: Poisoner, done: SyncRun) -> None:
    """Every sound record is there, whatever else is; and there are at least 24 of them."""
    world = poison.sim.world(poison.corp.corpid)
    told = {each["external_userid"] for each in world["contacts"]}
    held = set(Contact.objects.values_list("external_userid", flat=True))
    assert len(told) >= 24
    assert (done.state, done.errors) == ("complete", [])
    assert told - held == set()


def assert_pages_answer(corp: Corp) -> None:
    """What an administrator opens after the run: lists, each odd contact, the run; and the REST lists."""
    browser = Client()
    user = factories.user()
    user.is_staff = True
    user.save()
    browser.force_login(user)
    newest = Contact.objects.order_by("-pk").values_list("pk", flat=True)[:5]
    paths = [
        "/admin/contacts/contact/",
        "/admin/contacts/followuser/",
        "/admin/contacts/tag/",
        "/admin/contacts/employee/",
        "/admin/contacts/syncrun/",
        f"/admin/contacts/syncrun/{SyncRun.objects.latest('pk').pk}/change/",
        *(f"/admin/contacts/contact/{pk}/change/" for pk in newest),
        "/api/v1/contacts/?limit=200",
        "/api/v1/follow-users/?limit=200",
        f"/api/v1/sync-runs/{SyncRun.objects.latest('pk').pk}/quarantine/",
        *(f"/api/v1/contacts/{pk}/" for pk in newest),
    ]
    for path in paths:
        assert browser.get(path, follow=True).status_code == 200, path
    shown = browser.get(f"/admin/contacts/syncrun/{SyncRun.objects.latest('pk').pk}/change/").content.decode()
    for reason in set(Quarantine.objects.filter(cleared_at=None).values_list("reason", flat=True)):
        assert escape(reason) in shown


def assert_clears(poison: Poisoner) -> None:
    """Without the poison the next run closes the quarantine, and two make the mirror equal."""
    poison.sim.delete("/_sim/poison/")
    assert run(poison.corp).state == "complete"
    assert not Quarantine.objects.filter(cleared_at=None).exists()
    run(poison.corp)
    assert_true(poison.corp, poison.sim)


def bad_items(poison: Poisoner) -> dict[str, tuple[str, str]]:
    return {
        **{name: (poison.item(fields, {}), reason) for name, (fields, reason) in CONTACTS.items()},
        **{name: (poison.item({}, fields), reason) for name, (fields, reason) in FOLLOWS.items()},
        **{f"no_object_{name}": (raw, "not_an_object") for name, raw in NO_OBJECTS.items()},
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CONTACTS, *FOLLOWS, *(f"no_object_{name}" for name in NO_OBJECTS)])
def test_unstorable_record_is_set_aside_with_its_reason_and_costs_no_neighbour(
    poison: Poisoner, corp: Corp, name: str
) -> None:
    raw, reason = bad_items(poison)[name]
    poison.add(raw)
    done = run(corp)
    assert_neighbours_stored(poison, done)
    assert done.quarantined == 1
    kept = Quarantine.objects.get()
    assert kept.reason.startswith(reason)
    assert kept.cleared_at is None
    assert_pages_answer(corp)
    assert_clears(poison)


def test_page_full_of_hostile_records_keeps_every_neighbour_and_names_every_reason(
    poison: Poisoner, corp: Corp
) -> None:
    items = bad_items(poison)
    assert len(items) >= 25
    for raw, _ in items.values():
        poison.add(raw)
    done = run(corp)
    assert_neighbours_stored(poison, done)
    assert done.quarantined == len(items)
    reasons = set(Quarantine.objects.values_list("reason", flat=True))
    for _, reason in items.values():
        assert any(each.startswith(reason) for each in reasons), reason
    assert_pages_answer(corp)
    assert run(corp).new == 0  # and again the same
    assert_clears(poison)


@pytest.mark.slow
@pytest.mark.parametrize("name", ODD)
def test_odd_but_storable_record_is_stored_beside_its_neighbours(
    poison: Poisoner, corp: Corp, name: str
) -> None:
    contact, follow = ODD[name]
    poison.add(poison.item(contact, follow))
    done = run(corp)
    assert_neighbours_stored(poison, done)
    assert done.quarantined == 0
    assert FollowUser.objects.filter(contact__external_userid=ID, employee__userid=poison.userid).exists()
    assert_pages_answer(corp)
    again = run(corp)
    assert (again.new, again.changed) == (0, 0)
    assert_clears(poison)


def test_all_odd_records_together_are_stored_and_shown(poison: Poisoner, corp: Corp) -> None:
    for number, (contact, follow) in enumerate(ODD.values()):
        poison.add(poison.item({"external_userid": f"wmODD{number}", **contact}, follow))
    done = run(corp)
    assert_neighbours_stored(poison, done)
    assert (done.quarantined, Contact.objects.filter(external_userid__startswith="wmODD").count()) == (
        0,
        len(ODD),
    )
    unknown = Contact.objects.get(external_userid="wmODD0")
    assert (unknown.type, unknown.gender) == (77, -5)
    as_text = FollowUser.objects.get(contact__external_userid="wmODD1")
    assert (as_text.createtime, as_text.add_way, as_text.contact.type) == (1_700_000_000, 16, 2)
    assert_pages_answer(corp)
    assert_clears(poison)


@pytest.mark.slow
@pytest.mark.parametrize("name", STRANGE)
def test_strange_value_in_one_record_costs_no_neighbour(poison: Poisoner, corp: Corp, name: str) -> None:
    strange, reason = STRANGE[name]
    poison.add(f'{poison.item({}, {})[:-1]},"later":{strange}}}')
    done = run(corp)
    assert_neighbours_stored(poison, done)
    kept = Quarantine.objects.values_list("external_userid", "userid", "reason")
    assert list(kept) == ([(ID, poison.userid, reason)] if reason else [])
    assert_pages_answer(corp)
    assert_clears(poison)


@pytest.mark.slow
@pytest.mark.parametrize("page_limit", [1, 100])  # alone on its page, and amid others
def test_strange_values_all_over_a_page_cost_no_neighbour(
    poison: Poisoner, corp: Corp, sim: Simulator, page_limit: int
) -> None:
    sim.settings(page_limit=page_limit)
    stored, bad = set(), set()
    for number, (strange, reason) in enumerate(STRANGE.values()):
        external_userid = "wmHOSTILE2" if "wmHOSTILE2" in strange else f"wmSTRANGE{number}"
        (bad if reason else stored).add(external_userid)
        sound = poison.item({"external_userid": external_userid}, {})
        poison.add(f'{sound[:-1]},"later":{strange}}}')
        if reason:
            poison.add(f'{{"first":{strange},{sound[1:]}')  # another order of keys than its neighbours
            poison.add(sound.replace('"remark": ""', f'"remark": {strange}'))
            poison.add(f'{{"external_userid":{strange}}}')
            poison.add(strange)
    for is_again in (False, True):
        done = run(corp)
        assert_neighbours_stored(poison, done)
        assert done.quarantined == 5 * len(bad)
        assert not is_again or (done.new, done.changed, done.absent) == (0, 0, 0)
    assert set(Quarantine.objects.values_list("external_userid", flat=True)) == {*bad, ""}
    told = Contact.objects.filter(external_userid__in=stored | bad)
    assert set(told.values_list("external_userid", flat=True)) == stored
    assert_pages_answer(corp)
    assert_clears(poison)


@pytest.mark.slow
@pytest.mark.parametrize("second", ["same", "other"])
@pytest.mark.parametrize("on_page", [1, 2])
def test_record_twice_on_a_page_or_on_two_pages_is_stored_once(
    poison: Poisoner, corp: Corp, sim: Simulator, on_page: int, second: str
) -> None:
    sim.settings(page_limit=6)
    poison.add(poison.item({"name": "First"}, {"remark": "one"}))
    other = poison.item({"name": "Second"}, {"remark": "two"})
    poison.add(
        other if second == "other" else poison.item({"name": "First"}, {"remark": "one"}), page=on_page
    )
    done = run(corp)
    assert_neighbours_stored(poison, done)
    assert done.quarantined == 0
    contact = Contact.objects.get(external_userid=ID)
    assert FollowUser.objects.filter(contact=contact).count() == 1
    assert contact.name in ("First", "Second")
    again = run(corp)
    assert (again.state, again.new, again.absent) == ("complete", 0, 0)
    assert_pages_answer(corp)
    assert_clears(poison)


@pytest.mark.parametrize("what", ["nul_name", "remark_long", "id_absent", "deep_20000"])
def test_known_contact_that_becomes_unstorable_keeps_what_we_hold(
    poison: Poisoner, corp: Corp, sim: Simulator, what: str
) -> None:
    run(corp)
    before = list(Contact.objects.order_by("pk").values())
    world = sim.world(corp.corpid)["contacts"]
    told = next(each for each in world if [f["userid"] for f in each["follow_user"]] == [poison.userid])
    known = {"external_userid": told["external_userid"]}
    raw = poison.item({**known, **CONTACTS.get(what, ({},))[0]}, FOLLOWS.get(what, ({},))[0])
    if what in STRANGE:
        raw = f'{raw[:-1]},"later":{STRANGE[what][0]}}}'
    sim.post("/_sim/poison/", {"corp": corp.corpid, **known, "raw": raw})
    for _ in range(2):
        done = run(corp)
        assert (done.state, done.absent, done.ended, done.quarantined) == ("complete", 0, 0, 1)
    assert list(Contact.objects.order_by("pk").values()) == before
    assert_clears(poison)
