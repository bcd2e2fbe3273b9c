"""How many persons an app's messages reached, by WeCom's own count (wecom.md 3.9)."""

from crm.providers.errors import Malformed
from crm.providers.reading import as_int, as_list
from crm.providers.records import MessageCounts
from crm.providers.wecom.caller import Caller

TODAY, YESTERDAY = 0, 1


def read_counts(caller: Caller, agentid: str) -> MessageCounts:
    return MessageCounts(today=_count(caller, agentid, TODAY), yesterday=_count(caller, agentid, YESTERDAY))


def _count(caller: Caller, agentid: str, time_type: int) -> int:
    answer = caller.read("message/get_statistics", body={"time_type": time_type}, expect="statistics")
    if "statistics" not in answer.data:
        raise Malformed("message/get_statistics answered without its list.", code="no_list")
    rows = [each for each in as_list(answer.data["statistics"]) if isinstance(each, dict)]
    mine = [each for each in rows if str(as_int(each.get("agentid"))) == agentid]
    return sum(as_int(each.get("count")) or 0 for each in mine)
