"""A corp's world that changes on order: each change is a word and three numbers, so that hypothesis can shrink it."""

from typing import Any

from hypothesis import strategies as st

from crm.simulator.server import Simulator

Change = tuple[str, int, int, int]
Pair = tuple[str, str]  # (external_userid, userid)

NAMES = ("甲", "乙", "丙")  # few, so that changes are often taken back
REMARKS = ("", "a", "b")
MOBILES: tuple[list[str], ...] = ([], ["13900000001"], ["13900000001", "13800000002"])


class World:
    """What the provider would show now; `gone` are the relations that were not shown at some moment."""

    def __init__(self, sim: Simulator, corpid: str) -> None:
        self.sim, self.corpid = sim, corpid
        self.deleted: list[dict[str, Any]] = []
        self.gone: set[Pair] = set()
        self.look()

    def look(self) -> None:
        self.told = self.sim.world(self.corpid)
        self.staff = [each["userid"] for each in self.told["employees"]]
        self.contacts = self.told["contacts"]
        self.pairs = [(c["external_userid"], f["userid"]) for c in self.contacts for f in c["follow_user"]]
        self.tags = [tag["id"] for group in self.told["tags"] for tag in group["tag"]]

    def shown(self) -> dict[str, Any]:
        """The truth as far as the app is allowed to see it."""
        seen = {e["userid"] for e in self.told["employees"] if e["visible"] and e["status"] == 1}
        contacts = [
            {**told, "follow_user": [f for f in told["follow_user"] if f["userid"] in seen]}
            for told in self.contacts
        ]
        return {**self.told, "contacts": contacts}

    def shown_pairs(self) -> set[Pair]:
        return {
            (c["external_userid"], f["userid"]) for c in self.shown()["contacts"] for f in c["follow_user"]
        }

    def change(self, change: Change) -> None:
        """Do it, unless it makes no sense now (following twice, nobody left)."""
        before = self.shown_pairs()
        word, *numbers = change
        getattr(self, word)(*numbers)
        self.look()
        self.gone |= before - self.shown_pairs()

    def show_everybody(self) -> None:
        for userid in self.staff:
            self._do("set_visible", userid=userid, visible=True)
        self.look()

    def _do(self, op: str, **fields: Any) -> None:
        try:
            self.sim.change(self.corpid, op, **fields)
        except RuntimeError as refusal:
            if not {"400", "404"} & set(str(refusal).split()):
                raise

    def _contact(self, i: int) -> dict[str, Any]:
        return {"external_userid": self.contacts[i % len(self.contacts)]["external_userid"]}

    def _relation(self, i: int) -> dict[str, Any]:
        external_userid, userid = self.pairs[i % len(self.pairs)]
        return {"external_userid": external_userid, "userid": userid}

    def _employee(self, i: int) -> str:
        return str(self.staff[i % len(self.staff)])

    def meet(self, i: int, j: int, k: int) -> None:
        followers = sorted({self._employee(i), self._employee(j)})
        self._do("add_contact", name=NAMES[k % 3], follow_user=followers)

    def meet_again(self, i: int, j: int, k: int) -> None:
        """A deleted contact comes back with its id, and no poorer: what is not told any more is not cleared."""
        if self.deleted:
            again = self.deleted[i % len(self.deleted)]
            self._do("add_contact", **{**again, "name": NAMES[k % 3], "follow_user": [self._employee(j)]})

    def rename(self, i: int, j: int, k: int) -> None:
        if self.contacts:
            work = {"position": NAMES[k % 3]} if self._tells_work(i) else {}
            fields = ({"name": NAMES[k % 3]}, work or {"gender": k % 3}, {"gender": k % 3})[j % 3]
            self._do("edit_contact", **self._contact(i), **fields)

    def _tells_work(self, i: int) -> bool:
        return self.told["dialect"] == "direct" or self.contacts[i % len(self.contacts)]["type"] == 2

    def note(self, i: int, j: int, k: int) -> None:
        if self.pairs:
            fields: dict[str, Any] = (
                {"remark": REMARKS[k % 3]},
                {"description": REMARKS[k % 3]},
                {"remark_mobiles": MOBILES[k % 3]},
                {"tags": self.tags[: k % 3]},
                {"tags": [{"tag_name": NAMES[k % 3], "group_name": "own"}]},
                {"state": NAMES[k % 3]},
            )[j % 6]
            self._do("edit_follow", **self._relation(i), **fields)

    def unfollow(self, i: int, j: int, k: int) -> None:
        if self.pairs:
            self._do("unfollow", **self._relation(i))

    def follow(self, i: int, j: int, k: int) -> None:
        if self.contacts:
            self._do("follow", **self._contact(i), userid=self._employee(j), remark=REMARKS[k % 3])

    def transfer(self, i: int, j: int, k: int) -> None:
        if self.pairs:
            told = self._relation(i)
            self._do("transfer", **told, **{"from": told["userid"], "to": self._employee(j)})

    def forget(self, i: int, j: int, k: int) -> None:
        """The contact deletes its account."""
        if len(self.contacts) > 3:
            self.deleted.append(self.contacts[i % len(self.contacts)])
            self._do("delete_contact", **self._contact(i))

    def tag(self, i: int, j: int, k: int) -> None:
        if j % 3 == 0 or not self.tags:
            self._do("add_tag", group_name=NAMES[i % 3], tag_name=f"{NAMES[k % 3]}{i}")
        elif j % 3 == 1:
            self._do("edit_tag", tag_id=self.tags[i % len(self.tags)], tag_name=NAMES[k % 3])
        else:
            self._do("delete_tag", tag_id=self.tags[i % len(self.tags)])

    def leave(self, i: int, j: int, k: int) -> None:
        """An employee leaves, or comes back."""
        self._do("edit_employee", userid=self._employee(i), left=j % 2 == 0)

    def hide(self, i: int, j: int, k: int) -> None:
        """An employee drops out of the app's range, or returns to it."""
        self._do("set_visible", userid=self._employee(i), visible=j % 2 == 1)

    def hire(self, i: int, j: int, k: int) -> None:
        self._do("add_employee", userid=f"new{i % 3}", name=NAMES[k % 3], department=[2 + j % 2])

    def fire(self, i: int, j: int, k: int) -> None:
        """An employee is deleted with every relation."""
        if len(self.staff) > 2:
            self._do("remove_employee", userid=self._employee(i))


# The frequent ones stand more than once.
WORDS = (
    "meet meet meet_again rename rename rename note note note unfollow unfollow unfollow follow follow follow "
    "transfer transfer forget tag leave hide hire fire"
).split()
changes = st.tuples(st.sampled_from(WORDS), st.integers(0, 99), st.integers(0, 11), st.integers(0, 2))
