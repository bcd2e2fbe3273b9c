"""The corp's employees by userid. The provider tells userids in any case; ours is the spelling first told."""

from collections.abc import Iterable

from contacts.models import Employee
from crm.models import Corp


class Roll:
    """Every employee of a corp: told userid -> primary key, and back to the corp's spelling."""

    def __init__(self, corp: Corp) -> None:
        self._corp = corp
        self._pks: dict[str, int] = {}
        self._userids: dict[int, str] = {}
        self.reload()

    def reload(self) -> None:
        self.add(Employee.objects.filter(corp=self._corp).values_list("userid", "pk"))

    def add(self, employees: Iterable[tuple[str, int]]) -> None:
        for userid, pk in employees:
            self._pks[userid.lower()] = pk
            self._userids[pk] = userid

    def find(self, userid: str) -> int | None:
        return self._pks.get(userid.lower())

    def pks(self, userids: Iterable[str]) -> frozenset[int]:
        """The employees among `userids` that we know."""
        return frozenset(pk for userid in userids if (pk := self.find(userid)) is not None)

    def userid(self, pk: int) -> str:
        return self._userids[pk]
