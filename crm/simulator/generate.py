"""Fills a corp with believable people. The same seed gives the same world, byte for byte."""

import base64
import gc
import random
from collections.abc import Sequence
from typing import TypeVar

from crm.simulator import names
from crm.simulator.corps import CORPS
from crm.simulator.records import Card, Contact, Department, Employee, Follow, MemberTag, Tag, TagGroup
from crm.simulator.world import Corp, World

EPOCH = 1_793_491_200  # 2026-11-01 UTC; all relations are made in the two years before
TWO_YEARS = 2 * 365 * 86_400
ADD_WAYS = (1, 1, 1, 1, 3, 4, 2, 6, 16, 16, 24, 201, 202, 10, 0, 22)
PHONE_HEADS = ("139", "138", "136", "158", "159", "188", "186", "131", "177", "199")
FOLLOWERS = (1,) * 70 + (2,) * 22 + (3,) * 6 + (4,) * 2  # 1.4 on average

T = TypeVar("T")


def build(world: World, *, contacts: int, employees: int, seed: int = 1, epoch: int = EPOCH) -> World:
    """Fill the world with the default corps; totals are shared evenly, the first corp takes the odd one."""
    gc.disable()  # nothing below is garbage, and the collector would walk the growing world again and again
    try:
        for index, spec in enumerate(CORPS):
            corp = Corp(spec)
            share = [total // len(CORPS) + (index < total % len(CORPS)) for total in (contacts, employees)]
            maker = _DingtalkMaker if spec.dialect == "dingtalk" else _Maker
            maker(corp, random.Random(f"{seed}/{spec.corp}"), epoch).populate(*share)
            world.corps[spec.corp] = corp
    finally:
        gc.freeze()
        gc.enable()
    return world


class _Maker:
    """One corp's generator: the random source and the pools that contacts share."""

    def __init__(self, corp: Corp, rng: random.Random, epoch: int) -> None:
        self.corp = corp
        self.draw = rng.random
        self.randbytes = rng.randbytes
        self.epoch = epoch
        self.is_direct = corp.spec.dialect == "direct"

    def populate(self, contacts: int, employees: int) -> None:
        self._departments()
        self._tags()
        for _ in range(employees):
            self._employee()
        self._leaders()
        self._member_tags()
        self._pools()
        for _ in range(contacts):
            self._contact()

    def pick(self, pool: Sequence[T]) -> T:
        return pool[int(self.draw() * len(pool))]

    def _departments(self) -> None:
        self.corp.departments[1] = Department(1, self.corp.spec.name, 0, 100_000_000)
        for order, (number, name, parent) in enumerate(names.DEPARTMENTS):
            self.corp.departments[number] = Department(number, name, parent, 100_000_000 - 1000 * (order + 1))

    def _tags(self) -> None:
        created = self.epoch - TWO_YEARS
        for order, (group_name, tag_names) in enumerate(names.TAG_GROUPS):
            group = TagGroup(self._id("et", 30), group_name, created, 100 - order)
            for place, name in enumerate(tag_names):
                self.corp.add_tag(group, Tag(self._id("et", 30), name, created, 100 - place, group))

    def _employee(self) -> None:
        (surname, pinyin), (given, given_pinyin) = self.pick(names.SURNAMES), self.pick(names.GIVEN)
        userid = pinyin + given_pinyin
        while userid.lower() in self.corp.employees:
            userid = f"{pinyin}{given_pinyin}{int(self.draw() * 9000) + 1000}"
        department = 2 + int(self.draw() * len(names.DEPARTMENTS))
        self.corp.add_employee(
            Employee(
                userid,
                surname + given,
                [department],
                [0],
                position=self.pick(names.EMPLOYEE_POSITIONS),
                mobile=self._mobile(),
                email=f"{userid.lower()}@example.com",
                gender=self.pick(("1", "2")),
            )
        )

    def _leaders(self) -> None:
        for department in self.corp.departments.values():
            members = self.corp.members_of(department.id)
            if members:
                members[0].is_leader_in_dept = [1]
                department.department_leader = [members[0].userid]

    def _member_tags(self) -> None:
        """Leaders, every second member, and a tag that nobody has."""
        everybody = [each.userid for each in self.corp.employees.values()]
        leaders = {userid for each in self.corp.departments.values() for userid in each.department_leader}
        members: tuple[list[str], ...] = (
            [userid for userid in everybody if userid in leaders],
            everybody[::2],
            [],
        )
        for tagid, (name, userids) in enumerate(zip(names.MEMBER_TAGS, members, strict=True), 1):
            self.corp.member_tags[tagid] = MemberTag(tagid, name, userids)

    def _pools(self) -> None:
        tag_ids = list(self.corp.tags)
        self.people = [
            (surname, surname + given) for surname, _ in names.SURNAMES for given, _ in names.GIVEN
        ]
        self.companies = [
            (place, brand + trade, place + brand + trade + names.SUFFIXES[(i + j) % len(names.SUFFIXES)])
            for i, place in enumerate(names.PLACES)
            for j, brand in enumerate(names.BRANDS)
            for trade in names.TRADES[(i + j) % 4 :: 4]
        ]
        self.tag_sets = [()] + [
            tuple(sorted({self.pick(tag_ids) for _ in range(k)})) for k in (1, 1, 2, 2, 3) * 20
        ]
        self.own_tag_sets = [()] * 9 + [(self.pick(names.OWN_TAGS),) for _ in range(3)]
        self.avatars = ["", ""] + [f"/_sim/avatar/{number}.svg" for number in range(1, 65)]
        # A few employees hold most of the contacts, as in life.
        self.lot = [
            e for i, e in enumerate(self.corp.employees.values()) for _ in range(2 + 12 // (1 + i % 8))
        ]

    def _contact(self) -> None:
        draw, pick = self.draw, self.pick
        kind = 1 if draw() < 0.78 else 2
        surname, full_name = pick(self.people)
        _, short, company = pick(self.companies)
        tells_work = kind == 2 or self.is_direct  # the official service tells work only of WeCom users
        external_userid = self._id("wm" if kind == 1 else "wo", 30)
        contact = Contact(
            external_userid,
            pick(names.NICKNAMES) if kind == 1 and draw() < 0.25 else full_name,
            nickname=pick(names.NICKNAMES) if self.is_direct and draw() < 0.5 else "",
            gender=int(draw() * 3),
            type=kind,
            position=pick(names.POSITIONS) if tells_work else "",
            corp_name=short if tells_work else "",
            corp_full_name=company if kind == 2 else "",
            avatar=pick(self.avatars),
            unionid="o" + external_userid[5:] if kind == 1 else "",
        )
        self.corp.contacts[external_userid] = contact
        for employee in self._followers():
            self._follow(contact, employee, surname, full_name, short)

    def _followers(self) -> list[Employee]:
        wanted = min(self.pick(FOLLOWERS), len(self.corp.employees))
        chosen: list[Employee] = []
        while len(chosen) < wanted:
            employee = self.pick(self.lot)
            if employee not in chosen:
                chosen.append(employee)
        return chosen

    def _follow(self, contact: Contact, employee: Employee, surname: str, full_name: str, short: str) -> None:
        draw, pick = self.draw, self.pick
        mobiles = int(draw() * 2.1)
        add_way = pick(ADD_WAYS)
        style = int(draw() * 4)
        follow = Follow(
            self.corp.next_n(),
            contact,
            employee,
            self.epoch - 1 - int(draw() ** 1.5 * TWO_YEARS),
            remark=(contact.name, full_name, f"{surname}总-{short}", f"{full_name}·{short}")[style],
            description=pick(names.DESCRIPTIONS) if draw() < 0.5 else "",
            tags=pick(self.tag_sets),
            own_tags=pick(self.own_tag_sets),
            remark_corp_name=short if contact.type == 1 and draw() < 0.6 else "",
            remark_mobiles=tuple(self._mobile() for _ in range(mobiles)),
            oper_userid=employee.userid if draw() < 0.6 else contact.external_userid,
            add_way=add_way,
            state=pick(names.CHANNELS) if add_way in (1, 16) and draw() < 0.7 else "",
        )
        employee.follows.append(follow)
        contact.follows += (follow,)

    def _mobile(self) -> str:
        return f"{self.pick(PHONE_HEADS)}{int(self.draw() * 100_000_000):08d}"

    def _id(self, prefix: str, length: int) -> str:
        return prefix + base64.b64encode(self.randbytes(24), b"Qx").decode()[:length]


class _DingtalkMaker(_Maker):
    """There a contact has a phone, labels and a remark of its own; the first who follows it is its owner."""

    def _tags(self) -> None:
        for place, (group_name, label_names) in enumerate(names.LABEL_GROUPS):
            group = TagGroup(group_name, group_name, 0, 0)
            for number, name in enumerate(label_names):
                self.corp.add_tag(group, Tag(str(7001 + 10 * place + number), name, 0, 0, group))

    def _contact(self) -> None:
        draw, pick = self.draw, self.pick
        surname, full_name = pick(self.people)
        place, short, company = pick(self.companies)
        number = self.corp.next_n()
        contact = Contact(
            f"ext{number:015d}",
            full_name,
            position=pick(names.POSITIONS) if draw() < 0.8 else "",
            corp_name=company if draw() < 0.9 else "",
        )
        contact.card = Card(
            mobile=f"{pick(PHONE_HEADS)}{number * 7919 % 100_000_000:08d}",  # no two alike
            remark=f"{surname}总·{short}" if draw() < 0.5 else "",
            address=f"{place}市" if draw() < 0.3 else "",
            email=f"contact{number}@example.com" if draw() < 0.3 else "",
            labels=pick(self.tag_sets[1:]),
            share_dept_ids=(pick(names.DEPARTMENTS)[0],) if draw() < 0.1 else (),
        )
        self.corp.contacts[contact.external_userid] = contact
        for employee in self._followers():
            follow = Follow(
                self.corp.next_n(), contact, employee, self.epoch - 1 - int(draw() ** 1.5 * TWO_YEARS)
            )
            employee.follows.append(follow)
            contact.follows += (follow,)
