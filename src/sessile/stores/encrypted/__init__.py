"""Encryption at rest: a store around another one, which never sees what people wrote."""

from sessile.stores.encrypted.cipher import ContentCipher, parse_keys
from sessile.stores.encrypted.store import EncryptedStore, Rewritten, kept_in

__all__ = ["ContentCipher", "EncryptedStore", "Rewritten", "kept_in", "parse_keys"]
