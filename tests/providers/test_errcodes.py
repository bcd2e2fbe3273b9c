"""The errcode table is closed and says what section 5 of the protocol reference says."""

import re

import pytest

from crm.providers.errors import (
    Absent,
    BadCredential,
    ProviderError,
    RateLimited,
    Refused,
    StaleCursor,
    TokenRejected,
    Unavailable,
)
from crm.providers.wecom.errcodes import TABLE, error_for, fix_for

# Every code the reference names in sections 5.1 to 5.6.
SECTION_5 = """
-1 6000 40001 40013 40014 42001 40091 41001 41002 41004 41024 40082 42009 2000002 301007 45031 48001
48002 48004 48005 48006 48009 50001 50002 50003 50006 60011 60020 60021 60030 60031 301002 301042 81026
45009 45033 45029 81017 301096 40003 40004-40009 40011 40123 44001 45001 45007 90405 90406 90408 40007
40008 40031 40032 40033 40035 40058 40063 40039 45034 40094 40056 41011 40066 60003 60123 40068 41017
40070 40071 40072 40126 40201 40204 82004 85002 40206 41006 41009 41010 41016 41033 41035 44004 45002
45008 45032 46004 50100 81012 82001 81013 82002 82003 90200-90204 90206-90208 42052 60140 60102 60103
60105 60104 60106 60110 60111 60112 60129 60132 45024 301005 81001 81011 40096 84061 84074 84084
41037-41044 41045 41046 41047 41048 41049 41050 41051 41096 41053 41054 41056 41063 41064 41065 41072
41093 41094 40097 40098 40099 40100 40128 40129 40130 40131 40143 40205 90500-90511 701008 701016 701099
40029 42003 42022 84014 84015 43004 40050 86001 86003 86006 86007 86216 86008 86207 86215
"""


def codes() -> list[int]:
    found: list[int] = []
    for word in SECTION_5.split():
        span = re.fullmatch(r"(\d+)-(\d+)", word)
        found += range(int(span[1]), int(span[2]) + 1) if span else [int(word)]
    return found


def test_table_names_every_code_of_the_reference() -> None:
    assert [code for code in codes() if code not in TABLE] == []


def test_every_entry_has_a_meaning_and_configuration_errors_have_a_fix() -> None:
    for code, entry in TABLE.items():
        assert entry.meaning, code
        if entry.error is BadCredential:
            assert entry.fix.endswith("."), code


@pytest.mark.parametrize(
    ("errcode", "kind"),
    [
        (-1, Unavailable),
        (6000, Unavailable),
        (41063, Unavailable),
        (40014, TokenRejected),
        (42001, TokenRejected),
        (40001, TokenRejected),
        (40013, BadCredential),
        (48002, BadCredential),
        (60020, BadCredential),
        (60011, Refused),
        (45009, RateLimited),
        (45033, RateLimited),
        (50100, StaleCursor),
        (60111, Absent),
        (84061, Absent),
        (40096, Absent),
        (81013, Refused),
        (701008, Refused),
    ],
)
def test_code_becomes_its_error_and_nothing_was_done(errcode: int, kind: type[ProviderError]) -> None:
    error = error_for(errcode, "words")
    assert type(error) is kind
    assert (error.errcode, error.code, error.outcome, error.errmsg) == (
        errcode,
        "errcode",
        "not_done",
        "words",
    )


@pytest.mark.parametrize("errcode", [40001, 40014, 42001])
def test_a_token_error_on_gettoken_is_a_configuration_error(errcode: int) -> None:
    assert type(error_for(errcode, "", api="gettoken")) is BadCredential


def test_an_unknown_code_is_refused_and_never_retried() -> None:
    error = error_for(987654, "")
    assert type(error) is Refused
    assert not error.retryable


def test_rate_limit_says_how_long() -> None:
    assert error_for(45009, "").retry_after == 60
    assert (error_for(41063, "").retry_after or 0) > 0


def test_untrusted_ip_names_the_address_to_add() -> None:
    told = (
        "not allow to access from your ip, hint: [1_2], from ip: 203.0.113.9, more info at https://open.work"
    )
    assert "203.0.113.9 " in fix_for(60020, told)
    assert "企业可信IP" in fix_for(60020)
    assert "{" not in fix_for(60020)


def test_nothing_to_configure_has_no_fix() -> None:
    assert fix_for(-1) == fix_for(123456) == ""
