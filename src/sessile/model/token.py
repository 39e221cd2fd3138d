"""The credential: `handle.secret`. Only its SHA-256 is ever stored.

The handle is a UUIDv7 (RFC 9562), the secret 256 bits from the operating system (ASVS 7.2.3). Shape is checked before any store is
asked, so a guess of the wrong shape costs nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import datetime
from typing import Final

from sessile.model.errors import SessionNotFound

SECRET_BYTES: Final = 32
_HANDLE_LENGTH: Final = 36
TOKEN_LENGTH: Final = _HANDLE_LENGTH + 1 + 43
_SHAPE: Final = re.compile(
    r"([0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})\.([A-Za-z0-9_-]{43})", re.ASCII
)


def make(session_id: str, random_bytes: bytes) -> str:
    """The token text for a handle and 32 random bytes."""
    if len(random_bytes) != SECRET_BYTES:
        raise ValueError(f"a secret is {SECRET_BYTES} bytes")
    return f"{session_id}.{base64.urlsafe_b64encode(random_bytes).rstrip(b'=').decode()}"


def parse(text: str) -> tuple[str, str]:
    """(handle, secret). Raises SessionNotFound for anything that is not of our shape: it is never one of ours."""
    match = _SHAPE.fullmatch(text) if len(text) == TOKEN_LENGTH else None
    if match is None:
        raise SessionNotFound
    return match[1], match[2]


def opened(text: str) -> tuple[str, bytes]:
    """(handle, hash of the secret), as `parse` and `hash_secret`. Raises SessionNotFound."""
    if len(text) != TOKEN_LENGTH or _SHAPE.fullmatch(text) is None:
        raise SessionNotFound
    return text[:_HANDLE_LENGTH], hashlib.sha256(text[_HANDLE_LENGTH + 1 :].encode()).digest()


def hash_secret(secret: str) -> bytes:
    """What is stored. The secret has 256 bits, so a fast hash is enough: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()


def hashes_equal(left: bytes, right: bytes) -> bool:
    """Constant time (ASVS 11.2.4)."""
    return hmac.compare_digest(left, right)


def uuid7(now: datetime, random_bytes: bytes) -> str:
    """A UUIDv7 from a time and 10 random bytes: sorts by creation, is safe to show."""
    milliseconds = int(now.timestamp() * 1000) & (2**48 - 1)
    tail = int.from_bytes(random_bytes[:10], "big")
    value = milliseconds << 80 | 0x7 << 76 | (tail >> 68 & 0xFFF) << 64 | 0b10 << 62 | tail & (2**62 - 1)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
