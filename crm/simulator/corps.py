"""The corps that exist by default and their fixed credentials, invented for local use; they open nothing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CorpSpec:
    """One imagined tenant: who it is, which dialect it speaks and what opens it."""

    corp: str
    dialect: str
    name: str
    agentid: int
    secret: str
    sync_secret: str
    callback_token: str
    aes_key: str
    app_key: str = ""  # of a DingTalk app, which is named by it and not by its corp


# The last character of an aes_key keeps its two spare bits zero, so that strict base64 decoders accept it.
CORPS: tuple[CorpSpec, ...] = (
    CorpSpec(
        corp="wwd12ec70000000001",
        dialect="direct",
        name="北辰贸易有限公司",
        agentid=1000002,
        secret="simulatorDirectAppSecret0000000000000000001",
        sync_secret="simulatorDirectSyncSecret000000000000000001",
        callback_token="simDirectCallbackToken1",
        aes_key="SimDirectAesKeyForLocalUse0123456789abcdefE",
    ),
    CorpSpec(
        corp="ww0ff1c1a100000002",
        dialect="official",
        name="南星科技股份有限公司",
        agentid=1000002,
        secret="simulatorOfficialAppSecret00000000000000002",
        sync_secret="simulatorOfficialSyncSecret0000000000000002",
        callback_token="simOfficialCallbackToken2",
        aes_key="SimOfficialAesKeyForLocalUse0123456789abcdE",
    ),
    CorpSpec(
        corp="ding0d1a1c00000000000003",
        dialect="dingtalk",
        name="东湖食品有限公司",
        agentid=300000003,
        secret="simulatorDingtalkAppSecret00000000000000003",
        sync_secret="",
        callback_token="simDingtalkCallbackToken3",
        aes_key="SimDingtalkAesKeyForLocalUse0123456789abcdE",
        app_key="dingsimulatorapp0003",
    ),
)
