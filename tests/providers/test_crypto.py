"""The worked vectors of docs/reference/protocol-wecom.md, callbacks, and what must not decrypt."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.providers.wecom.crypto import Undecipherable, decrypt, encrypt, is_signed, sign

TOKEN = "tk7CrmDemo2024"
AES_KEY = "kWxgER7vR0aVQ2tY9sHc1LbN5mZu3DpFq8oJi4TyUwE"
CORPID = "ww5ad0c0ffee123456"
TIMESTAMP, NONCE = "1735689600", "1372623149"
EVENT = (
    "<xml><ToUserName><![CDATA[ww5ad0c0ffee123456]]></ToUserName><FromUserName><![CDATA[sys]]></FromUserName>"
    "<CreateTime>1735689600</CreateTime><MsgType><![CDATA[event]]></MsgType>"
    "<Event><![CDATA[change_external_contact]]></Event><ChangeType><![CDATA[add_external_contact]]></ChangeType>"
    "<UserID><![CDATA[sales01]]></UserID><ExternalUserID><![CDATA[wmDEMO00000000000000000000000001]]></ExternalUserID>"
    "<State><![CDATA[expo-杭州]]></State><WelcomeCode><![CDATA[WELCOME-CODE-0001]]></WelcomeCode></xml>"
)
EVENT_ENCRYPTED = (
    "2ME4qMzUhUruei90o4ifW+FtGkvHwuxUfozdbdqwmEiCi5DOYryafK/A7qvsqomMbctkxwwzLl0ul83VxBxbEbKCGLUejOPO7n5qEnfBUQb2c4Y6"
    "9F+s7IlLOycnw81mLsYmlkjjyWuXNe4SwflrMa8eNMS9ZEoaQVx616JHenR/bi4aGcdP9no+ye+kGG6BNALmCdyIWjzKmXO4J6azEicpsSruIG7I"
    "EQcS3i4hpxUldtPzDuIRjFiiIc6rXWmtLir15MLXSWBiy0pLbTi/D6RO8h1ul+PgFNfwdmAeFHn060q/ae4aVXtECFkYiNeyekFdQy05lGAZXJse"
    "tW8TxZ+e5WFmH9URdIpBUF6pd1VdXA5ycR6mGxjEXaMMh7C+yQSlDWGMePVyxrX9BX0/J9Swmk17iGqInD3atyJNpY7vhVUa4ZkH3jhbG8e4tiFB"
    "GlPrvlRmgAfBvWJTmh55OEBbWn3P3iNXM4bvEv5L6NNGby3QgBMhP2ec2ybaLCNfgD5NJ2veyFfB/fqWJ3CxAruU3vUrMzjkTzKzszHWA8lirZWw"
    "Xv74KgpyNHHZoEVFWg0Z8JQU2m2epNeTh67dvOVT7/WEdwzcx14KnQ7OqLMI3DpsQ5sK1ObbkEIiXhg6RaGYPa6HP1HWk1BhLvGqscsbri1bU80G"
    "/gvw5A+wB68lAQ72BCnTA5TJ0cM7uiexSlKrG6NdfMYVz1Exq9qUKA=="
)
VECTORS = {
    "V1 event": (b"0123456789abcdef", EVENT, EVENT_ENCRYPTED, "18e5563a4edc3e6b1c1b8f1d105be8da663c10fa"),
    "V2 echostr": (
        b"fedcba9876543210",
        "4917283650192837465",
        "y/mpZHPIa5H2Z5kMADWsvYHS9zDncZseShhomv1DURbgXDVWCKO0T9ZRcB0LA/+soKTXZaLNHmX7kcrxSAsd0g==",
        "fc4e0e82eb3046352d6799a1acefee1d144b9c81",
    ),
    "V3 reply": (
        b"A" * 16,
        "success",
        "YmJc6tYJpzx1puRNRq+MvXGbjEZ1pKZSfcP/z3ygs+VzXdb0L8gTEQg3MopanjNiWlEmshtCfxnh1tsZ/D+iRw==",
        "6505ddb6262c93fad3837d4a7b4bf7d29ae80b46",
    ),
    "V4 full pad block": (
        b"B" * 16,
        "x" * 26,
        "w6/V444fQcpMg5u5kx133u89kiRIYOQq1PxYCwgT14/s/CdxOYvr8qa7LldKJpij8RGFWVjR6sWdEcWO2cpJ7aSaU8KutnJMRC4HtYR7BTtXYacs"
        "tZkw7DeApSI0NrUi",
        "bddd979ae4b4e7a24dd8854a7635577a94a97421",
    ),
}


@pytest.mark.parametrize(("salt", "message", "encrypted", "signature"), VECTORS.values(), ids=VECTORS)
def test_the_worked_vectors_pass(salt: bytes, message: str, encrypted: str, signature: str) -> None:
    assert encrypt(message.encode(), aes_key=AES_KEY, receiveid=CORPID, salt=salt) == encrypted
    assert decrypt(encrypted, aes_key=AES_KEY) == (message.encode(), CORPID)
    assert is_signed(signature, TOKEN, TIMESTAMP, NONCE, encrypted)


def test_the_worked_vector_of_the_signature_mode_passes() -> None:
    assert sign(TOKEN, TIMESTAMP, NONCE) == "b356d0627d3b772b9e23e4e5d8decd0c44963c07"


@given(message=st.binary(max_size=300), receiveid=st.text(st.characters(codec="utf-8"), max_size=40))
def test_what_was_encrypted_decrypts(message: bytes, receiveid: str) -> None:
    encrypted = encrypt(message, aes_key=AES_KEY, receiveid=receiveid)
    assert decrypt(encrypted, aes_key=AES_KEY) == (message, receiveid)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda each: b64encode(each).decode()))
def test_anything_else_is_undecipherable(text: str) -> None:
    try:
        message, receiveid = decrypt(text, aes_key=AES_KEY)
    except Undecipherable:
        return
    assert encrypt(message, aes_key=AES_KEY, receiveid=receiveid)  # a lucky guess is still a whole frame
