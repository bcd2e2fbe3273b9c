"""A corp of the simulator with a client for it, as the contract suite uses them."""

from dataclasses import dataclass
from typing import Any

from crm.providers import open_provider
from crm.providers.base import Credentials, Provider, Unlimited
from crm.providers.records import BadItem, ContactRecord
from crm.providers.tokens import MemoryTokens
from crm.providers.transport import Timeouts
from crm.simulator.server import Simulator

QUICK = Timeouts(connect=1, read=0.5, total=1)


@dataclass(frozen=True)
class Corp:
    """One corp of the simulator and a client for it."""

    dialect: str
    corp: str
    sim: Simulator
    provider: Provider
    told: dict[str, Any]

    def world(self) -> dict[str, Any]:
        return dict(self.sim.world(self.corp))

    def reopen(self, **options: Any) -> Provider:
        credentials = options.pop("credentials", credentials_of(self.told))
        options.setdefault("tokens", MemoryTokens())
        options.setdefault("limiter", Unlimited())
        options.setdefault("timeouts", QUICK)
        return open_provider(
            self.dialect, credentials, base_url=self.told["base_url"], allow_private=True, **options
        )

    def everything(self, *, limit: int = 100) -> list[ContactRecord | BadItem]:
        """Every item of every listed employee, employee by employee."""
        found: list[ContactRecord | BadItem] = []
        for userid in self.provider.directory().listed:
            cursor = ""
            while True:
                page = self.provider.contact_page([userid], cursor=cursor, limit=limit)
                found += page.items
                cursor = page.next_cursor
                if not cursor:
                    break
        return found

    def listed_contact(self) -> tuple[str, str]:
        """(userid, external_userid) of a relation that listings show."""
        for userid in self.provider.directory().listed:
            for item in self.provider.contact_page([userid]).items:
                return userid, item.external_userid
        raise AssertionError("the world has no relation")


def credentials_of(told: dict[str, Any]) -> Credentials:
    return Credentials(told["corp"], told["secret"], str(told["agentid"]), told.get("app_key", ""))


def open_corp(simulator: Simulator, dialect: str) -> Corp:
    """A fresh world, and a client with generous time limits."""
    simulator.reset()
    told = simulator.corp(dialect)
    provider = open_provider(
        dialect,
        credentials_of(told),
        tokens=MemoryTokens(),
        limiter=Unlimited(),
        base_url=told["base_url"],
        allow_private=True,
    )
    return Corp(dialect, told["corp"], simulator, provider, told)
