"""Every knob of the simulator's behaviour, changed at run time through /_sim/settings/."""

from dataclasses import asdict, dataclass, fields
from typing import Any


@dataclass(slots=True)
class Switches:
    """Durations are seconds of the simulator's clock (latency excepted); 0 switches a limit off."""

    # listings
    end_style: str = "empty"  # next_cursor of a last page: "empty" (""), "absent" or "null"
    page_limit: int = 0  # lowers the largest page of every contact listing
    cursor_ttl: int = 14_400
    follow_user_objects: bool = False  # direct list: follow_user as objects instead of userids
    follower_page: int = 500  # externalcontact/get pages its follow_user beyond this
    hidden_errcode: int = 60111  # listing the contacts of a member who left, is disabled or out of range
    # tokens
    token_ttl: int = 7_200
    expired_errcode: int = 42001  # or 40014
    token_in_body: bool | None = None  # None: accepted in direct, refused in official
    wrong_secret_limit: int = 100  # per hour and address, then 45009
    # limits
    rate_limit_minute: int = 10_000  # per corp and API
    concurrency_limit: int = 0  # per corp and API, then 45033
    member_per_minute: int = 30  # app messages to one member, the excess is dropped silently
    member_per_hour: int = 1_000
    app_per_day: int = 0  # app messages per day in person-times; 0 = 200 times the number of employees
    # messages
    recall_seconds: int = 86_400
    media_ttl: int = 259_200
    groupmsg_delay: float = 0.0  # how long a mass task answers 41063 after it was made
    groupmsg_times: str = "string"  # create_time in the list of mass tasks; or "number"
    mass_cap_day: int = 0  # per customer; 0 = none
    mass_cap_month: int = 0  # per customer; 0 = as many as the month has days
    linked_appids: list[str] | None = None  # mini programs of the corp; None: any well-formed appid
    touser_kind: str = "external_userid"  # direct message/send: also "userid" or "both"
    # callbacks: the shares (0 to 1) and the seed decide each event's luck by its number
    callback_timeout: float = 5.0
    callback_retries: int = 3
    callback_retry_pause: float = 1.0
    callback_delay: float = 0.0  # real seconds, as the other three durations here
    callback_loss: float = 0.0
    callback_double: float = 0.0
    callback_reorder: float = 0.0  # these are held back and overtaken by what happens meanwhile
    callback_reorder_seconds: float = 0.5
    callback_seed: int = 1
    verify_timeout: float = 1.0
    welcome_seconds: float = 20.0
    response_code_seconds: float = 72 * 3600.0
    # contact ways
    contact_way_quota: int = 500_000
    temp_way_quota_day: int = 100_000
    # DingTalk
    calls_per_second: int = 20  # per app and API, then 90018
    notice_seconds: float = 2.0  # until a work notification is done and its result is told
    notice_per_day: int = 500  # to one person, the excess is dropped and told as 143105
    tells_mobile: bool = True  # False: as to an app of a third party
    ignored_offset: bool = False  # extcontact/list tells its first page again and again
    # the rest
    latency_ms: float = 0.0
    unknown_path: str = "404"  # or "-1"
    member_details: bool = False  # user/get and user/list tell mobile, email and gender
    list_id_needs_sync: bool = True
    refuse_escapes: bool = False  # 40033 for \uXXXX in a request body
    journal_size: int = 20_000

    def change(self, wanted: dict[str, Any]) -> None:
        """Set the named switches, all or none. Raises ValueError for a name or kind that does not exist."""
        known = {each.name: getattr(self, each.name) for each in fields(self)}
        for name, value in wanted.items():
            if name not in known:
                raise ValueError(f"no switch {name!r}; there are {', '.join(known)}")
            if not _fits(known[name], value):
                raise ValueError(f"{name} is now {known[name]!r} and cannot become {value!r}")
        for name, value in wanted.items():
            setattr(self, name, value)

    def as_json(self) -> dict[str, Any]:
        """All switches and their values."""
        return asdict(self)


def _fits(present: object, value: object) -> bool:
    if present is None or value is None:
        return True
    if isinstance(present, bool) or isinstance(value, bool):
        return isinstance(value, bool)
    if isinstance(present, (int, float)):
        return isinstance(value, (int, float)) and value >= 0
    return isinstance(value, type(present))
