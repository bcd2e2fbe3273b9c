"""The signature and the cipher of WeCom's callbacks, pinned by its published scheme; shared with the simulator.

SHA-1 and AES-256-CBC with the IV taken from the key are the provider's choice (docs/reference/protocol-wecom.md,
callbacks). What authenticates is the signature: nothing is decrypted before it has been compared.
"""

import base64
import binascii
import hashlib
import hmac
import os
import struct
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

BLOCK: Final = 32  # the frame is padded to a multiple of it, not to the cipher's 16
HEAD: Final = struct.Struct(">16sI")  # random bytes, length of the message


class Undecipherable(ValueError):
    """The ciphertext is not one that the holder of the key made."""


def sign(*parts: str) -> str:
    """The signature of token, timestamp, nonce and, in the encrypted mode, the ciphertext."""
    return hashlib.sha1("".join(sorted(parts)).encode(), usedforsecurity=False).hexdigest()


def is_signed(signature: str, *parts: str) -> bool:
    return hmac.compare_digest(sign(*parts).encode(), signature.encode())


def encrypt(message: bytes, *, aes_key: str, receiveid: str, salt: bytes = b"") -> str:
    """The base64 text of `message` for `receiveid`; `salt` is 16 bytes, random where none are given."""
    frame = HEAD.pack(salt or os.urandom(16), len(message)) + message + receiveid.encode()
    pad = BLOCK - len(frame) % BLOCK
    cipher = _cipher(aes_key).encryptor()
    return base64.b64encode(cipher.update(frame + bytes([pad]) * pad) + cipher.finalize()).decode()


def decrypt(encrypted: str, *, aes_key: str) -> tuple[bytes, str]:
    """(message, receiveid) of the base64 text `encrypted`. Raises Undecipherable."""
    try:
        ciphertext = base64.b64decode(encrypted, validate=True)
        cipher = _cipher(aes_key).decryptor()
        frame = _unpadded(cipher.update(ciphertext) + cipher.finalize())
        _salt, length = HEAD.unpack_from(frame)
        message, receiveid = frame[HEAD.size : HEAD.size + length], frame[HEAD.size + length :]
        if len(message) != length:
            raise Undecipherable
        return message, receiveid.decode()
    except (binascii.Error, struct.error, ValueError):
        raise Undecipherable from None


def _unpadded(frame: bytes) -> bytes:
    pad = frame[-1] if frame else 0
    if not 1 <= pad <= BLOCK or frame[-pad:] != bytes([pad]) * pad:
        raise Undecipherable
    return frame[:-pad]


def _cipher(aes_key: str) -> Cipher[modes.CBC]:
    key = base64.b64decode(aes_key + "=")
    return Cipher(algorithms.AES(key), modes.CBC(key[:16]))
