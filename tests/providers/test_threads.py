"""Several threads read through one client: nothing is lost, counted twice, or fetched twice."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from crm.providers.content import MiniprogramNotice
from crm.providers.records import BadItem, ContactRecord
from tests.providers.corps import Corp
from tests.providers.test_contract_reading import visible_relations

THREADS = 8


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """`work(0)` to `work(7)` in eight threads that start together."""
    barrier = threading.Barrier(THREADS)

    def started(number: int) -> Any:
        barrier.wait(10)
        return work(number)

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(started, range(THREADS)))


def listing(corp: Corp, userids: list[str], known: set[bytes]) -> list[ContactRecord | BadItem | bytes]:
    """Every item of `userids`, three a page."""
    found: list[ContactRecord | BadItem | bytes] = []
    for userid in userids:
        cursor = ""
        while True:
            page = corp.provider.contact_page([userid], cursor=cursor, limit=3, known=known)
            found += page.items
            cursor = page.next_cursor
            if not cursor:
                break
    return found


def test_eight_threads_read_what_one_reads(corp: Corp) -> None:
    def everything(number: int) -> list[ContactRecord | BadItem | bytes]:
        userids = list(corp.provider.directory().listed)
        return listing(corp, userids[number % len(userids) :] + userids[: number % len(userids)], set())

    for items in at_once(everything):
        found = {(item.external_userid, follow.userid) for item in items for follow in item.follows}
        assert found == visible_relations(corp)
    calls = corp.sim.journal(corp=corp.corp)
    assert corp.provider.tally.calls == len(calls)
    assert len([call for call in calls if call["api"] == "gettoken"]) == 1


def test_each_thread_knows_its_own(corp: Corp) -> None:
    userids = list(corp.provider.directory().listed)
    items = listing(corp, userids, set())
    digests = [item.digest for item in items if isinstance(item, ContactRecord)]
    known = [set(digests[number::THREADS]) for number in range(THREADS)]
    for number, told in enumerate(at_once(lambda number: listing(corp, userids, known[number]))):
        assert [item if isinstance(item, bytes) else item.digest for item in told] == digests
        assert {item for item in told if isinstance(item, bytes)} == known[number]


def test_a_token_that_ends_costs_eight_threads_one_refresh(corp: Corp) -> None:
    userids = list(corp.provider.directory().listed)
    before = len(corp.sim.journal(corp=corp.corp, api="gettoken"))
    corp.sim.post("/_sim/tokens/", {"corp": corp.corp, "op": "revoke"})
    lengths = {len(items) for items in at_once(lambda _: listing(corp, userids, set()))}
    assert len(lengths) == 1
    assert len(corp.sim.journal(corp=corp.corp, api="gettoken")) == before + 1


def test_eight_threads_upload_one_cover(official: Corp) -> None:
    notice = MiniprogramNotice(appid="wx123123123123123", title="会议室预订成功", page="index")
    told = at_once(lambda _: official.provider.prepare(notice, to_kind="contact"))
    assert len({content.pic_media_id for content in told}) == 1
    assert len(official.sim.journal(corp=official.corp, api="media/upload")) == 1
