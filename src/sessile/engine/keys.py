"""Keys of the installation: a ring from the settings, or one key that is made once and kept beside the data."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final

from sessile.ports import Random, Store, Transaction

KEY_BYTES: Final = 32
_ROW: Final = "key"


class KeyRing:
    """Signs with the first key and believes all of them, so keys can be exchanged while people work. Each purpose has keys of its own."""

    def __init__(self, configured: Sequence[bytes], store: Store, random: Random) -> None:
        self._keys = tuple(configured)
        self._store = store
        self._random = random

    async def ready(self) -> None:
        """Must have returned once before anything is signed. Raises StoreUnavailable."""
        if not self._keys:
            made = self._random.token_bytes(KEY_BYTES).hex()
            self._keys = (bytes.fromhex(await self._store.write(_kept, made)),)

    def sign(self, purpose: str, message: bytes) -> bytes:
        """HMAC-SHA-256 with the first key."""
        return _mac(self._keys[0], purpose, message)

    def all(self, purpose: str, message: bytes) -> list[bytes]:
        """What each key of the ring signs, the first one's first: to find what an earlier key signed."""
        return [_mac(key, purpose, message) for key in self._keys]

    def verify(self, purpose: str, message: bytes, mac: bytes) -> bool:
        """Constant time (ASVS 11.2.4)."""
        return any([hmac.compare_digest(mac, own) for own in self.all(purpose, message)])  # noqa: C419 - looks at every key


def _mac(key: bytes, purpose: str, message: bytes) -> bytes:
    derived = hmac.digest(key, b"sessile/" + purpose.encode(), hashlib.sha256)
    return hmac.digest(derived, message, hashlib.sha256)


def _kept(tx: Transaction, made: str) -> str:
    kept = tx.instance(_ROW, made)
    assert kept is not None, "it was written a moment ago"
    return kept
