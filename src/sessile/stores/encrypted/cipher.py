"""AES-256-GCM with a ring of keys. What is sealed names its key, and opens only as the record that it was sealed for.

Each record has a key of its own, derived from the ring's key and the record's name. So the random nonces (96 bit) of one key never come near the number
at which two might be the same (NIST SP 800-38D, 8.3), and content that was moved to another row does not open.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from sessile.model.errors import ConfigurationError, ContentUnreadable

KEY_BYTES: Final = 32
MAGIC: Final = b"\x00sessile1"
"""No JSON begins so, hence plain and sealed content cannot be taken for each other."""
_NONCE_BYTES: Final = 12
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)
_MAKE: Final = (
    "make one with: python -c \"import base64,secrets;print('k1:'+base64.b64encode(secrets.token_bytes(32)).decode())\""
)


def parse_keys(entries: Sequence[str]) -> dict[str, bytes]:
    """`id:base64` each, the first one encrypts. Raises ConfigurationError, which shows none of them."""
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(entries, start=1):
        where = f"SESSILE_ENCRYPTION_KEYS: key {number}"
        key_id, colon, encoded = entry.partition(":")
        if not colon or _KEY_ID.fullmatch(key_id) is None:
            raise ConfigurationError(
                f"{where} has to be an id (letters, digits, _ and -), a colon and the key; {_MAKE}"
            )
        try:
            key = base64.b64decode(encoded.replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigurationError(f"{where} ({key_id}) is not base64; {_MAKE}") from None
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"{where} ({key_id}) has {len(key)} bytes and not {KEY_BYTES}; {_MAKE}")
        if len(set(key)) < KEY_BYTES // 4:
            raise ConfigurationError(f"{where} ({key_id}) is not random; {_MAKE}")
        if key_id in keys:
            raise ConfigurationError(f"{where}: the id {key_id} is there twice")
        keys[key_id] = key
    return keys


class ContentCipher:
    """Seals with the first key, opens with all. `strict` refuses what is plain; otherwise it is read, and sealed when it is written again."""

    def __init__(self, keys: Mapping[str, bytes], *, strict: bool = False) -> None:
        """Raises ConfigurationError without a key, and without the package `cryptography`."""
        if not keys:
            raise ConfigurationError("Encryption needs a key: set SESSILE_ENCRYPTION_KEYS.")
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise ConfigurationError('Encryption needs one more package: pip install "sessile[encryption]"') from error
        self._gcm, self._invalid = AESGCM, InvalidTag
        self._keys = dict(keys)
        self._first = next(iter(self._keys))
        self._prefix = _prefix(self._first)
        self.strict = strict

    def __repr__(self) -> str:
        return f"ContentCipher({', '.join(self._keys)})"

    def seal(self, name: str, content: bytes) -> bytes:
        """The content, encrypted for the record of that name."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._gcm(self._key(self._first, name)).encrypt(nonce, content, self._prefix + name.encode())
        return b"".join((self._prefix, nonce, sealed))

    def open(self, name: str, sealed: bytes) -> bytes:
        """What was sealed for the record of that name. Raises ContentUnreadable for an unknown key, for anything changed, and for another record's."""
        key_id, nonce, body = _parts(sealed)
        if key_id not in self._keys:
            raise ContentUnreadable(
                f"This was encrypted with the key `{key_id}`, which SESSILE_ENCRYPTION_KEYS does not have."
            )
        try:
            return self._gcm(self._key(key_id, name)).decrypt(nonce, body, _prefix(key_id) + name.encode())
        except self._invalid:
            raise ContentUnreadable from None

    def plain(self) -> None:
        """Something was met that is not encrypted. Raises ContentUnreadable if that is not allowed."""
        if self.strict:
            raise ContentUnreadable("This is not encrypted, and SESSILE_ENCRYPTION_STRICT refuses that.")

    def is_current(self, sealed: bytes) -> bool:
        """Whether it was sealed with the first key."""
        return sealed.startswith(self._prefix)

    def blind(self, name: str, text: str) -> str:
        """The same for the same text of the same record, and otherwise telling nothing: for an index that has to see equality."""
        return hmac.digest(self._key(self._first, f"blind\0{name}"), text.encode(), hashlib.sha256).hex()

    def _key(self, key_id: str, name: str) -> bytes:
        return hmac.digest(self._keys[key_id], b"sessile/content\0" + name.encode(), hashlib.sha256)


def is_sealed(content: bytes) -> bool:
    return content.startswith(MAGIC)


def to_text(sealed: bytes) -> str:
    return base64.b64encode(sealed).decode()


def from_text(text: str) -> bytes:
    """Raises ContentUnreadable."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ContentUnreadable from None


def _prefix(key_id: str) -> bytes:
    return MAGIC + bytes((len(key_id),)) + key_id.encode()


def _parts(sealed: bytes) -> tuple[str, bytes, bytes]:
    start = len(MAGIC) + 1
    if not is_sealed(sealed) or len(sealed) < start or len(sealed) < start + sealed[start - 1] + _NONCE_BYTES:
        raise ContentUnreadable
    nonce_at = start + sealed[start - 1]
    key_id = sealed[start:nonce_at].decode("ascii", "replace")
    return key_id, sealed[nonce_at : nonce_at + _NONCE_BYTES], sealed[nonce_at + _NONCE_BYTES :]
